// What a tstreamsd tells of itself, and what is open in a store: the values of <tstreams/admin.hpp>.
#pragma once

#include <tstreams/types.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tstreams {

// Counters are since the start of the server.
struct server_status {
    std::string server;  // name and version
    std::string store;
    std::vector<std::string> endpoints;
    wall_time now;
    wall_time started_at;
    std::uint64_t connections = 0;  // a client has one, or none while it comes back
    std::uint64_t sessions = 0;
    std::uint64_t open_transactions = 0;
    std::chrono::milliseconds oldest_open{0};  // its age; 0: none is open
    std::uint64_t checkpointed = 0;            // transactions
    std::uint64_t items_in = 0, bytes_in = 0;
    std::uint64_t items_out = 0, bytes_out = 0;
    std::uint64_t refusals = 0;             // calls that were answered with an error
    std::uint64_t background_failures = 0;  // worth a look at the log when it is not 0
    bool retention_holding = false;
    std::uint64_t memory_bytes = 0;  // resident
};

// A client of a tstreamsd, by its session.
struct server_client {
    std::string name;  // what it calls itself
    std::string user;  // the name of its key; empty where there are no keys
    bool connected = false;
    std::chrono::milliseconds silent_for{0};
    std::uint64_t open_transactions = 0;
    std::uint64_t answers_kept = 0;  // of its calls, until it says that it has them
};

// An open transaction of any stream.
struct open_transaction_info {
    std::string stream;
    transaction_info transaction;
    std::chrono::milliseconds age{0};
};

}  // namespace tstreams
