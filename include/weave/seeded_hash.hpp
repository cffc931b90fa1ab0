// The hash of tables whose keys a peer chooses. Its seed is drawn when the process starts, so a peer that knows this
// code, but not the seed, cannot find keys that meet in one bucket and make every search as long as the table.
//
// Integers: strongly universal. Two different keys, however chosen, have the same hash with a probability of 2^-64,
// and the same bucket of m with about 1/m. Text: the same, as far as one does without a proof.
//
// The order of a table with this hash is another one in each run: where it matters, do not iterate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weave {

namespace detail {

__extension__ typedef unsigned __int128 wide;  // without "extension" the compilers' pedantic warnings name it

// Random words of this process.
[[nodiscard]] std::array<wide, 3> draw_seed();
inline const std::array<wide, 3> seed = draw_seed();

}  // namespace detail

struct seeded_hash {
    [[nodiscard]] std::size_t operator()(std::uint64_t key) const noexcept {
        return static_cast<std::size_t>((detail::seed[0] * key + detail::seed[2]) >> 64);
    }
    [[nodiscard]] std::size_t operator()(std::uint64_t first, std::uint64_t second) const noexcept {
        return static_cast<std::size_t>((detail::seed[0] * first + detail::seed[1] * second + detail::seed[2]) >> 64);
    }
    [[nodiscard]] std::size_t operator()(std::string_view key) const noexcept {
        std::uint64_t mixed = key.size();
        std::uint64_t word = 0;
        for (; key.size() > sizeof word; key.remove_prefix(sizeof word)) {
            std::memcpy(&word, key.data(), sizeof word);
            mixed = (*this)(mixed, word);
        }
        word = 0;
        if (!key.empty()) std::memcpy(&word, key.data(), key.size());
        return (*this)(mixed, word);
    }
};

}  // namespace weave
