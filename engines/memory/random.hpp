// Random numbers that are the same on every machine: xoshiro256**, seeded by splitmix64.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>

namespace tstreams::memory {

class random_source {
public:
    explicit random_source(std::uint64_t seed) noexcept {
        for (std::uint64_t& word : state_) {
            seed += 0x9e3779b97f4a7c15U;
            std::uint64_t mixed = seed;
            mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
            mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
            word = mixed ^ (mixed >> 31);
        }
    }

    [[nodiscard]] std::uint64_t next() noexcept {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // From 0 to `end`, which is not included and not zero. The bias is below 2^-32 for ends below 2^32.
    [[nodiscard]] std::uint64_t below(std::uint64_t end) noexcept { return next() % end; }

    // True with this probability, 0 to 1.
    [[nodiscard]] bool chance(double probability) noexcept {
        return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
    }

    // From zero to `most`, both included.
    [[nodiscard]] std::chrono::microseconds up_to(std::chrono::microseconds most) noexcept {
        return std::chrono::microseconds(
            static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most.count()) + 1)));
    }

private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace tstreams::memory
