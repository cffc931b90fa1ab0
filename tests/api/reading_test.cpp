// Reading without a consumer: by id, by range, the last one, scans, states, ids of a time.
#include "tests/api/api_test.hpp"

namespace tstreams::api_test {

class reading : public api {};
TSTREAMS_API_TESTS(reading);

TEST_P(reading, a_transaction_by_its_id) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    const std::vector<std::string_view> items{"a", "b"};
    const transaction_id id = producer.send(1, items);
    const auto found = store.get("s", 1, id);
    EXPECT_EQ(found.state(), transaction_state::checkpointed);
    EXPECT_EQ(found.id(), id);
    EXPECT_EQ(found.partition(), 1U);
    EXPECT_EQ(found.size(), 2U);
    EXPECT_EQ(found.bytes(), 2U);
    EXPECT_GT(found.expires(), found.opened_at());
    EXPECT_EQ(items_of(found), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(items_of(found), (std::vector<std::string>{"a", "b"}));
    const auto copy = found;
    EXPECT_EQ(items_of(copy).size(), 2U);
    EXPECT_CODE(errc::partition_not_found, store.get("s", 2, id));
}

TEST_P(reading, undecided_and_unknown_ones_have_a_state_and_no_items) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto open = producer.begin();
    open.put("secret");
    EXPECT_EQ(store.get("s", 0, open.id()).state(), transaction_state::open);
    EXPECT_TRUE(items_of(store.get("s", 0, open.id())).empty());
    open.cancel();
    EXPECT_EQ(store.state("s", 0, open.id()), transaction_state::not_checkpointed);
    EXPECT_EQ(store.state("s", 0, transaction_id(1)), transaction_state::not_checkpointed);
    EXPECT_EQ(store.state("s", 0, transaction_id(~std::uint64_t{0})), transaction_state::not_checkpointed);
    EXPECT_TRUE(items_of(received_transaction()).empty());
}

TEST_P(reading, a_range_stops_before_the_first_undecided_one) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::vector<transaction_id> ids;
    for (int i = 0; i < 5; ++i) ids.push_back(producer.send(std::to_string(i)));
    auto open = producer.begin();
    producer.send("behind");
    const transaction_id end(~std::uint64_t{0});
    EXPECT_EQ(store.get_range("s", 0, transaction_id(), end).size(), 5U);
    const auto part = store.get_range("s", 0, ids[1], ids[3]);
    ASSERT_EQ(part.size(), 3U);
    EXPECT_EQ(part.front().id(), ids[1]);
    EXPECT_EQ(part.back().id(), ids[3]);
    EXPECT_EQ(store.get_range("s", 0, transaction_id(), end, 2).size(), 2U);
    open.cancel();
    EXPECT_EQ(store.get_range("s", 0, transaction_id(), end).size(), 6U);
    EXPECT_TRUE(store.get_range("s", 0, ids[3], ids[1]).empty());
    EXPECT_CODE(errc::invalid_argument, store.get_range("s", 0, ids[0], end, 0));
}

TEST_P(reading, the_last_visible_one) {
    make_stream("s");
    auto producer = store.make_producer("s");
    EXPECT_FALSE(store.last("s", 0).has_value());
    const transaction_id first = producer.send("first");
    auto open = producer.begin();
    producer.send("behind");
    EXPECT_EQ(store.last("s", 0)->id(), first);
    open.checkpoint();
    EXPECT_EQ(items_of(*store.last("s", 0)), std::vector<std::string>{"behind"});
}

TEST_P(reading, scans_by_state) {
    make_stream("s");
    auto producer = store.make_producer("s");
    const transaction_id one = producer.send("one");
    auto open = producer.begin();
    const transaction_id two = producer.send("two");
    auto cancelled = producer.begin();
    cancelled.cancel();
    const transaction_id end(~std::uint64_t{0});
    const auto all = store.scan("s", 0, transaction_id(), end);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].id, one);
    EXPECT_EQ(all[0].items, 1U);
    EXPECT_EQ(all[1].id, open.id());
    EXPECT_EQ(all[1].state, transaction_state::open);
    EXPECT_FALSE(all[1].client.empty());
    EXPECT_EQ(all[2].id, two);
    EXPECT_EQ(store.scan("s", 0, transaction_id(), end, {transaction_state::open}).size(), 1U);
    EXPECT_EQ(store.scan("s", 0, transaction_id(), end, {transaction_state::checkpointed}).size(), 2U);
    EXPECT_EQ(store.scan("s", 0, two, end).size(), 1U);
    EXPECT_EQ(store.scan("s", 0, transaction_id(), end, {}, 1).size(), 1U);
}

TEST_P(reading, administrators_abort_open_transactions) {
    make_stream("s");
    auto open = store.make_producer("s").begin();
    store.abort("s", 0, open.id());
    try {
        open.checkpoint();
        ADD_FAILURE() << "an aborted transaction was checkpointed";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::transaction_expired);
        EXPECT_TRUE(std::string(failure.what()).ends_with("an operator has aborted the transaction")) << failure.what();
    }
    EXPECT_CODE(errc::transaction_unknown, store.abort("s", 0, open.id()));
    EXPECT_CODE(errc::transaction_unknown, store.abort("s", 0, transaction_id(77)));
}

TEST_P(reading, what_was_read_before_a_restart_is_read_after_it) {
    if (!durable()) return;
    make_stream("s");
    const std::string large(std::size_t{3} << 20, 'x');
    {
        auto txn = store.make_producer("s").begin();
        txn.put("small");
        txn.put(large);
        txn.checkpoint();
    }
    auto lost = store.make_producer("s").begin();
    lost.put("lost");
    reopen();
    EXPECT_EQ(items_of(*store.last("s", 0)), (std::vector<std::string>{"small", large}));
    EXPECT_EQ(store.scan("s", 0, transaction_id(), transaction_id(~std::uint64_t{0})).size(), 1U);
}

TEST_P(reading, items_that_retention_removed_meanwhile_are_not_cut_short) {
    stream_options options;
    options.name = "s";
    options.ttl = 1s;
    store.create_stream(options);
    auto txn = store.make_producer("s").begin();
    const std::string item(std::size_t{600} << 10, 'x');
    for (int i = 0; i < 3; ++i) txn.put(item);
    txn.checkpoint();
    const auto received = store.last("s", 0);
    auto next = received->begin();
    store.delete_stream("s");
    EXPECT_TRUE(eventually([&] {
        try {
            int seen = 0;
            for ([[maybe_unused]] const tstreams::item& one : *received) ++seen;
            EXPECT_EQ(seen, 3);
            return false;
        } catch (const error& failure) {
            EXPECT_TRUE(failure.code() == errc::stream_deleted || failure.code() == errc::position_expired)
                << failure.what();
            return true;
        }
    }));
}

TEST(ids, an_id_of_a_time_needs_no_store) {
    const wall_time when{std::chrono::microseconds(1'700'000'000'123'456)};
    const transaction_id id = transaction_id::at(when);
    EXPECT_EQ(id.value(), 1'700'000'000'123'456ULL << 10);
    EXPECT_EQ(id.time(), when);
    EXPECT_EQ(transaction_id::at(wall_time(std::chrono::microseconds(-5))), transaction_id());
}

}  // namespace tstreams::api_test
