// Writing: opening, filling, deciding, policies, names, and what is refused.
#include "tests/api/api_test.hpp"

#include <boost/asio/use_future.hpp>
#include <tstreams/async.hpp>

#include <map>
#include <random>
#include <set>

namespace tstreams::api_test {

class producing : public api {};
TSTREAMS_API_TESTS(producing);

TEST_P(producing, items_are_seen_after_the_checkpoint_and_not_before) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    auto txn = producer.begin();
    EXPECT_TRUE(txn.is_open());
    txn.put("one");
    txn.put(as_bytes("two"));
    txn.put("");
    EXPECT_EQ(txn.items(), 3U);
    EXPECT_EQ(txn.bytes(), 6U);
    EXPECT_FALSE(consumer.next(0ms).has_value());
    txn.checkpoint();
    EXPECT_FALSE(txn.is_open());
    const auto received = consumer.next(0ms);
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(received->id(), txn.id());
    EXPECT_EQ(received->size(), 3U);
    EXPECT_EQ(items_of(*received), (std::vector<std::string>{"one", "two", ""}));
}

TEST_P(producing, an_empty_transaction_is_a_transaction) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    producer.begin().checkpoint();
    const auto received = consumer.next(0ms);
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(received->size(), 0U);
    EXPECT_TRUE(items_of(*received).empty());
}

TEST_P(producing, cancelled_and_abandoned_transactions_are_never_seen) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    auto cancelled = producer.begin();
    cancelled.put("cancelled");
    cancelled.cancel();
    cancelled.cancel();
    {
        auto abandoned = producer.begin();
        abandoned.put("abandoned");
    }
    auto replaced = producer.begin();
    replaced = producer.begin();
    replaced.put("kept");
    replaced.checkpoint();
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"kept"});
    EXPECT_CODE(errc::transaction_closed, cancelled.put("x"));
    EXPECT_CODE(errc::transaction_closed, cancelled.checkpoint());
}

TEST_P(producing, a_closed_transaction_says_so) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto txn = producer.begin();
    txn.put("x");
    txn.checkpoint();
    EXPECT_CODE(errc::transaction_closed, txn.put("y"));
    EXPECT_CODE(errc::transaction_closed, txn.checkpoint());
    try {
        txn.cancel();
        ADD_FAILURE() << "a checkpointed transaction was cancelled";
    } catch (const error& failure) {
        EXPECT_EQ(name(failure.code()), "transaction_closed");
        EXPECT_EQ(failure.outcome(), outcome::applied);
    }
    transaction empty;
    EXPECT_CODE(errc::invalid_state, empty.put("x"));
    EXPECT_CODE(errc::invalid_state, empty.checkpoint());
    EXPECT_FALSE(empty.is_open());
    tstreams::producer none;
    EXPECT_CODE(errc::invalid_state, none.begin());
}

TEST_P(producing, partitions_go_round_by_number_and_by_key) {
    make_stream("s", 4);
    auto producer = store.make_producer("s");
    for (partition_number i = 0; i < 8; ++i) EXPECT_EQ(producer.begin().partition(), i % 4);
    EXPECT_EQ(producer.begin(2).partition(), 2U);
    EXPECT_CODE(errc::partition_not_found, producer.begin(4));
    const partition_number home = producer.begin_for_key("customer 7").partition();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(producer.begin_for_key("customer 7").partition(), home);
    // FNV-1a of "a" is 0xaf63dc4c8601ec8c: keys must never move.
    EXPECT_EQ(producer.begin_for_key("a").partition(), 0xaf63dc4c8601ec8cU % 4);
    std::set<partition_number> used;
    for (int i = 0; i < 64; ++i) used.insert(producer.begin_for_key("key " + std::to_string(i)).partition());
    EXPECT_EQ(used.size(), 4U);
}

