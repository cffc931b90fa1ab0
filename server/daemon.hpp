// tstreamsd without its command line: a store, its broker, and the server, on one thread.
#pragma once

#include "core/service.hpp"
#include "server/event_log.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tstreams::server {

// What clients can make grow. Over a limit they get too_large or overloaded, and nothing was done.
struct daemon_limits {
    std::size_t clients = 4096;
    std::size_t user_sessions = 1024;                         // of one name of the file of clients
    std::uint32_t client_transactions = 4096;                 // open ones of one client
    std::uint32_t all_transactions = 100'000;                 // open ones of all
    std::chrono::seconds open_time = std::chrono::hours(24);  // how long a stream may let one be open
    std::uint32_t stream_partitions = core::partitions_max;   // at most that
    std::uint64_t transaction_bytes = std::uint64_t{64} << 30;
    std::size_t item_bytes = std::size_t{16} << 20;
    std::size_t group_members = 1000;
    std::size_t client_answers = 16'384;                           // kept for one client until it has them
    std::size_t client_bytes = std::size_t{32} << 20;              // of one client's requests under way
    std::size_t all_bytes = std::size_t{512} << 20;                // of the requests of all
    std::size_t client_unread_bytes = std::size_t{32} << 20;       // of answers that one client does not read
    std::size_t all_unread_bytes = std::size_t{1} << 30;           // of all
    std::chrono::seconds session_timeout = std::chrono::hours(1);  // the longest that a client may ask for
    std::chrono::seconds handshake = std::chrono::seconds(5);      // a connection that takes longer for it is cut
    // A connection that was silent so long gets a heartbeat, and is cut when it is silent as long again. libzmq looks
    // through all its timers for each heartbeat: of a thousand connections, every 2 s, that took 7% of a core.
    std::chrono::seconds silence = std::chrono::seconds(30);
};

struct daemon_options {
    std::string store{};                // "file:PATH" or "memory:"
    bool must_exist = false;            // a store that is not there is an error, and not made
    std::vector<std::string> listen{};  // tcp://, ipc://; at least one
    std::string key_file{};             // the server's keys; with them clients_file
    std::string clients_file{};         // which keys may come, and their rights: access/access_list.hpp
    std::string metrics{};              // where they are read over HTTP, as monitor_options; empty: nowhere
    bool metrics_beyond_loopback = false;
    daemon_limits limits{};
    std::chrono::seconds drain = std::chrono::seconds(5);  // at the end: for what is in flight
    event_log log{log_format::text};
};

// What serving with these options would refuse, found without opening a store or an endpoint. Throws
// error(invalid_argument).
void check(const daemon_options& options);

// Serves until SIGINT or SIGTERM; the second one ends it without draining. SIGHUP reads the file of clients again; one
// that is wrong leaves what was. On return the store is closed. Throws what check() and opening the store throw
// (tstreams::error, also for the metrics' address), and moebius::error for endpoints.
void run_daemon(daemon_options options);

}  // namespace tstreams::server
