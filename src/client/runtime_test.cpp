// The executor of an embedded client: who drives, that a lone blocking call changes no thread, and that nothing is
// lost between many callers, timers and foreign posts.
#include "client/runtime.hpp"

#include <gtest/gtest.h>
#include <weave/sync.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace tstreams::detail {
namespace {

using namespace std::chrono_literals;

weave::task<std::thread::id> where() {
    co_return std::this_thread::get_id();
}

weave::task<int> sleep_for(runtime& home, std::chrono::microseconds time) {
    weave::event over(home);
    std::function<void()> ring = [&over] { over.set(); };
    home.call_at(home.now() + time, std::move(ring));
    co_await over.wait();
    co_return 7;
}

TEST(runtime, a_lone_blocking_call_runs_on_its_callers_thread) {
    runtime home;
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(home.run(where()), std::this_thread::get_id());
    EXPECT_EQ(home.service_turns(), 0U);
}

weave::task<void> blocks_inside(runtime& home) {
    EXPECT_TRUE(home.running_here());
    try {
        home.run(where());
        ADD_FAILURE() << "a blocking call inside the executor went through";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::would_deadlock);
    }
    co_return;
}

TEST(runtime, a_blocking_call_from_inside_is_refused) {
    runtime home;
    EXPECT_FALSE(home.running_here());
    home.run(blocks_inside(home));
    EXPECT_FALSE(home.running_here());
}

weave::task<void> throws() {
    co_await std::suspend_never{};
    throw error(errc::overloaded, "on purpose");
}

TEST(runtime, exceptions_reach_the_caller) {
    runtime home;
    EXPECT_THROW(home.run(throws()), error);
}

TEST(runtime, a_waiting_caller_is_woken_by_its_timer) {
    runtime home;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(home.run(sleep_for(home, 20ms)), 7);
    EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
}

weave::task<void> order(runtime& home, std::vector<int>& seen) {
    const auto now = home.now();
    std::vector<ports::clock::timer> timers;
    for (int i = 0; i < 5; ++i) {
        std::function<void()> note = [&seen, i] { seen.push_back(i); };
        timers.push_back(home.call_at(now + std::chrono::milliseconds(10 - i), std::move(note)));
    }
    home.cancel(timers[2]);
    home.cancel(timers[2]);
    co_await sleep_for(home, 20ms);
}

TEST(runtime, timers_fire_in_time_order_and_cancelled_ones_do_not) {
    runtime home;
    std::vector<int> seen;
    home.run(order(home, seen));
    EXPECT_EQ(seen, (std::vector<int>{4, 3, 1, 0}));
}

weave::task<void> many_cancelled(runtime& home) {
    for (int i = 0; i < 100'000; ++i) {
        std::function<void()> never = [] { ADD_FAILURE(); };
        home.cancel(home.call_at(home.now() + 1h, std::move(never)));
    }
    co_return;
}

TEST(runtime, cancelled_timers_never_ring) {
    runtime home;
    home.run(many_cancelled(home));
    // The executor goes on as before: a later timer rings, none of the cancelled ones has.
    EXPECT_EQ(home.run(sleep_for(home, 1ms)), 7);
}

weave::task<int> count_up(int& shared, weave::executor& home) {
    const int before = shared;
    co_await weave::yield(home);
    ++shared;
    co_return before;
}

TEST(runtime, many_callers_share_one_driver_without_losing_work) {
    runtime home;
    int shared = 0;
    std::vector<std::thread> callers;
    constexpr int threads = 8;
    constexpr int calls = 2'000;
    for (int t = 0; t < threads; ++t)
        callers.emplace_back([&] {
            for (int i = 0; i < calls; ++i) home.run(count_up(shared, home));
        });
    for (auto& one : callers) one.join();
    EXPECT_EQ(shared, threads * calls);
}

// An engine: completes what it is given on a thread of its own.
class engine_thread {
public:
    explicit engine_thread(runtime& home) : home_(home), thread_([this] { work(); }) {}
    ~engine_thread() {
        {
            const std::lock_guard lock(mutex_);
            done_ = true;
            wake_.notify_one();
        }
        thread_.join();
    }
    void submit(weave::job& completion) {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(&completion);
        wake_.notify_one();
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return done_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            const std::vector<weave::job*> taken = std::move(jobs_);
            jobs_.clear();
            lock.unlock();
            for (weave::job* one : taken) home_.post(*one);
            lock.lock();
        }
    }
    runtime& home_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<weave::job*> jobs_;
    bool done_ = false;
    std::thread thread_;
};

struct engine_call : weave::job {
    engine_thread& engine;
    std::coroutine_handle<> waiting;
    explicit engine_call(engine_thread& on)
        : job([](weave::job& self) noexcept { static_cast<engine_call&>(self).waiting.resume(); }), engine(on) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        waiting = handle;
        engine.submit(*this);
    }
    void await_resume() const noexcept {}
};

weave::task<int> through_engine(engine_thread& engine) {
    for (int i = 0; i < 3; ++i) co_await engine_call(engine);
    co_return 3;
}

