// What watchers are told of each transition, in virtual time; what a slow one loses, and the limits.
#include "core/test_world.hpp"

namespace tstreams::core {
namespace {

using strings = std::vector<std::string>;

std::string shown(const transaction_change& one) {
    std::string text =
        std::to_string(one.partition) + " " + std::string(name(one.kind)) + " " + std::to_string(one.id.value());
    if (one.items != 0 || one.bytes != 0) text += " " + std::to_string(one.items) + " " + std::to_string(one.bytes);
    return text;
}
std::string told(event_kind kind, const transaction_ref& of) {
    transaction_change one;
    one.partition = of.partition;
    one.kind = kind;
    one.id = of.id;
    return shown(one);
}

class watched_world : public test_world {
public:
    using test_world::test_world;
    ~watched_world() { sources.clear(); }  // before the broker

    std::shared_ptr<event_source> watch(const stream_info& stream, std::uint32_t buffer_events = 1024,
                                        std::uint8_t kinds = all_event_kinds,
                                        std::vector<partition_number> partitions = {}) {
        watch_request request;
        request.stream = stream.id;
        request.buffer_events = buffer_events;
        request.kinds = kinds;
        request.partitions = std::move(partitions);
        sources.push_back(run(service->watch(std::move(request))));
        return sources.back();
    }
    event_batch next(const std::shared_ptr<event_source>& from) { return run(from->next()); }
    strings events(const std::shared_ptr<event_source>& from) {
        strings found;
        for (const transaction_change& one : next(from).events) found.push_back(shown(one));
        return found;
    }

    std::vector<std::shared_ptr<event_source>> sources;
};

constexpr auto opened = event_kind::opened;
constexpr auto checkpointed = event_kind::checkpointed;
constexpr auto cancelled = event_kind::cancelled;
constexpr auto expired = event_kind::expired;

TEST(watchers, hear_of_every_transition_in_order) {
    watched_world world;
    const stream_info stream = world.make_stream("orders", 2);
    const stream_info other = world.make_stream("others");
    const transaction_ref before = world.open(stream);
    const auto source = world.watch(stream);
    const transaction_ref one = world.open(stream, 1);
    const transaction_ref two = world.open(stream);
    world.send(other, "not looked at");
    world.checkpoint(one, {"abc", "de"});
    world.run(world.service->cancel(world.session, {two}));
    world.run(world.service->abort(stream.id, 0, before.id));
    EXPECT_EQ(world.events(source), (strings{told(opened, one), told(opened, two), told(checkpointed, one) + " 2 5",
                                             told(cancelled, two), told(expired, before)}));
}

TEST(watchers, hear_of_a_send_in_one_step_as_two_events) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    const auto source = world.watch(stream);
    commit_request request;
    request.session = world.session;
    request.request = world.next_request(true);
    decision one = world.decide({}, {"once"});
    one.open.stream = stream.id;
    request.transactions.push_back(one);
    transaction_ref sent;
    sent.id = world.run(world.service->commit(request)).transactions.front();
    EXPECT_EQ(world.events(source), (strings{told(opened, sent), told(checkpointed, sent) + " 1 4"}));
    // Asked again it is answered, and nothing happens.
    EXPECT_EQ(world.run(world.service->commit(request)).transactions.front(), sent.id);
    const transaction_ref later = world.open(stream);
    EXPECT_EQ(world.events(source).back(), told(opened, later));
}

TEST(watchers, hear_of_what_expires_at_its_deadline_and_by_silence) {
    watched_world world;
    const stream_info stream = world.make_stream("orders", 1, 60s);  // so max_open is 30 s
    const transaction_ref late = world.open(stream);
    const auto source = world.watch(stream);
    for (int i = 0; i < 3; ++i) {
        world.simulation.run_for(9s);
        world.run(world.service->heartbeat(world.session));
    }
    const transaction_ref silent = world.open(stream);
    EXPECT_EQ(world.events(source), strings{told(opened, silent)});
    world.simulation.run_for(2s);
    world.run(world.service->heartbeat(world.session));
    world.simulation.run_for(3s);
    EXPECT_EQ(world.events(source), strings{told(expired, late)});
    world.simulation.run_for(29s);
    EXPECT_EQ(world.events(source), strings{told(expired, silent)});
    const transaction_ref left = world.open(stream);
    world.run(world.service->close_session(world.session));
    EXPECT_EQ(world.events(source), (strings{told(opened, left), told(expired, left)}));
}

TEST(watchers, hear_that_a_newer_instance_has_fenced_one) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    attach_producer_request attach;
    attach.session = world.session;
    attach.stream = stream.id;
    attach.producer = "feeder";
    open_request open;
    open.session = world.session;
    open.stream = stream.id;
    open.producer = "feeder";
    open.producer_instance = world.run(world.service->attach_producer(attach)).instance;
    const transaction_ref older = world.run(world.service->open(open)).transaction;
    const auto source = world.watch(stream);
    world.run(world.service->attach_producer(attach));
    EXPECT_EQ(world.events(source), strings{told(expired, older)});
}

