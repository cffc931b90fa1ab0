// Clients on the server's side: arrival, departure, state, broadcast, topics, back-pressure, stopping.
#include "moebius/test_server.hpp"

#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <optional>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

TEST(clients, come_and_go_over_every_transport) {
    const std::string path = std::filesystem::temp_directory_path() / ("moebius-" + std::to_string(getpid()));
    for (const std::string& endpoint : {std::string("tcp://127.0.0.1:*"), "ipc://" + path}) {
        served one;
        int arrived = 0, departed = 0;
        std::string last_id;
        one.node.on_connect([&](client) { ++arrived; });
        one.node.on_disconnect([&](client who) {
            ++departed;
            last_id = who.id();
            EXPECT_FALSE(who.connected());
        });
        const std::string where = one.serve(endpoint);
        {
            dealer plain(where), named(where, "a name of more than eight bytes");
            plain.send("");
            named.send("");
            ASSERT_TRUE(eventually([&] { return one.metrics().clients == 2; })) << endpoint;
            plain.close();
            ASSERT_TRUE(eventually([&] { return one.metrics().clients == 1; })) << endpoint;
        }
        ASSERT_TRUE(eventually([&] { return one.metrics().clients == 0; })) << endpoint;
        one.stop();
        EXPECT_EQ(arrived, 2);
        EXPECT_EQ(departed, 2);
        EXPECT_EQ(last_id, "a name of more than eight bytes");
    }
    std::filesystem::remove(path);
}

TEST(clients, what_was_sent_before_leaving_is_served) {
    served one;
    int counted = 0;
    one.routes.on("count", [&](request&) { ++counted; });
    const std::string endpoint = one.serve();
    {
        dealer client(endpoint);
        for (int i = 0; i < 500; ++i) client.send(R"({"command":"count"})");
        ASSERT_TRUE(eventually([&] { return one.on_loop([&] { return counted; }) == 500; }));
    }
    ASSERT_TRUE(eventually([&] { return one.metrics().clients_departed == 1; }));
    EXPECT_EQ(one.metrics().clients_arrived, 1U);
}

TEST(clients, have_state_and_a_name) {
    struct tally {
        int asked = 0;
    };
    served one;
    one.routes.on("tally", [](request& asked) {
        client peer = asked.peer();
        asked.reply(std::string(peer.name()) + std::to_string(++peer.context<tally>().asked));
    });
    const std::string endpoint = one.serve();
    dealer first(endpoint), second(endpoint);
    detail::header hello;
    hello.kind = kind::hello;
    first.send(dealer::framed(hello, "Jo", {}));
    EXPECT_EQ(first.ask(R"({"command":"tally"})"), "Jo1");
    EXPECT_EQ(second.ask(R"({"command":"tally"})"), "1");
    EXPECT_EQ(first.ask(R"({"command":"tally"})"), "Jo2");
}