TEST_P(producing, a_producer_can_be_limited_to_partitions_and_choose_by_a_function) {
    make_stream("s", 4);
    producer_options options;
    options.partitions = {3, 1};
    auto limited = store.make_producer("s", options);
    EXPECT_EQ(limited.begin().partition(), 1U);
    EXPECT_EQ(limited.begin().partition(), 3U);
    EXPECT_CODE(errc::partition_not_found, limited.begin(0));
    options.partitioner = [](std::span<const partition_number> allowed) { return allowed.back(); };
    auto chosen = store.make_producer("s", options);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(chosen.begin().partition(), 3U);
    options.partitioner = [](std::span<const partition_number>) { return partition_number{2}; };
    EXPECT_CODE(errc::partition_not_found, store.make_producer("s", options).begin());
    options.partitions = {4};
    EXPECT_CODE(errc::partition_not_found, store.make_producer("s", options));
    options.partitions = {1, 1};
    EXPECT_CODE(errc::invalid_argument, store.make_producer("s", options));
}

TEST_P(producing, send_is_one_step) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    const transaction_id first = producer.send({"a", "b"});
    const transaction_id second = producer.send("c");
    EXPECT_NE(first, second);
    EXPECT_EQ(drain(consumer), (std::vector<std::string>{"a", "b", "c"}));
    const std::vector<std::string_view> items{"d"};
    producer.send(1, items);
    EXPECT_EQ(store.last("s", 1)->size(), 1U);
    const std::string large(100'000, 'x');
    producer.send(0, std::vector<std::string_view>{large, large});
    const auto received = store.last("s", 0);
    EXPECT_EQ(items_of(*received), (std::vector<std::string>{large, large}));
}

TEST_P(producing, send_takes_a_partition_or_a_key) {
    make_stream("s", 8);
    auto producer = store.make_producer("s");
    producer.send(3, {"a", "b"});
    auto by_key = producer.begin_for_key("customer 7");
    by_key.put("c");
    by_key.checkpoint();
    producer.send_for_key("customer 7", {"d", "e"});
    async_send_for_key(producer, "customer 7", {"f"}, boost::asio::use_future).get();
    consumer_options options;
    options.partitions = {by_key.partition()};
    auto same = store.make_consumer("s", options);
    std::vector<std::string> got = drain(same);
    if (by_key.partition() == 3) got.erase(got.begin(), got.begin() + 2);
    EXPECT_EQ(got, (std::vector<std::string>{"c", "d", "e", "f"}));
    options.partitions = {3};
    auto third = store.make_consumer("s", options);
    EXPECT_EQ(items_of(third.next(0ms).value()), (std::vector<std::string>{"a", "b"}));
    producer_options few;
    few.partitions = {(by_key.partition() + 1) % 8};
    auto limited = store.make_producer("s", few);
    EXPECT_CODE(errc::partition_not_found, limited.send_for_key("customer 7", {"g"}));
}

TEST_P(producing, order_is_that_of_opening) {
    make_stream("s");
    auto one = store.make_producer("s");
    auto two = store.make_producer("s");
    auto consumer = make_consumer("s");
    auto first = one.begin();
    auto second = two.begin();
    auto third = one.begin();
    EXPECT_LT(first.id(), second.id());
    EXPECT_LT(second.id(), third.id());
    third.put("third");
    third.checkpoint();
    second.put("second");
    second.checkpoint();
    EXPECT_FALSE(consumer.next(0ms).has_value());
    const auto blockers = consumer.blocked_by();
    ASSERT_EQ(blockers.size(), 1U);
    EXPECT_EQ(blockers[0].id, first.id());
    EXPECT_FALSE(blockers[0].client.empty());
    first.put("first");
    first.checkpoint();
    EXPECT_EQ(drain(consumer), (std::vector<std::string>{"first", "second", "third"}));
    EXPECT_TRUE(consumer.blocked_by().empty());
}

