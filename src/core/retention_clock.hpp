// Whether the time of day is to be believed, before anything is removed by it.
//
// The store keeps the last time of day that it believed, with what the machine said of itself then. A clock that
// differs from that by more than an hour, for no reason that can be seen, holds retention: nothing is removed and
// nothing expires, until the clock is right again, an operator says that it is, or, where the difference can be an
// ordinary absence, a day is over (docs/decisions/08-retention-holds.md).
#pragma once

#include "core/environment.hpp"
#include "core/rows.hpp"

#include <tstreams/ports/clock.hpp>

#include <chrono>
#include <optional>

namespace tstreams::core {

struct clock_verdict {
    bool holds = false;
    std::chrono::microseconds jump{0};  // of the clock, against what was to be expected
    wall_time since;                    // the day that it has to wait began then
    std::optional<wall_time> ends;      // it is believed from then on, if it goes on like this
};

// Judges the clock by the last time that was believed.
[[nodiscard]] clock_verdict judge(const clock_row& last, const ports::machine_time& machine, wall_time now);

// Exclusive engines only; elsewhere retention does not run, and nothing holds.
class retention_clock {
public:
    explicit retention_clock(environment& world) : world_(world) {}

    // Throws storage errors of reading.
    weave::task<void> start();
    weave::task<void> stop();
    // Looks at the clock; each round of retention does. Throws nothing but corrupt.
    weave::task<void> look();
    // The operator: the clock is right. Throws storage errors; then nothing has changed.
    weave::task<void> accept();

    [[nodiscard]] bool holding() const noexcept { return info_.holding; }
    [[nodiscard]] retention_info info() const;

private:
    void hold(const clock_verdict& seen, bool set_while_open, wall_time now);
    void go_on(wall_time now);
    [[nodiscard]] clock_row believed_now(const ports::machine_time& machine, wall_time now) const;
    weave::task<void> store(clock_row row, durability level);
    weave::task<void> try_to_store(clock_row row);

    environment& world_;
    std::optional<clock_row> row_;  // as stored
    wall_time believed_;
    retention_info info_;
    std::chrono::microseconds accepted_offset_{0};  // of the machine's clock, which was set while the store is open
};

}  // namespace tstreams::core
