// The server: one ROUTER socket, a router's rules, and the clients.
//
//     moebius::command_router routes;
//     routes.on("echo", [](moebius::request& asked) { asked.reply(asked.take_body()); });
//     moebius::loop loop;
//     moebius::server server(loop, routes);
//     server.bind("tcp://127.0.0.1:5560").run();
#pragma once

#include <moebius/client.hpp>
#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/router.hpp>
#include <moebius/security.hpp>
#include <moebius/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace moebius {

// Everything a client can make grow has a limit here.
struct server_limits {
    std::size_t body_bytes = std::size_t{1} << 20;  // of one request; above it: error(too_large)
    // Of one frame; libzmq cuts the connection above it. A frame of up to 64 KiB, as a batch has, is always taken.
    std::size_t message_bytes = (std::size_t{1} << 20) + 4096;
    std::size_t clients = 100'000;                      // one more: error(overloaded)
    std::size_t queued_requests = 1024;                 // of one client, behind its running handler
    std::size_t queued_bytes = std::size_t{256} << 20;  // of requests that wait or run, of all clients together
    std::size_t handlers = 100'000;                     // coroutines that run, of all clients together
    // Of one client that does not read fast enough; each frame, of which a message has one or two, counts 160 bytes
    // beside its own.
    std::size_t outbound_bytes = std::size_t{32} << 20;
    std::size_t all_outbound_bytes = std::size_t{1} << 30;  // of all; over it only clients that read get more
    unsigned drain_batch = 1024;  // messages per turn, if 400 us are enough; then timers and other sockets have theirs
};

