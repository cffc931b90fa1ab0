// Who is told what went wrong: the hooks for handlers and messages, and the log without them. Real sockets on loopback.
#include "moebius/test_server.hpp"

#include <stdexcept>

namespace {

using namespace moebius;
using namespace moebius::test;

using lines = std::vector<std::string>;

std::string text_of(const std::exception_ptr& what) {
    try {
        std::rethrow_exception(what);
    } catch (const error& failure) {
        return "error " + std::string(failure.what());
    } catch (const std::exception& failure) {
        return failure.what();
    }
}

task<> throw_at_once(request) {
    throw std::runtime_error("before");
    co_return;
}

task<> throw_later(request) {
    co_await moebius::sleep_for(1ms);
    throw std::runtime_error("after");
}

task<> refuse_later(request) {
    co_await moebius::sleep_for(1ms);
    throw error(static_cast<errc>(1007), "not today");
}

task<> throw_after_an_item(request asked) {
    message item("item");
    co_await asked.write(std::move(item));
    throw std::runtime_error("in the middle");
}

task<> throw_when_cancelled(request) {
    try {
        co_await moebius::sleep_for(1h);
    } catch (const cancelled&) {
        throw std::runtime_error("while it ended");
    }
}

task<> sleep_long(request) {
    co_await moebius::sleep_for(1h);
}

// Throws itself for one command.
class moody final : public router {
public:
    routing match(std::string_view command, const request&) override {
        if (command == "bang") throw std::runtime_error("the router's own");
        if (command == "late") throw error(static_cast<errc>(1008), "closed");
        return errc::unroutable;
    }
};

class hooks : public testing::Test {
protected:
    hooks() : one(small(), {.log = [this](std::string_view line) { log.emplace_back(line); }}) {
        one.routes.on("at once", throw_at_once);
        one.routes.on("later", throw_later);
        one.routes.on("refuse", refuse_later);
        one.routes.on("function", [](request&) { throw std::runtime_error("plain"); });
        one.routes.on("items", throw_after_an_item);
        one.routes.on("stubborn", throw_when_cancelled);
        one.routes.on("sleep", sleep_long);
        one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
        one.routes.otherwise(others);
    }
    static server_options small() {
        server_options options;
        options.limits.body_bytes = 100;
        return options;
    }
    // The code that the client hears.
    errc ask(dealer& client, std::string_view command, std::string_view body = {}, std::uint32_t credit = 0) {
        client.request(++last_, command, body, credit);
        for (;;) {
            const dealer::answer heard = client.receive_answer();
            EXPECT_EQ(heard.id, last_);
            if (heard.what != detail::kind::item) return heard.code;
        }
    }
    void expect_serving(dealer& client) {
        EXPECT_EQ(ask(client, "echo", "x"), errc::none);
        EXPECT_EQ(one.metrics().handlers, 0U);
    }
    // Those of the loop's thread, once it has done what came before.
    lines seen(lines& what) {
        return one.on_loop([&what] { return what; });
    }
    void collect() {
        one.node.on_handler_error([this](client from, std::string_view command, std::exception_ptr what) {
            told.push_back(std::string(from.id()) + " " + std::string(command) + ": " + text_of(what));
        });
        one.node.on_message_error([this](client from, const message& body, const error& why) {
            const std::string text(body.text().substr(0, 10));
            told.push_back(std::string(from.id()) + " " + text + ": " + std::to_string(static_cast<int>(why.code())) +
                           " " + why.what());
        });
    }

    lines log, told;  // of the loop's thread
    moody others;
    served one;
    std::uint64_t last_ = 0;
};

TEST_F(hooks, hear_what_a_handler_throws_before_and_after_it_was_suspended) {
    collect();
    dealer client(one.serve(), "ann");
    EXPECT_EQ(ask(client, "function"), errc::handler_failed);
    EXPECT_EQ(ask(client, "at once"), errc::handler_failed);
    EXPECT_EQ(ask(client, "later"), errc::handler_failed);
    EXPECT_EQ(ask(client, "refuse"), static_cast<errc>(1007));
    EXPECT_EQ(ask(client, "items", {}, 5), errc::handler_failed);
    expect_serving(client);
    EXPECT_EQ(seen(told), (lines{"ann function: plain", "ann at once: before", "ann later: after",
                                 "ann refuse: error not today", "ann items: in the middle"}));
    EXPECT_EQ(one.metrics().handler_errors, 5U);
    EXPECT_EQ(seen(log), lines{});
}

TEST_F(hooks, a_handler_that_was_cancelled_has_not_failed_unless_it_throws_something_else) {
    collect();
    dealer client(one.serve(), "ann");
    for (const char* command : {"sleep", "stubborn"}) {
        client.request(++last_, command);
        ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 1; }));
        client.control(detail::kind::cancel, last_);
        EXPECT_EQ(client.receive_answer().id, last_);
    }
    expect_serving(client);
    EXPECT_EQ(seen(told), lines{"ann stubborn: while it ended"});
}

