// The table of URI schemes: which engine holds a store, with the broker over it.
#pragma once

#include "core/counters.hpp"
#include "core/service.hpp"

#include <tstreams/client.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/histogram.hpp>
#include <weave/executor.hpp>
#include <weave/task.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::detail {

// What the engine of a store counts.
struct engine_counters {
    std::uint64_t commits = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t log_files = 0;
    std::uint64_t live_bytes = 0;
    std::uint64_t undecided_blobs = 0;
    ports::histogram group_commits;  // per record of the log: how many commits share it
    ports::histogram sync_microseconds;
};

// An open store. Lives on the executor: made, used and destroyed there.
class store {
public:
    virtual ~store() = default;
    [[nodiscard]] virtual core::service& service() noexcept = 0;
    // How far the store's time of day is ahead of the clock's, as its last session said. From any thread.
    [[nodiscard]] virtual std::chrono::microseconds ahead() const noexcept { return std::chrono::microseconds(0); }
    // For whoever watches a store that this process has open; the others know nothing.
    [[nodiscard]] virtual core::broker_counters counters() const { return {}; }
    [[nodiscard]] virtual std::optional<engine_counters> engine() const { return std::nullopt; }
    [[nodiscard]] virtual std::vector<open_transaction_info> oldest_open(std::uint32_t) { return {}; }
    [[nodiscard]] virtual std::uint64_t open_of(core::session_id) const { return 0; }
    // Nothing runs in it afterwards; it is destroyed next.
    virtual weave::task<void> stop() = 0;
};

struct store_place {
    std::string scheme;  // without the colon
    std::string rest;
};

// Throws unsupported for a scheme that this build does not know, invalid_argument for one that is not whole.
[[nodiscard]] store_place parse_uri(std::string_view uri);

// Of what one client may hold at a broker that serves others.
struct store_limits {
    std::uint32_t client_transactions = 100'000;                             // open ones of one client
    std::uint32_t all_transactions = 100'000;                                // open ones of all
    std::uint64_t transaction_bytes = ~std::uint64_t{0};                     // of the frames of one
    std::chrono::milliseconds open_time = std::chrono::milliseconds::max();  // of one, whatever its stream says
};

// Throws as client::open.
weave::task<std::unique_ptr<store>> open_store(store_place place, client_options options, weave::executor& executor,
                                               ports::clock& clock);
weave::task<std::unique_ptr<store>> open_store(store_place place, client_options options, weave::executor& executor,
                                               ports::clock& clock, store_limits limits);

}  // namespace tstreams::detail
