// Watchers: what happens is told in order, to those who want it; slow ones are told what they lost; how they end.
#include "tests/api/api_test.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace tstreams::api_test {

using strings = std::vector<std::string>;

namespace {

std::string told(event_kind kind, const transaction& of) {
    return "s " + std::to_string(of.partition()) + " " + std::string(name(kind)) + " " +
           std::to_string(of.id().value());
}

std::string shown(const transaction_event& event) {
    if (event.kind == event_kind::lost) return event.stream + " lost";
    std::string text = event.stream + " " + std::to_string(event.partition) + " " + std::string(name(event.kind)) +
                       " " + std::to_string(event.id.value());
    if (event.items != 0) text += " " + std::to_string(event.items) + " " + std::to_string(event.bytes);
    return text;
}

}  // namespace

class watching : public api {
protected:
    // What callbacks have seen; any thread.
    struct record {
        std::mutex mutex;
        std::condition_variable changed;
        strings events;
        std::uint64_t lost = 0;
        void note(const transaction_event& event) {
            const std::lock_guard lock(mutex);
            events.push_back(shown(event));
            lost += event.lost;
            changed.notify_all();
        }
        strings first(std::size_t count) {
            std::unique_lock lock(mutex);
            changed.wait_for(lock, 20s, [&] { return events.size() >= count; });
            return events;
        }
    };
    watcher watch(record& into, watch_options options = {}) {
        return store.watch("s", std::move(options), [&into](const transaction_event& event) { into.note(event); });
    }
};
TSTREAMS_API_TESTS(watching);

TEST_P(watching, tells_of_what_happens_from_then_on) {
    make_stream("s", 2);
    make_stream("other");
    auto producer = store.make_producer("s");
    producer.send("before");
    record seen;
    auto watcher = watch(seen);
    EXPECT_EQ(watcher.stream().name, "s");
    EXPECT_TRUE(watcher.running());
    auto kept = producer.begin(1);
    auto dropped = producer.begin(0);
    store.make_producer("other").send("x");
    kept.put("abc");
    kept.put("de");
    const std::string first = told(event_kind::opened, kept), second = told(event_kind::opened, dropped),
                      third = told(event_kind::checkpointed, kept) + " 2 5",
                      fourth = told(event_kind::cancelled, dropped);
    kept.checkpoint();
    dropped.cancel();
    EXPECT_EQ(seen.first(4), (strings{first, second, third, fourth}));
    auto aborted = producer.begin(0);
    store.abort("s", 0, aborted.id());
    EXPECT_EQ(seen.first(6).back(), told(event_kind::expired, aborted));
    watcher.stop();
    EXPECT_FALSE(watcher.running());
    producer.send("after");
    EXPECT_EQ(seen.first(0).size(), 6u);
}

