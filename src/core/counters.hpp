// What a broker counts, and its state at a moment. Plain numbers on the executor, none of them per item.
#pragma once

#include <chrono>
#include <cstdint>

namespace tstreams::core {

// Since the start.
struct traffic {
    std::uint64_t opened = 0;        // transactions; a `send` is one
    std::uint64_t checkpointed = 0;  // and the following three are what became of them
    std::uint64_t cancelled = 0;     // by their clients
    std::uint64_t ended = 0;         // without their client's doing: expired, aborted, fenced, of a deleted stream
    std::uint64_t items_in = 0, bytes_in = 0;  // of what was checkpointed
    std::uint64_t transactions_out = 0;        // given to readers, as often as they were given
    std::uint64_t items_out = 0, bytes_out = 0;
};

struct broker_counters {
    core::traffic traffic;
    std::uint64_t background_failures = 0;
    // Now.
    std::uint64_t open_transactions = 0;
    std::uint64_t sessions = 0;
    std::uint64_t partitions_cached = 0;
    bool retention_holding = false;
};

}  // namespace tstreams::core
