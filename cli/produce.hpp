// Items from an input into a stream, in batches.
#pragma once

#include "cli/input.hpp"

#include <tstreams/client.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tstreams::cli {

struct produce_request {
    std::string stream;
    std::uint64_t batch = 1000;                 // items per transaction
    std::chrono::milliseconds linger{200};      // a part batch waits at most this long for more
    std::optional<partition_number> partition;  // else round robin
    bool one_item = false;                      // all of the input is one item
};

struct produced {
    std::uint64_t items = 0;
    std::uint64_t transactions = 0;
    std::uint64_t unfinished_bytes = 0;  // of a line that a signal cut off; not stored
    bool interrupted = false;
};

// Reads to the end or to a signal; complete lines that have arrived are checkpointed then. On a failure the
// batch in work is cancelled, and the error says what is checkpointed.
produced produce(client& store, const produce_request& request, input& in);

// "checkpointed 3 items in 1 transaction"
[[nodiscard]] std::string summary(const produced& totals);

}  // namespace tstreams::cli
