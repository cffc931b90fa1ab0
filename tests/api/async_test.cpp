// The asynchronous twins: every kind of token, many in flight, where handlers run.
#include "tests/api/api_test.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <tstreams/async.hpp>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>

namespace tstreams::api_test {

namespace asio = boost::asio;

class asynchronous : public api {};
TSTREAMS_API_TESTS(asynchronous);

TEST_P(asynchronous, futures) {
    stream_options options;
    options.name = "s";
    EXPECT_EQ(async_create_stream(store, options, asio::use_future).get().name, "s");
    EXPECT_TRUE(async_find_stream(store, "s", asio::use_future).get().has_value());
    auto producer = async_make_producer(store, "s", {}, asio::use_future).get();
    auto consumer = async_make_consumer(store, "s", {}, asio::use_future).get();
    auto txn = async_begin(producer, asio::use_future).get();
    async_put(txn, "one", asio::use_future).get();
    async_put(txn, std::string(std::size_t{2} << 20, 'x'), asio::use_future).get();
    async_checkpoint(txn, asio::use_future).get();
    const std::vector<std::string> items{"two", "three"};
    const transaction_id id = async_send(producer, items, asio::use_future).get();
    const auto first = async_next(consumer, 1s, asio::use_future).get();
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(items_of(*first).size(), 2U);
    const auto second = async_next(consumer, 0, 1s, asio::use_future).get();
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(second->id(), id);
    EXPECT_EQ(items_of(*second), items);
    EXPECT_FALSE(async_next(consumer, 1ms, asio::use_future).get().has_value());
    async_set_position(consumer, oldest, asio::use_future).get();
    EXPECT_TRUE(async_next(consumer, 1s, asio::use_future).get().has_value());
    EXPECT_TRUE(async_blocked_by(consumer, asio::use_future).get().empty());
    EXPECT_EQ(async_get(store, "s", 0, id, asio::use_future).get().size(), 2U);
    EXPECT_EQ(async_get_range(store, "s", 0, transaction_id(), id, 10, asio::use_future).get().size(), 2U);
    EXPECT_EQ(async_last(store, "s", 0, asio::use_future).get()->id(), id);
    EXPECT_EQ(async_scan(store, "s", 0, transaction_id(), id, {}, 10, asio::use_future).get().size(), 2U);
    EXPECT_EQ(async_list_streams(store, "", "", 10, asio::use_future).get().streams.size(), 1U);
    stream_changes changes;
    changes.description = "d";
    EXPECT_EQ(async_update_stream(store, "s", changes, asio::use_future).get().description, "d");
    async_delete_stream(store, "s", asio::use_future).get();
    EXPECT_FALSE(store.stream_exists("s"));
}

TEST_P(asynchronous, failures_are_heard) {
    make_stream("s");
    EXPECT_CODE(errc::stream_not_found, async_make_producer(store, "none", {}, asio::use_future).get());
    auto producer = store.make_producer("s");
    EXPECT_CODE(errc::partition_not_found, async_begin(producer, 9, asio::use_future).get());
    auto txn = producer.begin();
    async_cancel(txn, asio::use_future).get();
    EXPECT_CODE(errc::transaction_closed, async_put(txn, "x", asio::use_future).get());
    EXPECT_CODE(errc::transaction_closed, async_checkpoint(txn, asio::use_future).get());
    tstreams::producer empty;
    EXPECT_CODE(errc::invalid_state, async_begin(empty, asio::use_future).get());
    auto consumer = make_consumer("s");
    auto waiting = async_next(consumer, 1h, asio::use_future);
    store.close();
    EXPECT_CODE(errc::shutting_down, waiting.get());
    const std::vector<std::string> items{"x"};
    EXPECT_CODE(errc::shutting_down, async_send(producer, items, asio::use_future).get());
}

TEST_P(asynchronous, offsets_and_states) {
    make_stream("s");
    auto producer = store.make_producer("s");
    const transaction_id id = producer.send("x");
    const std::vector<partition_position> there{{0, id}};
    async_set_offset(store, "s", "c", there, false, asio::use_future).get();
    EXPECT_EQ(async_offsets(store, "s", "c", asio::use_future).get().at(0).position, id);
    async_delete_offset(store, "s", "c", false, asio::use_future).get();
    auto open = producer.begin();
    async_abort(store, "s", 0, open.id(), asio::use_future).get();
    EXPECT_EQ(async_commit_state(store, {1, 2}, asio::use_future).get(), transaction_state::gone);
    EXPECT_CODE(errc::invalid_argument, async_commit_state(store, {2, 2}, asio::use_future).get());
}

TEST_P(asynchronous, many_checkpoints_in_flight) {
    make_stream("s", 4);
    auto producer = store.make_producer("s");
    constexpr int count = 2'000;
    std::atomic<int> left = count;
    std::mutex mutex;
    std::set<transaction_id> ids;
    for (int i = 0; i < count; ++i) {
        const std::vector<std::string> items{std::to_string(i)};
        async_send(producer, items, [&](std::exception_ptr failure, transaction_id id) {
            EXPECT_FALSE(failure);
            {
                const std::lock_guard lock(mutex);
                ids.insert(id);
            }
            --left;
        });
    }
    EXPECT_TRUE(eventually([&] { return left == 0; }));
    auto consumer = make_consumer("s");
    EXPECT_EQ(drain(consumer).size(), static_cast<std::size_t>(count));
}

TEST_P(asynchronous, unbound_handlers_run_on_the_pool_and_may_block) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::promise<std::thread::id> where;
    const std::vector<std::string> items{"a"};
    async_send(producer, items, [&](std::exception_ptr, transaction_id) {
        producer.send("from the handler");
        where.set_value(std::this_thread::get_id());
    });
    EXPECT_NE(where.get_future().get(), std::this_thread::get_id());
    auto consumer = make_consumer("s");
    EXPECT_EQ(drain(consumer).size(), 2U);
}

