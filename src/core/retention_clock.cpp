#include "core/retention_clock.hpp"

#include "core/keys.hpp"
#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace tstreams::core {
namespace {

constexpr std::chrono::microseconds tolerance = std::chrono::hours(1);
constexpr std::chrono::microseconds longest_absence = std::chrono::hours(24 * 92);
constexpr std::chrono::microseconds quarantine = std::chrono::hours(24);
// Well below the tolerance: after a kill the store knows the time up to this.
constexpr std::chrono::microseconds stored_every = std::chrono::minutes(10);

bool near(std::chrono::microseconds difference) {
    return difference <= tolerance && -difference <= tolerance;
}

std::string in_words(std::chrono::microseconds time) {
    const auto hours = std::chrono::duration_cast<std::chrono::hours>(time < time.zero() ? -time : time).count();
    if (hours < 48) return std::to_string(hours) + " hours";
    return std::to_string(hours / 24) + " days";
}

}  // namespace

clock_verdict judge(const clock_row& last, const ports::machine_time& machine, wall_time now) {
    wall_time expected = last.believed;
    // Within one run of the machine its uptime says how long the absence was.
    const bool same_boot = !machine.boot.empty() && machine.boot == last.boot;
    if (same_boot) expected += machine.since_boot - last.since_boot;
    clock_verdict seen;
    seen.jump = now - expected;
    if (near(seen.jump)) return seen;
    const bool kept_right = machine.synchronised && near(machine.system - now);
    const bool behind = seen.jump < seen.jump.zero();
    // Kept right now and then, the difference is an absence. An earlier time than known removes only less, so
    // there it is enough that the clock is right now.
    if (kept_right && (behind || last.synchronised)) return seen;
    seen.since = std::min(last.held_since.value_or(now), now);
    // A clock that was behind when this began has been set once more: the day is one by the clock as it is now.
    if (!behind && seen.since < last.believed) seen.since = now;
    if (behind || seen.jump <= longest_absence + quarantine) {
        seen.ends = seen.since + quarantine;
        if (now >= *seen.ends) return seen;
    }
    seen.holds = true;
    return seen;
}

weave::task<void> retention_clock::start() {
    const std::optional<ports::bytes> value = co_await world_.rows.get(keys::work_shard(0), keys::clock_row());
    if (value) row_ = decode<clock_row>(*value);
    believed_ = row_ ? row_->believed : world_.clock.wall_now();
    co_await look();
}

weave::task<void> retention_clock::stop() {
    co_await look();
    if (!row_ || holding()) co_return;
    const ports::machine_time machine = world_.clock.machine();
    const wall_time now = world_.clock.wall_now();
    if (now - row_->believed > std::chrono::minutes(1)) co_await try_to_store(believed_now(machine, now));
}

weave::task<void> retention_clock::look() {
    if (!world_.exclusive) co_return;
    const ports::machine_time machine = world_.clock.machine();
    const wall_time now = world_.clock.wall_now();
    clock_verdict seen;
    if (row_) seen = judge(*row_, machine, now);
    // The store's own time goes on evenly while it is open; what the machine's clock does meanwhile is a warning.
    const std::chrono::microseconds offset = machine.system - now;
    const bool set_while_open = !seen.holds && !near(offset) && !near(offset - accepted_offset_);
    if (set_while_open) {
        seen = clock_verdict();
        seen.holds = true;
        seen.jump = offset;
    }
    if (seen.holds) {
        hold(seen, set_while_open, now);
        // The day does not begin before a start by the clock that was set: so far the store goes by another one.
        if (set_while_open) co_return;
        clock_row held = *row_;
        held.held_since = seen.since;
        info_.since = seen.since;
        if (held != *row_) co_await try_to_store(std::move(held));
        co_return;
    }
    go_on(now);
    const bool stale = row_ && (now - row_->believed >= stored_every || row_->believed - now >= stored_every);
    if (!row_ || row_->held_since || stale) co_await try_to_store(believed_now(machine, now));
}

weave::task<void> retention_clock::accept() {
    if (!world_.exclusive) co_return;
    const ports::machine_time machine = world_.clock.machine();
    const wall_time now = world_.clock.wall_now();
    co_await store(believed_now(machine, now), durability::sync());
    accepted_offset_ = machine.system - now;
    go_on(now);
}

void retention_clock::hold(const clock_verdict& seen, bool set_while_open, wall_time now) {
    const bool begins = !info_.holding;
    if (begins) info_.since = now;
    if (!row_) row_ = believed_now(world_.clock.machine(), now);
    info_.holding = true;
    info_.jump = std::chrono::duration_cast<std::chrono::seconds>(seen.jump);
    info_.ends = seen.ends;
    world_.expiry_frozen = believed_;
    world_.rows.hold_expiry(believed_);
    const bool ahead = seen.jump > seen.jump.zero();
    const std::string far = in_words(seen.jump) + (ahead ? " ahead of " : " behind ");
    if (set_while_open)
        info_.reason = "the clock of this machine was set while the store was open: it is " + far +
                       "the time of the store; open the store anew";
    else
        info_.reason = "the clock is " + far + "what this store expects" +
                       (ahead ? ", which is a long absence or a wrong clock" : "");
    if (!begins || !world_.options.on_notice) return;
    world_.options.on_notice("retention holds, nothing expires or is removed: " + info_.reason +
                             "; see: tstreams retention show");
}

void retention_clock::go_on(wall_time now) {
    believed_ = now;
    world_.expiry_frozen.reset();
    world_.rows.hold_expiry(std::nullopt);
    if (!info_.holding) return;
    info_ = retention_info();
    if (world_.options.on_notice) world_.options.on_notice("retention goes on: the clock is believed again");
}

clock_row retention_clock::believed_now(const ports::machine_time& machine, wall_time now) const {
    clock_row row;
    row.believed = now;
    row.synchronised = machine.synchronised && near(machine.system - now);
    row.boot = machine.boot;
    row.since_boot = machine.since_boot;
    return row;
}

weave::task<void> retention_clock::store(clock_row row, durability level) {
    ports::batch change;
    change.shard = keys::work_shard(0);
    change.operation = world_.next_operation();
    put(change, keys::clock_row(), encode(row));
    const write_result result = co_await write_shard(world_, std::move(change), level);
    if (result != write_result::applied)
        throw error(errc::unavailable, "the clock's row could not be written; try again");
    row_ = std::move(row);
}

// A full disk must not keep the store from being opened: the next look tries again.
weave::task<void> retention_clock::try_to_store(clock_row row) {
    try {
        co_await store(std::move(row), durability::process());
    } catch (const error&) {
    }
}

retention_info retention_clock::info() const {
    retention_info now = info_;
    now.clock = world_.clock.wall_now();
    now.believed = world_.expiry_now();
    return now;
}

}  // namespace tstreams::core
