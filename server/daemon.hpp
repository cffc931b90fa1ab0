// tstreamsd without its command line: a store, its broker, and the server, on one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::server {

struct daemon_options {
    std::string store{};                // "file:PATH" or "memory:"
    std::vector<std::string> listen{};  // tcp://, ipc://; at least one
    std::size_t clients_max = 4096;
    std::size_t item_bytes_max = std::size_t{16} << 20;
    std::string metrics{};  // where they are read over HTTP, as monitor_options; empty: nowhere
    bool metrics_beyond_loopback = false;
    std::chrono::milliseconds drain = std::chrono::seconds(5);  // at the end: for what is in flight
    // A line for people, on the daemon's thread.
    std::function<void(std::string_view)> log{};
    // All endpoints are bound, as they were resolved.
    std::function<void(const std::vector<std::string>&)> ready{};
    std::function<void()> stopping{};
};

// Serves until SIGINT or SIGTERM; the second one ends it without draining. On return the store is closed. Throws what
// opening the store throws (tstreams::error, also for the metrics' address), and moebius::error for endpoints.
void run_daemon(daemon_options options);

}  // namespace tstreams::server