TEST_P(asynchronous, handlers_run_beside_each_other_on_several_threads) {
    client_options options;
    options.handler_threads = 2;
    if (durable()) store.close();
    client two = open(options);
    two.create_stream({.name = "s"});
    auto producer = two.make_producer("s");
    std::promise<void> second_ran;
    std::promise<bool> first_saw;
    const std::vector<std::string> items{"x"};
    async_send(producer, items, [&](std::exception_ptr, transaction_id) {
        first_saw.set_value(second_ran.get_future().wait_for(20s) == std::future_status::ready);
    });
    async_send(producer, items, [&](std::exception_ptr, transaction_id) { second_ran.set_value(); });
    EXPECT_TRUE(first_saw.get_future().get());
}

TEST_P(asynchronous, bound_handlers_run_on_their_executor) {
    make_stream("s");
    auto producer = store.make_producer("s");
    asio::io_context context;
    bool heard = false;
    const std::vector<std::string> items{"x"};
    async_send(producer, items, asio::bind_executor(context, [&](std::exception_ptr failure, transaction_id) {
                   EXPECT_FALSE(failure);
                   EXPECT_TRUE(context.get_executor().running_in_this_thread());
                   heard = true;
               }));
    EXPECT_FALSE(heard);
    context.run();  // has work until the handler has run
    EXPECT_TRUE(heard);
}

asio::awaitable<void> copy_all(consumer& from, producer& to, checkpoint_group& group, int count) {
    for (int i = 0; i < count; ++i) {
        auto received = co_await async_next(from, 10s, asio::use_awaitable);
        EXPECT_TRUE(received.has_value());
        auto txn = co_await async_begin(to, asio::use_awaitable);
        for (const item& one : *received) {
            std::string copy(one.text());
            co_await async_put(txn, std::move(copy), asio::use_awaitable);
        }
        co_await async_checkpoint(group, asio::use_awaitable);
    }
}

TEST_P(asynchronous, coroutines) {
    make_stream("in");
    make_stream("out");
    auto source = store.make_producer("in");
    for (int i = 0; i < 20; ++i) source.send(std::to_string(i));
    auto from = make_consumer("in", "copy");
    auto to = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(from);
    group.add(to);
    asio::io_context context;
    asio::co_spawn(context, copy_all(from, to, group, 20), [](std::exception_ptr failure) { EXPECT_FALSE(failure); });
    context.run();
    auto check = make_consumer("out");
    EXPECT_EQ(drain(check).size(), 20U);
    EXPECT_EQ(store.commit_state(group.last_request()), transaction_state::checkpointed);
    async_cancel(group, asio::use_future).get();
}

TEST_P(asynchronous, deferred_and_lvalue_tokens) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto later = async_begin(producer, asio::deferred);
    EXPECT_TRUE(producer.open_transactions().empty());
    auto txn = std::move(later)(asio::use_future).get();
    EXPECT_EQ(producer.open_transactions().size(), 1U);
    async_checkpoint(producer, asio::use_future).get();
    EXPECT_FALSE(txn.is_open());
    std::atomic<int> calls = 0;
    const auto handler = [&calls, text = std::string("kept as it is")](std::exception_ptr, const transaction&) {
        EXPECT_EQ(text, "kept as it is");
        ++calls;
    };
    async_begin(producer, handler);
    async_begin(producer, handler);
    EXPECT_TRUE(eventually([&] { return calls == 2; }));
    EXPECT_TRUE(eventually([&] { return producer.open_transactions().empty(); }));
    async_begin(producer, asio::detached);
    EXPECT_TRUE(eventually([&] { return producer.open_transactions().empty(); }));
}

TEST_P(asynchronous, a_handle_may_go_away_as_soon_as_its_checkpoint_is_asked_for) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::vector<std::future<void>> ends;
    for (int i = 0; i < 50; ++i) {
        auto txn = producer.begin();
        txn.put(std::to_string(i));
        ends.push_back(i % 2 == 0 ? async_checkpoint(txn, asio::use_future)
                                  : async_checkpoint(producer, asio::use_future));
    }
    for (auto& one : ends) one.get();
    auto reader = make_consumer("s");
    EXPECT_EQ(drain(reader).size(), 50U);
}

TEST_P(asynchronous, a_client_may_close_from_a_handler) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::promise<void> closed;
    const std::vector<std::string> items{"x"};
    async_send(producer, items, [&](std::exception_ptr, transaction_id) {
        store.close();
        closed.set_value();
    });
    closed.get_future().get();
    EXPECT_CODE(errc::shutting_down, producer.begin());
}

TEST_P(asynchronous, the_last_handle_may_go_in_a_handler) {
    make_stream("s");
    std::promise<void> gone;
    {
        auto producer = std::make_shared<tstreams::producer>(store.make_producer("s"));
        const std::vector<std::string> items{"x"};
        async_send(*producer, items, [producer, &gone](std::exception_ptr, transaction_id) mutable {
            producer.reset();
            gone.set_value();
        });
        store = client();
    }
    gone.get_future().get();
    if (!durable()) return;
    EXPECT_TRUE(eventually([&] {
        try {
            store = open();
            return true;
        } catch (const error& failure) {
            EXPECT_EQ(name(failure.code()), name(errc::locked));
            return false;
        }
    }));
    EXPECT_TRUE(store.last("s", 0).has_value());
}

}  // namespace tstreams::api_test
