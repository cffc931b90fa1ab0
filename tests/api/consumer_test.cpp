// Polling: starts, order, positions, waiting, skipping, fencing.
#include "tests/api/api_test.hpp"

#include <map>

namespace tstreams::api_test {

class consuming : public api {
protected:
    transaction_id send(const std::string& stream, const std::string& item) {
        return store.make_producer(stream).send(item);
    }
};
TSTREAMS_API_TESTS(consuming);

TEST_P(consuming, transactions_come_once_and_in_order) {
    make_stream("s");
    auto producer = store.make_producer("s");
    consumer_options options;
    options.prefetch_transactions = 7;
    auto consumer = store.make_consumer("s", options);
    std::vector<std::string> sent;
    for (int i = 0; i < 100; ++i) {
        sent.push_back(std::to_string(i));
        producer.send(sent.back());
    }
    EXPECT_EQ(drain(consumer), sent);
    EXPECT_FALSE(consumer.next(0ms).has_value());
    producer.send("later");
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"later"});
}

TEST_P(consuming, next_waits_for_what_comes_and_ends_in_time) {
    make_stream("s", 3);
    auto consumer = make_consumer("s");
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(consumer.next(50ms).has_value());
    EXPECT_GE(std::chrono::steady_clock::now() - before, 50ms);
    auto producer = store.make_producer("s");
    std::thread writer([&] {
        std::this_thread::sleep_for(20ms);
        producer.send("it");
    });
    const auto received = consumer.next(20s);
    writer.join();
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(items_of(*received), std::vector<std::string>{"it"});
    EXPECT_CODE(errc::invalid_argument, consumer.next(-1ms));
}

TEST_P(consuming, partitions_take_turns) {
    make_stream("s", 3);
    auto producer = store.make_producer("s");
    for (int i = 0; i < 30; ++i) {
        const std::string item = std::to_string(i);
        producer.send(static_cast<partition_number>(i % 3), std::vector<std::string_view>{item});
    }
    auto consumer = make_consumer("s");
    std::map<partition_number, int> seen;
    for (int i = 0; i < 15; ++i) ++seen[consumer.next(0ms)->partition()];
    EXPECT_EQ(seen[0], 5);
    EXPECT_EQ(seen[1], 5);
    EXPECT_EQ(seen[2], 5);
}

TEST_P(consuming, one_partition_can_be_asked_for) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    producer.send(0, std::vector<std::string_view>{"zero"});
    producer.send(1, std::vector<std::string_view>{"one"});
    auto consumer = make_consumer("s");
    EXPECT_EQ(items_of(*consumer.next(1, 0ms)), std::vector<std::string>{"one"});
    EXPECT_FALSE(consumer.next(1, 0ms).has_value());
    EXPECT_EQ(items_of(*consumer.next(0, 0ms)), std::vector<std::string>{"zero"});
    EXPECT_CODE(errc::partition_not_found, consumer.next(2, 0ms));
}

TEST_P(consuming, a_subset_of_partitions) {
    make_stream("s", 4);
    auto producer = store.make_producer("s");
    for (int i = 0; i < 8; ++i) producer.send(std::to_string(i));
    consumer_options options;
    options.partitions = {3, 1};
    auto consumer = store.make_consumer("s", options);
    EXPECT_EQ(consumer.partitions(), (std::vector<partition_number>{1, 3}));
    EXPECT_EQ(drain(consumer).size(), 4U);
    EXPECT_CODE(errc::partition_not_found, consumer.next(0, 0ms));
    options.partitions = {9};
    EXPECT_CODE(errc::partition_not_found, store.make_consumer("s", options));
}

