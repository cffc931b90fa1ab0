// Watchers of a tstreamsd: restarts, slow ones, clients that die, limits; and rights, also when they are taken away.
#include "tests/api/api_test.hpp"
#include "tests/served/secured.hpp"

#include <moebius/loop.hpp>
#include <moebius/requester.hpp>

#include <atomic>
#include <mutex>

namespace tstreams::served {
namespace {

using api_test::eventually;

// What callbacks have seen; any thread.
class record {
public:
    void note(const transaction_event& event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
    }
    std::vector<transaction_event> events() {
        const std::lock_guard lock(mutex_);
        return events_;
    }
    std::size_t count(event_kind kind) {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(
            std::count_if(events_.begin(), events_.end(), [&](const auto& one) { return one.kind == kind; }));
    }
    [[nodiscard]] watch_callback callback() {
        return [this](const transaction_event& event) { note(event); };
    }

private:
    std::mutex mutex_;
    std::vector<transaction_event> events_;
};

class watching : public testing::Test {
protected:
    watching() : daemon_(directory_.path()), store_(open()) {
        stream_options options;
        options.name = "s";
        options.durability = durability::process();
        store_.create_stream(options);
    }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + directory_.path() + "/socket"; }
    [[nodiscard]] client open(client_options options = {}) const { return client::open(endpoint(), options); }