TEST_P(watching, tells_of_a_transaction_of_any_size_and_of_groups) {
    make_stream("s", 2);
    auto producer = store.make_producer("s");
    auto other = store.make_producer("s");
    record seen;
    watch_options options;
    options.kinds = {event_kind::checkpointed};
    auto watcher = watch(seen, options);
    auto large = producer.begin(0);
    for (int i = 0; i < 5; ++i) large.put(std::string(700'000, 'x'));
    const std::string wanted = told(event_kind::checkpointed, large) + " 5 3500000";
    large.checkpoint();
    EXPECT_EQ(seen.first(1), strings{wanted});
    auto group = store.make_checkpoint_group();
    group.add(producer);
    group.add(other);
    auto one = producer.begin(0), two = other.begin(1);
    one.put("a");
    two.put("bc");
    const strings both{wanted, told(event_kind::checkpointed, one) + " 1 1",
                       told(event_kind::checkpointed, two) + " 1 2"};
    group.checkpoint();
    EXPECT_EQ(seen.first(3), both);
}

TEST_P(watching, tells_the_partitions_and_kinds_that_are_wanted) {
    make_stream("s", 3);
    auto producer = store.make_producer("s");
    record seen;
    watch_options options;
    options.partitions = {2};
    options.kinds = {event_kind::opened, event_kind::cancelled};
    auto watcher = watch(seen, options);
    auto first = producer.begin(1), second = producer.begin(2);
    const strings wanted{told(event_kind::opened, second), told(event_kind::cancelled, second)};
    first.cancel();
    second.put("x");
    auto third = producer.begin(2);
    const std::string last = told(event_kind::opened, third);
    second.cancel();
    third.put("x");
    third.checkpoint();
    auto fourth = producer.begin(2);
    EXPECT_EQ(seen.first(4), (strings{wanted[0], last, wanted[1], told(event_kind::opened, fourth)}));
}

TEST_P(watching, options_are_checked) {
    make_stream("s", 2);
    const auto nothing = [](const transaction_event&) {};
    EXPECT_CODE(errc::stream_not_found, store.watch("t", {}, nothing));
    EXPECT_CODE(errc::invalid_argument, store.watch("s", {}, nullptr));
    EXPECT_CODE(errc::invalid_argument, store.watch("s", {.buffer_events = 0}, nothing));
    EXPECT_CODE(errc::invalid_argument, store.watch("s", {.buffer_events = 8193}, nothing));
    EXPECT_CODE(errc::partition_not_found, store.watch("s", {.partitions = {2}}, nothing));
    EXPECT_CODE(errc::invalid_argument, store.watch("s", {.kinds = {static_cast<event_kind>(9)}}, nothing));
    EXPECT_CODE(errc::invalid_argument, store.watch("s", {.kinds = {event_kind::lost}}, nothing));
    watcher empty;
    EXPECT_FALSE(empty.running());
    empty.stop();
    EXPECT_CODE(errc::invalid_state, empty.stream());
}

// It stands still in its first callback, while thousands of events come; nothing waits for it.
TEST_P(watching, a_slow_one_is_told_how_many_it_lost) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<bool> go = false;
    record seen;
    watch_options options;
    options.buffer_events = 64;
    options.kinds = {event_kind::checkpointed};
    auto watcher = store.watch("s", options, [&](const transaction_event& event) {
        go.wait(false);
        seen.note(event);
    });
    constexpr std::size_t transactions = 6000;  // more than all that stands between the store and the callback
    transaction_id last;
    for (std::size_t i = 0; i < transactions; ++i) last = producer.send("x");
    go = true;
    go.notify_all();
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard lock(seen.mutex);
        return !seen.events.empty() && seen.events.back().find(std::to_string(last.value())) != std::string::npos;
    }));
    const std::lock_guard lock(seen.mutex);
    const auto lost_events = static_cast<std::size_t>(std::count(seen.events.begin(), seen.events.end(), "s lost"));
    EXPECT_GT(lost_events, 0u);
    EXPECT_EQ(seen.events.size() - lost_events + seen.lost, transactions) << "each is told, or counted";
    EXPECT_GT(seen.lost, transactions / 3);
}

TEST_P(watching, a_callback_that_throws_ends_it_or_is_called_again) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<int> calls = 0, errors = 0;
    watch_options options;
    options.on_error = [&](std::exception_ptr) { return ++errors == 1; };
    strings texts;
    auto watcher = store.watch("s", options, [&](const transaction_event& event) {
        texts.push_back(shown(event));
        if (++calls != 2) throw std::runtime_error("not this one");
    });
    producer.send("x");
    EXPECT_TRUE(eventually([&] { return !watcher.running(); }));
    watcher.stop();
    EXPECT_EQ(calls, 3);
    EXPECT_EQ(errors, 2);
    ASSERT_EQ(texts.size(), 3u);
    EXPECT_EQ(texts[0], texts[1]) << "the same event again";
    EXPECT_NE(texts[1], texts[2]);
}

TEST_P(watching, ends_when_its_stream_is_deleted) {
    make_stream("s");
    auto producer = store.make_producer("s");
    record seen;
    std::mutex mutex;
    std::vector<errc> codes;
    watch_options options;
    options.on_error = [&](std::exception_ptr failure) {
        const std::lock_guard lock(mutex);
        codes.push_back(code_of([&] { std::rethrow_exception(failure); }));
        return codes.size() < 2;  // once more: it is still deleted
    };
    auto watcher = watch(seen, options);
    auto open = producer.begin();
    const strings wanted{told(event_kind::opened, open), told(event_kind::expired, open)};
    store.delete_stream("s");
    EXPECT_EQ(seen.first(2), wanted);
    EXPECT_TRUE(eventually([&] { return !watcher.running(); }));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(codes, (std::vector{errc::stream_deleted, errc::stream_deleted}));
}

