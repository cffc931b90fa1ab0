// Callbacks: order, no gap and no repeat, threads, stopping, failures, groups.
#include "tests/api/api_test.hpp"

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>

namespace tstreams::api_test {

class subscribing : public api {
protected:
    // What callbacks have seen; any thread.
    struct record {
        std::mutex mutex;
        std::vector<std::string> items;
        std::map<partition_number, std::vector<transaction_id>> ids;
        void note(const received_transaction& received) {
            const std::lock_guard lock(mutex);
            for (std::string& one : items_of(received)) items.push_back(std::move(one));
            ids[received.partition()].push_back(received.id());
        }
        std::size_t size() {
            const std::lock_guard lock(mutex);
            return items.size();
        }
    };
    subscriber subscribe(const std::string& stream, subscriber_callback callback, const std::string& name = "sub") {
        subscriber_options options;
        options.name = name;
        return store.make_subscriber(stream, options, std::move(callback));
    }
};
TSTREAMS_API_TESTS(subscribing);

static transaction_id position_of(const subscriber& of, partition_number partition) {
    return of.positions().at(partition).after;
}

TEST_P(subscribing, from_stored_to_live_without_gap_or_repeat) {
    make_stream("s", 3);
    auto producer = store.make_producer("s");
    std::atomic<bool> stop = false;
    std::atomic<int> sent = 0;
    for (; sent < 200; ++sent) producer.send(std::to_string(sent));
    std::thread writer([&] {
        while (!stop && sent < 20'000) {
            producer.send(std::to_string(sent));
            ++sent;
        }
    });
    record seen;
    subscriber_options options;
    options.name = "sub";
    options.threads = 3;
    options.buffer_transactions = 16;
    auto subscriber =
        store.make_subscriber("s", options, [&](received_transaction& received, delivery&) { seen.note(received); });
    EXPECT_TRUE(eventually([&] { return seen.size() > 1'000; }));
    stop = true;
    writer.join();
    EXPECT_TRUE(eventually([&] { return seen.size() == static_cast<std::size_t>(sent); }));
    subscriber.stop();
    const std::set<std::string> unique(seen.items.begin(), seen.items.end());
    EXPECT_EQ(unique.size(), static_cast<std::size_t>(sent));
    for (const auto& [partition, ids] : seen.ids) EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << partition;
}

TEST_P(subscribing, one_callback_at_a_time_in_a_partition_and_partitions_in_parallel) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    for (int i = 0; i < 20; ++i) producer.send(std::to_string(i));
    std::array<std::atomic<int>, 2> inside{};
    std::atomic<int> together = 0;
    std::atomic<int> done = 0;
    subscriber_options options;
    options.threads = 2;
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction& received, delivery&) {
        EXPECT_EQ(++inside[received.partition()], 1);
        // The first callback of each partition waits for that of the other one.
        if (done < 2 && eventually([&] { return (inside[0] == 1 && inside[1] == 1) || together > 0; })) ++together;
        --inside[received.partition()];
        ++done;
    });
    EXPECT_TRUE(eventually([&] { return done == 20; }));
    EXPECT_GE(together, 1);
}

TEST_P(subscribing, checkpoints_inside_store_the_transaction) {
    make_stream("s");
    auto producer = store.make_producer("s");
    for (int i = 0; i < 10; ++i) producer.send(std::to_string(i));
    record seen;
    {
        auto subscriber = subscribe("s", [&](received_transaction& received, delivery& now) {
            seen.note(received);
            now.checkpoint();
            if (seen.size() == 4) now.stop_partition();
        });
        EXPECT_TRUE(eventually([&] { return !subscriber.running(); }));
        EXPECT_EQ(seen.size(), 4U);
        EXPECT_EQ(position_of(subscriber, 0), seen.ids[0].back());
    }
    if (durable()) reopen();
    record rest;
    auto subscriber = subscribe("s", [&](received_transaction& received, delivery&) { rest.note(received); });
    EXPECT_TRUE(eventually([&] { return rest.size() == 6; }));
    EXPECT_EQ(rest.items.front(), "4");
}

TEST_P(subscribing, a_checkpoint_from_outside_waits_for_callbacks) {
    make_stream("s");
    auto producer = store.make_producer("s");
    const transaction_id first = producer.send("first");
    std::promise<void> entered;
    std::promise<void> leave;
    auto subscriber = subscribe("s", [&](received_transaction& received, delivery&) {
        if (received.id() != first) return;
        entered.set_value();
        leave.get_future().wait();
    });
    entered.get_future().wait();
    std::atomic<bool> stored = false;
    std::thread outside([&] {
        subscriber.checkpoint();
        stored = true;
    });
    std::this_thread::sleep_for(30ms);
    EXPECT_FALSE(stored);
    leave.set_value();
    outside.join();
    EXPECT_EQ(store.offsets("s", "sub").at(0).position, first);
    producer.send("second");
    EXPECT_TRUE(eventually([&] { return position_of(subscriber, 0) > first; }));
}

TEST_P(subscribing, a_checkpoint_of_the_subscriber_inside_its_callback_is_refused) {
    make_stream("s");
    store.make_producer("s").send("x");
    std::promise<errc> code;
    subscriber handle;
    std::promise<void> made;
    auto ready = made.get_future().share();
    handle = subscribe("s", [&](received_transaction&, delivery&) {
        ready.wait();
        code.set_value(code_of([&] { handle.checkpoint(); }));
    });
    made.set_value();
    EXPECT_EQ(name(code.get_future().get()), name(errc::invalid_state));
}

TEST_P(subscribing, stop_is_clean_from_outside_and_from_inside) {
    make_stream("s", 4);
    auto producer = store.make_producer("s");
    for (int i = 0; i < 100; ++i) producer.send(std::to_string(i));
    std::atomic<int> inside = 0;
    std::atomic<int> calls = 0;
    subscriber_options options;
    options.threads = 4;
    auto outside = store.make_subscriber("s", options, [&](received_transaction&, delivery&) {
        ++inside;
        ++calls;
        std::this_thread::yield();
        --inside;
    });
    EXPECT_TRUE(eventually([&] { return calls > 5; }));
    outside.stop();
    EXPECT_EQ(inside, 0);
    const int at_stop = calls;
    EXPECT_FALSE(outside.running());
    outside.stop();
    producer.send("after");
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(calls, at_stop);

    std::atomic<int> own_calls = 0;
    std::promise<void> made;
    auto ready = made.get_future().share();
    subscriber handle;
    handle = subscribe("s", [&](received_transaction&, delivery&) {
        ready.wait();
        handle.stop();
        ++own_calls;
    });
    made.set_value();
    EXPECT_TRUE(eventually([&] { return own_calls == 1; }));
    handle.stop();
    EXPECT_EQ(own_calls, 1);
}

TEST_P(subscribing, a_subscriber_may_destroy_itself_in_a_callback) {
    make_stream("s");
    store.make_producer("s").send("x");
    auto handle = std::make_shared<subscriber>();
    std::promise<void> made;
    std::promise<void> gone;
    auto ready = made.get_future().share();
    *handle = subscribe("s", [handle, ready, &gone](received_transaction&, delivery&) {
        ready.wait();
        *handle = subscriber();
        gone.set_value();
    });
    made.set_value();
    gone.get_future().wait();
}

TEST_P(subscribing, a_throwing_callback_stops_its_partition_and_keeps_the_position) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    const transaction_id bad = producer.send(0, std::vector<std::string_view>{"bad"});
    producer.send(0, std::vector<std::string_view>{"never"});
    producer.send(1, std::vector<std::string_view>{"good"});
    record seen;
    std::atomic<int> reported = 0;
    subscriber_options options;
    options.name = "sub";
    options.on_error = [&](partition_number partition, std::exception_ptr failure) {
        EXPECT_EQ(partition, 0U);
        EXPECT_THROW(std::rethrow_exception(failure), std::runtime_error);
        ++reported;
        return false;
    };
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction& received, delivery&) {
        if (received.id() == bad) throw std::runtime_error("on purpose");
        seen.note(received);
    });
    EXPECT_TRUE(eventually([&] { return reported == 1 && seen.size() == 1; }));
    EXPECT_TRUE(subscriber.running());
    EXPECT_EQ(position_of(subscriber, 0), transaction_id());
    producer.send(1, std::vector<std::string_view>{"more"});
    EXPECT_TRUE(eventually([&] { return seen.size() == 2; }));
    subscriber.checkpoint();
    subscriber.stop();
    auto again = make_consumer("s", "sub", stored);
    EXPECT_EQ(drain(again), (std::vector<std::string>{"bad", "never"}));
}

