// The executor, clock and randomness of a client that embeds its broker.
//
// Whoever blocks drives. A thread that calls run() takes the *role* when it is free and runs jobs and timers itself
// until its own task is done; so an uncontended blocking call changes no thread. While another thread has the role
// the caller sleeps on its own seat, and may be woken to go on driving. The role is held only while there is
// something to run: a caller whose task waits for an engine thread gives it back, and the post that ends the wait
// wakes a sleeping caller, or the service thread when nobody blocks. The service thread also sleeps until the next
// timer; it is told of an earlier one only, so a blocking call does not wake it.
#pragma once

#include <tstreams/error.hpp>
#include <tstreams/ports/clock.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/task.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <queue>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tstreams::detail {

class runtime final : public weave::executor, public ports::clock {
public:
    runtime();
    ~runtime() override;
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;

    // executor
    void post(weave::job& work) noexcept override;
    [[nodiscard]] bool running_here() const noexcept override;

    // clock
    [[nodiscard]] ports::steady_time now() const noexcept override;
    [[nodiscard]] wall_time wall_now() const noexcept override;
    [[nodiscard]] ports::machine_time machine() const override;
    timer call_at(ports::steady_time when, std::function<void()> callback) override;
    void cancel(timer which) noexcept override;
    [[nodiscard]] std::uint64_t random() noexcept override;

    // Runs `work` on the executor and waits for it. Throws would_deadlock from inside this or another executor: a
    // broker that waits for another one would stand still.
    template <class T>
    T run(weave::task<T> work) {
        if (running_any_here()) throw_would_deadlock();
        std::optional<weave::outcome_of<T>> result;
        seat self;
        const bool driving = sit_down(self);
        weave::spawn(*this, std::move(work), [this, &result, &self](weave::outcome_of<T> outcome) {
            result.emplace(std::move(outcome));
            finish(self);
        });
        wait_for(self, driving);
        return result->get();
    }

    // Called on the executor after each pass over the ready jobs; set before anything runs. It must not throw.
    void at_pass_end(std::function<void()> hook) { pass_end_ = std::move(hook); }

    // Ends the service thread. Jobs that are still queued are not run; nothing may be posted afterwards.
    void stop() noexcept;

    // How often the service thread took the role; for tests and figures.
    [[nodiscard]] std::uint64_t service_turns() const noexcept { return service_turns_.load(); }

private:
    // Where one blocked caller, or the service thread, sleeps. Guarded by mutex_, but `finished` of the driver's own
    // seat is the driver's.
    struct seat {
        std::condition_variable wake;
        bool finished = false;
        bool offered = false;  // it was woken to take the role
        seat* previous = nullptr;
        seat* next = nullptr;
    };

    class job_queue {
    public:
        [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
        void push(weave::job& work) noexcept;
        weave::job& pop() noexcept;
        void take(job_queue& other, std::size_t count) noexcept;  // its first ones
        void append(job_queue& other) noexcept;                   // `other` is empty afterwards

    private:
        weave::job* head_ = nullptr;
        weave::job* tail_ = nullptr;
    };

    struct due_timer {
        ports::steady_time when;
        timer id;
        friend bool operator>(const due_timer& one, const due_timer& other) noexcept {
            return one.when != other.when ? one.when > other.when : one.id > other.id;
        }
    };

    [[nodiscard]] static bool running_any_here() noexcept;
    [[noreturn]] static void throw_would_deadlock();

    bool sit_down(seat& self);  // true: the caller has the role
    void wait_for(seat& self, bool driving);
    void finish(seat& done) noexcept;  // on the executor
    void drive(std::unique_lock<std::mutex>& lock, seat& self) noexcept;
    bool let_others_post(const seat& self, int idle_passes) noexcept;
    void run_jobs(const seat& self) noexcept;
    bool fire_timer() noexcept;
    void drop_cancelled_timers() noexcept;
    void release() noexcept;  // under mutex_
    void offer() noexcept;    // under mutex_
    void enlist(seat& one) noexcept;
    void delist(seat& one) noexcept;
    void serve() noexcept;  // the service thread

    std::mutex mutex_;
    job_queue inbox_;          // guarded by mutex_
    bool driven_ = false;      // guarded by mutex_: a thread has the role
    bool offered_ = false;     // guarded by mutex_: somebody was woken to take it
    bool stopping_ = false;    // guarded by mutex_
    seat* waiting_ = nullptr;  // guarded by mutex_: blocked callers, the latest first
    seat service_seat_;        // guarded by mutex_
    ports::steady_time service_wakes_ = ports::steady_time::max();  // guarded by mutex_
    ports::steady_time next_timer_ = ports::steady_time::max();     // guarded by mutex_; true while nobody drives

    // These belong to whoever has the role.
    job_queue ready_;       // run in this pass
    job_queue input_;       // for later passes: from other threads, from timers, and a caller's own work
    bool in_pass_ = false;  // what is posted now belongs to the pass
    std::priority_queue<due_timer, std::vector<due_timer>, std::greater<>> timers_;
    std::unordered_map<timer, std::function<void()>> callbacks_;
    timer last_timer_ = 0;
    std::function<void()> pass_end_;
    std::array<std::uint64_t, 64> random_{};
    std::size_t random_left_ = 0;

    const std::chrono::microseconds boot_anchor_;
    const wall_time wall_anchor_;
    std::atomic<std::uint64_t> service_turns_{0};
    std::thread service_;
};

}  // namespace tstreams::detail
