// The threads that run asynchronous handlers which have no executor of their own.
#pragma once

#include <tstreams/detail/operation.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace tstreams::detail {

class handler_pool {
public:
    explicit handler_pool(std::size_t threads) : wanted_(threads) {}
    ~handler_pool() { stop(); }
    handler_pool(const handler_pool&) = delete;
    handler_pool& operator=(const handler_pool&) = delete;

    // Takes a chain of `count` operations that end in null. Handlers begin in this order.
    void push(operation_base& first, operation_base& last, std::size_t count);

    // Runs what has been pushed, then ends the threads. Later pushes run their handlers at once. From inside a
    // handler it does not wait for the thread of that handler, which the destructor, on another thread, does.
    void stop() noexcept;

    [[nodiscard]] bool running_here() const noexcept;

private:
    void work() noexcept;

    const std::size_t wanted_;
    std::mutex mutex_;
    std::condition_variable wake_;
    operation_base* head_ = nullptr;
    operation_base* tail_ = nullptr;
    std::size_t sleeping_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> threads_;  // started by the first push
};

}  // namespace tstreams::detail
