// The one place where coroutines of T-streams and Moebius run.
//
// An executor runs jobs one at a time, in the order in which they were posted unless it says otherwise.
// Everything that lives on an executor needs no locks: two jobs of one executor never overlap.
#pragma once

#include <coroutine>

namespace weave {

// A unit of work that its owner stores: posting allocates nothing. A job may be posted again once it runs;
// it must stay alive until then.
struct job {
    using run_function = void (*)(job&) noexcept;

    explicit job(run_function function) noexcept : run(function) {}
    job(const job&) = delete;
    job& operator=(const job&) = delete;

    run_function run;
    job* next = nullptr;  // belongs to the executor while the job is posted
};

class executor {
public:
    virtual ~executor() = default;

    // Runs `work` later, never inside this call. Safe from any thread.
    virtual void post(job& work) noexcept = 0;

    // From inside a job: runs `work` soon, if it can before everything else. Here: in its turn.
    virtual void post_next(job& work) noexcept { post(work); }

    // Whether the calling thread is running a job of this executor now.
    [[nodiscard]] virtual bool running_here() const noexcept = 0;
};

// co_await yield(executor): go to the end of the executor's queue. From a foreign thread: come over to it.
class yield {
public:
    explicit yield(executor& target) noexcept : target_(target), resume_(target_) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
        resume_.waiting = waiting;
        target_.post(resume_);
    }
    void await_resume() const noexcept {}

private:
    struct resumption : job {
        explicit resumption(executor&) noexcept
            : job([](job& self) noexcept { static_cast<resumption&>(self).waiting.resume(); }) {}
        std::coroutine_handle<> waiting;
    };

    executor& target_;
    resumption resume_;
};

}  // namespace weave
