// What Linux knows of the time of day.
#pragma once

#include <tstreams/ports/clock.hpp>

#include <chrono>

namespace tstreams::detail {

// Time since the machine started, sleep included.
[[nodiscard]] std::chrono::microseconds since_boot() noexcept;
[[nodiscard]] ports::machine_time machine();

}  // namespace tstreams::detail
