// The inside of a server. server_core.cpp: life and incoming messages; dispatch.cpp: handlers and strategies;
// outbound.cpp: everything that is sent; departures.cpp: clients that come and go.
#pragma once

#include "moebius/batch.hpp"
#include "moebius/client_state.hpp"
#include "moebius/client_table.hpp"
#include "moebius/connection_watch.hpp"
#include "moebius/pump.hpp"
#include "moebius/socket_file.hpp"
#include "moebius/zap.hpp"
#include "moebius/zmq_socket.hpp"

#include <moebius/request.hpp>
#include <moebius/server.hpp>

#include <atomic>
#include <climits>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace moebius::detail {

class server_core final : public pumped {
public:
    // A worker's core has a DEALER that connects to its front, which is its only client.
    enum class role : std::uint8_t { server, worker };

    server_core(loop& on, router& by, server_options with, role as = role::server);
    ~server_core();
    server_core(const server_core&) = delete;
    server_core& operator=(const server_core&) = delete;

    // Any thread: `what` runs on the loop, soon, unless the server is closed by then.
    void run_on_loop(std::function<void()> what) noexcept;

    // server
    void bind(const std::string& endpoint);
    // For a worker, in place of bind().
    void join(const std::string& front, const std::string& id, std::chrono::milliseconds heartbeat);
    void begin_stop(duration drain) noexcept;  // on the loop
    void close() noexcept;                     // at once
    [[nodiscard]] bool closed() const noexcept { return closed_; }
    void start_background(task<> work);  // on the loop
    void every(duration period, std::function<void()> tick);
    std::size_t broadcast(message body, const std::function<bool(const client&)>& filter);
    std::size_t publish(std::string_view topic, message body);
    void for_each_client(const std::function<void(client)>& visit);
    void allow(allowlist clients);
    [[nodiscard]] server_metrics metrics() const noexcept;

    // client and request
    send_op send_to(client_state& to, message&& body);
    errc try_send(client_state& to, message&& body);
    void close_client(client_state& one) noexcept;
    void subscribe(client_state& one, std::string_view topic);
    void unsubscribe(client_state& one, std::string_view topic) noexcept;
    send_op answer(call& of, kind what, message&& body, errc code = errc::none);
    void abandoned(call& of) noexcept;  // its request handle is gone
    [[nodiscard]] static client handle(client_state& of) noexcept { return {of, of.generation}; }
    // Of a binary request, before its body is taken.
    [[nodiscard]] static std::string_view asked_name(request& asked) noexcept;
    static void pong(request& asked);

    // send_op
    [[nodiscard]] errc attempt(const send_op& one, message&& body);
    void lost(client_state* to, errc why) noexcept;

    // jobs of calls and clients
    void ended(call& one) noexcept;
    void advance(client_state& one) noexcept;
    void depart(client_state& one) noexcept;

    struct hooks {
        std::function<void(client)> connected, disconnected;
        std::function<void(client, const message&, const error&)> message_error;
        std::function<void(client, std::string_view, std::exception_ptr)> handler_error;
        std::function<void(client, errc)> undelivered;
    } hook;
    loop& home;
    std::string endpoint;
    bool stops_loop = false;  // server::run() waits

private:
    struct background;
    struct ticker;
    struct errands final : weave::job {
        explicit errands(server_core& of) noexcept;
        server_core& core;
        std::mutex mutex;
        std::vector<std::function<void()>> waiting;  // guarded by mutex
    };
    // Sends what was held outside the pump's turns.
    struct flush final : weave::job {
        explicit flush(server_core& of) noexcept;
        server_core& core;
        bool posted = false;
    };
    class clock_timer final : public timer {
    public:
        clock_timer(server_core& of, void (server_core::*what)()) noexcept : core_(of), what_(what) {}
        ~clock_timer();
        void arm(duration from_now);

    private:
        void expired() noexcept override { (core_.*what_)(); }
        server_core& core_;
        void (server_core::*what_)();
    };

    // server_core.cpp
    void configure();
    void say_hello();
    bool receive_one() noexcept override;
    void drop(bool more) noexcept;
    void accept(std::string_view id, call& carrier, bool more);
    void begin_batch(client_state& from, call& carrier) noexcept;
    void next_of_batch() noexcept;
    void take(client_state& from, call& carrier, message&& tail, bool two_frames);
    void accept_binary(client_state& from, call& carrier, message&& tail, bool two_frames);
    void control(client_state& from, const header& top, std::string_view name);
    void maybe_close() noexcept;
    [[nodiscard]] call& spare_call();