TEST_P(consuming, every_kind_of_start) {
    make_stream("s");
    std::vector<transaction_id> ids;
    for (int i = 0; i < 4; ++i) {
        ids.push_back(send("s", std::to_string(i)));
        std::this_thread::sleep_for(2ms);
    }
    using strings = std::vector<std::string>;
    auto from_oldest = make_consumer("s", "", oldest);
    EXPECT_EQ(drain(from_oldest), (strings{"0", "1", "2", "3"}));
    auto from_newest = make_consumer("s", "", newest);
    EXPECT_EQ(drain(from_newest), strings{});
    auto from_time = make_consumer("s", "", at(ids[2].time()));
    EXPECT_EQ(drain(from_time), (strings{"2", "3"}));
    auto from_before = make_consumer("s", "", at(wall_time()));
    EXPECT_EQ(drain(from_before), (strings{"0", "1", "2", "3"}));
    auto from_id = make_consumer("s", "", after(ids[1]));
    EXPECT_EQ(drain(from_id), (strings{"2", "3"}));
    auto from_positions = make_consumer("s", "", after({{0, ids[2]}}));
    EXPECT_EQ(drain(from_positions), strings{"3"});
    EXPECT_CODE(errc::partition_not_found, make_consumer("s", "", after({{5, ids[2]}})));
    EXPECT_CODE(errc::offset_not_found, make_consumer("s", "nobody", stored));
    EXPECT_CODE(errc::invalid_argument, make_consumer("s", "", stored));
}

TEST_P(consuming, newest_delivers_whatever_becomes_readable_afterwards) {
    make_stream("s");
    auto producer = store.make_producer("s");
    send("s", "old");
    auto open = producer.begin();
    open.put("was open");
    auto consumer = make_consumer("s", "", newest);
    open.checkpoint();
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"was open"});
}

TEST_P(consuming, a_stored_offset_wins_over_the_start) {
    make_stream("s");
    for (int i = 0; i < 4; ++i) send("s", std::to_string(i));
    {
        auto consumer = make_consumer("s", "billing");
        std::ignore = consumer.next(0ms);
        std::ignore = consumer.next(0ms);
        consumer.checkpoint();
        std::ignore = consumer.next(0ms);  // read, but not stored
    }
    if (durable()) reopen();
    using strings = std::vector<std::string>;
    {
        auto consumer = make_consumer("s", "billing", newest);
        EXPECT_EQ(drain(consumer), (strings{"2", "3"}));
    }
    {
        auto consumer = make_consumer("s", "billing", stored);
        EXPECT_EQ(drain(consumer), (strings{"2", "3"}));
    }
    consumer_options options;
    options.name = "billing";
    options.reset = true;
    auto consumer = store.make_consumer("s", options);
    EXPECT_EQ(drain(consumer), (strings{"0", "1", "2", "3"}));
    options.start = stored;
    EXPECT_CODE(errc::invalid_argument, store.make_consumer("s", options));
}

TEST_P(consuming, the_start_of_a_name_is_resolved_once) {
    make_stream("s");
    send("s", "before");
    {
        auto consumer = make_consumer("s", "late", newest);
    }
    send("s", "between");
    auto consumer = make_consumer("s", "late", newest);
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"between"});
}

TEST_P(consuming, positions_are_read_and_set) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    std::vector<transaction_id> ids;
    for (int i = 0; i < 6; ++i) ids.push_back(producer.send(std::to_string(i)));
    auto consumer = make_consumer("s", "c");
    EXPECT_EQ(consumer.position(0), transaction_id());
    drain(consumer);
    EXPECT_EQ(consumer.position(0), ids[4]);
    EXPECT_EQ(consumer.position(1), ids[5]);
    EXPECT_EQ(consumer.positions().size(), 2U);
    consumer.set_position(0, ids[0]);
    EXPECT_EQ(drain(consumer), (std::vector<std::string>{"2", "4"}));
    consumer.checkpoint();
    consumer.set_position(oldest);
    EXPECT_EQ(drain(consumer).size(), 6U);
    consumer.set_position(newest);
    EXPECT_TRUE(drain(consumer).empty());
    consumer.set_position(oldest);
    consumer.set_position(stored);
    EXPECT_TRUE(drain(consumer).empty());
    consumer.set_position(after({{0, ids[4]}, {1, ids[3]}}));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"5"});
    EXPECT_CODE(errc::partition_not_found, consumer.set_position(2, ids[0]));
    EXPECT_CODE(errc::partition_not_found, consumer.position(2));
}

