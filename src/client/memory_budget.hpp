// One byte budget for all buffers of a client: frames being filled, read-ahead, and items handed over to be forgotten.
#pragma once

#include "client/runtime.hpp"

#include <weave/sync.hpp>
#include <weave/task.hpp>

#include <atomic>
#include <cstddef>

namespace tstreams::detail {

class memory_budget {
public:
    memory_budget(runtime& home, std::size_t bytes_max)
        : home_(home), freed_(home), free_(static_cast<std::int64_t>(bytes_max)), max_(bytes_max) {}

    // From any thread. True: the bytes are the caller's until it gives them back.
    [[nodiscard]] bool try_take(std::size_t bytes) noexcept;
    // Takes them even when they are not there: for what has been read already.
    void force_take(std::size_t bytes) noexcept;
    void give(std::size_t bytes) noexcept;
    [[nodiscard]] std::size_t available() const noexcept;
    [[nodiscard]] std::size_t bytes_max() const noexcept { return max_; }

    // On the executor: waits until the bytes are there. Throws overloaded when none come back for so long, and
    // shutting_down after close().
    weave::task<void> take(std::size_t bytes, std::chrono::milliseconds patience);
    void close();  // on the executor

private:
    struct wake_job : weave::job {
        explicit wake_job(memory_budget& of) noexcept
            : job([](weave::job& self) noexcept { static_cast<wake_job&>(self).budget.wake_waiting(); }), budget(of) {}
        memory_budget& budget;
    };
    void wake_waiting() noexcept;

    runtime& home_;
    weave::event freed_;
    wake_job wake_{*this};
    std::atomic<bool> wake_posted_ = false;
    std::atomic<std::uint32_t> waiting_ = 0;
    std::atomic<std::int64_t> free_;
    const std::size_t max_;
    bool closed_ = false;
};

}  // namespace tstreams::detail