    // dispatch.cpp
    void dispatch(call& one, std::string_view name);
    void place(call& one, request&& asked, strategy how);
    void enqueue(call& one, request&& asked) noexcept;
    [[nodiscard]] bool hold(call& one) noexcept;
    void run(call& one, request&& asked) noexcept;
    void start(call& one) noexcept;
    void number(call& one) noexcept;
    void finish(call& one) noexcept;
    void drop_waiting(client_state& of, errc why) noexcept;
    void refuse(call& one, errc why, std::string_view text = {}) noexcept;
    void failed(call& one, std::exception_ptr failure) noexcept;
    void malformed(call& one, std::string_view text) noexcept;
    void message_trouble(call& one, const error& why) noexcept;
    void release(call& one) noexcept;
    void acknowledge(call& one) noexcept;

    // outbound.cpp
    [[nodiscard]] bool blocked() const noexcept override { return !blocked_.empty(); }
    bool retry_blocked() noexcept override;
    enum class sent : std::uint8_t { all, no_room, gone };
    [[nodiscard]] sent send_now(const client_state& to, message& head, message* tail, std::size_t messages) noexcept;
    void batch_ended() noexcept override;
    unsigned send_queued(client_state& to, unsigned most = UINT_MAX) noexcept;
    void hold_back(client_state& to) noexcept;
    void block(client_state& to) noexcept;
    [[nodiscard]] static bool finished(const call& of, kind what, message& body) noexcept;
    [[nodiscard]] bool has_room(client_state& to, std::size_t bytes) noexcept;
    [[nodiscard]] errc deliver(client_state& to, message&& head, message* tail = nullptr);
    [[nodiscard]] errc deliver(client_state& to, outgoing&& what) {
        return deliver(to, std::move(what.head), what.two_frames ? &what.tail : nullptr);
    }
    [[nodiscard]] errc send_unasked(client_state& to, message&& body);
    void retry_senders(client_state& of) noexcept;
    [[nodiscard]] std::size_t send_to_all(const std::vector<client_state*>& them, std::string_view topic, message body);
    [[nodiscard]] outgoing compose(const call& of, kind what, message&& body, errc code) const;

    // departures.cpp
    void found_empty() noexcept override;
    client_state* arrive(std::string_view id, message& first);
    void turn_away(std::string_view id, std::string_view first, errc why, std::string_view text);
    [[nodiscard]] bool same_key(const client_state& one, message& from) const noexcept;
    [[nodiscard]] bool connection_ended(const client_state& one) noexcept;
    void bind_origin(client_state& one, message& from) noexcept;
    void suspect(client_state& one) noexcept;
    void connection_changed(connection_event event);
    void leave(client_state& one, errc why) noexcept;  // departs soon
    void maybe_release(client_state& one) noexcept;
    void sweep();

    router& rules_;
    server_options options_;  // the keys go from here to the socket
    const bool worker_;
    std::unique_ptr<zap_domain> guard_;  // with keys
    std::string server_key_;
    zmq_socket socket_;
    pump pump_;
    std::optional<connection_watch> watch_;
    client_table clients_;
    std::vector<std::unique_ptr<call>> calls_;
    std::vector<call*> free_calls_;
    // A batch whose messages are not all taken yet. They are taken one by one, as if each had come alone: timers and
    // jobs have their turn between them. Other clients have theirs behind it.
    struct {
        message whole;
        batch_reader messages{{}};
        client_state* from = nullptr;  // null: there is none
        std::uint32_t generation = 0;
    } batch_;
    list<client_state> held_;     // have messages that go out at the end of the turn, or of the jobs that run now
    list<client_state> blocked_;  // have messages for which libzmq had no room
    std::unordered_map<int, client_state*> by_origin_;
    std::vector<socket_file> files_;
    std::vector<std::pair<client_state*, std::uint32_t>> perhaps_gone_;
    std::unordered_map<std::string, std::vector<client_state*>> topics_;
    errands errands_{*this};
    flush flush_{*this};
    list<background> backgrounds_;
    std::vector<std::unique_ptr<ticker>> tickers_;
    clock_timer sweeper_{*this, &server_core::sweep};
    clock_timer stopper_{*this, &server_core::stop_step};
    server_metrics counts_;
    const std::uint64_t instance_;
    const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
    std::size_t handlers_ = 0;
    std::size_t waiting_ = 0;
    std::size_t held_bytes_ = 0;
    std::size_t outbound_bytes_ = 0;
    std::uint32_t tick_ = 0;
    bool stopping_ = false;
    bool closed_ = false;
    bool cancelled_at_stop_ = false;
    bool inproc_ = false;  // has such an endpoint

    void stop_step();
};

}  // namespace moebius::detail