    temporary_directory directory_;
    daemon daemon_;
    client store_;
};

TEST_F(watching, a_restart_is_told_as_lost_and_watching_goes_on) {
    record seen;
    auto watcher = store_.watch("s", {}, seen.callback());
    auto producer = store_.make_producer("s");
    producer.send("x");
    ASSERT_TRUE(eventually([&] { return seen.count(event_kind::checkpointed) == 1; }));
    std::size_t restarts = 0;
    for (const int signal : {SIGKILL, SIGTERM}) {
        auto open_one = producer.begin();
        ASSERT_TRUE(eventually([&] { return seen.events().back().id == open_one.id(); }));
        daemon_.restart(signal);
        ++restarts;
        ASSERT_TRUE(eventually([&] { return seen.count(event_kind::lost) == restarts; }));
        EXPECT_EQ(seen.events().back().kind, event_kind::lost);
        EXPECT_EQ(seen.events().back().lost, 0U) << "nobody knows how many";
        const transaction_id sent = producer.send("y");
        ASSERT_TRUE(eventually([&] { return seen.count(event_kind::checkpointed) == 1 + restarts; }));
        EXPECT_EQ(seen.events().back().id, sent);
    }
    watcher.stop();
    EXPECT_EQ(seen.count(event_kind::lost), restarts);
}

TEST_F(watching, a_server_that_stays_away_ends_it_with_unavailable) {
    client_options options;
    options.request_timeout = 500ms;
    client impatient = open(options);
    std::atomic<errc> code{};
    watch_options watch;
    watch.on_error = [&](std::exception_ptr failure) {
        code = code_of([&] { std::rethrow_exception(failure); });
        return false;
    };
    auto watcher = impatient.watch("s", watch, [](const transaction_event&) {});
    daemon_.end(SIGKILL);
    EXPECT_TRUE(eventually([&] { return !watcher.running(); }));
    EXPECT_EQ(code, errc::unavailable);
}

TEST_F(watching, stopping_and_closing_do_not_wait_for_a_server_that_is_away) {
    record seen;
    auto one = store_.watch("s", {}, seen.callback());
    auto other = store_.watch("s", {}, seen.callback());
    daemon_.end(SIGKILL);
    std::this_thread::sleep_for(200ms);
    const auto begun = std::chrono::steady_clock::now();
    one.stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 1s);
    store_.close();
    EXPECT_FALSE(other.running());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

// A raw client that grants eight messages of credit and reads none of them.
TEST_F(watching, one_that_never_reads_costs_bounded_memory_and_slows_nobody) {
    auto producer = store_.make_producer("s");
    const auto send = [&](int count) {
        for (int i = 0; i < count; ++i) producer.send("x");
    };
    send(7000);
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    moebius::loop loop;
    moebius::requester silent(loop, endpoint());
    wire::watch_call call;
    call.request.stream = store_.stream("s").id;
    call.request.buffer_events = core::buffer_events_max;
    const std::string bytes = by.encode(call);
    constexpr int watches = 60;
    std::vector<moebius::stream> unread;
    moebius::stream_window window;
    window.messages = 8;
    // The loop runs until all have begun, and then not any more.
    const auto begin_all = [](moebius::requester* over, const std::string* body, moebius::stream_window most,
                              std::vector<moebius::stream>* into) -> weave::task<void> {
        for (int i = 0; i < watches; ++i) {
            into->push_back(over->open(wire::watch_call::command, moebius::message(*body), {}, most));
            const std::optional<moebius::message> first = co_await into->back().next();
            if (!first) throw std::runtime_error("it did not begin");
            std::ignore = wire::decode_reply<core::event_batch>(first->text());
        }
    };
    loop.run(begin_all(&silent, &bytes, window, &unread));
    record seen;
    watch_options all_of_it;
    all_of_it.buffer_events = core::buffer_events_max;
    auto reading = store_.watch("s", all_of_it, seen.callback());
    send(6000);  // fills what they may keep
    const std::size_t before = memory_of(daemon_.process());
    send(30'000);  // nobody waits for those who do not read, or this would not end
    const std::size_t after = memory_of(daemon_.process());
    RecordProperty("grown_kib", std::to_string(after - before));
    // 60,000 events for each of 60: over 100 MB, if they were kept. What grows is RocksDB's.
    EXPECT_LT(after, before + 24 * 1024) << "from " << before << " KiB";
    EXPECT_TRUE(eventually([&] { return seen.count(event_kind::checkpointed) > 0; }));
    reading.stop();
    const auto begun = std::chrono::steady_clock::now();
    const int status = daemon_.end(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    RecordProperty("stopped_ms", std::to_string((std::chrono::steady_clock::now() - begun) / 1ms));
}

// What waits for credit of a client that grants none is no work to be drained.
TEST_F(watching, a_stop_does_not_wait_for_those_who_grant_no_credit) {
    const std::string other = directory_.path() + "/patient";
    std::filesystem::create_directory(other);
    daemon patient(other, {"--drain", "100"});
    const std::string place = "ipc://" + other + "/socket";
    client store = client::open(place);
    stream_options options;
    options.name = "s";
    options.durability = durability::process();
    const std::uint64_t id = store.create_stream(options).id;
    auto producer = store.make_producer("s");
    producer.send("x");
    raw_client by(place);
    ASSERT_TRUE(by.begin().done());
    wire::watch_call watch;
    watch.request.stream = id;
    watch.request.buffer_events = 16;
    wire::follow_call follow;
    follow.stream = id;
    follow.positions.emplace_back();
    follow.transactions_max = 1;
    follow.bytes_max = 1000;
    moebius::loop loop;
    moebius::requester silent(loop, place);
    std::vector<moebius::stream> unread;
    const auto begin = [](moebius::requester* over, std::string_view command, std::string body,
                          std::vector<moebius::stream>* into) -> weave::task<void> {
        moebius::stream_window one;
        one.messages = 1;
        into->push_back(over->open(command, moebius::message(body), {}, one));
        const std::optional<moebius::message> first = co_await into->back().next();
        if (!first) throw std::runtime_error("it did not begin");
    };
    loop.run(begin(&silent, wire::watch_call::command, by.encode(watch), &unread));
    loop.run(begin(&silent, wire::follow_call::command, by.encode(follow), &unread));
    // Now the loop stands still: the second thing that each is to be sent stays at the server.
    for (int i = 0; i < 10; ++i) producer.send("y");
    const auto begun = std::chrono::steady_clock::now();
    const int status = patient.end(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s);
}

TEST_F(watching, a_client_that_dies_is_watched_for_no_more) {
    const std::uint64_t id = store_.stream("s").id;
    // As many events as all may keep: more would be refused as long as the dead one's are counted.
    for (int round = 0; round < 3; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                moebius::loop loop;
                raw_client by(endpoint());
                if (!by.begin().done()) ::_exit(2);
                std::vector<std::unique_ptr<moebius::requester>> clients;
                std::vector<moebius::stream> streams;
                const auto begin_all = [](moebius::loop* on, std::string to, raw_client* as, std::uint64_t stream,
                                          std::vector<std::unique_ptr<moebius::requester>>* peers,
                                          std::vector<moebius::stream>* into) -> weave::task<void> {
                    for (int i = 0; i < 128; ++i) {
                        if (i % 64 == 0) peers->push_back(std::make_unique<moebius::requester>(*on, to));
                        wire::watch_call call;
                        call.request.stream = stream;
                        call.request.buffer_events = core::buffer_events_max;
                        const std::string bytes = as->encode(call);
                        into->push_back(peers->back()->open(wire::watch_call::command, moebius::message(bytes), {}));
                        const std::optional<moebius::message> first = co_await into->back().next();
                        if (!first) ::_exit(3);
                        std::ignore = wire::decode_reply<core::event_batch>(first->text());
                    }
                };
                loop.run(begin_all(&loop, endpoint(), &by, id, &clients, &streams));
                ::_exit(0);  // without a word
            } catch (...) {
                ::_exit(4);
            }
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status));
        ASSERT_EQ(WEXITSTATUS(status), 0) << "round " << round;
        EXPECT_TRUE(eventually(
            [&] { return code_of([&] { store_.watch("s", {}, [](const transaction_event&) {}).stop(); }) == errc{}; }));
    }
}

