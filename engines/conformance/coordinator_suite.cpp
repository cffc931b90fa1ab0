// What a coordinator promises: one holder of a lease at a time as far as it can tell, who is there, and
// hints.
#include "engines/conformance/suite.hpp"

namespace tstreams::conformance {

using namespace std::chrono_literals;

bool coordinator_suite::link() noexcept {
    return true;
}

namespace {

// The clock is asked on its executor.
weave::task<ports::steady_time> read_steady_clock(ports::clock& clock) {
    co_return clock.now();
}

weave::task<std::uint64_t> subscribe(ports::coordinator& node, std::string topic, std::vector<std::string>& heard) {
    std::function<void(const std::string&)> note = [&heard](const std::string& message) { heard.push_back(message); };
    co_return node.subscribe(std::move(topic), std::move(note));
}

weave::task<void> unsubscribe(ports::coordinator& node, std::uint64_t subscription) {
    node.unsubscribe(subscription);
    co_return;
}

weave::task<std::size_t> count(std::vector<std::string>& heard) {
    co_return heard.size();
}

class coordinator_calls {
public:
    coordinator_calls(engine_under_test& engine, std::size_t index) : engine_(engine), index_(index) {}

    [[nodiscard]] ports::coordinator& port() { return *engine_.node(index_).coordination; }
    ports::steady_time now() { return engine_.run(index_, read_steady_clock(*engine_.node(index_).clock)); }