TEST_P(producing, any_size_streams_through_bounded_memory) {
    make_stream("s");
    client_options options;
    options.memory_bytes_max = std::size_t{4} << 20;
    if (durable()) store.close();
    client small = open(options);
    if (!durable()) small.create_stream({.name = "s"});
    auto producer = small.make_producer("s");
    auto txn = producer.begin();
    std::mt19937_64 random(4711);
    std::uint64_t sum = 0;
    std::string item;
    constexpr int count = 3'000;
    for (int i = 0; i < count; ++i) {
        item.assign(random() % 20'000, static_cast<char>('a' + i % 26));
        sum += item.size();
        txn.put(item);
    }
    txn.checkpoint();
    const auto received = small.last("s", 0);
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(received->size(), static_cast<std::uint64_t>(count));
    EXPECT_EQ(received->bytes(), sum);
    for (int round = 0; round < 2; ++round) {
        std::mt19937_64 again(4711);
        int i = 0;
        for (const tstreams::item& one : *received) {
            ASSERT_EQ(one.text(), std::string(again() % 20'000, static_cast<char>('a' + i % 26)));
            ++i;
        }
        EXPECT_EQ(i, count);
    }
}

TEST_P(producing, more_frames_than_a_row_holds_are_indexed) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto txn = producer.begin();
    const std::string item(std::size_t{700} << 10, 'f');  // one frame each
    for (int i = 0; i < 70; ++i) txn.put(item + std::to_string(i));
    txn.checkpoint();
    const auto received = store.last("s", 0);
    int i = 0;
    for (const tstreams::item& one : *received) ASSERT_EQ(one.text(), item + std::to_string(i++));
    EXPECT_EQ(i, 70);
}

TEST_P(producing, an_item_over_the_limit_is_refused_and_the_transaction_lives) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto txn = producer.begin();
    txn.put("small");
    const std::string huge((std::size_t{16} << 20) + 1, 'x');
    EXPECT_CODE(errc::too_large, txn.put(huge));
    txn.put(std::string_view(huge).substr(1));
    txn.put("end");
    txn.checkpoint();
    const auto items = items_of(*store.last("s", 0));
    ASSERT_EQ(items.size(), 3U);
    EXPECT_EQ(items[1].size(), std::size_t{16} << 20);
    EXPECT_EQ(items[2], "end");
}

TEST_P(producing, memory_used_up_by_open_transactions_is_a_typed_answer) {
    client_options options;
    options.memory_bytes_max = std::size_t{2} << 20;
    options.session_timeout = 2s;
    if (durable()) store.close();
    client small = open(options);
    stream_options stream;
    stream.name = "s";
    small.create_stream(stream);
    auto producer = small.make_producer("s");
    std::vector<transaction> open;
    // Each holds a buffer that is too small to be worth writing; together they use the budget up.
    const std::string item(3'000, 'x');
    errc code{};
    for (int i = 0; i < 1'000 && code == errc{}; ++i) {
        open.push_back(producer.begin());
        try {
            open.back().put(item);
        } catch (const error& failure) {
            code = failure.code();
        }
    }
    EXPECT_EQ(name(code), name(errc::overloaded));
    producer.checkpoint();
    open.clear();
    producer.send(item);
}

TEST_P(producing, policies_for_an_open_predecessor) {
    make_stream("s", 2);
    producer_options options;
    options.policy = when_open::error;
    auto strict = store.make_producer("s", options);
    auto open = strict.begin(0);
    EXPECT_CODE(errc::transaction_open, strict.begin(0));
    EXPECT_TRUE(strict.begin(1).is_open());
    open.cancel();
    EXPECT_TRUE(strict.begin(0).is_open());

    options.policy = when_open::checkpoint;
    auto waiting = store.make_producer("s", options);
    auto first = waiting.begin(0);
    first.put("first");
    auto second = waiting.begin(0);
    EXPECT_FALSE(first.is_open());
    EXPECT_EQ(store.state("s", 0, first.id()), transaction_state::checkpointed);
    second.cancel();

    options.policy = when_open::cancel;
    auto cancelling = store.make_producer("s", options);
    auto third = cancelling.begin(0);
    auto fourth = cancelling.begin(0);
    EXPECT_EQ(store.state("s", 0, third.id()), transaction_state::not_checkpointed);
    fourth.cancel();

    options.policy = when_open::checkpoint_async;
    auto eager = store.make_producer("s", options);
    auto fifth = eager.begin(0);
    fifth.put("fifth");
    auto sixth = eager.begin(0);
    EXPECT_TRUE(eventually([&] { return store.state("s", 0, fifth.id()) == transaction_state::checkpointed; }));
}

TEST_P(producing, a_failed_checkpoint_that_nobody_waited_for_is_thrown_later) {
    make_stream("s");
    producer_options options;
    options.policy = when_open::checkpoint_async;
    auto eager = store.make_producer("s", options);
    auto lost = eager.begin();
    lost.put("x");
    store.abort("s", 0, lost.id());
    const auto told = [&] {
        try {
            eager.begin().cancel();  // the first one checkpoints what is open, without waiting
        } catch (const error& failure) {
            EXPECT_EQ(name(failure.code()), name(errc::transaction_expired));
            return true;
        }
        return false;
    };
    EXPECT_TRUE(eventually(told));
}

TEST_P(producing, open_transactions_are_listed_and_decided_together) {
    make_stream("s", 3);
    auto producer = store.make_producer("s");
    std::vector<transaction> open;
    for (int i = 0; i < 6; ++i) {
        open.push_back(producer.begin());
        open.back().put("item " + std::to_string(i));
    }
    EXPECT_EQ(producer.open_transactions().size(), 6U);
    const auto of_one = producer.open_transactions(1);
    ASSERT_EQ(of_one.size(), 2U);
    EXPECT_EQ(of_one[0].partition, 1U);
    EXPECT_EQ(of_one[0].items, 1U);
    EXPECT_EQ(of_one[0].state, transaction_state::open);
    producer.checkpoint(1);
    EXPECT_FALSE(open[1].is_open());
    EXPECT_TRUE(open[0].is_open());
    producer.cancel(2);
    EXPECT_FALSE(open[2].is_open());
    producer.checkpoint();
    EXPECT_TRUE(producer.open_transactions().empty());
    producer.checkpoint();
    auto consumer = make_consumer("s");
    EXPECT_EQ(drain(consumer).size(), 4U);
}

TEST_P(producing, a_joint_checkpoint_is_all_or_nothing) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    auto one = producer.begin(0);
    auto two = producer.begin(1);
    one.put("one");
    two.put("two");
    store.abort("s", 1, two.id());
    EXPECT_CODE(errc::transaction_expired, producer.checkpoint());
    EXPECT_TRUE(one.is_open());
    EXPECT_FALSE(store.last("s", 0).has_value());
    two.cancel();
    producer.checkpoint();
    EXPECT_TRUE(store.last("s", 0).has_value());
}

TEST_P(producing, transactions_expire_at_their_deadline) {
    make_stream("s");
    producer_options options;
    options.max_open = 100ms;
    auto producer = store.make_producer("s", options);
    auto consumer = make_consumer("s");
    auto late = producer.begin();
    late.put("late");
    auto behind = store.make_producer("s").begin();
    behind.put("behind");
    behind.checkpoint();
    const auto received = consumer.next(20s);
    ASSERT_TRUE(received.has_value());
    EXPECT_EQ(items_of(*received), std::vector<std::string>{"behind"});
    EXPECT_CODE(errc::transaction_expired, late.checkpoint());
    EXPECT_CODE(errc::transaction_expired, late.put("more"));
    late.cancel();
    options.max_open = -1ms;
    EXPECT_CODE(errc::invalid_argument, store.make_producer("s", options));
}

TEST_P(producing, heartbeats_keep_transactions_open) {
    client_options options;
    options.session_timeout = 1s;
    if (durable()) store.close();
    client quick = open(options);
    quick.create_stream({.name = "kept"});
    auto producer = quick.make_producer("kept");
    auto txn = producer.begin();
    txn.put("kept");
    // Three times the session's timeout, without a call.
    std::this_thread::sleep_for(3s);
    txn.checkpoint();
    EXPECT_TRUE(quick.last("kept", 0).has_value());
}

TEST_P(producing, a_named_producer_hands_on_its_source_position) {
    make_stream("s");
    producer_options options;
    options.name = "feeder";
    auto feeder = store.make_producer("s", options);
    EXPECT_FALSE(feeder.source_position().has_value());
    auto txn = feeder.begin();
    txn.put("a");
    txn.checkpoint("line 1");
    EXPECT_EQ(feeder.source_position(), "line 1");
    feeder.set_source_position("line 2");
    EXPECT_EQ(feeder.source_position(), "line 1");
    feeder.send("b");
    EXPECT_EQ(feeder.source_position(), "line 2");
    feeder.set_source_position("line 3");
    feeder.checkpoint();
    EXPECT_CODE(errc::too_large, feeder.set_source_position(std::string(4097, 'x')));
    if (durable()) {
        store.close();
        store = open();
    }
    EXPECT_EQ(store.make_producer("s", options).source_position(), "line 3");
    auto nameless = store.make_producer("s");
    EXPECT_CODE(errc::invalid_state, nameless.set_source_position("x"));
    auto plain = nameless.begin();
    EXPECT_CODE(errc::invalid_state, plain.checkpoint("x"));
    EXPECT_TRUE(plain.is_open());
    options.name = "bad name";
    EXPECT_CODE(errc::invalid_name, store.make_producer("s", options));
}

TEST_P(producing, a_newer_instance_of_a_name_fences_the_older_one) {
    make_stream("s");
    producer_options options;
    options.name = "feeder";
    auto older = store.make_producer("s", options);
    auto open = older.begin();
    open.put("of the older one");
    auto newer = store.make_producer("s", options);
    EXPECT_CODE(errc::fenced, open.checkpoint());
    EXPECT_CODE(errc::fenced, older.send("x"));
    newer.send("of the newer one");
    auto consumer = make_consumer("s");
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"of the newer one"});
}

