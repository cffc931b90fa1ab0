// Keeps a number of asynchronous calls under way until all are done.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

namespace bench {

// `start(calls, index)` begins one asynchronous call whose handler calls calls.done() once. It does not
// throw. Handlers may run on any thread, but not inside `start`.
class in_flight {
public:
    in_flight(std::uint64_t count, std::uint64_t width, std::function<void(in_flight&, std::uint64_t)> start)
        : count_(count), width_(std::min(width, count)), start_(std::move(start)) {}
    in_flight(const in_flight&) = delete;
    in_flight& operator=(const in_flight&) = delete;

    // Returns when all calls are done. Throws the failure of the first one that failed; no further ones are
    // started then.
    void run() {
        if (count_ == 0) return;
        running_ = width_;
        next_ = width_;
        for (std::uint64_t i = 0; i < width_; ++i) start_(*this, i);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return finished_; });
        if (failure_) std::rethrow_exception(failure_);
    }

    void done(const std::exception_ptr& failure) {
        if (failure && !failed_.exchange(true)) failure_ = failure;
        if (!failed_) {
            const std::uint64_t index = next_++;
            if (index < count_) return start_(*this, index);
        }
        if (--running_ != 0) return;
        const std::scoped_lock lock(mutex_);
        finished_ = true;
        ended_.notify_all();  // under the lock: run() may return, and this object go, right after it
    }

private:
    const std::uint64_t count_;
    const std::uint64_t width_;
    const std::function<void(in_flight&, std::uint64_t)> start_;
    std::atomic<std::uint64_t> next_ = 0;
    std::atomic<std::uint64_t> running_ = 0;
    std::atomic<bool> failed_ = false;
    std::exception_ptr failure_;  // written once; read after the last call, which comes after it through running_
    std::mutex mutex_;
    std::condition_variable ended_;
    bool finished_ = false;
};

}  // namespace bench