    std::optional<ports::lease> acquire(std::string name, std::string holder, std::chrono::milliseconds duration) {
        return engine_.run(index_, port().acquire(std::move(name), std::move(holder), duration));
    }
    std::optional<ports::lease> renew(ports::lease held, std::chrono::milliseconds duration) {
        return engine_.run(index_, port().renew(std::move(held), duration));
    }
    void release(ports::lease held) { engine_.run(index_, port().release(std::move(held))); }
    void join(ports::member self, std::chrono::milliseconds duration) {
        engine_.run(index_, port().join(std::move(self), duration));
    }
    void leave(std::string node) { engine_.run(index_, port().leave(std::move(node))); }
    std::string members() {
        std::string text;
        for (const ports::member& one : engine_.run(index_, port().members())) {
            text += one.node + "(" + one.information + ") ";
        }
        return text;
    }
    void publish(std::string topic, std::string message) {
        engine_.run(index_, port().publish(std::move(topic), std::move(message)));
    }
    std::uint64_t subscribe_to(std::string topic, std::vector<std::string>& heard) {
        return engine_.run(index_, subscribe(port(), std::move(topic), heard));
    }
    void unsubscribe_from(std::uint64_t subscription) { engine_.run(index_, unsubscribe(port(), subscription)); }
    std::size_t count_of(std::vector<std::string>& heard) { return engine_.run(index_, count(heard)); }

private:
    engine_under_test& engine_;
    std::size_t index_;
};

}  // namespace

TEST_P(coordinator_suite, one_holder_at_a_time) {
    ASSERT_GE(engine().nodes(), 2U);
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    const std::optional<ports::lease> held = one.acquire("slot", "node 0", 1h);
    ASSERT_TRUE(held);
    EXPECT_EQ(held->name, "slot");
    EXPECT_EQ(held->holder, "node 0");
    EXPECT_FALSE(other.acquire("slot", "node 1", 1h));
    EXPECT_TRUE(other.acquire("slot 2", "node 1", 1h)) << "another name is another lease";

    const std::optional<ports::lease> again = one.acquire("slot", "node 0", 1h);
    ASSERT_TRUE(again) << "the same holder may acquire again";
    EXPECT_GT(again->token, held->token);
    EXPECT_FALSE(other.acquire("slot", "node 1", 1h));
}

TEST_P(coordinator_suite, a_lease_ends_by_itself) {
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    const std::optional<ports::lease> held = one.acquire("slot", "node 0", 1s);
    ASSERT_TRUE(held);
    // Up to the time that the holder counts as safe nobody else gets it.
    const bool got_early = other.acquire("slot", "node 1", 1h).has_value();
    EXPECT_TRUE(!got_early || one.now() >= held->safe_until);
    engine().advance(2s);
    EXPECT_GE(one.now(), held->safe_until);
    const std::optional<ports::lease> next = other.acquire("slot", "node 1", 1h);
    ASSERT_TRUE(next);
    EXPECT_GT(next->token, held->token);
    EXPECT_FALSE(one.renew(*held, 1h)) << "it has been lost";
    EXPECT_FALSE(one.acquire("slot", "node 0", 1h));
}

TEST_P(coordinator_suite, renewal_keeps_it) {
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    std::optional<ports::lease> held = one.acquire("slot", "node 0", 2s);
    ASSERT_TRUE(held);
    const std::uint64_t token = held->token;
    for (int i = 0; i < 5; ++i) {
        const ports::steady_time before = held->safe_until;
        engine().advance(500ms);
        held = one.renew(*held, 2s);
        ASSERT_TRUE(held);
        EXPECT_EQ(held->token, token);
        EXPECT_GT(held->safe_until, before);
        EXPECT_FALSE(other.acquire("slot", "node 1", 1h));
    }
}

TEST_P(coordinator_suite, safe_until_counts_from_before_the_request) {
    coordinator_calls one(engine(), 0);
    const ports::steady_time before = one.now();
    std::optional<ports::lease> held = one.acquire("slot", "node 0", 10s);
    ASSERT_TRUE(held);
    const ports::steady_time after = one.now();
    EXPECT_GE(held->safe_until, before + 10s);
    EXPECT_LE(held->safe_until, after + 10s);
    held = one.renew(*held, 20s);
    ASSERT_TRUE(held);
    EXPECT_GE(held->safe_until, after + 20s);
    EXPECT_LE(held->safe_until, one.now() + 20s);
}

TEST_P(coordinator_suite, a_released_lease_is_free_and_an_old_one_frees_nothing) {
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    const std::optional<ports::lease> first = one.acquire("slot", "node 0", 1h);
    ASSERT_TRUE(first);
    one.release(*first);
    const std::optional<ports::lease> second = other.acquire("slot", "node 1", 1h);
    ASSERT_TRUE(second);
    one.release(*first);
    EXPECT_FALSE(one.renew(*first, 1h));
    EXPECT_FALSE(one.acquire("slot", "node 0", 1h));
    EXPECT_TRUE(other.renew(*second, 1h));
}

TEST_P(coordinator_suite, members_are_listed_by_name_until_they_leave) {
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    EXPECT_EQ(one.members(), "");
    other.join({"b", "second"}, 1h);
    one.join({"a", "first"}, 1h);
    one.join({"c", std::string("\0\xff", 2)}, 1h);
    EXPECT_EQ(one.members(), std::string("a(first) b(second) c(\0\xff) ", 25));
    EXPECT_EQ(other.members(), one.members());
    one.join({"a", "changed"}, 1h);
    other.leave("c");
    other.leave("never there");
    EXPECT_EQ(other.members(), "a(changed) b(second) ");
}

TEST_P(coordinator_suite, a_member_is_gone_when_it_does_not_join_again) {
    coordinator_calls one(engine(), 0);
    one.join({"short", ""}, 1s);
    one.join({"kept", ""}, 1s);
    one.join({"long", ""}, 1h);
    for (int i = 0; i < 4; ++i) {
        engine().advance(400ms);
        one.join({"kept", ""}, 1h);
    }
    EXPECT_EQ(one.members(), "kept() long() ");
}

TEST_P(coordinator_suite, publications_reach_the_subscribers_of_their_topic) {
    coordinator_calls one(engine(), 0);
    coordinator_calls other(engine(), 1);
    std::vector<std::string> here;
    std::vector<std::string> there;
    std::vector<std::string> elsewhere;
    const std::uint64_t subscription_here = one.subscribe_to("topic", here);
    const std::uint64_t subscription_there = other.subscribe_to("topic", there);
    const std::uint64_t subscription_elsewhere = other.subscribe_to("topic 2", elsewhere);
    // Hints may be lost: a few attempts.
    for (int i = 0; i < 100 && (one.count_of(here) == 0 || other.count_of(there) == 0); ++i) {
        one.publish("topic", "message");
        engine().advance(100ms);
    }
    ASSERT_GE(one.count_of(here), 1U);
    ASSERT_GE(other.count_of(there), 1U);
    EXPECT_EQ(other.count_of(elsewhere), 0U);

    one.unsubscribe_from(subscription_here);
    const std::size_t heard_here = one.count_of(here);
    const std::size_t heard_there = other.count_of(there);
    for (int i = 0; i < 100 && other.count_of(there) == heard_there; ++i) {
        one.publish("topic", "message");
        engine().advance(100ms);
    }
    EXPECT_GT(other.count_of(there), heard_there);
    EXPECT_EQ(one.count_of(here), heard_here) << "nothing after unsubscribe";
    other.unsubscribe_from(subscription_there);
    other.unsubscribe_from(subscription_elsewhere);
    for (const std::string& message : here) EXPECT_EQ(message, "message");
    for (const std::string& message : there) EXPECT_EQ(message, "message");
}

}  // namespace tstreams::conformance
