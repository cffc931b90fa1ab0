// A client without a loop: each call blocks its thread.
//
//     moebius::message answer = moebius::ask("tcp://127.0.0.1:5560", "echo", "hello", 2s);
#pragma once

#include <moebius/message.hpp>
#include <moebius/security.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace moebius {

namespace detail {
class zmq_context;
class zmq_socket;
}  // namespace detail

struct blocking_client_options {
    std::string name{};
    std::size_t message_bytes = std::size_t{64} << 20;
    void* zmq_context = nullptr;  // loop::zmq_context() to reach its inproc endpoints; it ends after this client
    std::optional<client_security> security{};  // for a server with keys
};

// One request at a time, from one thread at a time. After an error it can be used again: a request that is left before
// its end is cancelled at the server, and late answers are dropped. Every call throws error: the server's, timed_out
// (nothing is known about the request), peer_gone (the server has closed this client meanwhile: nothing is known
// either; the next call is welcome, under the same name), not_a_stream, malformed, transport; unauthorized (the server
// does not know this client's key); too_large (a command of more than 255 bytes; nothing was sent).
class blocking_client {
public:
    // Returns at once; whether anybody is there shows in the first call. Throws error(transport) for an endpoint that
    // makes no sense.
    explicit blocking_client(const std::string& endpoint, blocking_client_options options = {});
    ~blocking_client();
    blocking_client(const blocking_client&) = delete;
    blocking_client& operator=(const blocking_client&) = delete;

    message call(std::string_view command, message body, std::chrono::milliseconds timeout);
    // No answer. On return libzmq has it; the destructor waits up to 1 s for it to leave.
    void notify(std::string_view command, message body, std::chrono::milliseconds timeout);
    // Calls each(item) for every item, in order; false ends the stream early, and what it throws passes through.
    // `timeout` is for each item. At most 1,024 items or 8 MiB are on their way or unread.
    void stream(std::string_view command, message body, std::chrono::milliseconds timeout,
                const std::function<bool(message)>& each);

private:
    struct request_frame;
    struct answer;
    struct cancel_unless_ended;
    using deadline = std::chrono::steady_clock::time_point;
    void say_hello();
    void catch_up();
    void send(const request_frame& head, std::string_view command, message body, deadline until);
    answer receive(std::uint64_t correlation, deadline until);
    void wait(short events, deadline until);
    void watch_refusals();
    void throw_if_refused();

    const std::string endpoint_;
    const std::string name_;
    std::shared_ptr<detail::zmq_context> context_;
    std::unique_ptr<detail::zmq_socket> socket_;
    std::unique_ptr<detail::zmq_socket> refusals_;  // with keys: where libzmq tells of them
    std::uint64_t last_correlation_ = 0;
    bool in_flight_ = false;  // the server may still be at work on the last request
};

// Connects, asks once, and closes. Throws as call() does. From any thread.
message ask(const std::string& endpoint, std::string_view command, std::string_view body,
            std::chrono::milliseconds timeout, blocking_client_options options = {});

}  // namespace moebius
