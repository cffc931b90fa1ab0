// Streams by name, and what a client refuses.
#include "tests/api/api_test.hpp"

namespace tstreams::api_test {

class streams : public api {};
TSTREAMS_API_TESTS(streams);

TEST_P(streams, a_created_stream_is_shown_as_it_was_made) {
    stream_options options;
    options.name = "orders";
    options.partitions = 4;
    options.ttl = 2h;
    options.durability = durability::every(50ms);
    options.description = "all orders";
    const stream_info made = store.create_stream(options);
    EXPECT_NE(made.id, 0U);
    const stream_info found = store.stream("orders");
    EXPECT_EQ(found.id, made.id);
    EXPECT_EQ(found.partitions, 4U);
    EXPECT_EQ(found.ttl, 2h);
    EXPECT_EQ(found.durability, durability::every(50ms));
    EXPECT_EQ(found.description, "all orders");
    EXPECT_GT(found.max_open, 0s);
    EXPECT_TRUE(store.stream_exists("orders"));
    EXPECT_FALSE(store.stream_exists("other"));
}

TEST_P(streams, a_name_is_given_once_until_it_is_deleted) {
    const stream_info first = make_stream("a");
    EXPECT_CODE(errc::stream_exists, make_stream("a"));
    store.delete_stream("a");
    EXPECT_FALSE(store.find_stream("a").has_value());
    EXPECT_CODE(errc::stream_not_found, store.delete_stream("a"));
    EXPECT_NE(make_stream("a").id, first.id);
}

TEST_P(streams, bad_names_and_numbers_are_refused) {
    for (const std::string& bad : {std::string(), std::string("a b"), std::string("a/b"), std::string(129, 'x')})
        EXPECT_CODE(errc::invalid_name, make_stream(bad));
    stream_options options;
    options.name = "s";
    options.partitions = 0;
    EXPECT_CODE(errc::invalid_argument, store.create_stream(options));
    options.partitions = 1025;
    EXPECT_CODE(errc::too_large, store.create_stream(options));
    options.partitions = 1;
    options.ttl = -1s;
    EXPECT_CODE(errc::invalid_argument, store.create_stream(options));
    EXPECT_FALSE(store.stream_exists("s"));
    EXPECT_CODE(errc::invalid_argument, store.list_streams({}, {}, 0));
}

TEST_P(streams, open_or_create_takes_the_stream_that_is_there) {
    stream_options options;
    options.name = "s";
    options.partitions = 3;
    const stream_info made = store.open_or_create(options);
    options.partitions = 7;
    const stream_info again = store.open_or_create(options);
    EXPECT_EQ(again.id, made.id);
    EXPECT_EQ(again.partitions, 3U);
}

TEST_P(streams, lists_come_by_prefix_in_pages) {
    for (int i = 0; i < 25; ++i) make_stream("list." + std::to_string(100 + i));
    make_stream("other");
    std::vector<std::string> seen;
    std::string after;
    do {
        const stream_page page = store.list_streams("list.", after, 10);
        EXPECT_LE(page.streams.size(), 10U);
        for (const stream_info& one : page.streams) seen.push_back(one.name);
        after = page.next;
    } while (!after.empty());
    ASSERT_EQ(seen.size(), 25U);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.front(), "list.100");
}

TEST_P(streams, settings_can_be_changed_and_partitions_added) {
    make_stream("s", 2);
    stream_changes changes;
    changes.ttl = 5h;
    changes.description = "new";
    changes.partitions = 4;
    const stream_info changed = store.update_stream("s", changes);
    EXPECT_EQ(changed.ttl, 5h);
    EXPECT_EQ(changed.partitions, 4U);
    EXPECT_EQ(store.stream("s").description, "new");
    auto producer = store.make_producer("s");
    EXPECT_EQ(producer.begin(3).partition(), 3U);
    changes.partitions = 1;
    EXPECT_CODE(errc::invalid_argument, store.update_stream("s", changes));
    EXPECT_CODE(errc::stream_not_found, store.update_stream("none", changes));
}

TEST_P(streams, a_deleted_stream_refuses_its_agents) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s", "c");
    auto open = producer.begin();
    open.put("lost");
    store.delete_stream("s");
    EXPECT_CODE(errc::stream_deleted, open.checkpoint());
    EXPECT_CODE(errc::stream_deleted, producer.begin());
    EXPECT_CODE(errc::stream_deleted, consumer.next(0ms));
    EXPECT_CODE(errc::stream_deleted, consumer.checkpoint());
    make_stream("s");
    EXPECT_CODE(errc::stream_deleted, producer.send("x"));
    auto fresh = make_consumer("s", "c");
    EXPECT_FALSE(fresh.next(0ms).has_value());
}

