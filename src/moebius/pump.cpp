#include "moebius/pump.hpp"

#include "moebius/loop_impl.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace moebius::detail {
namespace {

constexpr std::chrono::milliseconds safety_period{20};
constexpr std::chrono::microseconds batch_time{400};
constexpr unsigned look_at_clock = 16;  // after so many messages at the latest
constexpr unsigned passes_max = 64;     // over blocked peers in one turn

}  // namespace

pump::pump(loop& home, zmq_socket& socket, pumped& owner, unsigned batch)
    : job([](weave::job& self) noexcept { static_cast<pump&>(self).look(); }),
      home_(home),
      socket_(socket),
      owner_(owner),
      batch_(batch),
      descriptor_(home.io()) {}

pump::~pump() {
    stop();
}

void pump::start() {
    if (std::exchange(started_, true)) return;
    descriptor_.assign(socket_.descriptor());
    post_look(true);
}

void pump::stop() noexcept {
    if (!std::exchange(started_, false)) return;
    loop::impl& home = home_.parts();
    home.disarm(*this);
    if (std::exchange(look_posted_, false)) home.forget(*this);
    // The descriptor belongs to libzmq. Releasing it ends the wait, whose handler sees that and touches nothing.
    descriptor_.release();
}

bool pump::receive_batch() noexcept {
    // The clock is looked at after 1, 2, 4, ... messages: handlers that take long are noticed at once.
    const auto end = std::chrono::steady_clock::now() + batch_time;
    bool empty = false;
    for (unsigned look = 1; received_ < batch_;) {
        empty = !started_ || !owner_.receive_one();
        if (empty) break;
        ++handled_;
        if (++received_ < look) continue;
        if (std::chrono::steady_clock::now() >= end) break;
        look += std::min(look, look_at_clock);
    }
    usual_ = std::max(std::exchange(received_, 0U), usual_ - usual_ / 8);
    if (started_) owner_.batch_ended();
    return empty;
}

void pump::turn() noexcept {
    ++counters_.turns;
    turning_ = true;
    bool empty = receive_batch();
    unsigned idle_passes = 0;
    for (unsigned pass = 0; pass < passes_max && idle_passes < 2 && started_ && owner_.blocked(); ++pass) {
        const std::uint64_t before = handled_;
        // In this order: receiving consumes the signal that a peer has room again, and finding nothing always does.
        empty = receive_batch();
        if (owner_.retry_blocked()) ++handled_;
        idle_passes = handled_ == before ? idle_passes + 1 : 0;
    }
    if (started_ && empty) owner_.found_empty();
    turning_ = false;
    if (!started_) return;
    const bool blocked = owner_.blocked();
    if (!empty || (blocked && idle_passes < 2) || (!blocked && socket_.readable())) {
        post_look(true);
        return;
    }
    if (blocked && !armed()) home_.parts().arm(*this, std::chrono::steady_clock::now() + safety_period);
    sleep();
}

void pump::post_look(bool certainly) noexcept {
    look_certainly_ |= certainly;
    if (std::exchange(look_posted_, true)) return;
    home_.post(*this);
}

void pump::look() noexcept {
    look_posted_ = false;
    if (!std::exchange(look_certainly_, false)) {
        ++counters_.rechecks;
        if (!owner_.blocked() && !socket_.readable()) return;
        const std::uint64_t before = handled_;
        turn();
        if (handled_ != before) ++counters_.recheck_hits;
        return;
    }
    turn();
}

void pump::sleep() noexcept {
    if (std::exchange(sleeping_, true)) return;
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](const boost::system::error_code& failure) {
                               if (failure) return;  // stopped: this object may be gone
                               sleeping_ = false;
                               turn();
                           });
}

void pump::expired() noexcept {
    ++counters_.safety_turns;
    // What the descriptor, or a look that is posted, is about to find is not the timer's merit.
    zmq_pollitem_t signal{nullptr, descriptor_.native_handle(), ZMQ_POLLIN, 0};
    const bool asleep = !look_posted_ && zmq_poll(&signal, 1, 0) == 0;
    const std::uint64_t before = handled_;
    turn();
    if (asleep && handled_ != before) ++counters_.safety_hits;
}

}  // namespace moebius::detail