TEST_P(subscribing, a_failed_callback_can_be_tried_again) {
    make_stream("s");
    auto producer = store.make_producer("s");
    producer.send("once more");
    producer.send("then on");
    std::atomic<int> tries = 0;
    record seen;
    subscriber_options options;
    options.on_error = [](partition_number, std::exception_ptr) { return true; };
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction& received, delivery&) {
        if (++tries == 1) throw std::runtime_error("on purpose");
        seen.note(received);
    });
    EXPECT_TRUE(eventually([&] { return seen.size() == 2; }));
    EXPECT_EQ(seen.items, (std::vector<std::string>{"once more", "then on"}));
    EXPECT_EQ(tries, 3);
}

TEST_P(subscribing, failures_of_reading_are_reported_per_partition) {
    make_stream("s", 2);
    std::mutex mutex;
    std::set<partition_number> stopped;
    subscriber_options options;
    options.on_error = [&](partition_number partition, std::exception_ptr failure) {
        EXPECT_CODE(errc::stream_deleted, std::rethrow_exception(failure));
        const std::lock_guard lock(mutex);
        stopped.insert(partition);
        return false;
    };
    auto subscriber = store.make_subscriber("s", options, [](received_transaction&, delivery&) {});
    store.delete_stream("s");
    EXPECT_TRUE(eventually([&] { return !subscriber.running(); }));
    EXPECT_EQ(stopped.size(), 2U);
}

