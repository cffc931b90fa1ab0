// The loop and what coroutines wait for: time, turns, limits, shields, threads; and cancellation of all of them.
#include "moebius/test_server.hpp"
#include "moebius/timer_heap.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <weave/sync.hpp>

#include <algorithm>
#include <memory>
#include <random>

namespace {

using namespace moebius;
using namespace moebius::test;

struct counted_timer final : detail::timer {
    std::vector<int>* fired = nullptr;
    int number = 0;
    void expired() noexcept override { fired->push_back(number); }
};

TEST(timer_heap, fires_in_order_what_was_not_removed) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    detail::timer_heap heap;
    std::vector<int> fired;
    std::vector<counted_timer> timers(500);
    const detail::steady_time begin{};
    std::vector<int> expected;
    std::vector<int> times(timers.size());
    for (std::size_t i = 0; i < times.size(); ++i) times[i] = static_cast<int>(i);
    std::shuffle(times.begin(), times.end(), random);
    for (std::size_t i = 0; i < timers.size(); ++i) {
        timers[i].fired = &fired;
        timers[i].number = times[i];
        heap.insert(timers[i], begin + std::chrono::milliseconds(random() % 1000));
        heap.insert(timers[i], begin + std::chrono::milliseconds(times[i]));  // moved
    }
    for (auto& one : timers) {
        if (random() % 3 == 0)
            heap.remove(one);
        else
            expected.push_back(one.number);
    }
    std::sort(expected.begin(), expected.end());
    heap.fire(begin + 10s, 100);
    EXPECT_EQ(fired.size(), 100U);
    heap.fire(begin + 10s, timers.size());
    EXPECT_EQ(fired, expected);
    EXPECT_TRUE(heap.empty());
}

task<duration> sleep_once(duration how_long) {
    const auto begin = std::chrono::steady_clock::now();
    co_await moebius::sleep_for(how_long);
    co_return std::chrono::steady_clock::now() - begin;
}

TEST(loop, runs_tasks_and_sleeps) {
    loop home;
    EXPECT_GE(home.run(sleep_once(20ms)), 20ms);
    EXPECT_GE(home.run(sleep_once(0s)), 0s);
}

TEST(loop, lives_on_the_callers_io_context) {
    boost::asio::io_context io;
    loop home(io);
    bool posted = false;
    boost::asio::post(io, [&] { posted = true; });
    EXPECT_GE(home.run(sleep_once(1ms)), 1ms);
    EXPECT_TRUE(posted);
    bool done = false;
    weave::spawn(home, sleep_once(1ms), [&](weave::outcome_of<duration>) { done = true; });
    io.restart();
    io.run();  // ends by itself when nothing is left
    EXPECT_TRUE(done);
}

task<std::string> turns(std::string& trace, char name) {
    for (int i = 0; i < 3; ++i) {
        trace += name;
        co_await moebius::yield();
    }
    co_return trace;
}

TEST(loop, yield_gives_others_a_turn) {
    loop home;
    std::string trace;
    std::vector<task<std::string>> both;
    both.push_back(turns(trace, 'a'));
    both.push_back(turns(trace, 'b'));
    home.run(weave::when_all(home, std::move(both)));
    EXPECT_EQ(trace, "ababab");
}

TEST(loop, refuses_to_run_inside_itself) {
    loop home;
    const auto inside = [](loop& on) -> task<errc> {
        try {
            on.run();
        } catch (const error& failure) {
            co_return failure.code();
        }
        co_return errc::none;
    };
    EXPECT_EQ(home.run(inside(home)), errc::would_deadlock);
}

TEST(loop, is_posted_to_from_many_threads) {
    loop home;
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 500; ++n)
                weave::spawn(home, sleep_once(0s), [&](weave::outcome_of<duration>) {
                    if (++ran == 2000) home.stop();
                });
        });
    home.run();
    for (auto& one : threads) one.join();
    EXPECT_EQ(ran, 2000);
}

task<int> nothing_at_all() {
    co_return 1;
}
task<int> a_million() {
    int sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await nothing_at_all();
    co_return sum;
}

TEST(task, a_million_that_do_not_suspend_use_constant_stack) {
    loop home;
    EXPECT_EQ(home.run(a_million()), 1'000'000);
}

// -- limits and cancellation --------------------------------------------------------------------------------

struct cut_log {
    bool destroyed = false, cancelled = false;
    ~cut_log() = default;
};

task<int> sleepy(cut_log& log) {
    struct on_exit {
        cut_log& log;
        ~on_exit() { log.destroyed = true; }
    } const mark{log};
    try {
        co_await moebius::sleep_for(1h);
    } catch (const cancelled&) {
        log.cancelled = true;
        throw;
    }
    co_return 1;
}

task<errc> limited(cut_log& log) {
    try {
        co_await with_timeout(sleepy(log), 5ms);
    } catch (const error& failure) {
        co_return failure.code();
    }
    co_return errc::none;
}

TEST(with_timeout, cancels_the_work_and_says_so) {
    loop home;
    cut_log log;
    EXPECT_EQ(home.run(limited(log)), errc::timed_out);
    EXPECT_TRUE(log.cancelled);
    EXPECT_TRUE(log.destroyed);
    EXPECT_EQ(home.run([]() -> task<int> { co_return co_await with_timeout(nothing_at_all(), 1h); }()), 1);
    EXPECT_GE(home.run([]() -> task<duration> { co_return co_await with_timeout(sleep_once(2ms), 1h); }()), 2ms);
}

