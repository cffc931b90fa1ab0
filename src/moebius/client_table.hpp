// Clients by routing id, and the store of their slots.
#pragma once

#include "moebius/client_state.hpp"

#include <weave/seeded_hash.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace moebius::detail {

class client_table {
public:
    explicit client_table(server_core& of) noexcept : core_(of) {}

    [[nodiscard]] std::size_t size() const noexcept { return by_id_.size(); }
    [[nodiscard]] client_state* find(std::string_view id) noexcept {
        client_state*& recent = place_of(id);
        if (recent && recent->id == id) return recent;
        const auto found = by_id_.find(id);
        if (found == by_id_.end()) return nullptr;
        return recent = found->second;
    }
    client_state& add(std::string_view id) {
        if (free_.empty()) free_.push_back(&slots_.emplace_back(core_));
        client_state& made = *free_.back();
        made.id = id;
        by_id_.emplace(std::string_view(made.id), &made);
        free_.pop_back();
        made.connected = true;
        return made;
    }
    // Not found by its id any more; the slot stays until release().
    void forget(client_state& one) noexcept {
        by_id_.erase(std::string_view(one.id));
        if (client_state*& recent = place_of(one.id); recent == &one) recent = nullptr;
    }
    void release(client_state& one) noexcept {
        ++one.generation;
        one.renew();
        free_.push_back(&one);
    }

    // The clients of now; f may add and forget.
    [[nodiscard]] std::vector<client_state*> all() const {
        std::vector<client_state*> found;
        found.reserve(by_id_.size());
        for (const auto& [id, one] : by_id_) found.push_back(one);
        return found;
    }
    template <class F>
    void for_each(F&& f) {
        for (const auto& [id, one] : by_id_) f(*one);
    }

private:
    client_state*& place_of(std::string_view id) noexcept { return recent_[weave::seeded_hash()(id) % recent_.size()]; }

    server_core& core_;
    std::array<client_state*, 1024> recent_{};  // saves most searches the divisions and the steps of the hash table
    std::deque<client_state> slots_;
    std::vector<client_state*> free_;
    std::unordered_map<std::string_view, client_state*, weave::seeded_hash> by_id_;
};

}  // namespace moebius::detail
