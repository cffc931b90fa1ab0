// What Linux knows of the time of day.
#pragma once

#include <tstreams/ports/clock.hpp>

#include <chrono>
#include <cstdint>

namespace tstreams::detail {

// Time since the machine started, sleep included.
[[nodiscard]] std::chrono::microseconds since_boot() noexcept;
[[nodiscard]] ports::machine_time machine();
// 64 unpredictable bits, from any thread.
[[nodiscard]] std::uint64_t system_random() noexcept;

}  // namespace tstreams::detail
