// Checkpoint groups: all or nothing, and what a group refuses.
#include "tests/api/api_test.hpp"

namespace tstreams::api_test {

class groups : public api {};
TSTREAMS_API_TESTS(groups);

TEST_P(groups, outputs_and_positions_are_committed_together) {
    make_stream("in", 2);
    make_stream("out1", 2);
    make_stream("out2");
    auto source = store.make_producer("in");
    for (int i = 0; i < 10; ++i) source.send(std::to_string(i));
    auto input = make_consumer("in", "job");
    auto out1 = store.make_producer("out1");
    auto out2 = store.make_producer("out2");
    auto group = store.make_checkpoint_group();
    group.add(input);
    group.add(out1);
    group.add(out2);
    EXPECT_EQ(group.size(), 3U);
    auto check1 = make_consumer("out1");
    auto check2 = make_consumer("out2");
    for (int i = 0; i < 5; ++i) {
        const auto received = input.next(1s);
        auto one = out1.begin();
        auto two = out2.begin();
        for (const item& each : *received) {
            one.put(each.text());
            two.put(each.text());
        }
        EXPECT_TRUE(drain(check1).empty());
        group.checkpoint();
        EXPECT_FALSE(one.is_open());
        EXPECT_EQ(drain(check1).size(), 1U);
        EXPECT_EQ(drain(check2).size(), 1U);
        EXPECT_EQ(store.commit_state(group.last_request()), transaction_state::checkpointed);
    }
    for (const offset_info& one : store.offsets("in", "job")) EXPECT_EQ(one.position, input.position(one.partition));
    if (durable()) reopen();
    auto again = make_consumer("in", "job", stored);
    EXPECT_EQ(drain(again).size(), 5U);
}

TEST_P(groups, cancel_takes_back_the_outputs) {
    make_stream("out", 2);
    auto out = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(out);
    auto one = out.begin();
    auto two = out.begin();
    one.put("x");
    group.cancel();
    EXPECT_FALSE(one.is_open());
    EXPECT_FALSE(two.is_open());
    group.checkpoint();
    auto check = make_consumer("out");
    EXPECT_TRUE(drain(check).empty());
}

TEST_P(groups, members_are_added_removed_looked_up_and_cleared) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s", "c");
    auto group = store.make_checkpoint_group();
    auto other = store.make_checkpoint_group();
    EXPECT_EQ(group.size(), 0U);
    group.checkpoint();
    group.add(producer);
    group.add(consumer);
    EXPECT_TRUE(group.contains(producer));
    EXPECT_TRUE(group.contains(consumer));
    EXPECT_FALSE(other.contains(producer));
    EXPECT_CODE(errc::invalid_state, group.add(producer));
    EXPECT_CODE(errc::invalid_state, other.add(producer));
    EXPECT_CODE(errc::invalid_state, other.remove(producer));
    group.remove(producer);
    EXPECT_FALSE(group.contains(producer));
    other.add(producer);
    other.clear();
    EXPECT_EQ(other.size(), 0U);
    other.add(producer);
    other = checkpoint_group();
    group.add(producer);
    EXPECT_EQ(group.size(), 2U);
    auto nameless = make_consumer("s");
    EXPECT_CODE(errc::invalid_state, group.add(nameless));
    tstreams::producer empty;
    EXPECT_CODE(errc::invalid_state, group.add(empty));
    EXPECT_FALSE(group.contains(empty));
}

TEST_P(groups, members_of_another_store_are_refused) {
    make_stream("s");
    client elsewhere = client::open("memory:");
    elsewhere.create_stream({.name = "s"});
    auto foreign = elsewhere.make_producer("s");
    auto group = store.make_checkpoint_group();
    EXPECT_CODE(errc::foreign_store, group.add(foreign));
    EXPECT_EQ(group.size(), 0U);
    auto mine = elsewhere.make_checkpoint_group();
    mine.add(foreign);
}

TEST_P(groups, members_are_not_decided_one_by_one) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s", "c");
    auto group = store.make_checkpoint_group();
    group.add(producer);
    group.add(consumer);
    auto txn = producer.begin();
    txn.put("x");
    EXPECT_CODE(errc::invalid_state, txn.checkpoint());
    EXPECT_CODE(errc::invalid_state, producer.send("y"));
    EXPECT_CODE(errc::invalid_state, producer.checkpoint());
    EXPECT_CODE(errc::invalid_state, consumer.checkpoint());
    EXPECT_TRUE(txn.is_open());
    producer.send_and_forget("lost");
    EXPECT_EQ(producer.forgotten_losses(), 1U);
    group.checkpoint();
    auto check = make_consumer("s");
    EXPECT_EQ(drain(check), std::vector<std::string>{"x"});
    group.remove(producer);
    producer.send("z");
}

TEST_P(groups, a_lost_transaction_poisons_until_cancel) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(producer);
    auto kept = producer.begin();
    kept.put("kept");
    {
        auto lost = producer.begin();
        lost.put("lost");
    }
    EXPECT_CODE(errc::transaction_lost, group.checkpoint());
    EXPECT_TRUE(kept.is_open());
    EXPECT_CODE(errc::transaction_lost, group.checkpoint());
    group.cancel();
    auto fresh = producer.begin();
    fresh.put("fresh");
    group.checkpoint();
    auto check = make_consumer("s");
    EXPECT_EQ(drain(check), std::vector<std::string>{"fresh"});
    auto decided = producer.begin();
    decided.cancel();
    group.checkpoint();
}