TEST_P(watching, stops_from_inside_and_moves) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<int> calls = 0;
    std::mutex mutex;
    watcher inner;
    {
        const std::lock_guard lock(mutex);
        inner = store.watch("s", {}, [&](const transaction_event&) {
            const std::lock_guard held(mutex);
            ++calls;
            inner.stop();
        });
    }
    producer.send("x");
    EXPECT_TRUE(eventually([&] { return !inner.running(); }));
    watcher moved = std::move(inner);
    moved.stop();
    EXPECT_EQ(calls, 1);
    record seen;
    moved = watch(seen);
    producer.send("y");
    EXPECT_EQ(seen.first(2).size(), 2u);
    moved = watcher();  // stops the other
    producer.send("z");
    EXPECT_EQ(seen.first(0).size(), 2u);
}

// A callback may use the client, also to write what is watched.
TEST_P(watching, a_callback_may_call_the_client) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<int> left = 20;
    std::atomic<int> found = 0;
    watch_options options;
    options.kinds = {event_kind::checkpointed};
    auto watcher = store.watch("s", options, [&](const transaction_event& event) {
        found += store.state("s", 0, event.id) == transaction_state::checkpointed ? 1 : 0;
        if (left-- > 0) producer.send("next");
    });
    producer.send("first");
    EXPECT_TRUE(eventually([&] { return found == 21; })) << found;
}

TEST_P(watching, closing_the_client_ends_it) {
    make_stream("s");
    auto producer = store.make_producer("s");
    std::atomic<int> errors = 0;
    std::atomic<int> calls = 0;
    watch_options options;
    options.on_error = [&](std::exception_ptr) { return ++errors > 0; };
    auto idle = store.watch("s", options, [&](const transaction_event&) { ++calls; });
    auto busy = store.watch("s", options, [&](const transaction_event&) {
        if (++calls > 2) std::this_thread::sleep_for(20ms);
    });
    for (int i = 0; i < 50; ++i) producer.send("x");
    store.close();
    EXPECT_FALSE(idle.running());
    EXPECT_FALSE(busy.running());
    const int before = calls;
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(calls, before);
    EXPECT_EQ(errors, 0);
    EXPECT_CODE(errc::shutting_down, store.watch("s", {}, [](const transaction_event&) {}));
}

TEST_P(watching, outlives_the_handle_of_its_client) {
    make_stream("s");
    record seen;
    watcher alone;
    auto producer = store.make_producer("s");
    alone = watch(seen);
    store = client();
    producer.send("x");
    EXPECT_EQ(seen.first(2).size(), 2u);
    producer = {};
    alone.stop();
}

// Nothing that is still under way keeps the store from being closed here and now: it could not be opened again.
TEST_P(watching, the_store_is_closed_with_the_last_handle) {
    make_stream("s");
    if (GetParam() != std::string("served")) store.close();
    for (int round = 0; round < 30; ++round) {
        client again = open();
        if (!durable()) again.create_stream({.name = "s"});
        watcher first = again.watch("s", {}, [](const transaction_event&) {});
        watcher second = again.watch("s", {}, [](const transaction_event&) {});
        if (round % 2 == 0) second.stop();
    }
}

TEST_P(watching, many_at_once_from_many_threads) {
    make_stream("s", 4);
    constexpr int watchers = 16;
    constexpr int sends = 50;
    std::array<std::atomic<int>, watchers> counts{};
    std::vector<watcher> all;
    for (int i = 0; i < watchers; ++i)
        all.push_back(store.watch("s", {.kinds = {event_kind::checkpointed}},
                                  [&counts, i](const transaction_event&) { ++counts[static_cast<std::size_t>(i)]; }));
    std::vector<std::thread> writers;
    for (int i = 0; i < 3; ++i) {
        writers.emplace_back([this] {
            auto producer = store.make_producer("s");
            for (int k = 0; k < sends; ++k) producer.send("x");
        });
    }
    std::thread passing([this] {
        for (int k = 0; k < 30; ++k) store.watch("s", {}, [](const transaction_event&) {}).stop();
    });
    for (std::thread& one : writers) one.join();
    passing.join();
    EXPECT_TRUE(eventually(
        [&] { return std::all_of(counts.begin(), counts.end(), [](const auto& one) { return one == 3 * sends; }); }));
}

}  // namespace tstreams::api_test