TEST_P(consuming, a_checkpoint_needs_a_name) {
    make_stream("s");
    auto consumer = make_consumer("s");
    EXPECT_CODE(errc::invalid_state, consumer.checkpoint());
    EXPECT_CODE(errc::invalid_name, make_consumer("s", "bad name"));
    tstreams::consumer none;
    EXPECT_CODE(errc::invalid_state, none.next(0ms));
}

TEST_P(consuming, several_consumers_read_for_themselves) {
    make_stream("s");
    for (int i = 0; i < 10; ++i) send("s", std::to_string(i));
    auto one = make_consumer("s", "one");
    auto two = make_consumer("s", "two");
    EXPECT_EQ(drain(one).size(), 10U);
    EXPECT_EQ(drain(two).size(), 10U);
    one.checkpoint();
    const auto infos = store.offsets("s");
    ASSERT_EQ(infos.size(), 2U);
    EXPECT_EQ(infos[0].consumer, "one");
    EXPECT_TRUE(infos[0].live);
    EXPECT_GT(infos[0].position, infos[1].position);
    EXPECT_EQ(store.offsets("s", "two").size(), 1U);
}

TEST_P(consuming, a_newer_instance_fences_the_older_one) {
    make_stream("s", 2);
    send("s", "a");
    auto older = make_consumer("s", "billing");
    drain(older);
    auto newer = make_consumer("s", "billing");
    EXPECT_CODE(errc::fenced, older.checkpoint());
    drain(newer);
    newer.checkpoint();
}

TEST_P(consuming, instances_of_a_name_on_different_partitions_live_together) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    for (int i = 0; i < 4; ++i) producer.send(std::to_string(i));
    consumer_options options;
    options.name = "shared";
    options.partitions = {0};
    auto zero = store.make_consumer("s", options);
    options.partitions = {1};
    auto one = store.make_consumer("s", options);
    EXPECT_EQ(drain(zero).size(), 2U);
    EXPECT_EQ(drain(one).size(), 2U);
    zero.checkpoint();
    one.checkpoint();
    EXPECT_EQ(store.offsets("s", "shared").size(), 2U);
}

TEST_P(consuming, open_transactions_are_skipped_only_when_asked) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto open = producer.begin();
    producer.send("behind");
    auto trailing = producer.begin();
    consumer_options options;
    options.on_open = on_open::skip;
    auto consumer = store.make_consumer("s", options);
    const auto skipped = consumer.next(0ms);
    ASSERT_TRUE(skipped.has_value());
    EXPECT_TRUE(skipped->skipped());
    EXPECT_EQ(skipped->id(), open.id());
    EXPECT_EQ(skipped->state(), transaction_state::open);
    EXPECT_TRUE(items_of(*skipped).empty());
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"behind"});
    // One that holds back nothing is not passed.
    trailing.put("trailing");
    trailing.checkpoint();
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"trailing"});
}

TEST_P(consuming, a_skip_can_wait_first) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto open = producer.begin();
    producer.send("behind");
    consumer_options options;
    options.on_open = on_open::skip;
    options.open_wait = 200ms;
    auto consumer = store.make_consumer("s", options);
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(consumer.next(0ms).has_value());
    const auto skipped = consumer.next(20s);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 190ms);
    ASSERT_TRUE(skipped.has_value());
    EXPECT_TRUE(skipped->skipped());
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"behind"});

    auto patient = store.make_consumer("s", options);
    EXPECT_FALSE(patient.next(0ms).has_value());
    open.put("in time");
    open.checkpoint();
    EXPECT_EQ(drain(patient), (std::vector<std::string>{"in time", "behind"}));
    options.open_wait = -1ms;
    EXPECT_CODE(errc::invalid_argument, store.make_consumer("s", options));
    options.open_wait = std::chrono::milliseconds::max();
    EXPECT_CODE(errc::invalid_argument, store.make_consumer("s", options));
}

