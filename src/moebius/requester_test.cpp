// Requesters and servers on one loop, over real sockets: calls, streams, timeouts, lost connections, callbacks.
#include "moebius/test_server.hpp"

#include <moebius/security.hpp>
#include <weave/sync.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>

namespace {

using namespace moebius;
using namespace moebius::test;

task<> nap(request asked) {
    co_await moebius::sleep_for(30ms);
    co_await asked.reply(asked.take_body());
}

task<> sleep_long(request asked) {
    co_await moebius::sleep_for(1h);
    co_await asked.reply(asked.take_body());
}

task<> count_to(request asked) {
    const int last = std::stoi(std::string(asked.body().text()));
    for (int i = 0; i < last; ++i) {
        message item(std::to_string(i));
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

task<> stream_for_ever(request asked) {
    for (;;) {
        message item(std::string_view("x"));
        co_await asked.write(std::move(item));
    }
}

void add_rules(command_router& routes) {
    routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); }, strategy::concurrent);
    routes.on("nap", nap, strategy::concurrent);
    routes.on("hour", sleep_long, strategy::concurrent);
    routes.on("count", count_to, strategy::concurrent);
    routes.on("endless", stream_for_ever, strategy::concurrent);
    routes.on("refuse", [](request&) { throw error(static_cast<errc>(1001), "because"); });
}

struct both {
    loop home{loop_options{.log = [](std::string_view) {}}};
    command_router routes;
    server node{home, routes};
    std::unique_ptr<requester> asks;
    explicit both(requester_options options = {}, const std::string& endpoint = "tcp://127.0.0.1:*") {
        add_rules(routes);
        node.bind(endpoint);
        asks = std::make_unique<requester>(home, node.endpoint(), std::move(options));
    }
    std::string call(std::string command, std::string_view body, duration timeout = patience) {
        return std::string(home.run(ask(*asks, std::move(command), message(body), timeout)).text());
    }
    errc failure_of(std::string command, duration timeout = patience) {
        try {
            call(std::move(command), {}, timeout);
        } catch (const error& failure) {
            return failure.code();
        }
        return errc::none;
    }
};

TEST(requester, calls_over_every_transport) {
    const std::string abstract = "ipc://@moebius-requester-test-" + std::to_string(::getpid());
    for (const std::string& endpoint : {std::string("tcp://127.0.0.1:*"), std::string("inproc://calls"), abstract}) {
        both pair({}, endpoint);
        EXPECT_EQ(pair.call("echo", "hello"), "hello") << endpoint;
        EXPECT_EQ(pair.call("nap", ""), "") << endpoint;
        const std::string large(300'000, 'x');
        EXPECT_EQ(pair.call("echo", large), large) << endpoint;
    }
}

TEST(requester, throws_what_the_server_says) {
    both pair;
    try {
        pair.call("refuse", "");
        FAIL();
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), static_cast<errc>(1001));
        EXPECT_STREQ(failure.what(), "because");
    }
    EXPECT_EQ(pair.failure_of("unknown"), errc::unroutable);
    EXPECT_EQ(pair.failure_of("count"), errc::handler_failed);  // std::stoi of nothing
    EXPECT_EQ(pair.failure_of(std::string(256, 'x')), errc::too_large);
}

// A socket that takes connections and never says a word.
class mute_listener {
public:
    explicit mute_listener(const std::string& name) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(name.begin(), name.end(), address.sun_path + 1);  // abstract
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(socket_, 8) != 0)
            throw std::runtime_error("no listener");
    }
    ~mute_listener() { ::close(socket_); }
    mute_listener(const mute_listener&) = delete;
    mute_listener& operator=(const mute_listener&) = delete;

private:
    int socket_;
};

// A directory that this process may not enter as long as this lives; root becomes another user for it.
class closed_directory {
public:
    closed_directory() {
        if (!::mkdtemp(path.data()) || ::chmod(path.c_str(), 0) != 0) throw std::runtime_error("no directory");
        if (me_ == 0 && ::seteuid(65534) != 0) throw std::runtime_error("no other user");
    }
    ~closed_directory() {
        if (me_ == 0 && ::seteuid(me_) != 0) std::abort();
        ::rmdir(path.c_str());
    }
    closed_directory(const closed_directory&) = delete;
    closed_directory& operator=(const closed_directory&) = delete;

    std::string path = "/tmp/moebius-closed-XXXXXX";

private:
    const uid_t me_ = ::geteuid();
};

