// Clients of a tstreamsd that is killed, restarted, or stopped; and clients that die.
#include "tests/api/api_test.hpp"

#include <tstreams/async.hpp>

#include <sys/wait.h>
#include <atomic>
#include <future>
#include <map>
#include <set>

namespace tstreams::api_test {
namespace {

class sessions : public testing::Test {
protected:
    sessions() : daemon(directory.path()) {}
    [[nodiscard]] std::string uri() const { return "ipc://" + directory.path() + "/socket"; }
    [[nodiscard]] client open(client_options options = {}) const { return client::open(uri(), std::move(options)); }
    static std::multiset<std::string> all_items(client& store, const std::string& stream) {
        std::multiset<std::string> found;
        auto reader = store.make_consumer(stream);
        for (std::string& one : drain(reader)) found.insert(std::move(one));
        return found;
    }
    temporary_directory directory;
    served::daemon daemon;
};

// g++ 12 takes what asio::use_future makes for uninitialised here, when it inlines it with sanitizers on.
std::future<transaction_id> send_later(producer& to, std::string item) {
    std::promise<transaction_id> promised;
    std::future<transaction_id> answer = promised.get_future();
    std::vector<std::string> items(1, std::move(item));
    async_send(to, std::move(items),
               [promised = std::move(promised)](const std::exception_ptr& failure, transaction_id id) mutable {
                   if (failure)
                       promised.set_exception(failure);
                   else
                       promised.set_value(id);
               });
    return answer;
}

TEST_F(sessions, nobody_serves_there) {
    daemon.end(SIGTERM);
    client_options options;
    options.request_timeout = 200ms;
    EXPECT_CODE(errc::unavailable, open(options));
}

TEST_F(sessions, a_stop_is_clean_and_what_was_acknowledged_is_there) {
    client store = open();
    store.create_stream({.name = "s"});
    store.make_producer("s").send("one");
    const int status = daemon.end(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << daemon.output();
    client direct = client::open("file:" + directory.path() + "/store");
    EXPECT_EQ(all_items(direct, "s"), std::multiset<std::string>{"one"});
}

TEST_F(sessions, after_a_restart_clients_go_on_and_open_transactions_are_reported) {
    client store = open();
    store.create_stream({.name = "s", .durability = durability::process()});
    auto producer = store.make_producer("s");
    auto consumer = store.make_consumer("s", {.name = "c", .start = oldest});
    producer.send("before");
    auto open_one = producer.begin();
    open_one.put("lost");
    auto open_large = producer.begin();
    open_large.put(std::string(3 << 20, 'x'));
    EXPECT_EQ(items_of(*consumer.next(5s)), std::vector<std::string>{"before"});
    consumer.checkpoint();
    daemon.restart();
    EXPECT_CODE(errc::transaction_unknown, open_one.checkpoint());
    EXPECT_CODE(errc::transaction_unknown, open_large.checkpoint());
    producer.send("after");
    EXPECT_EQ(items_of(*consumer.next(10s)), std::vector<std::string>{"after"});
    consumer.checkpoint();
    EXPECT_FALSE(consumer.next(0ms).has_value());
}

TEST_F(sessions, a_subscriber_goes_on_over_restarts_without_gap_or_repeat) {
    client store = open();
    store.create_stream({.name = "s", .partitions = 3, .durability = durability::process()});
    auto producer = store.make_producer("s");
    std::mutex guard;
    std::vector<int> got;
    subscriber_options options;
    options.name = "n";
    options.start = oldest;
    auto subscriber = store.make_subscriber("s", options, [&](received_transaction& received, delivery&) {
        const std::lock_guard lock(guard);
        for (const item& one : received) got.push_back(std::stoi(std::string(one.text())));
    });
    int sent = 0;
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 50; ++i) producer.send(std::to_string(sent++));
        daemon.restart(round % 2 == 0 ? SIGKILL : SIGTERM);
    }
    for (int i = 0; i < 50; ++i) producer.send(std::to_string(sent++));
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard lock(guard);
        return got.size() >= static_cast<std::size_t>(sent);
    }));
    subscriber.stop();
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got.size(), static_cast<std::size_t>(sent));
    for (int i = 0; i < sent; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

// The same numbers asked over the next connection, and the same request ids at the next server.
TEST_F(sessions, many_checkpoints_in_flight_over_kills_are_done_once) {
    client store = open();
    store.create_stream({.name = "s", .partitions = 8, .durability = durability::process()});
    auto producer = store.make_producer("s");
    constexpr int rounds = 3;
    constexpr int in_flight = 2000;
    std::multiset<std::string> acknowledged;
    int unknown = 0;
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::pair<std::string, std::future<transaction_id>>> sent;
        for (int i = 0; i < in_flight; ++i) {
            std::string item = std::to_string(round) + "-" + std::to_string(i);
            std::future<transaction_id> answer = send_later(producer, item);
            sent.emplace_back(std::move(item), std::move(answer));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5 + 10 * round));
        daemon.restart();
        for (auto& [item, answer] : sent) {
            try {
                answer.get();
                acknowledged.insert(item);
            } catch (const error& failure) {
                EXPECT_EQ(name(failure.outcome()), name(outcome::unknown)) << failure.what();
                ++unknown;
            }
        }
    }
    const std::multiset<std::string> stored = all_items(store, "s");
    EXPECT_EQ(std::set<std::string>(stored.begin(), stored.end()).size(), stored.size()) << "something is there twice";
    for (const std::string& one : acknowledged) EXPECT_TRUE(stored.contains(one)) << one << " was lost";
    EXPECT_EQ(unknown, 0);
    EXPECT_EQ(stored.size(), static_cast<std::size_t>(rounds * in_flight));
}

