// Starting tasks from outside a coroutine.
#pragma once

#include <weave/context.hpp>
#include <weave/executor.hpp>
#include <weave/task.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace weave {

// The outcome of a task<T>: its value or its exception.
template <class T>
class outcome_of {
public:
    explicit outcome_of(std::exception_ptr failure) noexcept : failure_(std::move(failure)) {}
    explicit outcome_of(T value) : value_(std::move(value)) {}
    [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
    T get() {
        if (failure_) std::rethrow_exception(failure_);
        return std::move(*value_);
    }

private:
    std::exception_ptr failure_;
    std::optional<T> value_;
};

template <>
class outcome_of<void> {
public:
    outcome_of() noexcept = default;
    explicit outcome_of(std::exception_ptr failure) noexcept : failure_(std::move(failure)) {}
    [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
    void get() {
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    std::exception_ptr failure_;
};

namespace detail {

// A coroutine that nobody awaits: it starts on its executor and destroys itself at its end.
struct root {
    struct promise_type {
        template <class... Others>
        explicit promise_type(executor& target, const Others&...) noexcept : context_(target) {}
        static void* operator new(std::size_t bytes) { return frame_allocate(bytes); }
        static void operator delete(void* frame, std::size_t bytes) noexcept { frame_free(frame, bytes); }
        root get_return_object() const noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }  // only `done` itself can throw here
        [[nodiscard]] context* chain_context() noexcept { return &context_; }

    private:
        context context_;
    };
};

template <class T, class Done>
root run_root(executor& target, task<T> work, Done done) {
    co_await yield(target);
    std::optional<outcome_of<T>> result;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await work;
            result.emplace();
        } else {
            T value = co_await work;
            result.emplace(std::move(value));
        }
    } catch (...) {
        result.emplace(std::current_exception());
    }
    work = task<T>{};  // the frame and what it holds are gone before anybody hears of the end
    done(std::move(*result));
}

}  // namespace detail

// Starts `work` on `target`, never inside this call, and calls done(outcome_of<T>) there at its end. `done` must
// not throw. Safe from any thread. A task still suspended when its executor goes away is never resumed; whoever
// owns the executor makes its tasks end first.
template <class T, class Done>
void spawn(executor& target, task<T> work, Done done) {
    detail::run_root(target, std::move(work), std::move(done));
}

}  // namespace weave
