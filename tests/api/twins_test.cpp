// The asynchronous twins that wait for threads, and reading of items; and ending a wait by a cancellation slot. That
// every blocking call has a twin is what async_twins.py looks for.
#include "tests/api/api_test.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <tstreams/async.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

namespace tstreams::api_test {
namespace {

namespace asio = boost::asio;

class twins : public api {};
TSTREAMS_API_TESTS(twins);

errc code_in(const std::exception_ptr& failure) {
    return code_of([&] {
        if (failure) std::rethrow_exception(failure);
    });
}

TEST_P(twins, a_waiting_read_ends_when_it_is_cancelled_and_nothing_is_lost) {
    make_stream("s");
    auto consumer = make_consumer("s");
    asio::io_context context;
    const auto work = asio::make_work_guard(context);
    asio::cancellation_signal stop;
    std::exception_ptr failure;
    const auto heard = [&](const std::exception_ptr& how, const std::optional<received_transaction>& found) {
        failure = how;
        EXPECT_FALSE(found.has_value());
        context.stop();
    };
    async_next(consumer, 1h, asio::bind_executor(context, asio::bind_cancellation_slot(stop.slot(), heard)));
    context.run_for(50ms);
    EXPECT_FALSE(context.stopped()) << "it waits";
    stop.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(20s);
    EXPECT_EQ(code_in(failure), errc::cancelled);
    store.make_producer("s").send("not lost");
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"not lost"});
    stop.emit(asio::cancellation_type::terminal);  // too late for anything
}

TEST_P(twins, cancelling_before_during_and_after_never_loses_a_transaction) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    auto consumer = make_consumer("s");
    asio::io_context context;
    constexpr int rounds = 300;
    std::thread writer([&] {
        for (int i = 0; i < rounds; ++i) producer.send(std::to_string(i));
    });
    std::vector<int> got;
    while (got.size() < rounds) {
        asio::cancellation_signal stop;
        bool heard = false;
        const auto handler = [&](const std::exception_ptr& failure, const std::optional<received_transaction>& found) {
            heard = true;
            if (failure) {
                EXPECT_EQ(code_in(failure), errc::cancelled);
            } else if (found) {
                for (const std::string& one : items_of(*found)) got.push_back(std::stoi(one));
            }
        };
        async_next(consumer, 10s, asio::bind_executor(context, asio::bind_cancellation_slot(stop.slot(), handler)));
        context.restart();
        context.run_for(std::chrono::microseconds(got.size() % 7 * 20));
        if (!heard) stop.emit(asio::cancellation_type::total);
        context.restart();
        context.run_for(20s);
        ASSERT_TRUE(heard);
    }
    writer.join();
    std::sort(got.begin(), got.end());
    for (int i = 0; i < rounds; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

asio::awaitable<void> next_or_time(consumer& from, bool& timed_out) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, 100ms);
    auto reading = async_next(from, 1h, asio::use_awaitable);
    auto waiting = timer.async_wait(asio::use_awaitable);
    const auto first = co_await (std::move(reading) || std::move(waiting));
    timed_out = first.index() == 1;
}

TEST_P(twins, a_coroutine_waits_for_a_transaction_or_for_something_else) {
    make_stream("s");
    auto consumer = make_consumer("s");
    asio::io_context context;
    bool timed_out = false;
    std::exception_ptr failure;
    asio::co_spawn(context, next_or_time(consumer, timed_out), [&](const std::exception_ptr& how) { failure = how; });
    context.run_for(20s);
    EXPECT_FALSE(failure);
    EXPECT_TRUE(timed_out);
}

TEST_P(twins, items_are_read_a_frame_at_a_time) {
    make_stream("s");
    auto txn = store.make_producer("s").begin();
    const std::string large(300'000, 'x');
    for (int i = 0; i < 30; ++i) txn.put(std::to_string(i) + large);
    txn.checkpoint();
    const auto received = store.get("s", 0, txn.id());
    item_reader reader(received);
    int items = 0;
    int frames = 0;
    for (;;) {
        const std::vector<item> some = async_next_items(reader, asio::use_future).get();
        if (some.empty()) break;
        ++frames;
        for (const item& one : some) EXPECT_TRUE(one.text() == std::to_string(items++) + large);
    }
    EXPECT_EQ(items, 30);
    EXPECT_GT(frames, 5);
    EXPECT_TRUE(async_next_items(reader, asio::use_future).get().empty());
    item_reader empty;
    EXPECT_CODE(errc::invalid_state, async_next_items(empty, asio::use_future));
}

TEST_P(twins, of_what_waits_for_threads) {
    make_stream("s");
    const auto id = store.make_producer("s").send("one");
    EXPECT_TRUE(async_stream_exists(store, "s", asio::use_future).get());
    EXPECT_EQ(async_stream(store, "s", asio::use_future).get().name, "s");
    EXPECT_CODE(errc::stream_not_found, async_stream(store, "t", asio::use_future).get());
    EXPECT_EQ(async_state(store, "s", 0, id, asio::use_future).get(), transaction_state::checkpointed);
    EXPECT_FALSE(async_retention(store, asio::use_future).get().holding);
    EXPECT_FALSE(async_accept_clock(store, asio::use_future).get().holding);
    std::atomic<int> calls = 0;
    subscriber_options options;
    options.name = "n";
    auto subscriber = async_make_subscriber(
                          store, "s", options, [&](received_transaction&, delivery&) { ++calls; }, asio::use_future)
                          .get();
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    async_checkpoint(subscriber, asio::use_future).get();
    EXPECT_EQ(store.offsets("s", "n").front().position, id);
    EXPECT_TRUE(async_blocked_by(subscriber, asio::use_future).get().empty());
    async_stop(subscriber, asio::use_future).get();
    EXPECT_FALSE(subscriber.running());
    async_close(store, asio::use_future).get();
    EXPECT_CODE(errc::shutting_down, store.stream("s"));
    if (!durable() || is_served()) {
        EXPECT_CODE(errc::unsupported, async_verify(uri(), {}, asio::use_future).get());
        return;
    }
    EXPECT_TRUE(async_verify(uri(), {}, asio::use_future).get().problems.empty());
    client again = async_open(uri(), client_options(), asio::use_future).get();
    EXPECT_TRUE(again.stream_exists("s"));
    EXPECT_CODE(errc::locked, async_open(uri(), client_options(), asio::use_future).get());
}

TEST_P(twins, a_watcher) {
    make_stream("s");
    std::atomic<int> events = 0;
    const auto count = [&](const transaction_event&) { ++events; };
    auto watcher = async_watch(store, "s", {}, count, asio::use_future).get();
    store.make_producer("s").send("x");
    EXPECT_TRUE(eventually([&] { return events == 2; }));
    async_stop(watcher, asio::use_future).get();
    EXPECT_FALSE(watcher.running());
    EXPECT_CODE(errc::stream_not_found, async_watch(store, "t", {}, count, asio::use_future).get());
}

TEST_P(twins, the_last_handle_may_go_in_the_handler_of_a_close) {
    auto mine = std::make_unique<client>(client::open("memory:"));
    std::promise<void> over;
    async_close(*mine, [&](const std::exception_ptr& failure) {
        EXPECT_FALSE(failure);
        mine.reset();
        over.set_value();
    });
    over.get_future().get();
}

}  // namespace
}  // namespace tstreams::api_test
