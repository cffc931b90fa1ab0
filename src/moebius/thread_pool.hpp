// Threads for work that blocks or computes, behind a bounded queue.
#pragma once

#include <moebius/detail/list.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace moebius::detail {

class pool_work;

class thread_pool {
public:
    thread_pool(unsigned threads, std::size_t queue_max);
    ~thread_pool();  // ends the threads after the works that they run now
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;

    bool submit(pool_work& work);             // false: the queue is full
    bool withdraw(pool_work& work) noexcept;  // true: it has not begun, and will not
    void wait_for(pool_work& work) noexcept;  // until no thread runs it

private:
    void serve(std::size_t place) noexcept;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable done_;
    std::vector<pool_work*> running_;  // guarded by mutex_: per thread
    list<pool_work> queue_;            // guarded by mutex_
    std::size_t queued_ = 0;
    const std::size_t queue_max_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace moebius::detail
