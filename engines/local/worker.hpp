// Threads of the engine, and the way back from them to the executor.
#pragma once

#include <weave/executor.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tstreams/error.hpp>

#include <atomic>

namespace tstreams::local {

// Set once, from any thread, and never cleared: the engine has failed for good.
class failure_latch {
public:
    [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
    // The first text stays.
    void set(const std::string& text) noexcept {
        const std::lock_guard lock(mutex_);
        if (failed_.load(std::memory_order_relaxed)) return;
        text_ = text;
        failed_.store(true, std::memory_order_release);
    }
    [[nodiscard]] error as_error(outcome result) const {
        const std::lock_guard lock(mutex_);
        return {errc::storage_failed, "the store has failed and must be reopened: " + text_, result};
    }
    void check() const {
        if (failed()) throw as_error(outcome::not_applied);
    }

private:
    std::atomic<bool> failed_{false};
    mutable std::mutex mutex_;
    std::string text_;
};

// Runs work in the order given, on `threads` threads. With none, run() does the work itself, at once.
// What waits is bounded by its users: each has at most one piece of work per waiting caller.
class worker_pool {
public:
    explicit worker_pool(std::size_t threads) {
        for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
    }
    ~worker_pool() { stop(); }
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    // `work` must not throw.
    void run(std::function<void()> work) {
        if (threads_.empty()) {
            work();
            return;
        }
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(work));
        wake_.notify_one();
    }

    // Finishes what waits and ends the threads; from then on run() does the work itself.
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            wake_.notify_all();
        }
        for (std::thread& one : threads_) one.join();
        threads_.clear();
    }

private:
    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            const std::function<void()> work = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            work();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> waiting_;  // guarded by mutex_
    bool stopping_ = false;                      // guarded by mutex_
    std::vector<std::thread> threads_;
};

// Runs functions on the executor, in the order in which any threads sent them.
class mailbox final : weave::job {
public:
    explicit mailbox(weave::executor& target)
        : job([](job& self) noexcept { static_cast<mailbox&>(self).deliver(); }), target_(target) {}

    void send(std::function<void()> letter) {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        letters_.push_back(std::move(letter));
        if (!std::exchange(posted_, true)) target_.post(*this);
    }
    // What is sent from now on goes nowhere.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    // Whether the executor still has to come by. Meaningful where nobody sends any more.
    [[nodiscard]] bool expected() const {
        const std::lock_guard lock(mutex_);
        return posted_;
    }

private:
    void deliver() {
        std::vector<std::function<void()>> letters;
        {
            const std::lock_guard lock(mutex_);
            letters.swap(letters_);
            posted_ = false;
        }
        for (const std::function<void()>& letter : letters) letter();
    }

    weave::executor& target_;
    mutable std::mutex mutex_;
    std::vector<std::function<void()>> letters_;  // guarded by mutex_
    bool posted_ = false;                         // guarded by mutex_
    bool closed_ = false;                         // guarded by mutex_
};

}  // namespace tstreams::local
