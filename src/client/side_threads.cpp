#include "client/side_threads.hpp"

#include <tstreams/error.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <list>
#include <mutex>
#include <thread>

namespace tstreams::detail {

namespace {

constexpr std::size_t threads_max = 64;

class thread_list {
public:
    ~thread_list() { wait(); }

    void wait() {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return running_.empty(); });
        join_ended();
    }

    void run(std::function<void()> work, bool limited) {
        const std::lock_guard lock(mutex_);
        join_ended();
        if (limited && running_.size() >= threads_max)
            throw error(errc::overloaded, "64 asynchronous calls that need threads of their own are under way");
        const auto place = running_.emplace(running_.end());
        try {
            *place = std::thread([this, place, work = std::move(work)]() mutable {
                work();
                work = nullptr;  // what it holds goes before it counts as over
                end(place);
            });
        } catch (...) {
            running_.erase(place);
            throw;
        }
    }

private:
    void end(std::list<std::thread>::iterator place) {
        const std::lock_guard lock(mutex_);
        over_.splice(over_.end(), running_, place);
        ended_.notify_all();
    }
    void join_ended() {
        for (std::thread& one : over_) one.join();  // they have nothing left to do but leave end()
        over_.clear();
    }

    std::mutex mutex_;
    std::condition_variable ended_;
    std::list<std::thread> running_;
    std::list<std::thread> over_;
};

thread_list& threads() {
    static thread_list all;
    return all;
}

}  // namespace

void side_threads::prepare() {
    threads();
    // A later store may be of another engine, whose libraries are there since then only.
    static std::atomic<unsigned> stores{0};
    constexpr unsigned kinds_max = 8;
    if (stores < kinds_max && stores++ < kinds_max) std::atexit([] { threads().wait(); });
}

void side_threads::run(std::function<void()> work) {
    threads().run(std::move(work), true);
}

void side_threads::run_always(std::function<void()> work) {
    threads().run(std::move(work), false);
}

}  // namespace tstreams::detail