TEST_P(producing, forgotten_items_arrive_in_time_and_losses_are_counted) {
    make_stream("s", 2);
    {
        auto producer = store.make_producer("s");
        for (int i = 0; i < 5'000; ++i) producer.send_and_forget("item " + std::to_string(i));
        EXPECT_EQ(producer.forgotten_losses(), 0U);
    }
    auto consumer = make_consumer("s");
    std::multiset<std::string> seen;
    EXPECT_TRUE(eventually([&] {
        for (std::string& one : drain(consumer)) seen.insert(std::move(one));
        return seen.size() == 5'000;
    }));
    auto producer = store.make_producer("s");
    store.delete_stream("s");
    producer.send_and_forget("lost");
    EXPECT_TRUE(eventually([&] { return producer.forgotten_losses() == 1; }));
}

TEST_P(producing, many_threads_share_a_producer) {
    make_stream("s", 4);
    auto producer = store.make_producer("s");
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 100; ++i) {
                if (i % 3 == 0) {
                    producer.send(std::to_string(t * 1000 + i));
                    continue;
                }
                auto txn = producer.begin();
                txn.put(std::to_string(t * 1000 + i));
                if (i % 3 == 1) {
                    txn.checkpoint();
                } else {
                    txn.cancel();
                }
            }
        });
    for (auto& one : threads) one.join();
    auto consumer = make_consumer("s");
    std::set<std::string> seen;
    for (std::string& one : drain(consumer)) EXPECT_TRUE(seen.insert(std::move(one)).second);
    EXPECT_EQ(seen.size(), 8U * 67);
}

TEST_P(producing, values_go_through_a_codec) {
    make_stream("s");
    auto txn = store.make_producer("s").begin();
    struct nothing {};
    static_assert(!encodable<nothing>);
    txn.put(std::string("text"));
    txn.checkpoint();
    EXPECT_EQ(items_of(*store.last("s", 0)), std::vector<std::string>{"text"});
}

}  // namespace tstreams::api_test
