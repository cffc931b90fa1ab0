// Readers to whom transactions are pushed: slow ones, stopped ones, many partitions.
#include "tests/api/api_test.hpp"

#include <atomic>
#include <fstream>

namespace tstreams::api_test {
namespace {

class following : public testing::Test {
protected:
    following() : daemon(directory.path()), store(client::open("ipc://" + directory.path() + "/socket")) {}
    // Resident memory of the daemon, in MiB.
    [[nodiscard]] double resident() const {
        std::ifstream status("/proc/" + std::to_string(daemon.process()) + "/statm");
        std::size_t pages = 0;
        status >> pages >> pages;
        return static_cast<double>(pages * 4096) / (1 << 20);
    }
    temporary_directory directory;
    served::daemon daemon;
    client store;
};

TEST_F(following, a_reader_that_stands_still_costs_the_server_nothing_and_loses_nothing) {
    store.create_stream({.name = "s", .durability = durability::process()});
    auto producer = store.make_producer("s");
    std::atomic<bool> go = false;
    std::atomic<int> got = 0;
    subscriber_options options;
    options.start = oldest;
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction&, delivery&) {
        go.wait(false);
        ++got;
    });
    constexpr int transactions = 10'000;
    const std::string item(20'000, 'x');  // in frames, not in rows
    producer.send(item);
    std::this_thread::sleep_for(100ms);
    const double before = resident();
    for (int i = 1; i < transactions; ++i) producer.send(item);
    const double after = resident();
    // 200 MB were written. What may stand in between: the socket's buffers, and the rows in RocksDB's.
    EXPECT_LT(after - before, 40) << "from " << before << " MiB";
    RecordProperty("grown_mib", std::to_string(after - before));
    go = true;
    go.notify_all();
    EXPECT_TRUE(eventually([&] { return got == transactions; }, 60s)) << got;
    subscriber.stop();
}

TEST_F(following, one_partition_is_read_while_others_are_not) {
    store.create_stream({.name = "s", .partitions = 4, .durability = durability::process()});
    auto producer = store.make_producer("s");
    auto consumer = store.make_consumer("s");
    EXPECT_FALSE(consumer.next(1ms).has_value());  // all four are followed
    const std::string item(10'000, 'x');
    for (int i = 0; i < 500; ++i) {
        auto filling = producer.begin(static_cast<partition_number>(i % 3));
        filling.put(item);
        filling.checkpoint();
    }
    auto wanted = producer.begin(3);
    wanted.put("here");
    wanted.checkpoint();
    const auto found = consumer.next(3, 5s);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(items_of(*found), std::vector<std::string>{"here"});
    int rest = 0;
    while (consumer.next(0ms)) ++rest;
    EXPECT_EQ(rest, 500);
}

TEST_F(following, two_readers_at_one_position_get_everything_both) {
    store.create_stream({.name = "s", .durability = durability::process()});
    auto producer = store.make_producer("s");
    auto one = store.make_consumer("s");
    auto other = store.make_consumer("s");
    for (int i = 0; i < 200; ++i) {
        producer.send(std::to_string(i));
        const std::string wanted = std::to_string(i);
        for (consumer* reader : {&one, &other}) {
            const auto found = reader->next(5s);
            ASSERT_TRUE(found.has_value());
            EXPECT_EQ(items_of(*found), std::vector<std::string>{wanted});
        }
    }
}

TEST_F(following, a_position_that_is_moved_is_followed_from_there) {
    store.create_stream({.name = "s", .durability = durability::process()});
    auto producer = store.make_producer("s");
    auto consumer = store.make_consumer("s");
    const auto first = producer.send("0");
    EXPECT_TRUE(consumer.next(5s).has_value());
    for (int i = 1; i < 5; ++i) producer.send(std::to_string(i));
    EXPECT_TRUE(consumer.next(5s).has_value());
    consumer.set_position(0, first);
    for (int i = 1; i < 5; ++i) {
        const auto found = consumer.next(5s);
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(items_of(*found), std::vector<std::string>{std::to_string(i)});
    }
    EXPECT_FALSE(consumer.next(20ms).has_value());
}

TEST_F(following, a_deleted_stream_is_reported) {
    store.create_stream({.name = "s"});
    auto consumer = store.make_consumer("s");
    EXPECT_FALSE(consumer.next(1ms).has_value());
    std::thread deleting([&] {
        std::this_thread::sleep_for(50ms);
        store.delete_stream("s");
    });
    EXPECT_CODE(errc::stream_deleted, consumer.next(10s));
    deleting.join();
}

}  // namespace
}  // namespace tstreams::api_test
