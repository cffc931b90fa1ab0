#include "client/memory_budget.hpp"

#include <algorithm>

namespace tstreams::detail {

bool memory_budget::try_take(std::size_t bytes) noexcept {
    const auto wanted = static_cast<std::int64_t>(bytes);
    std::int64_t seen = free_.load(std::memory_order_relaxed);
    while (seen >= wanted)
        if (free_.compare_exchange_weak(seen, seen - wanted)) return true;
    return false;
}

void memory_budget::force_take(std::size_t bytes) noexcept {
    free_.fetch_sub(static_cast<std::int64_t>(bytes));
}

void memory_budget::give(std::size_t bytes) noexcept {
    if (bytes == 0) return;
    free_.fetch_add(static_cast<std::int64_t>(bytes));
    // Whoever begins to wait counts itself before it looks again, so one of the two sees the other.
    if (waiting_.load() != 0 && !wake_posted_.exchange(true)) home_.post(wake_);
}

std::size_t memory_budget::available() const noexcept {
    return static_cast<std::size_t>(std::max<std::int64_t>(0, free_.load(std::memory_order_relaxed)));
}

void memory_budget::wake_waiting() noexcept {
    wake_posted_.store(false);
    freed_.set();
    freed_.reset();
}

weave::task<void> memory_budget::take(std::size_t bytes, std::chrono::milliseconds patience) {
    if (try_take(bytes)) co_return;
    const ports::steady_time deadline = home_.now() + patience;
    std::function<void()> look_again = [this] { wake_waiting(); };
    const ports::clock::timer timer = home_.call_at(deadline, std::move(look_again));
    ++waiting_;
    bool taken = try_take(bytes);
    while (!taken && !closed_ && home_.now() < deadline) {
        co_await freed_.wait();
        taken = try_take(bytes);
    }
    --waiting_;
    home_.cancel(timer);
    if (taken) co_return;
    if (closed_) throw error(errc::shutting_down, "the client is closing");
    throw error(errc::overloaded, "the byte budget of this client (client_options::memory_bytes_max, " +
                                      std::to_string(max_) +
                                      " bytes) stayed used up: decide open transactions, or give it more");
}

void memory_budget::close() {
    closed_ = true;
    wake_waiting();
}

}  // namespace tstreams::detail
