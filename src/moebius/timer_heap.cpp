#include "moebius/timer_heap.hpp"

namespace moebius::detail {

void timer_heap::insert(timer& one, steady_time when) {
    remove(one);
    one.when_ = when;
    heap_.push_back(&one);
    move_up(one, heap_.size() - 1);
}

void timer_heap::remove(timer& one) noexcept {
    const std::size_t at = one.place_;
    if (at == timer::not_armed) return;
    one.place_ = timer::not_armed;
    timer& last = *heap_.back();
    heap_.pop_back();
    if (&last == &one) return;
    if (at > 0 && last.when_ < heap_[(at - 1) / 2]->when_)
        move_up(last, at);
    else
        move_down(last, at);
}

void timer_heap::fire(steady_time now, std::size_t count_max) noexcept {
    // A timer that is armed again at once for a time that is over would hold the loop: the count ends that.
    for (std::size_t fired = 0; fired < count_max && !heap_.empty() && heap_.front()->when_ <= now; ++fired) {
        timer& due = *heap_.front();
        remove(due);
        due.expired();
    }
}

void timer_heap::move_up(timer& one, std::size_t at) noexcept {
    while (at > 0) {
        const std::size_t parent = (at - 1) / 2;
        if (heap_[parent]->when_ <= one.when_) break;
        place(*heap_[parent], at);
        at = parent;
    }
    place(one, at);
}

void timer_heap::move_down(timer& one, std::size_t at) noexcept {
    for (;;) {
        std::size_t child = 2 * at + 1;
        if (child >= heap_.size()) break;
        if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
        if (one.when_ <= heap_[child]->when_) break;
        place(*heap_[child], at);
        at = child;
    }
    place(one, at);
}

}  // namespace moebius::detail
