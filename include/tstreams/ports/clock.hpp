// Time and randomness, injected: the core takes neither from anywhere else.
#pragma once

#include <tstreams/types.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace tstreams::ports {

using steady_time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::microseconds>;

// What the machine says of its time of day, to tell a long absence from a clock that was set.
struct machine_time {
    wall_time system;                         // the time of day as the machine has it now, not anchored
    bool synchronised = false;                // a time service keeps it right, as far as the system knows
    std::string boot{};                       // names this run of the machine; empty: not known
    std::chrono::microseconds since_boot{0};  // sleep included
};

// Called only on the executor that it serves; callbacks run there.
class clock {
public:
    using timer = std::uint64_t;  // never zero, never reused

    virtual ~clock() = default;

    // Never goes back; deadlines, sessions and leases use it.
    [[nodiscard]] virtual steady_time now() const noexcept = 0;
    // The time of day: anchored at start, then advanced by the steady clock; ids and retention use it.
    [[nodiscard]] virtual wall_time wall_now() const noexcept = 0;
    // A clock that knows nothing of a machine cannot vouch for its time: an absence then looks like a jump.
    [[nodiscard]] virtual machine_time machine() const {
        machine_time said;
        said.system = wall_now();
        return said;
    }

    // Calls `callback` once at or soon after `when`. It must not throw.
    virtual timer call_at(steady_time when, std::function<void()> callback) = 0;
    // The callback does not run after this. A timer that is over is no error.
    virtual void cancel(timer which) noexcept = 0;

    // 64 uniformly random bits; unpredictable in production, from the seed in a simulation.
    [[nodiscard]] virtual std::uint64_t random() noexcept = 0;
};

}  // namespace tstreams::ports
