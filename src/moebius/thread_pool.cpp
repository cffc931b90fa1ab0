#include "moebius/thread_pool.hpp"

#include "moebius/loop_impl.hpp"

#include <moebius/error.hpp>
#include <moebius/offload.hpp>

#include <algorithm>

namespace moebius::detail {

thread_pool::thread_pool(unsigned threads, std::size_t queue_max) : running_(threads), queue_max_(queue_max) {
    threads_.reserve(threads);
    for (std::size_t place = 0; place < threads; ++place) threads_.emplace_back([this, place] { serve(place); });
}

thread_pool::~thread_pool() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& one : threads_) one.join();
}

bool thread_pool::submit(pool_work& work) {
    {
        const std::scoped_lock lock(mutex_);
        if (queued_ >= queue_max_) return false;
        queue_.push_back(work);
        ++queued_;
    }
    wake_.notify_one();
    return true;
}

bool thread_pool::withdraw(pool_work& work) noexcept {
    const std::scoped_lock lock(mutex_);
    if (!work.linked()) return false;
    work.unlink();
    --queued_;
    return true;
}

void thread_pool::wait_for(pool_work& work) noexcept {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return std::find(running_.begin(), running_.end(), &work) == running_.end(); });
}

void thread_pool::serve(std::size_t place) noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        pool_work& next = queue_.front();
        next.unlink();
        --queued_;
        running_[place] = &next;
        lock.unlock();
        next.run();  // `next` may be gone afterwards
        lock.lock();
        running_[place] = nullptr;
        done_.notify_all();
    }
}

// The frame is being destroyed. What runs writes into it, so there is nothing but to wait.
void offload_wait::leave() noexcept {
    if (now() != phase::waiting || !pool_ || pool_->withdraw(*this)) return;
    pool_->wait_for(*this);
    loop_of(chain()).parts().forget(resumption());
}

bool offload_wait::submit() {
    pool_ = &loop_of(chain()).parts().pool();
    if (pool_->submit(*this)) return true;
    stay();
    throw error(errc::overloaded, "every thread is busy and the queue in front of them is full");
}

void offload_wait::run() noexcept {
    work();
    chain().home().post(resumption());
}

void offload_wait::interrupt() noexcept {
    if (pool_ && pool_->withdraw(*this)) wait::interrupt();
}

}  // namespace moebius::detail
