#include "server/loop_clock.hpp"

#include "client/machine.hpp"

namespace tstreams::server {

namespace {

constexpr int timers_per_turn = 256;

}  // namespace

loop_clock::loop_clock(moebius::loop& home)
    : alarm_(home.io()),
      boot_anchor_(detail::since_boot()),
      wall_anchor_(std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now())) {}

ports::steady_time loop_clock::now() const noexcept {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::steady_clock::now());
}

wall_time loop_clock::wall_now() const noexcept {
    // Not the steady clock, which stands still while the machine sleeps.
    return wall_anchor_ + (detail::since_boot() - boot_anchor_);
}

ports::machine_time loop_clock::machine() const {
    return detail::machine();
}

ports::clock::timer loop_clock::call_at(ports::steady_time when, std::function<void()> callback) {
    const timer id = ++last_timer_;
    due_.emplace(std::pair(when, id), std::move(callback));
    times_.emplace(id, when);
    if (when < alarm_at_) set_alarm();
    return id;
}

void loop_clock::cancel(timer which) noexcept {
    const auto found = times_.find(which);
    if (found == times_.end()) return;
    due_.erase({found->second, which});
    times_.erase(found);
}

std::uint64_t loop_clock::random() noexcept {
    return detail::system_random();
}

void loop_clock::set_alarm() {
    alarm_at_ = due_.begin()->first.first;
    alarm_.expires_at(alarm_at_);  // ends a wait that is pending
    alarm_.async_wait([this](const boost::system::error_code& failure) {
        if (!failure) ring();
    });
}

// Between two of them nothing else runs; after some, others have their turn.
void loop_clock::ring() {
    alarm_at_ = ports::steady_time::max();
    for (int left = timers_per_turn; left != 0 && !due_.empty() && due_.begin()->first.first <= now(); --left) {
        auto first = due_.extract(due_.begin());
        times_.erase(first.key().second);
        first.mapped()();
    }
    if (!due_.empty()) set_alarm();
}

}  // namespace tstreams::server