TEST_P(subscribing, a_slow_partition_does_not_hold_up_the_others_and_memory_is_bounded) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    const std::string item(10'000, 'x');
    std::promise<void> release;
    auto released = release.get_future().share();
    std::atomic<int> fast = 0;
    std::atomic<int> slow = 0;
    subscriber_options options;
    options.threads = 2;
    options.buffer_transactions = 8;
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction& received, delivery&) {
        if (received.partition() == 0) {
            released.wait();
            ++slow;
        } else {
            ++fast;
        }
    });
    for (int i = 0; i < 100; ++i) {
        producer.send(0, std::vector<std::string_view>{item});
        producer.send(1, std::vector<std::string_view>{item});
    }
    EXPECT_TRUE(eventually([&] { return fast == 100; }));
    EXPECT_EQ(slow, 0);
    release.set_value();
    EXPECT_TRUE(eventually([&] { return slow == 100; }));
}

TEST_P(subscribing, open_transactions_are_waited_for) {
    make_stream("s");
    auto producer = store.make_producer("s");
    auto open = producer.begin();
    open.put("first");
    producer.send("second");
    record seen;
    auto subscriber = subscribe("s", [&](received_transaction& received, delivery&) { seen.note(received); });
    EXPECT_TRUE(eventually([&] { return subscriber.blocked_by().size() == 1; }));
    EXPECT_EQ(seen.size(), 0U);
    open.checkpoint();
    EXPECT_TRUE(eventually([&] { return seen.size() == 2; }));
    EXPECT_EQ(seen.items.front(), "first");
}