TEST_F(sessions, a_client_that_dies_has_its_open_transactions_cancelled) {
    client store = open();
    store.create_stream({.name = "s"});
    const pid_t other = ::fork();
    if (other == 0) {
        client_options options;
        options.session_timeout = 1s;
        client mine = open(options);
        auto producer = mine.make_producer("s");
        auto left_open = producer.begin();
        left_open.put("never");
        ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(other, nullptr, 0);
    auto consumer = store.make_consumer("s");
    store.make_producer("s").send("behind");
    EXPECT_EQ(items_of(*consumer.next(10s)), std::vector<std::string>{"behind"});
}

TEST_F(sessions, a_client_that_is_silent_keeps_its_session_as_long_as_it_is_connected) {
    client_options options;
    options.session_timeout = 1s;
    client store = open(options);
    store.create_stream({.name = "s"});
    auto open_one = store.make_producer("s").begin();
    open_one.put("kept");
    std::this_thread::sleep_for(2500ms);
    open_one.checkpoint();
    EXPECT_EQ(all_items(store, "s"), std::multiset<std::string>{"kept"});
}

TEST_F(sessions, a_server_that_stands_still_is_waited_for_and_nothing_happens_twice) {
    client_options options;
    options.request_timeout = 1s;
    client store = open(options);
    store.create_stream({.name = "s"});
    auto producer = store.make_producer("s");
    ::kill(daemon.process(), SIGSTOP);
    try {
        producer.send("perhaps");
        ADD_FAILURE() << "an answer from nobody";
    } catch (const error& failure) {
        EXPECT_EQ(name(failure.code()), name(errc::outcome_unknown));
        EXPECT_EQ(name(failure.outcome()), name(outcome::unknown));
    }
    ::kill(daemon.process(), SIGCONT);
    EXPECT_TRUE(eventually([&] { return all_items(store, "s").size() == 1; }));
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(all_items(store, "s").size(), 1U);
}

// Each reader learns by itself that the session is over; the new one is begun once.
TEST_F(sessions, what_is_opened_right_after_a_restart_is_not_lost) {
    client store = open();
    std::vector<std::thread> readers;
    std::atomic<bool> stop = false;
    for (int i = 0; i < 4; ++i) {
        const std::string name = "read" + std::to_string(i);
        store.create_stream({.name = name});
        readers.emplace_back([&store, &stop, name] {
            auto consumer = store.make_consumer(name);
            while (!stop) {
                try {
                    EXPECT_FALSE(consumer.next(50ms).has_value());
                } catch (const error& failure) {
                    EXPECT_EQ(tstreams::name(failure.code()), tstreams::name(errc::unavailable)) << failure.what();
                }
            }
        });
    }
    store.create_stream({.name = "s", .durability = durability::process()});
    auto producer = store.make_producer("s");
    constexpr int rounds = 5;
    for (int round = 0; round < rounds; ++round) {
        std::this_thread::sleep_for(60ms);
        daemon.restart();
        auto opened = producer.begin();
        opened.put("x");
        std::this_thread::sleep_for(300ms);
        opened.checkpoint();
    }
    stop = true;
    for (std::thread& one : readers) one.join();
    EXPECT_EQ(all_items(store, "s").size(), static_cast<std::size_t>(rounds));
}

TEST_F(sessions, no_answer_is_not_taken_for_nothing_to_read) {
    client store = open();
    store.create_stream({.name = "s"});
    auto consumer = store.make_consumer("s");
    EXPECT_FALSE(consumer.next(10ms).has_value());
    store.make_producer("s").send("one");
    EXPECT_TRUE(consumer.next(5s).has_value());
    ::kill(daemon.process(), SIGSTOP);
    EXPECT_CODE(errc::unavailable, consumer.next(10ms));
    ::kill(daemon.process(), SIGCONT);
    store.make_producer("s").send("two");
    EXPECT_EQ(items_of(*consumer.next(5s)), std::vector<std::string>{"two"});
}

TEST_F(sessions, what_was_opened_and_never_heard_of_holds_nobody_back) {
    client_options options;
    options.request_timeout = 500ms;
    client store = open(options);
    store.create_stream({.name = "s"});
    auto producer = store.make_producer("s");
    ::kill(daemon.process(), SIGSTOP);
    EXPECT_CODE(errc::outcome_unknown, producer.begin());
    ::kill(daemon.process(), SIGCONT);
    producer.send("behind");
    auto consumer = store.make_consumer("s");
    EXPECT_EQ(items_of(*consumer.next(10s)), std::vector<std::string>{"behind"});
}

}  // namespace
}  // namespace tstreams::api_test
