// Items of a stream to an output, checkpointed only when they are printed.
#pragma once

#include "cli/failure.hpp"
#include "cli/interruption.hpp"
#include "cli/output.hpp"

#include <tstreams/client.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::cli {

struct consume_request {
    std::string stream;
    std::string name;                           // empty: no offset is looked up or stored
    start from{};                               // where a name without an offset begins
    bool reset = false;                         // `from` also for a name with an offset
    std::optional<partition_number> partition;  // else all
    std::optional<std::uint64_t> items_max;
    bool follow = false;
    bool checkpoint = true;  // false: the name's offset is looked up, and neither moved nor fenced
    bool json = false;
};

struct consumed {
    std::uint64_t items = 0;
    std::optional<transaction_id> cut;  // printed in part because of items_max, hence not checkpointed
    std::vector<blocker> blocked_by;    // why it ended before the end; empty with `follow`
};

// Prints to the end (with `follow`: until `stop`), or items_max items. A transaction is checkpointed when all
// of it has been printed and flushed; several may share a checkpoint.
consumed consume(client& store, const consume_request& request, output& out, const interruption& stop);

// What the user should know about how it ended, a line each.
[[nodiscard]] std::vector<std::string> notes(const consumed& result, const consume_request& request,
                                             const subject& about);

}  // namespace tstreams::cli