// Asked until it is so, because a slow machine has not yet tried in the time of the first question.
TEST(requester, a_timeout_says_how_far_it_came) {
    loop home{loop_options{.log = [](std::string_view) {}}};
    const auto text_at = [&](const std::string& endpoint, std::optional<client_security> keys, std::string_view wanted,
                             const std::string& command = "echo") {
        requester_options options;
        options.reconnect_first = 10ms;
        options.security = std::move(keys);
        requester asks(home, endpoint, std::move(options));
        std::string text;
        for (int tries = 0; tries < 50 && text.find(wanted) == std::string::npos; ++tries) {
            try {
                home.run(ask(asks, command, message("x"), 200ms));
                text = "answered";
            } catch (const error& failure) {
                EXPECT_EQ(failure.code(), errc::timed_out);
                text = failure.what();
            }
        }
        return text;
    };
    const std::string name = "moebius-reach-test-" + std::to_string(::getpid());
    EXPECT_EQ(text_at("ipc://@" + name + "-none", {}, "nobody"), "no answer in time: nobody listens there");
    EXPECT_EQ(text_at("tcp://127.0.0.1:1", {}, "nobody"), "no answer in time: nobody listens there");
    EXPECT_EQ(text_at("tcp://localhost:1", {}, "nobody"),
              "no answer in time: nobody listens there, or there is no host of that name");
    {
        const closed_directory closed;
        EXPECT_EQ(text_at("ipc://" + closed.path + "/socket", {}, "permission"),
                  "no answer in time: no permission to use that socket");
    }
    const mute_listener mute(name + "-mute");
    EXPECT_EQ(text_at("ipc://@" + name + "-mute", {}, "says nothing"),
              "no answer in time: somebody listens there and says nothing");
    command_router routes;
    add_rules(routes);
    const key_pair server_keys = generate_keys(), client_keys = generate_keys();
    server open_one(home, routes);
    open_one.bind("tcp://127.0.0.1:*");
    server_options secured;
    secured.security = server_security{server_keys.secret_key, {}};
    server closed_one(home, routes, std::move(secured));
    closed_one.bind("tcp://127.0.0.1:*");
    const client_security keys{client_keys, server_keys.public_key};
    const client_security other_server{client_keys, client_keys.public_key};
    EXPECT_EQ(text_at(open_one.endpoint(), keys, "has no keys"),
              "no answer in time: the handshake fails; the server has no keys, or others");
    EXPECT_EQ(text_at(closed_one.endpoint(), other_server, "or others"),
              "no answer in time: the handshake fails; the server has no keys, or others");
    EXPECT_EQ(text_at(closed_one.endpoint(), {}, "want keys"),
              "no answer in time: the handshake fails; does the server want keys?");
    EXPECT_EQ(text_at(open_one.endpoint(), {}, "no answer", "hour"), "no answer in time");
    server inside(home, routes);
    inside.bind("inproc://reach");
    EXPECT_EQ(text_at("inproc://reach", {}, "no answer", "hour"), "no answer in time");
}

TEST(requester, a_timeout_cancels_the_handler) {
    both pair;
    EXPECT_EQ(pair.call("echo", "connected"), "connected");
    EXPECT_EQ(pair.failure_of("hour", 5ms), errc::timed_out);
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return pair.node.metrics().cancelled == 1; })));
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return pair.node.metrics().handlers == 0; })));
    EXPECT_EQ(pair.asks->metrics().in_flight, 0U);
    EXPECT_EQ(pair.call("echo", "still there"), "still there");
}

task<std::string> many(loop& home, requester& asks, int count) {
    std::vector<task<message>> calls;
    for (int i = 0; i < count; ++i)
        calls.push_back(ask(asks, i % 3 == 0 ? "nap" : "echo", message(std::to_string(i)), patience));
    std::vector<weave::outcome_of<message>> answers = co_await weave::when_all(home, std::move(calls));
    for (int i = 0; i < count; ++i) {
        message got = answers[static_cast<std::size_t>(i)].get();
        if (got.text() != std::to_string(i)) co_return "answer of another call";
    }
    co_return "ok";
}

TEST(requester, many_calls_are_in_flight_at_once) {
    both pair;
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(pair.home.run(many(pair.home, *pair.asks, 1000)), "ok");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "a third of them naps 30 ms";
}

TEST(requester, refuses_more_than_its_limit) {
    requester_options options;
    options.requests_max = 1;
    both pair(options);
    const call_op first = pair.asks->call("nap", {}, patience);
    EXPECT_THROW((void)pair.asks->call("echo", {}, patience), error);
}

