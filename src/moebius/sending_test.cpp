// How answers go out: bodies are not copied, and what a turn holds back to send it together keeps its order and is
// never lost. Real sockets; inproc shows whether bytes were copied, because it hands over memory.
#include "moebius/frames.hpp"
#include "moebius/test_server.hpp"

#include <algorithm>
#include <atomic>
#include <memory>

namespace {

using namespace moebius;
using namespace moebius::test;

constexpr std::size_t large = std::size_t{1} << 20;

task<> echo_later(request asked) {
    message body = asked.take_body();
    co_await moebius::yield();
    co_await asked.reply(std::move(body));
}

// Sends one frame and returns where its bytes were and where those of the answer are.
struct addresses {
    const void* sent;
    const void* received;
    std::size_t bytes;
};
// All on one thread: the thread sanitizer does not see how libzmq hands memory over.
addresses echo(loop& home, void* socket, std::string_view prefix, std::string_view suffix) {
    message frame = message::uninitialized(large);
    std::memset(frame.data(), 'x', large);
    auto* const begin = reinterpret_cast<char*>(frame.data());
    std::copy(prefix.begin(), prefix.end(), begin);
    std::copy(suffix.begin(), suffix.end(), begin + large - suffix.size());
    addresses found{frame.data(), nullptr, 0};
    EXPECT_TRUE(detail::frame_access::send(socket, frame, 0));
    message answer;
    EXPECT_TRUE(home.run(eventually_here([&] { return detail::frame_access::receive(socket, answer, ZMQ_DONTWAIT); })));
    found.received = answer.data();
    found.bytes = answer.size();
    return found;
}

TEST(sending, returns_a_large_body_without_copying_it) {
    loop home;
    command_router routes;
    routes.on("function", [](request& asked) { asked.reply(asked.take_body()); });
    routes.on("coroutine", echo_later);
    server node(home, routes);
    node.bind("inproc://sending");
    const std::unique_ptr<void, int (*)(void*)> socket(zmq_socket(home.zmq_context(), ZMQ_DEALER), zmq_close);
    ASSERT_EQ(zmq_connect(socket.get(), node.endpoint().c_str()), 0);
    for (const std::string command : {"function", "coroutine"}) {
        detail::header top;
        top.kind = detail::kind::request;
        const addresses binary = echo(home, socket.get(), dealer::framed(top, command, {}), {});
        EXPECT_EQ(binary.sent, binary.received) << command;
        EXPECT_EQ(binary.bytes, large) << command;
        const addresses text = echo(home, socket.get(), R"({"command":")" + command + R"(","x":")", R"("})");
        EXPECT_EQ(text.sent, text.received) << command;
        EXPECT_EQ(text.bytes, large) << command;
    }
}

TEST(sending, keeps_the_order_of_what_one_turn_holds) {
    constexpr int requests = 500;
    served one;
    int count = 0;
    one.routes.on("two", [&](request& asked) {
        ++count;
        asked.peer().try_send(message("before " + std::to_string(count)));
        asked.reply("answer " + std::to_string(count));
    });
    dealer client(one.serve());
    for (int i = 0; i < requests; ++i) client.send(R"({"command":"two"})");
    for (int i = 1; i <= requests; ++i) {
        ASSERT_EQ(client.receive(), "before " + std::to_string(i));
        ASSERT_EQ(client.receive(), "answer " + std::to_string(i));
    }
}

TEST(sending, delivers_what_was_answered_before_the_client_is_closed) {
    constexpr int requests = 50;
    served one;
    int count = 0;
    one.routes.on("last", [&](request& asked) {
        asked.reply(std::to_string(++count));
        if (count == requests) asked.peer().close();
    });
    dealer client(one.serve());
    for (int i = 0; i < requests; ++i) client.send(R"({"command":"last"})");
    for (int i = 1; i <= requests; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
    EXPECT_EQ(one.metrics().undelivered, 0U);
}

TEST(sending, delivers_what_was_answered_before_the_client_says_bye) {
    constexpr int requests = 50;
    served one;
    one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
    dealer client(one.serve());
    for (int i = 1; i <= requests; ++i) client.request(static_cast<std::uint64_t>(i), "echo", "x");
    client.control(detail::kind::bye, 0);
    for (int i = 1; i <= requests; ++i) ASSERT_EQ(client.receive_answer().id, static_cast<std::uint64_t>(i));
    EXPECT_EQ(one.metrics().undelivered, 0U);
}

TEST(sending, a_small_budget_does_not_refuse_what_libzmq_has_room_for) {
    constexpr int requests = 50;
    server_options options;
    options.limits.outbound_bytes = 10'000;
    served one(options);
    one.routes.on("text", [](request& asked) { asked.reply(std::string(4'000, 'x')); });
    dealer client(one.serve());
    for (int i = 0; i < requests; ++i) client.send(R"({"command":"text"})");
    for (int i = 0; i < requests; ++i) ASSERT_EQ(client.receive().size(), 4'000U);
    EXPECT_EQ(one.metrics().undelivered, 0U);
}

TEST(sending, what_finds_nobody_is_counted_once) {
    for (const bool with_send : {false, true}) {
        served one;
        int told = 0;
        std::atomic<bool> begun = false;
        one.node.on_undelivered([&](client, errc) { ++told; });
        one.routes.on("wait", [&](request& asked) {
            client self = asked.peer();
            begun = true;
            // While this sleeps the connection ends. libzmq knows of it before the server does.
            std::this_thread::sleep_for(200ms);
            message text(std::string_view("x"));
            const errc sent = with_send ? self.send(std::move(text)).status() : self.try_send(std::move(text));
            EXPECT_EQ(sent, errc::peer_gone);
        });
        dealer leaver(one.serve());
        leaver.send(R"({"command":"wait"})");
        while (!begun) std::this_thread::sleep_for(1ms);
        leaver.close();
        ASSERT_TRUE(eventually([&] { return one.metrics().clients == 0; }));
        EXPECT_EQ(one.metrics().undelivered, 1U);
        EXPECT_EQ(one.on_loop([&] { return told; }), 1);
    }
}

TEST(sending, answers_of_the_last_turn_go_out_before_a_server_stops) {
    constexpr int requests = 200;
    served one;
    int count = 0;
    one.routes.on("stop", [&](request& asked) {
        if (++count == requests) one.node.stop();
        asked.reply(std::to_string(count));
    });
    dealer client(one.serve());
    for (int i = 0; i < requests; ++i) client.send(R"({"command":"stop"})");
    for (int i = 1; i <= requests; ++i) ASSERT_EQ(client.receive(), std::to_string(i));
    one.stop();
    EXPECT_TRUE(one.node.stopped());
}

}  // namespace
