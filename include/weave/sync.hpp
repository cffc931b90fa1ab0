// Waiting inside one executor: event, mutex, and waiting for several tasks. None of these is thread-safe;
// everything happens on the executor that is given.
#pragma once

#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/task.hpp>

#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <utility>
#include <vector>

namespace weave {

namespace detail {

// A coroutine in a list of waiting ones. A frame that waits here is not destroyed: owners let tasks end.
class waiter : public job {
public:
    waiter() noexcept : job([](job& self) noexcept { static_cast<waiter&>(self).coroutine.resume(); }) {}
    std::coroutine_handle<> coroutine;
};

}  // namespace detail

// Once set it stays set until reset; waiting coroutines are resumed through the executor.
class event {
public:
    explicit event(executor& home) noexcept : home_(home) {}
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    [[nodiscard]] bool is_set() const noexcept { return set_; }
    void reset() noexcept { set_ = false; }
    void set() {
        set_ = true;
        for (detail::waiter* one : std::exchange(waiting_, {})) home_.post(*one);
    }

    auto wait() noexcept {
        struct awaiter : detail::waiter {
            event& source;
            explicit awaiter(event& from) noexcept : source(from) {}
            [[nodiscard]] bool await_ready() const noexcept { return source.set_; }
            void await_suspend(std::coroutine_handle<> waiting) {
                coroutine = waiting;
                source.waiting_.push_back(this);
            }
            void await_resume() const noexcept {}
        };
        return awaiter(*this);
    }

private:
    executor& home_;
    bool set_ = false;
    std::vector<detail::waiter*> waiting_;
};

// First come, first served. `co_await mutex.lock()` gives a guard.
class mutex {
public:
    explicit mutex(executor& home) noexcept : home_(home) {}
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    class [[nodiscard]] guard {
    public:
        explicit guard(mutex* held) noexcept : held_(held) {}
        guard(guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
        guard& operator=(guard&& other) noexcept {
            if (this != &other) {
                unlock();
                held_ = std::exchange(other.held_, nullptr);
            }
            return *this;
        }
        ~guard() { unlock(); }
        void unlock() {
            if (mutex* held = std::exchange(held_, nullptr)) held->release();
        }

    private:
        mutex* held_;
    };

    [[nodiscard]] bool locked() const noexcept { return locked_; }

    auto lock() noexcept {
        struct awaiter : detail::waiter {
            mutex& source;
            explicit awaiter(mutex& from) noexcept : source(from) {}
            [[nodiscard]] bool await_ready() noexcept {
                if (source.locked_) return false;
                source.locked_ = true;
                return true;
            }
            void await_suspend(std::coroutine_handle<> waiting) {
                coroutine = waiting;
                source.waiting_.push_back(this);
            }
            guard await_resume() const noexcept { return guard(&source); }
        };
        return awaiter(*this);
    }

private:
    // The lock goes straight to the next one waiting: nobody overtakes.
    void release() {
        if (waiting_.empty()) {
            locked_ = false;
            return;
        }
        detail::waiter* next = waiting_.front();
        waiting_.pop_front();
        home_.post(*next);
    }

    executor& home_;
    bool locked_ = false;
    std::deque<detail::waiter*> waiting_;
};

// Runs all tasks at once on `home` and returns their results in the order given, exceptions included. It waits for all
// of them, whatever happens: it cannot be cancelled, and neither can they through it. So it is not for what may be
// cancelled, such as a handler of Moebius: there, start the calls and await them one after the other.
template <class T>
task<std::vector<outcome_of<T>>> when_all(executor& home, std::vector<task<T>> works) {
    std::vector<std::optional<outcome_of<T>>> slots(works.size());
    std::size_t left = works.size();
    event finished(home);
    if (left == 0) finished.set();
    for (std::size_t i = 0; i < works.size(); ++i) {
        spawn(home, std::move(works[i]), [&slots, &left, &finished, i](outcome_of<T> result) {
            slots[i].emplace(std::move(result));
            if (--left == 0) finished.set();
        });
    }
    co_await finished.wait();
    std::vector<outcome_of<T>> results;
    results.reserve(slots.size());
    for (auto& slot : slots) results.push_back(std::move(*slot));
    co_return results;
}

}  // namespace weave