task<int> read_all(requester& asks, int count, stream_window window) {
    message body(std::to_string(count));
    stream items = asks.open("count", std::move(body), patience, window);
    int next = 0;
    for (;;) {
        const std::optional<message> item = co_await items.next();
        if (!item) co_return next;
        if (item->text() != std::to_string(next++)) co_return -1;
    }
}

TEST(requester, reads_streams_with_windows_of_any_size) {
    both pair;
    for (const std::uint32_t messages : {1U, 2U, 7U, 1024U})
        EXPECT_EQ(pair.home.run(read_all(*pair.asks, 3000, {messages, 8U << 20})), 3000) << messages;
    EXPECT_EQ(pair.home.run(read_all(*pair.asks, 300, {1024, 1})), 300) << "every item overdraws the window";
    EXPECT_EQ(pair.home.run(read_all(*pair.asks, 0, {})), 0);
}

task<int> read_some(requester& asks, int count) {
    stream items = asks.open("endless", {}, patience, {16, 1U << 20});
    for (int i = 0; i < count; ++i) co_await items.next();
    co_return count;
}

TEST(requester, a_stream_that_is_left_cancels_its_handler) {
    both pair;
    EXPECT_EQ(pair.home.run(read_some(*pair.asks, 100)), 100);
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return pair.node.metrics().handlers == 0; })));
    EXPECT_LE(pair.node.metrics().sent, 150U) << "no more than was granted";
}

TEST(requester, answers_of_the_wrong_kind_are_errors) {
    both pair;
    EXPECT_EQ(pair.failure_of("endless"), errc::not_a_stream);
    const auto open_echo = [](requester& asks) -> task<bool> {
        stream items = asks.open("echo", {}, patience);
        try {
            co_await items.next();
        } catch (const error& failure) {
            co_return failure.code() == errc::not_a_stream;
        }
        co_return false;
    };
    EXPECT_TRUE(pair.home.run(open_echo(*pair.asks)));
}

TEST(requester, calls_back) {
    both pair;
    std::string got;
    errc failure = errc::none;
    pair.asks->call("echo", message("hello"), patience,
                    [&](weave::outcome_of<message> outcome) { got = outcome.get().text(); });
    pair.asks->call("unknown", {}, patience, [&](weave::outcome_of<message> outcome) {
        try {
            outcome.get();
        } catch (const error& thrown) {
            failure = thrown.code();
        }
    });
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return !got.empty() && failure != errc::none; })));
    EXPECT_EQ(got, "hello");
    EXPECT_EQ(failure, errc::unroutable);
}

TEST(requester, one_way_and_published_messages) {
    both pair;
    int notified = 0;
    pair.routes.on("tell", [&](request& asked) {
        EXPECT_TRUE(asked.one_way());
        ++notified;
        asked.peer().subscribe("news");
        asked.peer().try_send(message("just so"));
    });
    std::vector<std::string> heard;
    pair.asks->on_message([&](std::string_view topic, message body) {
        heard.push_back(std::string(topic) + "/" + std::string(body.text()));
    });
    pair.asks->notify("tell", {});
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return notified == 1; })));
    pair.node.publish("news", message("today"));
    EXPECT_TRUE(pair.home.run(eventually_here([&] { return heard.size() == 2; })));
    EXPECT_EQ(heard, (std::vector<std::string>{"/just so", "news/today"}));
}

TEST(requester, connects_again_and_fails_what_was_in_flight) {
    loop home{loop_options{.log = [](std::string_view) {}}};
    command_router routes;
    add_rules(routes);
    auto first = std::make_unique<server>(home, routes);
    first->bind("tcp://127.0.0.1:*");
    const std::string endpoint = first->endpoint();
    requester asks(home, endpoint, {.name = "again", .reconnect_first = 10ms});
    EXPECT_EQ(home.run(ask(asks, "echo", message("a"), patience)).text(), "a");
    EXPECT_TRUE(home.run(eventually_here([&] { return asks.connected(); })));
    errc failure = errc::none;
    asks.call("nap", {}, 1h, [&](weave::outcome_of<message> outcome) {
        try {
            outcome.get();
        } catch (const error& thrown) {
            failure = thrown.code();
        }
    });
    EXPECT_TRUE(home.run(eventually_here([&] { return first->metrics().handlers == 1; })));
    first.reset();
    EXPECT_TRUE(home.run(eventually_here([&] { return failure != errc::none; })));
    EXPECT_EQ(failure, errc::peer_gone);
    EXPECT_FALSE(asks.connected());
    server second(home, routes);
    std::string name;
    routes.on("name", [&](request& asked) { asked.reply(std::string(asked.peer().name())); });
    EXPECT_TRUE(home.run(eventually_here([&] {
        try {
            second.bind(endpoint);
            return true;
        } catch (const error&) {
            return false;  // the old listener is closed in another thread
        }
    })));
    EXPECT_EQ(home.run(ask(asks, "echo", message("b"), patience)).text(), "b");
    EXPECT_EQ(home.run(ask(asks, "name", {}, patience)).text(), "again");
    EXPECT_EQ(asks.metrics().disconnects, 1U);
}