TEST(runtime, callers_that_wait_for_an_engine_wake_each_other_up) {
    runtime home;
    engine_thread engine(home);
    std::vector<std::thread> callers;
    for (int t = 0; t < 6; ++t)
        callers.emplace_back([&] {
            for (int i = 0; i < 500; ++i) ASSERT_EQ(home.run(through_engine(engine)), 3);
        });
    for (auto& one : callers) one.join();
}

TEST(runtime, the_service_thread_drives_when_nobody_blocks) {
    runtime home;
    engine_thread engine(home);
    std::atomic<int> left = 1'000;
    for (int i = 0; i < 1'000; ++i)
        weave::spawn(home, through_engine(engine), [&left](weave::outcome_of<int> result) {
            EXPECT_EQ(result.get(), 3);
            --left;
            left.notify_one();
        });
    for (int seen = left; seen != 0; seen = left) left.wait(seen);
    EXPECT_GE(home.service_turns(), 1U);
}

TEST(runtime, timers_run_although_nobody_calls) {
    runtime home;
    std::atomic<int> fired = 0;
    weave::spawn(home, sleep_for(home, 5ms), [&fired](weave::outcome_of<int>) {
        fired = 1;
        fired.notify_one();
    });
    fired.wait(0);
    EXPECT_EQ(fired, 1);
}

TEST(runtime, blocking_calls_do_not_wake_the_service_thread_for_later_timers) {
    runtime home;
    std::function<void()> nothing = [] {};
    weave::task<void> first = [](runtime& on, std::function<void()> what) -> weave::task<void> {
        on.call_at(on.now() + 1h, std::move(what));
        co_return;
    }(home, nothing);
    home.run(std::move(first));
    const auto before = home.service_turns();
    for (int i = 0; i < 1'000; ++i) {
        weave::task<void> later = [](runtime& on, std::function<void()> what) -> weave::task<void> {
            on.call_at(on.now() + 2h, std::move(what));
            co_return;
        }(home, nothing);
        home.run(std::move(later));
    }
    EXPECT_EQ(home.service_turns(), before);
}

// An input that posts a follow-up, as a commit posts its group. Both take a number when they run.
struct numbered : weave::job {
    numbered() noexcept : job([](job& self) noexcept { static_cast<numbered&>(self).begin(); }) {}
    void begin() noexcept {
        began = ++*clock;
        home->post(follow_up);
    }
    struct follower : weave::job {
        explicit follower(numbered& leader) noexcept
            : job([](job& self) noexcept {
                  numbered& first = static_cast<follower&>(self).of;
                  first.ended = ++*first.clock;
              }),
              of(leader) {}
        numbered& of;
    };

    runtime* home = nullptr;
    int* clock = nullptr;
    int began = 0;
    int ended = 0;
    follower follow_up{*this};
};

// Holds the executor while `inputs` arrive from another thread and a timer is due, then lets all of it run. Returns the
// number that the job started by the timer took.
weave::task<int> run_behind(runtime& home, std::vector<numbered>& inputs, int& clock) {
    weave::event rang(home);
    std::function<void()> ring = [&rang] { rang.set(); };
    home.call_at(home.now(), std::move(ring));
    std::thread other([&home, &inputs, &clock] {
        for (numbered& one : inputs) {
            one.home = &home;
            one.clock = &clock;
            home.post(one);
        }
    });
    other.join();
    co_await rang.wait();
    co_return ++clock;
}

TEST(runtime, input_comes_in_portions_and_what_a_timer_starts_comes_behind_it) {
    runtime home;
    std::vector<numbered> inputs(20'000);
    int clock = 0;
    const int from_timer = home.run(run_behind(home, inputs, clock));
    home.run(where());
    for (const numbered& one : inputs) {
        ASSERT_LT(one.began, from_timer);
        ASSERT_GT(one.ended, one.began);
        ASSERT_LE(one.ended - one.began, 129);  // 128 of a portion, and what the timer has started
    }
}

weave::task<int> count(int& clock) {
    co_return ++clock;
}

TEST(runtime, a_callers_work_stands_behind_what_it_has_posted_before) {
    runtime home;
    for (int i = 0; i < 1'000; ++i) {
        numbered earlier;
        int clock = 0;
        earlier.home = &home;
        earlier.clock = &clock;
        home.post(earlier);
        EXPECT_GT(home.run(count(clock)), 1);
        EXPECT_EQ(earlier.began, 1);
        home.run(where());  // and behind this the follow-up has run, too
    }
}

TEST(runtime, random_numbers_differ) {
    runtime home;
    std::vector<std::uint64_t> seen;
    for (int i = 0; i < 1'000; ++i) seen.push_back(home.random());
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(runtime, the_end_of_each_pass_is_announced) {
    runtime home;
    int passes = 0;
    home.at_pass_end([&passes] { ++passes; });
    home.run(where());
    EXPECT_GE(passes, 1);
}

}  // namespace
}  // namespace tstreams::detail
