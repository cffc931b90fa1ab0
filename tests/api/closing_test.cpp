// Closing a client while others use it: every later call is refused, and no thread waits for one that waits for it.
// What would hang here does so for ever, so the time limit of the test finds it.
#include "tests/api/api_test.hpp"

#include <boost/asio/use_future.hpp>
#include <tstreams/async.hpp>

#include <atomic>
#include <future>

namespace tstreams::api_test {

namespace asio = boost::asio;

class closing : public api {};
TSTREAMS_API_TESTS(closing);

TEST_P(closing, every_call_on_a_closed_client_is_refused) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s", "c");
    auto group = store.make_checkpoint_group();
    store.close();
    EXPECT_CODE(errc::shutting_down, store.create_stream({.name = "t"}));
    EXPECT_CODE(errc::shutting_down, store.open_or_create({.name = "t"}));
    EXPECT_CODE(errc::shutting_down, store.find_stream("s"));
    EXPECT_CODE(errc::shutting_down, store.stream_exists("s"));
    EXPECT_CODE(errc::shutting_down, store.list_streams());
    EXPECT_CODE(errc::shutting_down, store.update_stream("s", {.ttl = 1h}));
    EXPECT_CODE(errc::shutting_down, store.delete_stream("s"));
    EXPECT_CODE(errc::shutting_down, store.make_producer("s"));
    EXPECT_CODE(errc::shutting_down, store.make_consumer("s"));
    EXPECT_CODE(errc::shutting_down, store.make_subscriber("s", {}, [](received_transaction&, delivery&) {}));
    EXPECT_CODE(errc::shutting_down, store.make_checkpoint_group());
    EXPECT_CODE(errc::shutting_down, store.get("s", 0, transaction_id(1)));
    EXPECT_CODE(errc::shutting_down, store.get_range("s", 0, transaction_id(1), transaction_id(2)));
    EXPECT_CODE(errc::shutting_down, store.last("s", 0));
    EXPECT_CODE(errc::shutting_down, store.scan("s", 0, transaction_id(1), transaction_id(2)));
    EXPECT_CODE(errc::shutting_down, store.state("s", 0, transaction_id(1)));
    EXPECT_CODE(errc::shutting_down, store.commit_state({1, 2}));
    EXPECT_CODE(errc::shutting_down, store.abort("s", 0, transaction_id(1)));
    EXPECT_CODE(errc::shutting_down, store.offsets("s"));
    EXPECT_CODE(errc::shutting_down, store.set_offset("s", "c", {}));
    EXPECT_CODE(errc::shutting_down, store.delete_offset("s", "c"));
    EXPECT_CODE(errc::shutting_down, producer.send("x"));
    EXPECT_CODE(errc::shutting_down, consumer.next(0ms));
    EXPECT_CODE(errc::shutting_down, consumer.blocked_by());
    EXPECT_CODE(errc::shutting_down, consumer.set_position(oldest));
    EXPECT_CODE(errc::shutting_down, group.checkpoint());
    EXPECT_CODE(errc::shutting_down, async_find_stream(store, "s", asio::use_future).get());
    EXPECT_CODE(errc::shutting_down, async_update_stream(store, "s", {.ttl = 1h}, asio::use_future).get());
    EXPECT_CODE(errc::shutting_down, async_delete_stream(store, "s", asio::use_future).get());
    EXPECT_CODE(errc::shutting_down, async_commit_state(store, {1, 2}, asio::use_future).get());
}

TEST_P(closing, a_callback_may_close_while_another_thread_does) {
    make_stream("s");
    std::promise<void> inside;
    std::atomic<bool> back = false;
    auto subscriber = store.make_subscriber("s", {}, [&](received_transaction&, delivery&) {
        inside.set_value();
        std::this_thread::sleep_for(50ms);
        store.close();
        back = true;
    });
    store.make_producer("s").send("x");
    inside.get_future().get();
    store.close();
    EXPECT_TRUE(back);
}

TEST_P(closing, two_handlers_may_close) {
    client_options options;
    options.handler_threads = 2;
    store.close();
    store = open(options);
    std::atomic<int> inside = 0;
    std::atomic<int> back = 0;
    for (int i = 0; i < 2; ++i)
        async_find_stream(store, "s", [&](std::exception_ptr, std::optional<stream_info>) {
            ++inside;
            while (inside != 2) std::this_thread::yield();
            store.close();
            ++back;
        });
    EXPECT_TRUE(eventually([&] { return back == 2; }));
    store.close();
}

TEST_P(closing, a_callback_that_waits_is_woken) {
    make_stream("s");
    make_stream("nothing");
    auto other = make_consumer("nothing");
    std::promise<void> inside;
    errc code{};
    auto subscriber = store.make_subscriber("s", {}, [&](received_transaction&, delivery&) {
        inside.set_value();
        code = code_of([&] { std::ignore = other.next(1h); });
    });
    store.make_producer("s").send("x");
    inside.get_future().get();
    std::this_thread::sleep_for(20ms);
    store.close();
    EXPECT_EQ(name(code), name(errc::shutting_down));
}

TEST_P(closing, items_that_are_forgotten_do_not_put_the_end_off) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<bool> stop = false;
    std::thread writer([&] {
        while (!stop) producer.send_and_forget("x");
    });
    EXPECT_TRUE(eventually([&] { return store.last("s", 0).has_value(); }));
    store.close();
    EXPECT_TRUE(eventually([&] { return producer.forgotten_losses() > 0; }));
    stop = true;
    writer.join();
}

}  // namespace tstreams::api_test
