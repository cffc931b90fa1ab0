// The timers of a loop: a heap in which each timer knows its place, so that it is taken out in O(log n).
#pragma once

#include <moebius/detail/wait.hpp>

#include <cstddef>
#include <vector>

namespace moebius::detail {

class timer_heap {
public:
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] steady_time earliest() const noexcept { return heap_.front()->when_; }

    void insert(timer& one, steady_time when);  // one that is armed is moved
    void remove(timer& one) noexcept;           // harmless for one that is not armed

    // Takes out what is due and calls expired(), at most `count_max` times.
    void fire(steady_time now, std::size_t count_max) noexcept;

private:
    void place(timer& one, std::size_t at) noexcept {
        heap_[at] = &one;
        one.place_ = at;
    }
    void move_up(timer& one, std::size_t at) noexcept;
    void move_down(timer& one, std::size_t at) noexcept;

    std::vector<timer*> heap_;
};

}  // namespace moebius::detail