TEST(clients, a_taken_routing_id_goes_to_the_newcomer) {
    served one;
    one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
    const std::string endpoint = one.serve();
    dealer first(endpoint, "same");
    EXPECT_EQ(first.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
    dealer second(endpoint, "same");
    EXPECT_EQ(second.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
    first.close();
    EXPECT_EQ(second.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(second.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
}

TEST(clients, broadcast_reaches_those_of_the_filter_in_their_format) {
    served one;
    one.routes.on("hi", [](request& asked) { asked.reply("ok"); });
    const std::string endpoint = one.serve();
    dealer text(endpoint, "text"), binary(endpoint, "binary");
    text.ask(R"({"command":"hi"})");
    binary.request(1, "hi");
    binary.receive_answer();
    EXPECT_EQ(one.on_loop([&] { return one.node.broadcast(message("to all")); }), 2U);
    EXPECT_EQ(text.receive(), "to all");
    EXPECT_EQ(binary.receive_answer().body, "to all");
    const auto only_text = [](const client& who) { return who.id() == "text"; };
    const std::string large(50'000, 'b');
    EXPECT_EQ(one.on_loop([&] { return one.node.broadcast(message(large), only_text); }), 1U);
    EXPECT_EQ(text.receive(), large);
    EXPECT_TRUE(binary.silent());
    EXPECT_EQ(one.on_loop([&] { return one.node.broadcast(message(large)); }), 2U);
    EXPECT_EQ(text.receive(), large);
    EXPECT_EQ(binary.receive_answer().body, large);
}

TEST(clients, topics_reach_their_subscribers) {
    served one;
    one.routes.on("join", [](request& asked) {
        asked.peer().subscribe("news");
        asked.reply("ok");
    });
    one.routes.on("leave", [](request& asked) {
        asked.peer().unsubscribe("news");
        asked.reply("ok");
    });
    const std::string endpoint = one.serve();
    dealer first(endpoint), second(endpoint);
    first.ask(R"({"command":"join"})");
    second.ask(R"({"command":"leave"})");
    const auto publish = [&] { return one.on_loop([&] { return one.node.publish("news", message("x")); }); };
    EXPECT_EQ(publish(), 1U);
    EXPECT_EQ(first.receive(), "x");
    first.ask(R"({"command":"leave"})");
    EXPECT_EQ(publish(), 0U);
    first.ask(R"({"command":"join"})");
    first.close();
    ASSERT_TRUE(eventually([&] { return one.metrics().clients == 1; }));
    EXPECT_EQ(publish(), 0U);
}

task<> flood(int count, std::size_t bytes, request asked) {
    client peer = asked.peer();
    for (int i = 0; i < count; ++i) {
        message chunk(std::string(bytes, 'x'));
        co_await peer.send(std::move(chunk));
    }
}

TEST(clients, a_reader_that_stands_still_costs_its_budget_and_no_more) {
    constexpr int chunks = 512;
    constexpr std::size_t chunk_bytes = 64 << 10;  // more in all than the system keeps for a connection
    server_options options;
    options.limits.outbound_bytes = 1 << 20;
    options.send_queue = 2;
    served one(options);
    int lost = 0;
    one.node.on_undelivered([&](client, errc why) { lost += why == errc::would_block; });
    one.routes.on("flood", [](request asked) { return flood(chunks, chunk_bytes, std::move(asked)); });
    one.routes.on("hi", [](request& asked) { asked.reply("ok"); });
    const std::string endpoint = one.serve();
    dealer stuck(endpoint, {}, 1), other(endpoint);  // else its own libzmq would swallow all of it
    stuck.send(R"({"command":"flood"})");
    std::uint64_t sent = 0;
    ASSERT_TRUE(eventually([&] {
        const server_metrics before = one.metrics();
        std::this_thread::sleep_for(50ms);
        sent = one.metrics().sent;
        return before.outbound_bytes > 0 && sent == before.sent;  // nothing moves any more
    }));
    EXPECT_LE(one.metrics().outbound_bytes, std::size_t{1} << 20);
    EXPECT_EQ(one.metrics().handlers, 1U);
    EXPECT_GE(one.metrics().blocked_sends, 1U);
    EXPECT_EQ(other.ask(R"({"command":"hi"})"), "ok");
    const auto push = [&] {
        errc outcome = errc::none;
        one.node.for_each_client([&](client each) {
            if (each.outbound_bytes() > 0) outcome = each.try_send(message(std::string(chunk_bytes, 'y')));
        });
        return outcome;
    };
    EXPECT_EQ(one.on_loop(push), errc::would_block);
    EXPECT_EQ(one.on_loop([&] { return one.node.broadcast(message(std::string(chunk_bytes, 'z'))); }), 1U);
    EXPECT_EQ(one.on_loop([&] { return lost; }), 1) << "of the broadcast, which says how many it reached";
    for (int i = 0; i < chunks; ++i) ASSERT_EQ(stuck.receive().size(), chunk_bytes) << i;
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
    EXPECT_EQ(one.metrics().outbound_bytes, 0U);
}

task<> stream_for_ever(request asked) {
    for (;;) {
        message item(std::string_view("xxxxxxxxxxxxxxxx"));
        co_await asked.write(std::move(item));
        co_await moebius::sleep_for(1ms);
    }
}

TEST(clients, one_that_vanishes_ends_its_handlers) {
    served one({}, {.log = [](std::string_view) {}});
    one.routes.on("stream", stream_for_ever);
    const std::string endpoint = one.serve();
    {
        dealer binary(endpoint), text(endpoint);
        binary.request(1, "stream", {}, 3);  // waits for credit when its client vanishes
        text.send(R"({"command":"stream"})");
        ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 2; }));
        EXPECT_EQ(text.receive(), "xxxxxxxxxxxxxxxx");
    }
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
    EXPECT_EQ(one.metrics().clients, 0U);
    EXPECT_EQ(one.metrics().handler_errors, 0U);
}

task<> wait_for_ever(request) {
    co_await moebius::sleep_for(1h);
}

task<> write_three(request& stream, request asked) {
    for (int i = 0; i < 3; ++i) {
        message item(std::string_view("item"));
        co_await stream.write(std::move(item));
    }
    co_await asked.reply(std::string_view("done"));
}

// CREDIT and CANCEL name a request by its number, among very many.
TEST(clients, control_finds_its_request_among_many_at_once) {
    constexpr std::uint64_t many = 20'000;
    served one;
    one.routes.on("wait", [](request asked) { return wait_for_ever(std::move(asked)); }, strategy::concurrent);
    one.routes.on("ping", [](request& asked) { asked.reply(std::string_view("pong")); }, strategy::concurrent);
    dealer client(one.serve());
    for (std::uint64_t id = 1; id <= many; ++id) client.request(id, "wait");
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == many; }));
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < many; ++i) client.control(kind::credit, many, 1);
    client.request(many + 1, "ping");
    EXPECT_EQ(client.receive_answer().body, "pong");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::cout << many << " grants among " << many << " requests: " << took.count() << " s\n";
    EXPECT_LT(took, 2s);  // a search through all of them takes a hundred times as long as one look
    for (std::uint64_t id = 1; id <= many; ++id) client.control(kind::cancel, id);
    for (std::uint64_t id = 1; id <= many; ++id) ASSERT_EQ(client.receive_answer().code, errc::cancelled);
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
}

