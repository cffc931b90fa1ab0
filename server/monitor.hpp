// The HTTP side of a server: /metrics for Prometheus, /healthz and /readyz for whoever starts and stops it.
//
// It has a thread of its own and never touches the broker: the loop hands it text that is finished. So it answers while
// the store is being opened, and tells when the loop stands still.
#pragma once

#include <chrono>
#include <memory>
#include <string>

namespace tstreams::server {

enum class phase { starting, ready, stopping };

struct monitor_options {
    std::string address{};         // "PORT" (on 127.0.0.1), "127.0.0.1:PORT", "[::1]:PORT"; port 0 takes a free one
    bool beyond_loopback = false;  // else other addresses are refused
    std::chrono::milliseconds stale_after = std::chrono::seconds(15);  // /healthz fails when nothing was published
};

// Throws as monitor's constructor for what it would refuse without trying.
void check(const monitor_options& options);

// GET and HEAD; at most 32 connections at a time, each for one request and 5 s.
class monitor {
public:
    // Listens from here on. Throws error(invalid_argument) for an address that makes no sense, that is not of this
    // machine alone, or that is taken.
    explicit monitor(const monitor_options& options);
    ~monitor();
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;

    // Where it listens: "http://127.0.0.1:9420".
    [[nodiscard]] const std::string& endpoint() const noexcept;

    // Any thread. /readyz says yes while it is ready.
    void become(phase now);
    // What /metrics shows, beside the figures of the process itself. Also a sign that the loop turns.
    void publish(std::string metrics);

private:
    class http;
    std::unique_ptr<http> http_;
};

}  // namespace tstreams::server