TEST_P(groups, an_expired_member_refuses_the_whole) {
    make_stream("in");
    make_stream("out", 2);
    store.make_producer("in").send("x");
    auto input = make_consumer("in", "job");
    auto out = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(input);
    group.add(out);
    std::ignore = input.next(1s);
    auto one = out.begin(0);
    auto two = out.begin(1);
    one.put("one");
    two.put("two");
    store.abort("out", 1, two.id());
    EXPECT_CODE(errc::transaction_expired, group.checkpoint());
    EXPECT_FALSE(store.last("out", 0).has_value());
    EXPECT_EQ(store.offsets("in", "job").at(0).position, transaction_id());
    EXPECT_EQ(store.commit_state(group.last_request()), transaction_state::not_checkpointed);
    group.cancel();
    group.checkpoint();
    EXPECT_EQ(store.offsets("in", "job").at(0).position, input.position(0));
}

TEST_P(groups, a_fenced_reader_stops_the_whole_group) {
    make_stream("in", 2);
    make_stream("out");
    store.make_producer("in").send("x");
    auto older = make_consumer("in", "job");
    auto out = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(older);
    group.add(out);
    std::ignore = older.next(1s);
    auto txn = out.begin();
    txn.put("duplicate");
    auto newer = make_consumer("in", "job");
    EXPECT_CODE(errc::fenced, group.checkpoint());
    EXPECT_FALSE(store.last("out", 0).has_value());
    // Also when it has read nothing since.
    group.cancel();
    auto more = out.begin();
    more.put("duplicate");
    EXPECT_CODE(errc::fenced, group.checkpoint());
}

TEST_P(groups, a_named_producer_stores_its_source_position_with_the_group) {
    make_stream("out");
    producer_options options;
    options.name = "feeder";
    auto out = store.make_producer("out", options);
    auto group = store.make_checkpoint_group();
    group.add(out);
    auto txn = out.begin();
    txn.put("x");
    out.set_source_position("line 9");
    group.checkpoint();
    EXPECT_EQ(out.source_position(), "line 9");
    group.clear();
    EXPECT_EQ(store.make_producer("out", options).source_position(), "line 9");
}

TEST_P(groups, large_and_many_members) {
    for (int i = 0; i < 8; ++i) make_stream("out" + std::to_string(i), 2);
    auto group = store.make_checkpoint_group();
    std::vector<producer> producers;
    std::vector<transaction> open;
    const std::string large(std::size_t{1} << 20, 'x');
    for (int i = 0; i < 8; ++i) {
        producers.push_back(store.make_producer("out" + std::to_string(i)));
        group.add(producers.back());
        for (int n = 0; n < 3; ++n) {
            open.push_back(producers.back().begin());
            open.back().put("small");
            if (n == 0) open.back().put(large);
        }
    }
    group.checkpoint();
    for (int i = 0; i < 8; ++i) {
        auto check = make_consumer("out" + std::to_string(i));
        EXPECT_EQ(drain(check).size(), 4U);
    }
}

TEST_P(groups, a_put_that_races_with_the_checkpoint_is_whole_or_refused) {
    make_stream("out");
    auto out = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(out);
    auto check = make_consumer("out");
    for (int round = 0; round < 20; ++round) {
        auto txn = out.begin();
        std::atomic<std::uint64_t> accepted = 0;
        std::atomic<bool> started = false;
        std::thread writer([&] {
            const std::string item(50'000, 'x');
            try {
                for (int i = 0; i < 10'000; ++i) {
                    txn.put(item);
                    ++accepted;
                    started = true;
                }
                ADD_FAILURE() << "the transaction was never closed";
            } catch (const error& failure) {
                EXPECT_EQ(name(failure.code()), name(errc::transaction_closed));
            }
        });
        EXPECT_TRUE(eventually([&] { return started.load(); }));
        group.checkpoint();
        writer.join();
        const auto received = check.next(1s);
        ASSERT_TRUE(received.has_value());
        EXPECT_EQ(received->size(), accepted.load());
        EXPECT_EQ(items_of(*received).size(), accepted.load());
    }
}

TEST_P(groups, the_next_request_can_be_asked_for_after_a_crash) {
    make_stream("s");
    auto out = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(out);
    const request_id first = group.next_request();
    EXPECT_EQ(group.next_request(), first);
    group.checkpoint();  // nothing to commit: the id is not used up
    EXPECT_EQ(group.next_request(), first);
    auto txn = out.begin();
    txn.put("one");
    group.checkpoint();
    EXPECT_EQ(group.last_request(), first);
    const request_id second = group.next_request();
    EXPECT_NE(second, first);
    if (durable()) reopen();
    EXPECT_EQ(store.commit_state(first), transaction_state::checkpointed);
    EXPECT_EQ(store.commit_state(second), transaction_state::not_checkpointed);
    EXPECT_CODE(errc::invalid_argument, store.commit_state({second.high - 1, second.low}));
    if (durable()) return;
    // It was asked for, so it cannot happen any more; the one after it can.
    auto late = out.begin();
    late.put("two");
    EXPECT_CODE(errc::transaction_closed, group.checkpoint());
    group.checkpoint();
    EXPECT_EQ(store.commit_state(group.last_request()), transaction_state::checkpointed);
    auto reader = make_consumer("s");
    EXPECT_EQ(drain(reader), (std::vector<std::string>{"one", "two"}));
}

TEST_P(groups, a_closed_client_refuses_its_groups) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(producer);
    store.close();
    EXPECT_CODE(errc::shutting_down, group.checkpoint());
    EXPECT_CODE(errc::shutting_down, group.cancel());
}

}  // namespace tstreams::api_test
