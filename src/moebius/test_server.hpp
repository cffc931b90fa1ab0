// What the tests share: a server on a loop of its own thread, and a plain ZeroMQ DEALER as other languages use it.
#pragma once

#include "moebius/wire.hpp"

#include <moebius/moebius.hpp>

#include <gtest/gtest.h>
#include <zmq.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace moebius::test {

using namespace std::chrono_literals;

constexpr auto patience = 10s;  // for what surely comes

// Waits for a condition that another thread, or another socket's I/O thread, makes true.
template <class F>
[[nodiscard]] bool eventually(F&& condition, std::chrono::milliseconds limit = patience) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

// The same on a loop, for a coroutine that must not block.
template <class F>
task<bool> eventually_here(F condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) co_return false;
        co_await sleep_for(1ms);
    }
    co_return true;
}

// A server that runs in a thread from serve() on, and is stopped at the end. Rules and hooks are set before.
class served {
public:
    explicit served(server_options options = {}, loop_options on = {})
        : home(std::move(on)), node(home, routes, options) {}
    ~served() { stop(); }

    std::string serve(const std::string& endpoint = "tcp://127.0.0.1:*") {
        node.bind(endpoint);
        thread_ = std::thread([this] { node.run(); });
        return node.endpoint();
    }
    void stop(duration drain = 0s) {
        if (!thread_.joinable()) return;
        node.stop(drain);
        thread_.join();
    }
    // The result of a function that runs on the loop.
    template <class F>
    auto on_loop(F function) {
        using result = std::invoke_result_t<F&>;
        std::promise<result> promised;
        node.spawn(call(promised, function));
        return promised.get_future().get();
    }
    server_metrics metrics() {
        return on_loop([this] { return node.metrics(); });
    }

    command_router routes;
    loop home;
    server node;

private:
    template <class F, class R>
    static task<> call(std::promise<R>& promised, F& function) {
        if constexpr (std::is_void_v<R>) {
            function();
            promised.set_value();
        } else {
            promised.set_value(function());
        }
        co_return;
    }
    std::thread thread_;
};

// A DEALER without any of Moebius, but for the layout of the header.
class dealer {
public:
    using frames = std::vector<std::string>;

    // `prepare` sets other options of the socket before it connects.
    explicit dealer(const std::string& endpoint, const std::string& id = {}, int receive_queue = 1000,
                    const std::function<void(void*)>& prepare = {})
        : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
        const int linger = 0;
        zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
        zmq_setsockopt(socket_, ZMQ_RCVHWM, &receive_queue, sizeof receive_queue);
        if (!id.empty()) zmq_setsockopt(socket_, ZMQ_ROUTING_ID, id.data(), id.size());
        if (prepare) prepare(socket_);
        zmq_connect(socket_, endpoint.c_str());
    }
    ~dealer() { close(); }
    dealer(const dealer&) = delete;
    dealer& operator=(const dealer&) = delete;

    void close() {
        if (!socket_) return;
        zmq_close(std::exchange(socket_, nullptr));
        zmq_ctx_term(context_);
    }
    void send(const frames& all) {
        for (std::size_t i = 0; i < all.size(); ++i)
            zmq_send(socket_, all[i].data(), all[i].size(), i + 1 < all.size() ? ZMQ_SNDMORE : 0);
    }
    void send(std::string_view one) { send(frames{std::string(one)}); }

    // Nothing after the limit.
    std::optional<frames> receive_all(std::chrono::milliseconds limit = patience) {
        const int timeout = static_cast<int>(limit.count());
        zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
        frames found;
        for (bool more = true; more;) {
            zmq_msg_t frame;
            zmq_msg_init(&frame);
            if (zmq_msg_recv(&frame, socket_, 0) < 0) return {};
            found.emplace_back(static_cast<const char*>(zmq_msg_data(&frame)), zmq_msg_size(&frame));
            more = zmq_msg_more(&frame) != 0;
            zmq_msg_close(&frame);
        }
        return found;
    }
    std::string receive() {
        const auto found = receive_all();
        return found && found->size() == 1 ? found->front() : "(nothing)";
    }
    std::string ask(std::string_view text) {
        send(text);
        return receive();
    }
    [[nodiscard]] bool silent(std::chrono::milliseconds limit = 50ms) { return !receive_all(limit); }

    static std::string framed(detail::header top, std::string_view name, std::string_view body) {
        top.name_bytes = static_cast<std::uint16_t>(name.size());
        std::array<std::byte, detail::header_bytes> bytes{};
        detail::encode(top, bytes.data());
        std::string made(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return made.append(name).append(body);
    }
    void request(std::uint64_t id, std::string_view name, std::string_view body = {}, std::uint32_t credit = 0) {
        detail::header top;
        top.kind = detail::kind::request;
        top.flags = credit > 0 ? detail::flag_stream : std::uint8_t{0};
        top.correlation = id;
        top.credit_messages = credit;
        top.credit_bytes = credit > 0 ? 1U << 20 : 0;
        send(framed(top, name, body));
    }
    void control(detail::kind what, std::uint64_t id, std::uint32_t credit = 0) {
        detail::header top;
        top.kind = what;
        top.correlation = id;
        top.credit_messages = credit;
        top.credit_bytes = credit > 0 ? 1U << 20 : 0;
        send(framed(top, {}, {}));
    }

    struct answer {
        detail::kind what{};
        errc code = errc::none;
        std::uint64_t id = 0;
        std::string body;
    };
    answer receive_answer() {
        const auto found = receive_all();
        if (!found) return {};
        const std::string& head = found->front();
        const auto top = detail::decode(std::as_bytes(std::span(head)));
        if (!top) return {};
        std::string body = found->size() > 1 ? found->at(1) : head.substr(detail::header_bytes + top->name_bytes);
        return {top->kind, static_cast<errc>(top->code), top->correlation, std::move(body)};
    }

private:
    void* context_;
    void* socket_;
};

}  // namespace moebius::test
