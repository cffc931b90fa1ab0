// The coroutine of handlers and background tasks, and what it can wait for beside sockets.
//
//     moebius::task<> blink(lamp& one) { for (;;) { one.toggle(); co_await moebius::sleep_for(1s); } }
//
// Everything here is a cancellation point: it throws moebius::cancelled when the chain was told to stop. It is for
// coroutines on a moebius::loop; elsewhere it throws error(invalid_state). A coroutine that waits may be destroyed.
#pragma once

#include <moebius/detail/wait.hpp>
#include <moebius/error.hpp>
#include <weave/task.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace moebius {

using duration = std::chrono::steady_clock::duration;

template <class T = void>
using task = weave::task<T>;

// co_await sleep_for(d): at least that long, one turn of the loop for nothing or less. It costs a place in a heap, no
// timer of the system.
class [[nodiscard]] sleep_for final : detail::wait, detail::timer {
public:
    explicit sleep_for(duration how_long) noexcept : how_long_(how_long) {}
    ~sleep_for();
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(waiting) && arm();
    }
    void await_resume() const { throw_if_interrupted(); }

private:
    bool arm();
    void unhook() noexcept override;
    void expired() noexcept override { wake(); }

    duration how_long_;
};

// co_await yield(): everybody else has a turn, messages that have come included.
class [[nodiscard]] yield final : detail::wait {
public:
    yield() noexcept = default;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        if (!suspend(waiting)) return false;
        wake();
        return true;
    }
    void await_resume() const { throw_if_interrupted(); }

private:
    void unhook() noexcept override {}
};

namespace detail {

// A task that runs in a context of its own inside its awaiter's chain.
template <class T>
class [[nodiscard]] nested_task final : nested_wait {
public:
    nested_task(weave::task<T> work, bool shielded, std::optional<duration> limit) noexcept
        : nested_wait(shielded, limit), work_(std::move(work)) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        if (!prepare(weave::context_of(waiting), waiting)) return false;
        started_ = true;
        return work_.start(inner(), ended()) ? begin() : finished_at_once();
    }
    T await_resume() {
        if (!started_) throw cancelled();
        if (!timed_out()) return work_.result();
        try {
            return work_.result();
        } catch (const cancelled&) {
            throw error(errc::timed_out);
        }
    }

private:
    weave::task<T> work_;
    bool started_ = false;
};

}  // namespace detail

// co_await with_timeout(work, limit): the task's result; error(timed_out) when the limit stopped it. It is stopped by
// cancellation, so it ends at its next suspension point, and its destructors run.
template <class T>
detail::nested_task<T> with_timeout(weave::task<T> work, duration limit) {
    return {std::move(work), false, limit};
}

// co_await shield(work): the task is not cancelled, whatever happens to its awaiter, which hears of it afterwards:
// for steps that must not be left half done.
template <class T>
detail::nested_task<T> shield(weave::task<T> work) {
    return {std::move(work), true, std::nullopt};
}

}  // namespace moebius