TEST_F(hooks, hear_of_messages_that_nobody_serves) {
    collect();
    dealer client(one.serve(), "ann");
    EXPECT_EQ(ask(client, "nonsense", "what"), errc::unroutable);
    EXPECT_NE(client.ask("{no json").find("malformed"), std::string::npos);
    EXPECT_EQ(ask(client, "echo", std::string(101, 'y')), errc::too_large);
    EXPECT_EQ(ask(client, "bang"), errc::handler_failed);
    EXPECT_EQ(ask(client, "late"), static_cast<errc>(1008));
    client.send({"three", "frames", "are one too many"});
    EXPECT_NE(client.receive().find("malformed"), std::string::npos);
    expect_serving(client);
    const lines heard = seen(told);
    ASSERT_EQ(heard.size(), 6U);
    EXPECT_EQ(heard[0], "ann what: 4 no rule for this request");
    EXPECT_EQ(heard[1], "ann {no json: 5 no valid JSON object");
    EXPECT_EQ(heard[2], "ann yyyyyyyyyy: 14 the body is over the server's limit");
    EXPECT_EQ(heard[3], "ann : 11 the router's own");
    EXPECT_EQ(heard[4], "ann : 1008 closed");
    EXPECT_EQ(heard[5], "ann three: 5 more than two frames");
    EXPECT_EQ(one.metrics().handler_errors, 0U);
    EXPECT_EQ(seen(log), lines{});
}

TEST_F(hooks, that_throw_are_logged_and_the_server_goes_on) {
    one.node.on_handler_error([](client, std::string_view, std::exception_ptr) { throw std::logic_error("bad hook"); });
    one.node.on_message_error([](client, const message&, const error&) { throw 7; });
    dealer client(one.serve());
    for (const char* command : {"function", "at once", "later"}) {
        EXPECT_EQ(ask(client, command), errc::handler_failed);
        expect_serving(client);
    }
    EXPECT_EQ(ask(client, "nonsense"), errc::unroutable);
    expect_serving(client);
    const std::string hook = "the hook for handler errors failed: bad hook";
    EXPECT_EQ(seen(log),
              (lines{hook, "the handler of function failed: plain", hook, "the handler of at once failed: before", hook,
                     "the handler of later failed: after", "the hook for message errors failed"}));
}

TEST_F(hooks, without_them_handlers_are_logged_and_messages_are_not) {
    dealer client(one.serve());
    for (const char* command : {"function", "at once", "later"}) EXPECT_EQ(ask(client, command), errc::handler_failed);
    EXPECT_EQ(ask(client, "refuse"), static_cast<errc>(1007));
    EXPECT_EQ(ask(client, "nonsense"), errc::unroutable);
    expect_serving(client);
    EXPECT_EQ(seen(log), (lines{"the handler of function failed: plain", "the handler of at once failed: before",
                                "the handler of later failed: after", "the handler of refuse failed: not today"}));
}

// What the log itself throws goes to the standard error stream, and no further.
TEST(log, that_throws_stops_nothing) {
    served one({}, {.log = [](std::string_view) { throw std::runtime_error("no log"); }});
    one.routes.on("later", throw_later);
    one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
    dealer client(one.serve());
    testing::internal::CaptureStderr();
    client.request(1, "later");
    EXPECT_EQ(client.receive_answer().code, errc::handler_failed);
    client.request(2, "echo", "x");
    EXPECT_EQ(client.receive_answer().body, "x");
    one.stop();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "moebius: the handler of later failed: after\n");
}

}  // namespace