task<> ask_other(requester& other, request asked) {
    message answer = co_await other.call("echo", asked.take_body(), patience);
    co_await asked.reply(std::move(answer));
}

TEST(requester, a_handler_asks_another_server) {
    both back;
    command_router routes;
    routes.on("relay", [&](request asked) { return ask_other(*back.asks, std::move(asked)); });
    server front(back.home, routes);
    front.bind("tcp://127.0.0.1:*");
    requester asks(back.home, front.endpoint());
    EXPECT_EQ(back.home.run(ask(asks, "relay", message("through"), patience)).text(), "through");
}

TEST(blocking_client, calls_streams_and_one_line) {
    served one({}, {.log = [](std::string_view) {}});
    add_rules(one.routes);
    const std::string endpoint = one.serve();
    EXPECT_EQ(moebius::ask(endpoint, "echo", "hello", patience).text(), "hello");
    blocking_client client(endpoint, {.name = "plain"});
    EXPECT_THROW(client.call("refuse", {}, patience), error);
    EXPECT_THROW(client.call("nap", {}, 1ms), error);
    EXPECT_EQ(client.call("echo", message("after a late answer"), patience).text(), "after a late answer");
    int next = 0;
    client.stream("count", message("5000"), patience, [&](message item) {
        EXPECT_EQ(item.text(), std::to_string(next));
        return ++next > 0;
    });
    EXPECT_EQ(next, 5000);
    client.stream("endless", {}, patience, [&](message) { return --next > 4900; });
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
    EXPECT_THROW(moebius::ask("tcp://127.0.0.1:1", "echo", "", 20ms), error);
}

// Else the server's handler would wait for credit for ever, and this client's next request for that handler.
TEST(blocking_client, what_is_left_before_its_end_is_cancelled) {
    served one({}, {.log = [](std::string_view) {}});
    add_rules(one.routes);
    one.routes.on("in order", stream_for_ever, strategy::queue);
    one.routes.on("sleep", [](request) -> task<> { co_await moebius::sleep_for(1h); });
    blocking_client client(one.serve());
    const auto enough = [](const message&) -> bool { throw std::runtime_error("enough"); };
    EXPECT_THROW(client.stream("in order", {}, patience, enough), std::runtime_error);
    EXPECT_EQ(client.call("echo", message("served"), patience).text(), "served");
    EXPECT_THROW(client.call("sleep", {}, 1ms), error);
    EXPECT_EQ(client.call("echo", message("again"), patience).text(), "again");
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0; }));
    EXPECT_EQ(one.metrics().cancelled, 2U);
}

TEST(blocking_client, a_server_that_closes_it_is_no_reason_to_wait) {
    served one;
    one.routes.on("close", [](request& asked) { asked.peer().close(); });
    one.routes.on("name", [](request& asked) { asked.reply(asked.peer().name()); });
    one.routes.on("close_after", [](request& asked) {
        asked.reply(std::string_view("bye"));
        asked.peer().close();
    });
    blocking_client client(one.serve(), {.name = "ann"});
    const auto begin = std::chrono::steady_clock::now();
    try {
        client.call("close", {}, patience);
        ADD_FAILURE() << "an answer from a server that has closed the client";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::peer_gone) << failure.what();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience / 2);
    EXPECT_EQ(client.call("name", {}, patience).text(), "ann");
    // A BYE that came between two requests is not the end of the second one.
    EXPECT_EQ(client.call("close_after", {}, patience).text(), "bye");
    ASSERT_TRUE(eventually([&] { return one.metrics().clients == 0; }));
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(client.call("name", {}, patience).text(), "ann");
}

}  // namespace