TEST(clients, a_request_that_is_kept_beyond_its_handler_gets_credit) {
    served one;
    std::optional<request> kept;
    one.routes.on("keep", [&](request& asked) { kept.emplace(std::move(asked)); });
    one.routes.on("write", [&](request asked) { return write_three(*kept, std::move(asked)); });
    dealer client(one.serve());
    client.request(1, "keep", {}, 1);
    client.request(2, "write");
    EXPECT_EQ(client.receive_answer().body, "item");
    EXPECT_TRUE(client.silent());
    client.control(kind::credit, 1, 2);
    EXPECT_EQ(client.receive_answer().body, "item");
    EXPECT_EQ(client.receive_answer().body, "item");
    EXPECT_EQ(client.receive_answer().what, kind::reply);
    one.on_loop([&] { kept.reset(); });
}

TEST(clients, close_cancels_and_says_goodbye) {
    served one;
    one.routes.on("stream", stream_for_ever, strategy::concurrent);
    one.routes.on("close", [](request& asked) { asked.peer().close(); }, strategy::concurrent);
    dealer client(one.serve());
    client.request(1, "stream", {}, 1);
    EXPECT_EQ(client.receive_answer().what, kind::item);
    client.request(2, "close");
    EXPECT_EQ(client.receive_answer().what, kind::bye);
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
    EXPECT_EQ(one.metrics().clients, 0U);
}

// -- stopping -----------------------------------------------------------------------------------------------

task<> nap(duration how_long, request asked) {
    co_await moebius::sleep_for(how_long);
    co_await asked.reply(std::string_view("rested"));
}

TEST(stopping, waits_for_handlers_and_refuses_new_requests) {
    served one;
    one.routes.on("nap", [](request asked) { return nap(100ms, std::move(asked)); }, strategy::concurrent);
    dealer client(one.serve());
    client.request(1, "nap");
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 1; }));
    one.node.stop(5s);
    const auto begin = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(10ms);
    client.request(2, "nap");
    EXPECT_EQ(client.receive_answer().code, errc::stopping);
    EXPECT_EQ(client.receive_answer().body, "rested");
    one.stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

TEST(stopping, ends_at_its_deadline) {
    served one;
    one.routes.on("nap", [](request asked) { return nap(1h, std::move(asked)); });
    dealer client(one.serve());
    client.request(1, "nap");
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 1; }));
    const auto begin = std::chrono::steady_clock::now();
    one.stop(20ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 900ms);
    EXPECT_EQ(client.receive_answer().code, errc::stopping);
}

TEST(stopping, a_server_that_is_destroyed_destroys_what_runs) {
    auto alive = std::make_shared<int>(0);
    loop home;
    command_router routes;
    routes.on("nap", [alive](request asked) {
        auto nap_with = [](std::shared_ptr<int>, request held) -> task<> {
            co_await moebius::sleep_for(1h);
            co_await held.finish();
        };
        return nap_with(alive, std::move(asked));
    });
    {
        server node(home, routes);
        node.bind("inproc://gone");
        requester asks(home, "inproc://gone");
        bool failed = false;
        asks.call("nap", {}, 1h, [&](weave::outcome_of<message> got) { failed = got.failure() != nullptr; });
        EXPECT_TRUE(home.run(eventually_here([&] { return node.metrics().handlers == 1; })));
        EXPECT_EQ(alive.use_count(), 3);
    }
    EXPECT_EQ(alive.use_count(), 2);
}

}  // namespace
