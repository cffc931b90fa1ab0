// What a chain of tasks carries along: the executor it runs on, and whether it was asked to stop.
//
// A root starts its task in a context; every task that is awaited from there inherits it. An awaiter at the end of
// the chain (a timer, an answer that is awaited) finds it with context_of() and registers itself while it waits, so
// that request_stop() reaches the one place where the chain is suspended.
//
// Not thread-safe: a context belongs to its executor.
#pragma once

#include <weave/executor.hpp>

#include <coroutine>
#include <utility>

namespace weave {

// A suspended awaiter that can be told to give up: it makes its chain resume soon, usually with an exception.
class interruptible {
public:
    virtual void interrupt() noexcept = 0;

protected:
    interruptible() = default;
    interruptible(const interruptible&) = default;
    interruptible& operator=(const interruptible&) = default;
    ~interruptible() = default;
};

class context {
public:
    explicit context(executor& home) noexcept : home_(&home) {}
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    [[nodiscard]] executor& home() const noexcept { return *home_; }
    [[nodiscard]] bool stop_requested() const noexcept { return stopped_; }

    // Interrupts the awaiter that is suspended now, if there is one; awaiters that come later see
    // stop_requested(). Never resumes anything inside this call.
    void request_stop() noexcept {
        stopped_ = true;
        if (waiting_) waiting_->interrupt();
    }

    // By the awaiter at the end of the chain: while it is suspended it can be interrupted.
    void begin_wait(interruptible& leaf) noexcept { waiting_ = &leaf; }
    void end_wait() noexcept { waiting_ = nullptr; }

protected:
    // For a context that is used again, by its next chain.
    void clear_stop() noexcept { stopped_ = false; }

private:
    executor* home_;
    interruptible* waiting_ = nullptr;
    bool stopped_ = false;
};

// The context of a coroutine; null for one that was not started in any.
template <class Promise>
[[nodiscard]] context* context_of(std::coroutine_handle<Promise> coroutine) noexcept {
    if constexpr (requires { coroutine.promise().chain_context(); })
        return coroutine.promise().chain_context();
    else
        return nullptr;
}

}  // namespace weave
