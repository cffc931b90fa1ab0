#include "client/handler_pool.hpp"

#include <algorithm>

namespace tstreams::detail {

namespace {
thread_local const handler_pool* pool_here = nullptr;
}

bool handler_pool::running_here() const noexcept {
    return pool_here == this;
}

void handler_pool::push(operation_base& first, operation_base& last, std::size_t count) {
    std::unique_lock lock(mutex_);
    if (stopping_) {
        lock.unlock();
        for (operation_base* one = &first; one;) {
            operation_base* const next = one->next;
            one->deliver();
            one = next;
        }
        return;
    }
    if (tail_) {
        tail_->next = &first;
    } else {
        head_ = &first;
    }
    tail_ = &last;
    while (threads_.size() < wanted_) threads_.emplace_back([this] { work(); });
    for (std::size_t i = std::min(count, sleeping_); i > 0; --i) wake_.notify_one();
}

void handler_pool::work() noexcept {
    pool_here = this;
    std::unique_lock lock(mutex_);
    for (;;) {
        // Whoever brings more may be waiting for this core, and need not wake this thread then.
        for (int yields = 0; yields < 2 && !head_ && !stopping_; ++yields) {
            lock.unlock();
            std::this_thread::yield();
            lock.lock();
        }
        while (!head_ && !stopping_) {
            ++sleeping_;
            wake_.wait(lock);
            --sleeping_;
        }
        if (!head_) return;
        operation_base& first = *head_;
        head_ = first.next;
        if (!head_) tail_ = nullptr;
        lock.unlock();
        first.deliver();
        lock.lock();
    }
}

void handler_pool::stop() noexcept {
    std::vector<std::thread> ending;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
        // A handler cannot wait for its own thread: the destructor does.
        const auto others = std::partition(threads_.begin(), threads_.end(), [](const std::thread& one) {
            return one.get_id() == std::this_thread::get_id();
        });
        ending.assign(std::make_move_iterator(others), std::make_move_iterator(threads_.end()));
        threads_.erase(others, threads_.end());
    }
    for (std::thread& one : ending) one.join();
}

}  // namespace tstreams::detail
