#include "remote/crowd.hpp"

#include <algorithm>
#include <utility>

namespace tstreams::remote {

crowd::departure::departure(crowd& of) noexcept
    : job([](weave::job& self) noexcept {
          auto& one = static_cast<departure&>(self);
          one.posted = false;
          one.whole.depart();
      }),
      whole(of) {}

void crowd::join(member& one) noexcept {
    one.next = nullptr;
    one.lot_ = no_lot;
    (first_ ? last_->next : first_) = &one;
    last_ = &one;
    depart_soon();
}

void crowd::leave(member& one) noexcept {
    const std::size_t lot = std::exchange(one.lot_, no_lot);
    if (lot != no_lot && --unanswered_[lot] == 0 && first_) depart_soon();
}

// Behind all that is ready now, which may bring more.
void crowd::depart_soon() noexcept {
    if (!std::exchange(departure_.posted, true)) home_.post(departure_);
}

void crowd::depart() noexcept {
    if (!first_) return;
    const auto free = std::find(unanswered_.begin(), unanswered_.end(), 0U);
    if (free != unanswered_.end()) return go_over(static_cast<std::size_t>(free - unanswered_.begin()));
    if (alarm_ != 0) return;
    alarm_ = clock_.call_at(clock_.now() + patience, [this] {
        alarm_ = 0;
        if (first_) go_over(no_lot);
    });
}

void crowd::go_over(std::size_t lot) noexcept {
    clock_.cancel(std::exchange(alarm_, 0));
    for (weave::job* one = std::exchange(first_, nullptr); one;) {
        auto& now = static_cast<member&>(*one);
        one = now.next;
        now.lot_ = lot;
        if (lot != no_lot) ++unanswered_[lot];
        now.run(now);
    }
}

}  // namespace tstreams::remote
