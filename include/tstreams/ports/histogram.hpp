// Counts of values, for those who watch an engine.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tstreams::ports {

// Buckets that double: bucket i has the values of at most 2^i that the ones before it have not, the last one all that
// are larger.
struct histogram {
    static constexpr std::size_t buckets = 26;
    std::array<std::uint64_t, buckets> counts{};
    std::uint64_t sum = 0;

    void add(std::uint64_t value) noexcept {
        const auto bucket = static_cast<std::size_t>(value <= 1 ? 0 : std::bit_width(value - 1));
        ++counts[std::min(bucket, buckets - 1)];
        sum += value;
    }
};

}  // namespace tstreams::ports
