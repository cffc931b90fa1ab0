// What the parts of a broker share: the ports, the limits, and its background work.
#pragma once

#include "core/counters.hpp"
#include "core/service.hpp"

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/coordinator.hpp>
#include <tstreams/ports/key_value.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/sync.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace tstreams::core {

class peers;

struct broker_options {
    weave::executor* executor = nullptr;
    ports::clock* clock = nullptr;
    ports::key_value* rows = nullptr;
    ports::blob_store* blobs = nullptr;
    ports::coordinator* coordinator = nullptr;  // needed unless rows->caps().exclusive
    core::peers* peers = nullptr;               // how to reach other brokers of a shared engine; null: alone
    std::string node = "embedded";              // unique among the brokers of a shared engine

    std::uint32_t segment_transactions_max = 4096;
    std::uint32_t live_segments_max = 256;  // between the oldest undecided transaction and the tail
    std::uint32_t open_transactions_max = 100'000;
    std::uint32_t session_transactions_max = 100'000;         // open ones of one session
    std::uint64_t transaction_bytes_max = ~std::uint64_t{0};  // of the frames of one transaction
    // How long a transaction is open at most, whatever its stream and its producer say.
    std::chrono::milliseconds open_time_max = std::chrono::milliseconds::max();
    std::uint32_t partitions_cached_max = 16'384;
    std::uint32_t stream_watches_max = 256;          // that each event of a stream is told to
    std::uint32_t watched_events_max = 1024 * 1024;  // that all watches together may keep
    std::chrono::milliseconds ids_ahead{5'000};      // how far the durable id ceiling is raised
    std::chrono::milliseconds retention_interval{10'000};
    std::chrono::milliseconds lease_duration{10'000};  // of slots, on shared engines
    std::chrono::seconds group_row_ttl = std::chrono::hours(1);
    // An undecided group is settled by whoever meets it after this long.
    std::chrono::milliseconds group_deadline{15'000};
    // Told of what a person should know, in a sentence; called on the executor.
    std::function<void(const std::string&)> on_notice;
};

// Tasks that nobody awaits. stop() waits for them; a failure ends in `failures`, with the name of the last one.
class background {
public:
    explicit background(weave::executor& home) : home_(home), idle_(home) { idle_.set(); }

    void run(weave::task<void> work, const char* name) {
        if (running_++ == 0) idle_.reset();
        weave::spawn(home_, std::move(work), [this, name](weave::outcome_of<void> result) {
            if (result.failure()) {
                ++failures_;
                last_failure_ = name;
            }
            if (--running_ == 0) idle_.set();
        });
    }
    weave::task<void> drain() {
        while (running_ != 0) co_await idle_.wait();
    }
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

private:
    weave::executor& home_;
    weave::event idle_;
    std::uint64_t running_ = 0;
    std::uint64_t failures_ = 0;
    const char* last_failure_ = "";
};

struct environment {
    explicit environment(broker_options chosen)
        : options(std::move(chosen)),
          executor(*options.executor),
          clock(*options.clock),
          rows(*options.rows),
          blobs(*options.blobs),
          exclusive(options.rows->caps().exclusive),
          tasks(executor) {}

    const broker_options options;
    weave::executor& executor;
    ports::clock& clock;
    ports::key_value& rows;
    ports::blob_store& blobs;
    const bool exclusive;  // only this process writes: no fences, one epoch, commit_all
    background tasks;
    traffic counted;
    bool stopping = false;
    // Set while the clock is not believed: nothing expires then (retention_clock.hpp).
    std::optional<wall_time> expiry_frozen;
    std::map<std::uint64_t, weave::event*> sleeping;  // in sleep_until, in the order of their coming
    std::uint64_t sleepers = 0;                       // so far
    std::uint64_t last_instance = 0;

    // The time with which expiries of transactions are compared.
    [[nodiscard]] wall_time expiry_now() const noexcept { return expiry_frozen ? *expiry_frozen : clock.wall_now(); }

    // What sleeps in the background goes on at once, and finds the broker stopping.
    void wake_sleepers() {
        for (const auto& [number, one] : sleeping) one->set();
    }

    // The number of an instance of a name: above `former`, which is zero for a name that is new, and unlike every one
    // given before, so that nobody who had a deleted name is taken for its new owner. The epoch keeps apart what
    // brokers give that cannot know of each other: where the clock was set back, the time of day does not.
    [[nodiscard]] std::uint64_t next_instance(std::uint64_t former, std::uint64_t epoch) noexcept {
        constexpr unsigned epoch_bits = 12;
        const auto now = static_cast<std::uint64_t>(clock.wall_now().time_since_epoch().count());
        last_instance = std::max({former >> epoch_bits, last_instance, now}) + 1;
        return last_instance << epoch_bits | (epoch & ((std::uint64_t{1} << epoch_bits) - 1));
    }

    // Every operation of a broker has another name.
    [[nodiscard]] ports::operation_id next_operation() noexcept {
        ports::operation_id operation;
        operation.high = clock.random();
        operation.low = clock.random();
        return operation;
    }
};

// Waits until the clock reaches `when`, or the broker stops.
[[nodiscard]] weave::task<void> sleep_until(environment& world, ports::steady_time when);

}  // namespace tstreams::core