struct server_options {
    server_limits limits{};
    // ZMTP heartbeats: a peer that is silent for `dead_after` is disconnected.
    std::chrono::milliseconds heartbeat{2000};
    std::chrono::milliseconds dead_after{6000};
    // A client whose connection is not seen (inproc, and what libzmq leaves of a routing id that was taken) departs
    // after this silence, if nothing of it runs. 0: never.
    std::chrono::milliseconds idle_expiry{300'000};
    // A client that takes nothing for so long, with messages waiting for it, is dropped.
    std::chrono::milliseconds blocked_expiry{30'000};
    // A connection that does not finish its handshake is cut.
    std::chrono::milliseconds handshake_limit{10'000};
    // A newcomer with a routing id that is taken gets it. Without, its messages vanish unseen. With keys it never
    // gets it: whoever knows a client's routing id could have its answers.
    bool handover = true;
    // Keys: then only the clients that it names are served, on every endpoint but inproc.
    std::optional<server_security> security{};
    int send_queue = 64;       // ZMQ_SNDHWM, messages per client inside libzmq
    int receive_queue = 1000;  // ZMQ_RCVHWM
    int backlog = 1024;        // connections that wait to be accepted
    // What pong() tells of this server.
    std::string name{};
    std::string version{};
};

// Counters since the start, and the state now.
struct server_metrics {
    std::uint64_t received = 0, sent = 0;  // messages
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::uint64_t malformed = 0, unroutable = 0;
    std::uint64_t ignored = 0, replaced = 0, overloaded = 0, cancelled = 0, timed_out = 0;
    std::uint64_t handler_errors = 0;
    std::uint64_t blocked_sends = 0;  // libzmq had no room at once
    std::uint64_t undelivered = 0;    // answers and messages that reached nobody
    std::uint64_t clients_arrived = 0, clients_departed = 0;
    std::uint64_t refused_keys = 0;  // handshakes of keys that are not allowed; each bind() tries one itself
    std::uint64_t unauthorized = 0;  // messages of clients that are not allowed any more
    // The pump: turns, re-checks that found something, and the same for the timer that should never find anything.
    std::uint64_t turns = 0, rechecks = 0, recheck_hits = 0, safety_turns = 0, safety_hits = 0;
    std::size_t clients = 0, handlers = 0, queued = 0, outbound_bytes = 0;
};

// All calls are for the loop's thread, or for the time before the loop runs, unless they say otherwise. The router and
// the loop outlive the server. Its destructor destroys what runs and closes the sockets at once; stop() first is
// kinder. Neither handlers nor hooks destroy it.
class server {
public:
    // Throws error(transport) for options that libzmq does not take.
    server(loop& home, router& rules, server_options options = {});
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    // tcp://, ipc:// or inproc://; several times for several endpoints. Port 0 (or *) takes a free one. An IPv6
    // address stands in brackets, as in tcp://[::1]:5560; everything else is IPv4, names and * included. From the
    // first bind on messages are served whenever the loop runs. The file of a Unix socket goes with the server; one
    // that a process has left there is taken over. Throws error(transport), also where another process listens on the
    // endpoint, and error(unprotected) for an address that other machines reach when there are no keys. With keys it
    // connects with one that nobody knows and throws error(unprotected) unless that is refused, which takes some
    // milliseconds, 2 s at most.
    server& bind(const std::string& endpoint);
    // The last endpoint as it was resolved: "tcp://127.0.0.1:41263".
    [[nodiscard]] const std::string& endpoint() const noexcept;

    // Runs the loop until this server has stopped. Throws error(would_deadlock) inside the loop.
    void run();
    // Answers new requests with error(stopping), waits up to `drain` for handlers and outbound messages, then cancels
    // the handlers, and closes. Background tasks are cancelled at once. Safe from any thread.
    void stop(duration drain = std::chrono::seconds(5)) noexcept;
    // stop() at SIGINT and SIGTERM; the second signal stops without draining. Uses loop::on_signal().
    void stop_on_signals(duration drain = std::chrono::seconds(5));
    [[nodiscard]] bool stopped() const noexcept;

    // A task beside the handlers, cancelled when the server stops. What it throws is logged. Safe from any thread.
    void spawn(task<> background);
    // Calls `tick` every `period` until the server stops; what it throws is logged. A late one is not made up for.
    // Throws error(invalid_state) for a period of nothing.
    void every(duration period, std::function<void()> tick);

    // To all clients for which the filter is true, or to all; the bytes are shared, not copied. Returns how many were
    // reached; a client over its budget is left out, which its metrics and on_undelivered tell.
    std::size_t broadcast(message body, const std::function<bool(const client&)>& filter = {});
    // The same to the subscribers of a topic; binary clients get the topic with it. Throws error(too_large) for one of
    // more than 255 bytes.
    std::size_t publish(std::string_view topic, message body);
    // `visit` may do anything with the client it is given, close it included. What it throws passes through.
    void for_each_client(const std::function<void(client)>& visit);

    // Only these may come from now on. Clients that are connected with another key are closed, and get
    // error(unauthorized) for what they still send; libzmq cannot cut their connection. Throws error(invalid_state)
    // for a server without keys.
    void allow(allowlist clients);

    // Hooks; set before the server runs; what they throw is logged.
    // The first message of a client came, or its HELLO, or its empty probe.
    void on_connect(std::function<void(client)> hook);
    // Its connection ended, or it was closed or expired. The handle still gives id, name and context.
    void on_disconnect(std::function<void(client)> hook);
    // A request without a rule, a malformed one, a router that threw. The client has its error answer.
    void on_message_error(std::function<void(client, const message&, const error&)> hook);
    // A handler threw. The client has its error answer. Without a hook, or when it throws, the error is logged.
    void on_handler_error(std::function<void(client, std::string_view command, std::exception_ptr)> hook);
    // An answer or a message could not be delivered.
    void on_undelivered(std::function<void(client, errc)> hook);

    [[nodiscard]] server_metrics metrics() const noexcept;
    [[nodiscard]] loop& home() noexcept;

private:
    std::shared_ptr<detail::server_core> core_;
};

// Answers which server this is and that it lives: a JSON object with name and version (server_options), instance (a
// random number of 16 hexadecimal digits, another one after each start), started_ms and now_ms (milliseconds since
// 1970, by the system's clock). A binary client has it from every server for the command "moebius.ping"; for JSON
// clients it is a handler: routes.on("ping", moebius::pong).
void pong(request& asked);

}  // namespace moebius