TEST_P(subscribing, a_grouped_subscriber_runs_one_callback_at_a_time) {
    make_stream("in", 3);
    make_stream("out");
    auto out = store.make_producer("out");
    auto group = store.make_checkpoint_group();
    group.add(out);
    std::atomic<int> inside = 0;
    std::atomic<int> done = 0;
    subscriber_options options;
    options.name = "copy";
    options.threads = 3;
    auto subscriber = store.make_subscriber("in", options, [&](received_transaction& received, delivery& now) {
        EXPECT_EQ(++inside, 1);
        auto txn = out.begin();
        for (const item& one : received) txn.put(one.text());
        if (received.id().value() % 2 == 0) {
            now.checkpoint();
        } else {
            group.checkpoint();
        }
        EXPECT_FALSE(txn.is_open());
        EXPECT_EQ(store.offsets("in", "copy").at(received.partition()).position, received.id());
        --inside;
        ++done;
    });
    group.add(subscriber);
    EXPECT_TRUE(group.contains(subscriber));
    auto source = store.make_producer("in");
    for (int i = 0; i < 30; ++i) source.send(std::to_string(i));
    // From outside at the same time: between the callbacks.
    for (int i = 0; i < 20; ++i) {
        group.checkpoint();
        std::this_thread::yield();
    }
    EXPECT_TRUE(eventually([&] { return done == 30; }));
    EXPECT_CODE(errc::invalid_state, subscriber.checkpoint());
    auto check = make_consumer("out");
    EXPECT_EQ(drain(check).size(), 30U);
    group.remove(subscriber);
    subscriber.checkpoint();
}

TEST_P(subscribing, a_client_that_closes_ends_its_subscribers) {
    make_stream("s");
    store.make_producer("s").send("x");
    std::atomic<int> calls = 0;
    auto subscriber = subscribe("s", [&](received_transaction&, delivery&) { ++calls; });
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    store.close();
    EXPECT_FALSE(subscriber.running());
    subscriber.stop();
}

TEST_P(subscribing, a_partition_that_fills_the_buffer_does_not_stop_another) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    record seen;
    subscriber_options options;
    options.buffer_bytes = 8192;
    auto subscriber =
        store.make_subscriber("s", options, [&](received_transaction& received, delivery&) { seen.note(received); });
    const std::string large(12'000, 'x');
    producer.send(0, std::vector<std::string_view>{large});
    EXPECT_TRUE(eventually([&] { return seen.size() == 1; }));
    producer.send(1, std::vector<std::string_view>{"small"});
    EXPECT_TRUE(eventually([&] { return seen.size() == 2; }, 5s));
}

TEST_P(subscribing, what_was_read_ahead_is_given_back_at_the_end) {
    store.close();
    client_options tight;
    tight.memory_bytes_max = std::size_t{2} << 20;
    tight.session_timeout = 1s;
    store = open(tight);
    make_stream("s");
    auto producer = store.make_producer("s");
    const std::string large(12'000, 'x');
    for (int i = 0; i < 100; ++i) producer.send(large);
    for (int i = 0; i < 4; ++i) {
        std::atomic<bool> called = false;
        subscriber_options options;
        options.buffer_bytes = std::size_t{1} << 20;
        auto subscriber = store.make_subscriber("s", options, [&](received_transaction&, delivery&) {
            called = true;
            std::this_thread::sleep_for(5ms);
        });
        EXPECT_TRUE(eventually([&] { return called.load(); }));
    }
    auto txn = producer.begin();
    txn.put(std::string(1'000'000, 'y'));
    txn.checkpoint();
}

TEST_P(subscribing, options_are_checked) {
    make_stream("s");
    const auto nothing = [](received_transaction&, delivery&) {};
    EXPECT_CODE(errc::stream_not_found, subscribe("none", nothing));
    EXPECT_CODE(errc::invalid_argument, subscribe("s", {}));
    subscriber_options options;
    options.threads = 0;
    EXPECT_CODE(errc::invalid_argument, store.make_subscriber("s", options, nothing));
    options.threads = 65;
    EXPECT_CODE(errc::invalid_argument, store.make_subscriber("s", options, nothing));
    options.threads = 1;
    options.buffer_transactions = 0;
    EXPECT_CODE(errc::invalid_argument, store.make_subscriber("s", options, nothing));
    options.buffer_transactions = 1;
    options.name = "bad name";
    EXPECT_CODE(errc::invalid_name, store.make_subscriber("s", options, nothing));
    options.name = "s";
    options.start = stored;
    EXPECT_CODE(errc::offset_not_found, store.make_subscriber("s", options, nothing));
}

}  // namespace tstreams::api_test
