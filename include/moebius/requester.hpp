// The client side on a loop: one DEALER socket, many requests in flight, answers in any order.
//
//     moebius::requester bank(loop, "tcp://127.0.0.1:5560");
//     moebius::message body("42");
//     moebius::message answer = co_await bank.call("balance", std::move(body), 2s);   // in a coroutine on that loop
//     answer = loop.run(ask(bank, ...));                                              // in an ordinary program
#pragma once

#include <moebius/detail/pending.hpp>
#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/security.hpp>
#include <moebius/task.hpp>
#include <weave/spawn.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace moebius {

struct requester_options {
    std::string name{};                 // told to the server: client::name()
    std::size_t requests_max = 65'536;  // in flight; one more throws error(overloaded)
    // Not taken by libzmq yet, counting 160 more for each frame; over it: error(overloaded).
    std::size_t outbound_bytes = std::size_t{32} << 20;
    // Of a frame that comes; above, the connection is cut. 64 KiB are always taken.
    std::size_t message_bytes = std::size_t{64} << 20;
    std::chrono::milliseconds heartbeat{2000};
    std::chrono::milliseconds dead_after{6000};
    std::chrono::milliseconds reconnect_first{100};  // doubled up to:
    std::chrono::milliseconds reconnect_most{5000};
    int send_queue = 1000;     // ZMQ_SNDHWM, messages
    int receive_queue = 1000;  // ZMQ_RCVHWM
    // For a server with keys. One that does not know this client's key fails what is in flight with
    // error(unauthorized), and is asked again every `reconnect_most`.
    std::optional<client_security> security{};
};

// How much of a stream may be on its way or unread: whichever ends first. Granted again by halves, as it is read.
struct stream_window {
    std::uint32_t messages = 1024;
    std::uint32_t bytes = 8U << 20;
};

struct requester_metrics {
    std::uint64_t sent = 0, received = 0;
    std::uint64_t timed_out = 0;
    std::uint64_t stale = 0;  // answers that nobody waits for any more
    std::uint64_t malformed = 0;
    std::uint64_t connects = 0, disconnects = 0;
    std::uint64_t refusals = 0;  // of this client's key
    std::uint64_t turns = 0, recheck_hits = 0, safety_turns = 0, safety_hits = 0;
    std::size_t in_flight = 0;
    std::size_t outbound_bytes = 0;
};

namespace detail {
class requester_core;
}

// One answer that is awaited, once. The request is on its way already when call() returns, so several can be started
// before the first is awaited. (From the fifth in flight on it goes when the jobs that are ready now have run, in one
// frame with others of up to 8 KiB; every server takes such batches.) Destroyed or cancelled before the answer, it
// tells the server to cancel the handler. It stays where it was made.
class [[nodiscard]] call_op final : detail::wait, detail::pending {
public:
    ~call_op();
    [[nodiscard]] bool await_ready() const noexcept { return done_; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(waiting);
    }
    // Throws the server's error, or error(timed_out), error(peer_gone), error(not_a_stream), error(unauthorized),
    // error(overloaded), cancelled.
    message await_resume();

private:
    friend class requester;
    call_op(std::shared_ptr<detail::requester_core> core, std::string_view command, message body, duration timeout);
    void heard(detail::answer_kind what, message body) noexcept override;
    void failed(errc why, std::string_view text) noexcept override;
    void unhook() noexcept override;

    std::shared_ptr<detail::requester_core> core_;
    message answer_;
    std::string text_;
    errc failure_ = errc::none;
    bool done_ = false;
};

class stream;

// The next item of a stream, or nothing after the last one.
class [[nodiscard]] next_op final : detail::wait {
public:
    ~next_op();
    [[nodiscard]] bool await_ready() const noexcept;
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(waiting) && hang();
    }
    // Throws the server's error, or error(timed_out), error(peer_gone), cancelled: after the items that came before.
    std::optional<message> await_resume();

private:
    friend class stream;
    friend class detail::stream_state;
    explicit next_op(detail::stream_state& of) noexcept : of_(of) {}
    bool hang();
    void unhook() noexcept override;
    detail::stream_state& of_;
};

// Move-only. Destroyed before its end it cancels the handler. One next() at a time.
class stream {
public:
    stream(stream&&) noexcept;
    stream& operator=(stream&&) noexcept;
    ~stream();
    next_op next();

private:
    friend class requester;
    explicit stream(std::unique_ptr<detail::stream_state> state) noexcept;
    std::unique_ptr<detail::stream_state> state_;
};

// For the loop's thread. A lost connection is made again for ever; what was in flight then fails with peer_gone (it is
// not known whether it was done), what is asked later waits for the new connection. inproc shows no loss: only the
// timeout ends a wait. The loop outlives the requester; calls and streams may outlive it, and fail. Hooks do not
// destroy it.
class requester {
public:
    // Throws error(transport) for an endpoint that makes no sense, error(invalid_key) for such keys; whether anybody is
    // there shows later.
    requester(loop& home, const std::string& endpoint, requester_options options = {});
    ~requester();
    requester(const requester&) = delete;
    requester& operator=(const requester&) = delete;

    // One answer. A timeout of zero is none. The first form throws what keeps the request from being sent: overloaded,
    // too_large (a command of more than 255 bytes); other errors come from co_await. The second gives all of them as
    // the outcome that `done` is called with, once, on the loop, never inside call(), at the latest inside the
    // requester's destructor. What `done` throws is logged.
    call_op call(std::string_view command, message body, duration timeout);
    void call(std::string_view command, message body, duration timeout,
              std::function<void(weave::outcome_of<message>)> done);
    // Many answers. `silence_max` between two of them, while next() waits; zero: none. Throws as call() does, and
    // error(invalid_state) for a window of nothing.
    stream open(std::string_view command, message body, duration silence_max, stream_window window = {});
    // No answer. Throws error(overloaded), error(too_large).
    void notify(std::string_view command, message body);

    // What answers no request: published messages with their topic, others with an empty one. What hooks throw is
    // logged. The server knows nothing of subscriptions of an earlier connection.
    void on_message(std::function<void(std::string_view topic, message body)> hook);
    void on_connection(std::function<void(bool connected)> hook);
    [[nodiscard]] bool connected() const noexcept;  // as far as libzmq has told; false for inproc
    [[nodiscard]] requester_metrics metrics() const noexcept;

private:
    std::shared_ptr<detail::requester_core> core_;
};

// call() as a task, for loop.run() and for lists of tasks.
task<message> ask(requester& whom, std::string command, message body, duration timeout);

}  // namespace moebius
