// The server as a plain ZeroMQ DEALER sees it: texts, frames, errors, clients, strategies. Real sockets on loopback.
#include "moebius/test_server.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

task<> echo_later(request asked) {
    co_await moebius::sleep_for(1ms);
    co_await asked.reply(asked.take_body());
}

task<> count_to(request asked) {
    for (int i = 0; i < 5; ++i) {
        message item(std::to_string(i));
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

void add_echo(command_router& routes) {
    routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
    routes.on("later", echo_later);
    routes.on("count", count_to);
    routes.on("throw", [](request&) { throw std::runtime_error("a secret"); });
    routes.on("refuse", [](request&) { throw error(static_cast<errc>(1007), "not today"); });
    routes.on("nothing", [](request&) {});
}

TEST(server, serves_texts_as_the_original_did) {
    served one;
    add_echo(one.routes);
    dealer client(one.serve());
    client.send("");  // a probe: registers the client, has no answer
    EXPECT_EQ(client.ask(R"({"command":"echo","x":[1,{"command":"no"}]})"),
              R"({"command":"echo","x":[1,{"command":"no"}]})");
    EXPECT_EQ(client.ask(R"({"command":"later"})"), R"({"command":"later"})");
    client.send(R"({"command":"count"})");
    for (const char* item : {"0", "1", "2", "3", "4"}) EXPECT_EQ(client.receive(), item);
    client.send(R"({"command":"nothing"})");
    EXPECT_TRUE(client.silent());
}

TEST(server, answers_what_it_cannot_serve_and_goes_on) {
    served one({}, {.log = [](std::string_view) {}});
    add_echo(one.routes);
    dealer client(one.serve());
    EXPECT_EQ(client.ask(R"({"command":"throw"})"),
              R"({"error":"handler_failed","code":11,"text":"the handler failed"})");
    EXPECT_EQ(client.ask(R"({"command":"refuse"})"), R"({"error":"application","code":1007,"text":"not today"})");
    for (const char* text : {R"({"command":"unknown"})", R"({"command":7})", "{}"})
        EXPECT_NE(client.ask(text).find("unroutable"), std::string::npos) << text;
    for (const char* text : {"garbage", "[1]", R"({"command":"echo")", "\xB5", "\xB5 and less than a header"})
        EXPECT_NE((client.send(text), client.receive_all()), std::nullopt) << text;
    client.send(dealer::frames{"one", "two", "three", "four"});
    EXPECT_NE(client.receive().find("malformed"), std::string::npos);
    EXPECT_EQ(client.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
    EXPECT_EQ(one.metrics().malformed, 6U);
    EXPECT_EQ(one.metrics().unroutable, 3U);
    EXPECT_EQ(one.metrics().handler_errors, 2U);
}

TEST(server, serves_the_binary_format) {
    served one({}, {.log = [](std::string_view) {}});
    add_echo(one.routes);
    dealer client(one.serve());
    const auto expect = [&](std::uint64_t id, kind what, errc code, std::string_view body) {
        const dealer::answer got = client.receive_answer();
        EXPECT_EQ(got.id, id);
        EXPECT_EQ(got.what, what);
        EXPECT_EQ(got.code, code) << name_of(got.code);
        if (code == errc::none) {
            EXPECT_EQ(got.body, body);
        }
    };
    client.request(1, "echo", "hello");
    expect(1, kind::reply, errc::none, "hello");
    client.request(2, "echo");
    expect(2, kind::reply, errc::none, "");
    client.request(3, "throw");
    expect(3, kind::failure, errc::handler_failed, "");
    client.request(4, "refuse");
    expect(4, kind::failure, static_cast<errc>(1007), "");
    client.request(5, "nothing");
    expect(5, kind::failure, errc::unanswered, "");
    client.request(6, "unknown");
    expect(6, kind::failure, errc::unroutable, "");
    client.request(7, "count");
    expect(7, kind::failure, errc::not_a_stream, "");
    client.request(8, "count", {}, 100);
    for (const char* item : {"0", "1", "2", "3", "4"}) expect(8, kind::item, errc::none, item);
    expect(8, kind::end, errc::none, "");
    const std::string large(100'000, 'x');
    detail::header top;
    top.kind = kind::request;
    top.correlation = 9;
    client.send({dealer::framed(top, "echo", {}), large});
    expect(9, kind::reply, errc::none, large);
    top.kind = kind::one_way;
    client.send(dealer::framed(top, "echo", "x"));
    EXPECT_TRUE(client.silent());
}

TEST(server, a_stream_is_paced_by_its_credit) {
    served one;
    add_echo(one.routes);
    dealer client(one.serve());
    client.request(1, "count", {}, 2);
    EXPECT_EQ(client.receive_answer().body, "0");
    EXPECT_EQ(client.receive_answer().body, "1");
    EXPECT_TRUE(client.silent());
    EXPECT_EQ(one.metrics().handlers, 1U);
    client.control(kind::credit, 1, 3);
    for (const char* item : {"2", "3", "4"}) EXPECT_EQ(client.receive_answer().body, item);
    EXPECT_EQ(client.receive_answer().what, kind::end);
    EXPECT_EQ(one.metrics().handlers, 0U);
}

// -- strategies ---------------------------------------------------------------------------------------------

struct strategy_log {
    std::string begun, ended, cut;  // the first letter of each request's body
};

task<> slow(std::shared_ptr<strategy_log> log, request asked) {
    struct on_exit {
        std::shared_ptr<strategy_log> log;
        char name;
        bool done = false;
        ~on_exit() { (done ? log->ended : log->cut) += name; }
    } mark{log, asked.body().text().front()};
    log->begun += mark.name;
    co_await moebius::sleep_for(60ms);
    mark.done = true;
    message body(std::string_view(&mark.name, 1));
    co_await asked.reply(std::move(body));
}

std::function<task<>(request)> slow_handler(const std::shared_ptr<strategy_log>& log) {
    return [log](request asked) { return slow(log, std::move(asked)); };
}

struct by_strategy {
    served one;
    std::shared_ptr<strategy_log> log = std::make_shared<strategy_log>();
    explicit by_strategy(server_options options = {}) : one(options) {
        one.routes.on("queue", slow_handler(log), strategy::queue);
        one.routes.on("ignore", slow_handler(log), strategy::ignore);
        one.routes.on("replace", slow_handler(log), strategy::replace);
        one.routes.on("concurrent", slow_handler(log), strategy::concurrent);
        const auto quick = [this](request& asked) {
            log->begun += asked.body().text().front();
            asked.reply(asked.take_body());
        };
        one.routes.on("quick_queue", quick, strategy::queue);
        one.routes.on("quick_ignore", quick, strategy::ignore);
        one.routes.on("quick_replace", quick, strategy::replace);
        one.routes.on("quick_concurrent", quick, strategy::concurrent);
    }
};

TEST(strategies, queue_keeps_the_order_of_both_kinds) {
    by_strategy all;
    dealer client(all.one.serve());
    client.request(1, "queue", "a");
    client.request(2, "quick_queue", "b");
    client.request(3, "queue", "c");
    for (const char* body : {"a", "b", "c"}) EXPECT_EQ(client.receive_answer().body, body);
    all.one.stop();
    EXPECT_EQ(all.log->begun, "abc");
    EXPECT_EQ(all.log->ended, "ac");
}

TEST(strategies, queue_is_bounded) {
    server_options options;
    options.limits.queued_requests = 2;
    by_strategy all(options);
    dealer client(all.one.serve());
    for (std::uint64_t id = 1; id <= 4; ++id) client.request(id, "queue", "a");
    const dealer::answer refused = client.receive_answer();
    EXPECT_EQ(refused.id, 4U);
    EXPECT_EQ(refused.code, errc::overloaded);
    for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(client.receive_answer().id, id);
    EXPECT_EQ(all.one.metrics().overloaded, 1U);
}

TEST(strategies, ignore_drops_the_new_one_of_both_kinds) {
    by_strategy all;
    dealer client(all.one.serve());
    client.request(1, "ignore", "a");
    client.request(2, "ignore", "b");
    client.request(3, "quick_ignore", "c");
    EXPECT_EQ(client.receive_answer().code, errc::ignored);
    EXPECT_EQ(client.receive_answer().code, errc::ignored);
    EXPECT_EQ(client.receive_answer().body, "a");
    client.request(4, "quick_ignore", "d");  // nothing runs now
    EXPECT_EQ(client.receive_answer().body, "d");
    EXPECT_EQ(all.one.metrics().ignored, 2U);
}

TEST(strategies, replace_cancels_what_runs_and_what_waits) {
    by_strategy all;
    dealer client(all.one.serve());
    client.request(1, "queue", "a");
    client.request(2, "queue", "b");
    client.request(3, "replace", "c");
    const dealer::answer first = client.receive_answer(), second = client.receive_answer();
    EXPECT_EQ(first.code, errc::replaced);
    EXPECT_EQ(second.code, errc::replaced);
    EXPECT_EQ(first.id + second.id, 3U);
    EXPECT_EQ(client.receive_answer().body, "c");
    client.request(4, "queue", "d");
    client.request(5, "quick_replace", "e");
    EXPECT_EQ(client.receive_answer().code, errc::replaced);
    EXPECT_EQ(client.receive_answer().body, "e");
    EXPECT_EQ(all.one.metrics().replaced, 3U);
    all.one.stop();
    EXPECT_EQ(all.log->begun, "acde");
    EXPECT_EQ(all.log->cut, "ad");
}

TEST(strategies, concurrent_neither_waits_nor_is_waited_for) {
    by_strategy all;
    dealer client(all.one.serve());
    client.request(1, "concurrent", "a");
    client.request(2, "concurrent", "b");
    client.request(3, "quick_queue", "c");
    client.request(4, "quick_concurrent", "d");
    EXPECT_EQ(client.receive_answer().body, "c");
    EXPECT_EQ(client.receive_answer().body, "d");
    EXPECT_EQ(client.receive_answer().body, "a");
    EXPECT_EQ(client.receive_answer().body, "b");
}

TEST(strategies, are_per_client) {
    by_strategy all;
    const std::string endpoint = all.one.serve();
    dealer first(endpoint), second(endpoint);
    first.request(1, "queue", "a");
    ASSERT_TRUE(eventually([&] { return all.one.metrics().handlers == 1; }));
    second.request(1, "quick_queue", "b");
    EXPECT_EQ(second.receive_answer().body, "b");
    EXPECT_EQ(first.receive_answer().body, "a");
}

TEST(server, a_client_cancels_its_request) {
    by_strategy all;
    dealer client(all.one.serve());
    client.request(1, "queue", "a");
    client.request(2, "queue", "b");
    client.control(kind::cancel, 1);
    EXPECT_EQ(client.receive_answer().code, errc::cancelled);
    EXPECT_EQ(client.receive_answer().body, "b");
    all.one.stop();
    EXPECT_EQ(all.log->cut, "a");
}

TEST(server, a_rule_has_a_time_limit) {
    served one;
    auto log = std::make_shared<strategy_log>();
    one.routes.on("slow", slow_handler(log), strategy::queue, 5ms);
    dealer client(one.serve());
    client.request(1, "slow", "a");
    EXPECT_EQ(client.receive_answer().code, errc::timed_out);
    EXPECT_NE(client.ask(R"({"command":"slow"})").find("timed_out"), std::string::npos);
    EXPECT_EQ(one.metrics().timed_out, 2U);
    one.stop();
    EXPECT_EQ(log->cut, "a{");
}

// libzmq would take the file away from whoever listens there.
TEST(server, a_unix_socket_is_not_taken_from_another_server) {
    char place[] = "/tmp/moebius_XXXXXX";
    ASSERT_NE(::mkdtemp(place), nullptr);
    const std::string path = std::string(place) + "/socket", endpoint = "ipc://" + path;
    const auto serving = [&] {
        auto made = std::make_unique<served>();
        made->routes.on("who", [](request& asked) { asked.reply(message(std::string_view("me"))); });
        made->serve(endpoint);
        return made;
    };
    const auto code = [](const auto& what) {
        try {
            what();
        } catch (const error& failure) {
            return failure.code();
        }
        return errc::none;
    };
    std::unique_ptr<served> first = serving();
    EXPECT_EQ(code(serving), errc::transport);
    dealer asks(endpoint);
    EXPECT_EQ(asks.ask(R"({"command":"who"})"), "me");
    first.reset();
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the file went with the server";
    // One that a dead process has left is nobody's.
    const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::snprintf(at.sun_path, sizeof at.sun_path, "%s", path.c_str());
    ASSERT_EQ(::bind(left, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    ::close(left);
    const std::unique_ptr<served> second = serving();
    dealer again(endpoint);
    EXPECT_EQ(again.ask(R"({"command":"who"})"), "me");
    // What is there by the end is another one's.
    ASSERT_EQ(::rename(path.c_str(), (path + ".moved").c_str()), 0);
    std::ofstream(path) << "not a socket";
    second->stop();
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    std::filesystem::remove_all(place);
}

}  // namespace