task<errc> limited_twice(cut_log& log) {
    const auto inner = [](cut_log& of) -> task<int> { co_return co_await with_timeout(sleepy(of), 1h); };
    try {
        co_await with_timeout(inner(log), 5ms);
    } catch (const error& failure) {
        co_return failure.code();
    }
    co_return errc::none;
}

TEST(with_timeout, reaches_through_inner_limits) {
    loop home;
    cut_log log;
    EXPECT_EQ(home.run(limited_twice(log)), errc::timed_out);
    EXPECT_TRUE(log.cancelled);
}

task<std::string> careful(std::string& trace) {
    const auto commit = [](std::string& to) -> task<> {
        to += "begin ";
        co_await moebius::sleep_for(20ms);
        to += "end ";
    };
    co_await shield(commit(trace));
    trace += "after ";
    co_await moebius::sleep_for(1h);
    co_return "not reached";
}

TEST(shield, lets_work_end_before_the_cancellation_is_felt) {
    loop home;
    std::string trace;
    const auto limit = [](std::string& to) -> task<errc> {
        try {
            co_await with_timeout(careful(to), 5ms);
        } catch (const error& failure) {
            co_return failure.code();
        }
        co_return errc::none;
    };
    EXPECT_EQ(home.run(limit(trace)), errc::timed_out);
    EXPECT_EQ(trace, "begin end after ");
}

TEST(background, runs_ticks_and_is_cancelled_with_its_server) {
    served one;
    int ticks = 0;
    cut_log log;
    one.node.every(1ms, [&] { ++ticks; });
    const auto watch = [](cut_log& of) -> task<> { (void)co_await sleepy(of); };
    one.serve();
    one.node.spawn(watch(log));  // from another thread
    ASSERT_TRUE(eventually([&] { return one.on_loop([&] { return ticks; }) > 3; }));
    EXPECT_FALSE(one.on_loop([&] { return log.destroyed; }));
    one.stop(5s);
    EXPECT_TRUE(log.cancelled);
}

// -- threads ------------------------------------------------------------------------------------------------

task<std::thread::id> where_offloaded() {
    auto work = [] { return std::this_thread::get_id(); };
    co_return co_await offload(std::move(work));
}

TEST(offload, runs_on_another_thread_and_returns) {
    loop home;
    EXPECT_NE(home.run(where_offloaded()), std::this_thread::get_id());
    const auto throwing = []() -> task<> {
        auto work = [] { throw std::runtime_error("there"); };
        co_await offload(std::move(work));
    };
    EXPECT_THROW(home.run(throwing()), std::runtime_error);
}

// Work that holds its thread until it is let go.
struct held_work {
    std::atomic<int> begun{0};
    std::promise<void> let_go;
    std::future<void> gone = let_go.get_future();
};

task<int> hold(held_work& of) {
    auto work = [&of] {
        ++of.begun;
        of.gone.wait_for(patience);
        return 7;
    };
    co_return co_await offload(std::move(work));
}

// The loop itself waits here: what was asked before is with the thread, and no limit has expired.
task<int> until_begun(held_work& of) {
    EXPECT_TRUE(eventually([&] { return of.begun == 1; }));
    co_return 0;
}

task<int> let_go(held_work& of) {
    of.let_go.set_value();
    co_return 0;
}

TEST(offload, is_bounded) {
    loop home({.offload_threads = 1, .offload_queue = 1});
    held_work held;
    std::vector<task<int>> in_turn;
    in_turn.push_back(hold(held));
    in_turn.push_back(until_begun(held));
    in_turn.push_back(hold(held));
    in_turn.push_back(hold(held));
    in_turn.push_back(let_go(held));
    auto results = home.run(weave::when_all(home, std::move(in_turn)));
    EXPECT_EQ(results[0].get(), 7);
    EXPECT_EQ(results[2].get(), 7);
    try {
        results[3].get();
        ADD_FAILURE() << "there was room for a third";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::overloaded);
    }
    EXPECT_EQ(held.begun, 2);
}

task<int> hold_no_longer_than_now(held_work& of) {
    co_return co_await with_timeout(hold(of), 0s);
}

task<int> let_go_after(task<int> work, held_work& of) {
    std::exception_ptr failure;
    int result = 0;
    try {
        result = co_await work;
    } catch (...) {
        failure = std::current_exception();
    }
    of.let_go.set_value();
    if (failure) std::rethrow_exception(failure);
    co_return result;
}

TEST(offload, what_waits_can_be_cancelled_and_what_runs_gives_its_result) {
    loop home({.offload_threads = 1});
    held_work held;
    std::vector<task<int>> in_turn;
    in_turn.push_back(hold_no_longer_than_now(held));
    in_turn.push_back(until_begun(held));
    in_turn.push_back(let_go_after(hold_no_longer_than_now(held), held));  // by then both limits have expired
    auto results = home.run(weave::when_all(home, std::move(in_turn)));
    EXPECT_EQ(results[0].get(), 7) << "nothing can stop a function that runs";
    EXPECT_THROW(results[2].get(), error);
    EXPECT_EQ(held.begun, 1);
}

}  // namespace