TEST(watchers, hear_what_they_asked_for_only) {
    watched_world world;
    const stream_info stream = world.make_stream("orders", 3);
    const auto source = world.watch(stream, 1024, bit_of(checkpointed) | bit_of(cancelled), {2, 0});
    const transaction_ref first = world.open(stream, 0), second = world.open(stream, 1), third = world.open(stream, 2);
    world.checkpoint(second, {"x"});
    world.checkpoint(third, {"y"});
    world.run(world.service->cancel(world.session, {first}));
    EXPECT_EQ(world.events(source), (strings{told(checkpointed, third) + " 1 1", told(cancelled, first)}));
}

// The newest are kept, and the number of the others comes before them.
TEST(watchers, that_are_slow_lose_the_oldest_and_are_told_how_many) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    const auto source = world.watch(stream, 10, bit_of(checkpointed));
    std::vector<transaction_id> sent;
    for (int i = 0; i < 35; ++i) sent.push_back(world.send(stream, "x"));
    const event_batch batch = world.next(source);
    EXPECT_EQ(batch.lost, 25u);
    EXPECT_FALSE(batch.interrupted);
    ASSERT_EQ(batch.events.size(), 10u);
    for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(batch.events[i].id, sent[25 + i]);
    world.send(stream, "x");
    EXPECT_EQ(world.next(source).lost, 0u) << "they are told once";
}

TEST(watchers, get_at_most_a_batch_and_lose_nothing_meanwhile) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    const auto source = world.watch(stream);
    for (int i = 0; i < 300; ++i) world.send(stream, "x");
    std::vector<transaction_id> ids;
    for (const std::size_t wanted : {256u, 256u, 88u}) {
        const event_batch batch = world.next(source);
        EXPECT_EQ(batch.lost, 0u);
        EXPECT_EQ(batch.events.size(), wanted);
        for (const transaction_change& one : batch.events) ids.push_back(one.id);
    }
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

TEST(watchers, end_with_their_stream_after_the_last_events) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    const auto source = world.watch(stream);
    const transaction_ref open = world.open(stream);
    world.run(world.service->delete_stream("orders"));
    EXPECT_EQ(world.events(source), (strings{told(opened, open), told(expired, open)}));
    EXPECT_EQ(code_of([&] { world.next(source); }), errc::stream_deleted);
    EXPECT_EQ(code_of([&] { world.watch(stream); }), errc::stream_deleted);
    world.make_stream("orders");  // another stream of that name
    EXPECT_EQ(code_of([&] { world.next(source); }), errc::stream_deleted);
}

TEST(watchers, that_are_stopped_hear_nothing_more_and_are_forgotten) {
    broker_options options;
    options.watched_events_max = 100;
    watched_world world(options);
    const stream_info stream = world.make_stream("orders");
    auto source = world.watch(stream, 100);
    EXPECT_EQ(code_of([&] { world.watch(stream, 1); }), errc::overloaded);
    world.send(stream, "x");
    source->stop();
    EXPECT_TRUE(world.next(source).events.empty());
    world.sources.clear();
    source.reset();
    world.send(stream, "x");
    const auto next = world.watch(stream, 100);
    const transaction_ref open = world.open(stream);
    EXPECT_EQ(world.events(next), strings{told(opened, open)});
}

TEST(watchers, are_bounded_per_stream_and_checked) {
    broker_options options;
    options.stream_watches_max = 2;
    watched_world world(options);
    const stream_info stream = world.make_stream("orders", 2);
    const stream_info other = world.make_stream("others");
    world.watch(stream);
    world.watch(stream);
    EXPECT_EQ(code_of([&] { world.watch(stream); }), errc::overloaded);
    EXPECT_EQ(code_of([&] { world.watch(other, 0); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { world.watch(other, buffer_events_max + 1); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { world.watch(other, 1, bit_of(event_kind::lost)); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { world.watch(other, 1, all_event_kinds, {1}); }), errc::partition_not_found);
    const auto good = world.watch(other, buffer_events_max);
    const transaction_ref open = world.open(other);
    EXPECT_EQ(world.events(good), strings{told(opened, open)});
}

TEST(watchers, hear_of_the_end_of_their_broker) {
    watched_world world;
    const stream_info stream = world.make_stream("orders");
    const auto source = world.watch(stream);
    world.run(world.service->stop());
    EXPECT_EQ(code_of([&] { world.next(source); }), errc::shutting_down);
}

}  // namespace
}  // namespace tstreams::core
