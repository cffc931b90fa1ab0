// How a wait inside the broker ends when the handler that waits is told to stop: its client has left.
#pragma once

#include <weave/context.hpp>

#include <coroutine>
#include <functional>
#include <utility>

namespace tstreams::server {

// co_await this_context(): that of the coroutine itself.
class this_context {
public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
        context_ = weave::context_of(self);
        return false;
    }
    [[nodiscard]] weave::context* await_resume() const noexcept { return context_; }

private:
    weave::context* context_ = nullptr;
};

// While it lives, a request to stop calls `stop`, once, on the executor. Nothing else of the chain may be interruptible
// meanwhile.
class on_stop final : weave::interruptible {
public:
    on_stop(weave::context* chain, std::function<void()> stop) : chain_(chain), stop_(std::move(stop)) {
        if (chain_) chain_->begin_wait(*this);
    }
    ~on_stop() {
        if (chain_) chain_->end_wait();
    }
    on_stop(const on_stop&) = delete;
    on_stop& operator=(const on_stop&) = delete;

private:
    void interrupt() noexcept override { stop_(); }
    weave::context* chain_;
    std::function<void()> stop_;
};

}  // namespace tstreams::server
