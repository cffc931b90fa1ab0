// Which keys the group that gathers may have touched: a set of hashes that forgets everything at once.
#pragma once

#include <weave/seeded_hash.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tstreams::local {

// Says yes for every key that was added, and rarely for another one.
class key_filter {
public:
    void add(std::string_view key) { add_hash(hash(key)); }
    [[nodiscard]] bool may_have(std::string_view key) const noexcept {
        return used_ != 0 && slots_[find(hash(key))] != 0;
    }
    void clear() noexcept {
        if (used_ == 0) return;
        if (slots_.size() > slots_least && used_ < slots_.size() / 16) slots_.resize(slots_.size() / 2);
        std::fill(slots_.begin(), slots_.end(), 0);
        used_ = 0;
    }

private:
    static constexpr std::size_t slots_least = 256;

    static std::uint64_t hash(std::string_view key) noexcept {
        return weave::seeded_hash()(key) | 1;  // zero is an empty slot
    }
    // Where the hash is, or the empty slot where it would be.
    [[nodiscard]] std::size_t find(std::uint64_t wanted) const noexcept {
        std::size_t at = (wanted >> 1) & (slots_.size() - 1);
        while (slots_[at] != 0 && slots_[at] != wanted) at = (at + 1) & (slots_.size() - 1);
        return at;
    }
    void add_hash(std::uint64_t added) {
        if (used_ * 2 >= slots_.size()) {
            for (const std::uint64_t old : std::exchange(slots_, std::vector<std::uint64_t>(slots_.size() * 2))) {
                if (old != 0) slots_[find(old)] = old;
            }
        }
        std::uint64_t& slot = slots_[find(added)];
        if (slot == 0) ++used_;
        slot = added;
    }

    std::vector<std::uint64_t> slots_ = std::vector<std::uint64_t>(slots_least);
    std::size_t used_ = 0;
};

}  // namespace tstreams::local