TEST_F(watching, watches_of_one_client_and_what_they_may_keep_are_bounded) {
    std::vector<watcher> all;
    const auto nothing = [](const transaction_event&) {};
    for (int i = 0; i < 64; ++i) all.push_back(store_.watch("s", {.buffer_events = 8192}, nothing));
    EXPECT_EQ(code_of([&] { std::ignore = store_.watch("s", {.buffer_events = 1}, nothing); }), errc::overloaded);
    all.pop_back();
    EXPECT_TRUE(eventually(
        [&] { return code_of([&] { store_.watch("s", {.buffer_events = 1}, nothing).stop(); }) == errc{}; }));
    // 63 of the one client and 64 of another leave room for 8,192 events.
    client second = open(), third = open();
    for (int i = 0; i < 64; ++i) all.push_back(second.watch("s", {.buffer_events = 8192}, nothing));
    all.push_back(third.watch("s", {.buffer_events = 8192}, nothing));
    EXPECT_EQ(code_of([&] { std::ignore = third.watch("s", {.buffer_events = 1}, nothing); }), errc::overloaded);
    all.clear();
    store_.make_producer("s").send("goes on");
}

TEST_F(watching, calls_that_make_no_sense_are_refused) {
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    wire::watch_call call;
    call.request.stream = store_.stream("s").id;
    call.request.buffer_events = 0;
    EXPECT_EQ(by.ask(call).transport, moebius::errc::not_a_stream) << "a stream is not an answer";
    store_.make_producer("s").send("goes on");
}

TEST_F(secured, who_may_read_may_watch_and_nobody_else) {
    add("reader", "read", "in-*");
    add("writer", "write", "in-*");
    serve();
    client root = open("root");
    make_stream(root, "in-1");
    make_stream(root, "out-1");
    client reader = open("reader"), writer = open("writer");
    const auto nothing = [](const transaction_event&) {};
    EXPECT_EQ(code_of([&] { std::ignore = writer.watch("in-1", {}, nothing); }), errc::unauthorized);
    EXPECT_EQ(code_of([&] { std::ignore = reader.watch("out-1", {}, nothing); }), errc::unauthorized);
    record seen;
    std::atomic<errc> code{};
    watch_options options;
    options.on_error = [&](std::exception_ptr failure) {
        code = code_of([&] { std::rethrow_exception(failure); });
        return false;
    };
    auto watcher = reader.watch("in-1", options, seen.callback());
    producer to = root.make_producer("in-1");
    to.send("x");
    EXPECT_TRUE(eventually([&] { return seen.events().size() == 2; }));
    // Taken away: nothing more is told.
    clients_ = "key " + keys_["root"].public_key + " root\nallow root all *\nkey " + keys_["reader"].public_key +
               " reader\nallow reader read out-*\n";
    write_clients();
    ::kill(daemon_->process(), SIGHUP);
    await_log(" reloaded ");
    to.send("y");
    EXPECT_TRUE(eventually([&] { return !watcher.running(); }));
    EXPECT_EQ(code, errc::unauthorized);
    EXPECT_EQ(seen.events().size(), 2U);
}

}  // namespace
}  // namespace tstreams::served
