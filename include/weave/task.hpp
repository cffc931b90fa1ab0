// task<T>: the lazy coroutine of T-streams and Moebius.
//
//     weave::task<int> answer() { co_return 42; }
//     weave::task<void> ask()   { int n = co_await answer(); ... }
//
// A task starts when it is awaited, runs on the thread of its awaiter, and is awaited once. Destroying a task
// that has not finished destroys its frame, and with it the frames it waits for.
//
// A task that finishes without suspending returns to its awaiter by an ordinary return, not by a resume: a loop
// over a million such tasks uses constant stack at every optimisation level (g++ 12 makes symmetric transfer a
// tail call only at -O2 without sanitizers).
//
// A task has the context of its awaiter (context.hpp), or the one that it was started in.
//
// Not thread-safe: a task and all that it awaits belong to one executor.
#pragma once

#include <weave/context.hpp>
#include <weave/executor.hpp>
#include <weave/frame_pool.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace weave {

template <class T = void>
class task;

namespace detail {

class task_promise_base {
public:
    static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept { frame_free(frame, bytes); }

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    struct final_awaiter {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) noexcept {
            task_promise_base& promise = finished.promise();
            // Still inside the awaiter's await_suspend: it sees done() and goes on by itself.
            if (promise.starting_) return std::noop_coroutine();
            if (promise.ended_) promise.context_->home().post_next(*promise.ended_);
            return promise.continuation_ ? promise.continuation_ : std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }

    // What resumes after the end: an awaiter, or a job that is posted.
    struct follower {
        std::coroutine_handle<> continuation;
        job* ended = nullptr;
    };

    // Runs the coroutine up to its first suspension. Returns whether it is still running after that.
    template <class Promise>
    static bool start(std::coroutine_handle<Promise> coroutine, context* in, follower next) {
        task_promise_base& promise = coroutine.promise();
        promise.context_ = in;
        promise.continuation_ = next.continuation;
        promise.ended_ = next.ended;
        promise.starting_ = true;
        coroutine.resume();
        promise.starting_ = false;
        return !coroutine.done();
    }

    [[nodiscard]] context* chain_context() const noexcept { return context_; }

private:
    std::coroutine_handle<> continuation_;
    context* context_ = nullptr;
    job* ended_ = nullptr;
    bool starting_ = false;
};

template <class T>
class task_promise final : public task_promise_base {
public:
    task<T> get_return_object() noexcept;
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }
    template <class U>
    void return_value(U&& value) {
        value_.emplace(std::forward<U>(value));
    }
    T result() {
        if (failure_) std::rethrow_exception(std::move(failure_));
        return std::move(*value_);
    }

private:
    std::optional<T> value_;
    std::exception_ptr failure_;
};

template <>
class task_promise<void> final : public task_promise_base {
public:
    task<void> get_return_object() noexcept;
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }
    void return_void() const noexcept {}
    void result() {
        if (failure_) std::rethrow_exception(std::move(failure_));
    }

private:
    std::exception_ptr failure_;
};

}  // namespace detail

template <class T>
class [[nodiscard]] task {
public:
    using promise_type = detail::task_promise<T>;

    task() noexcept = default;
    task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            if (coroutine_) coroutine_.destroy();
            coroutine_ = std::exchange(other.coroutine_, nullptr);
        }
        return *this;
    }
    ~task() {
        if (coroutine_) coroutine_.destroy();
    }

    // Throws what the coroutine threw.
    auto operator co_await() noexcept { return awaiter{coroutine_}; }

    // Runs the task without an awaiter, in the context given, up to its first suspension. Returns whether it is
    // still running after that; `ended` is posted to the context's executor when it has ended then, and not at all
    // otherwise. The task is started once, and neither moved nor destroyed inside its own run.
    bool start(context& in, job& ended) { return promise_type::start(coroutine_, &in, {nullptr, &ended}); }

    // After the end of a task that was started: its value, or its exception is thrown. Once.
    T result() { return coroutine_.promise().result(); }

    [[nodiscard]] bool empty() const noexcept { return !coroutine_; }

private:
    friend promise_type;

    struct awaiter {
        std::coroutine_handle<promise_type> coroutine;
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> awaiting) {
            return promise_type::start(coroutine, context_of(awaiting), {awaiting, nullptr});
        }
        T await_resume() { return coroutine.promise().result(); }
    };

    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

}  // namespace detail
}  // namespace weave
