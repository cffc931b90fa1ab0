// The hash of tables whose keys a peer chooses. Its seed is drawn when the process starts, so a peer that knows this
// code, but not the seed, cannot find keys that meet in one bucket and make every search as long as the table.
//
// Integers: strongly universal. Two different keys, however chosen, have the same hash with a probability of 2^-64,
// and the same bucket of m with about 1/m. Text: without a proof; 16 bytes at a time are multiplied with each other,
// after the secret was added to them, and the halves of the product are put together.
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
        std::array<std::uint64_t, 2> two{};
        std::uint64_t mixed = key.size() ^ static_cast<std::uint64_t>(detail::seed[2]);
        for (; key.size() > sizeof two; key.remove_prefix(sizeof two)) {
            std::memcpy(two.data(), key.data(), sizeof two);
            mixed = fold(two, mixed);
        }
        return (*this)(fold(rest_of(key), mixed));
    }

private:
    // Up to 16 bytes. Its first and its last bytes, which may be the same: the length says which.
    [[nodiscard]] static std::array<std::uint64_t, 2> rest_of(std::string_view key) noexcept {
        std::array<std::uint64_t, 2> two{};
        const char* const begin = key.data();
        if (key.size() >= 8) {
            std::memcpy(&two[0], begin, 8);
            std::memcpy(&two[1], begin + key.size() - 8, 8);
        } else if (key.size() >= 4) {
            std::memcpy(&two[0], begin, 4);
            std::memcpy(&two[1], begin + key.size() - 4, 4);
        } else {
            for (const char one : key) two[0] = two[0] << 8 | static_cast<std::uint8_t>(one);
        }
        return two;
    }
    [[nodiscard]] static std::uint64_t fold(const std::array<std::uint64_t, 2>& two, std::uint64_t mixed) noexcept {
        const detail::wide product = static_cast<detail::wide>(two[0] ^ static_cast<std::uint64_t>(detail::seed[0])) *
                                     (two[1] ^ static_cast<std::uint64_t>(detail::seed[1]) ^ mixed);
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
};

}  // namespace weave