TEST_P(consuming, a_start_in_a_far_future_is_not_one_in_the_past) {
    make_stream("s");
    store.make_producer("s").send("now");
    for (const int year : {2100, 2540, 2542, 9999, 30'000}) {
        const wall_time then = std::chrono::sys_days(std::chrono::year(year) / 1 / 1);
        auto reader = make_consumer("s", {}, at(then));
        EXPECT_TRUE(drain(reader).empty()) << year;
    }
    EXPECT_EQ(transaction_id::at(wall_time::max()).value(), ~std::uint64_t{0});
    EXPECT_EQ(transaction_id::at(wall_time::min()).value(), 0U);
}

TEST_P(consuming, a_skip_comes_at_its_moment_although_nothing_was_open_when_the_wait_began) {
    make_stream("s");
    auto producer = store.make_producer("s");
    consumer_options options;
    options.on_open = on_open::skip;
    options.open_wait = 300ms;
    auto consumer = store.make_consumer("s", options);
    transaction open;
    std::thread writer([&] {
        std::this_thread::sleep_for(50ms);
        open = producer.begin();
        producer.send("behind");
    });
    const auto before = std::chrono::steady_clock::now();
    const auto skipped = consumer.next(60s);
    const auto waited = std::chrono::steady_clock::now() - before;
    writer.join();
    ASSERT_TRUE(skipped.has_value());
    EXPECT_TRUE(skipped->skipped());
    EXPECT_EQ(skipped->id(), open.id());
    EXPECT_GE(waited, 340ms);
    EXPECT_LT(waited, 20s);
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"behind"});
    // The one that was passed holds back nothing any more.
    producer.send("later");
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"later"});
    const auto next_open = producer.begin();
    producer.send("behind the next");
    EXPECT_FALSE(consumer.next(100ms).has_value());
    EXPECT_TRUE(consumer.next(60s).value().skipped());
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"behind the next"});
}

TEST_P(consuming, an_expired_position_says_where_to_go_on) {
    stream_options options;
    options.name = "s";
    options.ttl = 1s;
    store.create_stream(options);
    auto consumer = make_consumer("s", "c");
    auto producer = store.make_producer("s");
    producer.send("gone");
    std::this_thread::sleep_for(1200ms);
    producer.send("alive");
    std::uint64_t go_on = 0;
    // Expiry is noticed at the latest by the read.
    try {
        while (consumer.next(0ms).has_value()) {
        }
        ADD_FAILURE() << "the expired transaction was passed over in silence";
    } catch (const position_expired_error& failure) {
        go_on = failure.oldest_live_position();
        EXPECT_EQ(failure.partition(), 0U);
    }
    consumer.set_position(0, transaction_id(go_on));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"alive"});
}

TEST_P(consuming, offsets_are_administered) {
    make_stream("s", 2);
    const transaction_id id = send("s", "x");
    EXPECT_CODE(errc::partition_not_found, store.set_offset("s", "tool", {{7, id}}));
    store.set_offset("s", "tool", {{0, id}});
    ASSERT_EQ(store.offsets("s", "tool").size(), 1U);
    EXPECT_EQ(store.offsets("s", "tool")[0].position, id);
    {
        auto consumer = make_consumer("s", "tool");
        EXPECT_TRUE(drain(consumer).empty());
        EXPECT_CODE(errc::consumer_live, store.set_offset("s", "tool", {{0, transaction_id()}}));
        EXPECT_CODE(errc::consumer_live, store.delete_offset("s", "tool"));
        store.set_offset("s", "tool", {{0, transaction_id()}}, true);
        EXPECT_CODE(errc::fenced, consumer.checkpoint());
    }
    auto again = make_consumer("s", "tool");
    EXPECT_EQ(drain(again).size(), 1U);
    store.delete_offset("s", "tool", true);
    EXPECT_TRUE(store.offsets("s", "tool").empty());
}

TEST_P(consuming, a_consumer_that_is_gone_is_not_live) {
    make_stream("s");
    {
        auto consumer = make_consumer("s", "c");
    }
    EXPECT_TRUE(eventually([&] { return !store.offsets("s", "c").at(0).live; }));
    auto first = make_consumer("s", "c");
    {
        auto second = make_consumer("s", "c");
        first = consumer();
        EXPECT_TRUE(store.offsets("s", "c").at(0).live);
    }
    store.set_offset("s", "c", {{0, transaction_id(5)}}, true);
}

}  // namespace tstreams::api_test
