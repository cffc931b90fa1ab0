// Time and randomness, injected: the core takes neither from anywhere else.
#pragma once

#include <tstreams/types.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace tstreams::ports {

using steady_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::microseconds>;

// Called only on the executor that it serves; callbacks run there.
class clock {
public:
    using timer = std::uint64_t;  // never zero, never reused

    virtual ~clock() = default;

    // Never goes back; deadlines, sessions and leases use it.
    [[nodiscard]] virtual steady_time now() const noexcept = 0;
    // The time of day: anchored at start, then advanced by the steady clock; ids and retention use it.
    [[nodiscard]] virtual wall_time wall_now() const noexcept = 0;

    // Calls `callback` once at or soon after `when`. It must not throw.
    virtual timer call_at(steady_time when, std::function<void()> callback) = 0;
    // The callback does not run after this. A timer that is over is no error.
    virtual void cancel(timer which) noexcept = 0;

    // 64 uniformly random bits; unpredictable in production, from the seed in a simulation.
    [[nodiscard]] virtual std::uint64_t random() noexcept = 0;
};

}  // namespace tstreams::ports