TEST_P(streams, unknown_streams_are_named) {
    EXPECT_CODE(errc::stream_not_found, store.stream("none"));
    EXPECT_CODE(errc::stream_not_found, store.make_producer("none"));
    EXPECT_CODE(errc::stream_not_found, store.make_consumer("none"));
    EXPECT_CODE(errc::stream_not_found, store.get("none", 0, transaction_id(1)));
    try {
        std::ignore = store.stream("none");
    } catch (const error& failure) {
        EXPECT_NE(std::string(failure.what()).find("none"), std::string::npos);
        EXPECT_EQ(failure.outcome(), outcome::not_applied);
    }
}

TEST_P(streams, a_closed_client_refuses_everything_and_closes_once) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    auto open = producer.begin();
    store.close();
    store.close();
    EXPECT_CODE(errc::shutting_down, store.stream("s"));
    EXPECT_CODE(errc::shutting_down, producer.begin());
    EXPECT_CODE(errc::shutting_down, open.put("x"));
    EXPECT_CODE(errc::shutting_down, open.checkpoint());
    EXPECT_CODE(errc::shutting_down, consumer.next(1s));
}

TEST_P(streams, agents_keep_the_store_alive_without_the_client) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    store = client();
    EXPECT_CODE(errc::invalid_state, store.stream("s"));
    producer.send("still here");
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"still here"});
}

TEST_P(streams, a_close_ends_calls_that_wait) {
    make_stream("s");
    auto consumer = make_consumer("s");
    errc code{};
    std::thread waiter([&] { code = code_of([&] { std::ignore = consumer.next(1h); }); });
    std::this_thread::sleep_for(20ms);
    store.close();
    waiter.join();
    EXPECT_EQ(name(code), name(errc::shutting_down));
}

TEST_P(streams, options_of_a_client_are_checked) {
    client_options options;
    options.handler_threads = 0;
    EXPECT_CODE(errc::invalid_argument, open(options));
    options.handler_threads = 1;
    options.item_bytes_max = std::size_t{65} << 20;
    EXPECT_CODE(errc::invalid_argument, open(options));
    options.item_bytes_max = 1;
    options.memory_bytes_max = 1;
    EXPECT_CODE(errc::invalid_argument, open(options));
}

TEST_P(streams, streams_are_there_after_a_restart) {
    if (!durable()) return;
    const stream_info made = make_stream("s", 3);
    reopen();
    EXPECT_EQ(store.stream("s").id, made.id);
    EXPECT_EQ(store.stream("s").partitions, 3U);
}

TEST(uris, unknown_ones_are_refused) {
    EXPECT_CODE(errc::unsupported, client::open("carrier-pigeon:coop"));
    EXPECT_CODE(errc::invalid_argument, client::open("no-colon"));
    EXPECT_CODE(errc::invalid_argument, client::open("file:"));
    EXPECT_CODE(errc::invalid_argument, client::open("memory:name"));
    EXPECT_CODE(errc::invalid_argument, client::open(""));
    EXPECT_CODE(errc::invalid_argument, client::open("file://host/path"));
    EXPECT_CODE(errc::invalid_argument, client::open("file://"));
}

TEST(uris, a_file_uri_may_have_an_empty_host) {
    const temporary_directory directory;
    client::open("file://" + directory.path() + "/store").create_stream({.name = "s"});
    EXPECT_TRUE(client::open("file:" + directory.path() + "/store").stream_exists("s"));
}

TEST(uris, a_store_is_made_only_when_wanted) {
    const temporary_directory place;
    client_options options;
    options.create = false;
    EXPECT_CODE(errc::store_not_found, client::open("file:" + place.path() + "/none", options));
    EXPECT_FALSE(std::filesystem::exists(place.path() + "/none"));
}

TEST(uris, a_second_client_of_a_directory_is_refused_by_name) {
    const temporary_directory place;
    const client first = client::open("file:" + place.path() + "/store");
    try {
        const client second = client::open("file:" + place.path() + "/store");
        ADD_FAILURE() << "two clients had the same directory";
    } catch (const error& failure) {
        EXPECT_EQ(name(failure.code()), name(errc::locked));
        EXPECT_NE(std::string(failure.what()).find(std::to_string(getpid())), std::string::npos) << failure.what();
    }
}

}  // namespace tstreams::api_test
