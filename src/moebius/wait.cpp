#include "moebius/loop_impl.hpp"

#include <moebius/detail/wait.hpp>
#include <moebius/task.hpp>

#include <utility>

namespace moebius {

namespace detail {

loop& loop_of(const weave::context& chain) {
    if (auto* home = dynamic_cast<loop*>(&chain.home())) return *home;
    throw error(errc::invalid_state, "this coroutine does not run on a moebius::loop");
}

wait::~wait() {
    if (phase_ == phase::waiting) chain_->end_wait();
    if (phase_ == phase::posted) loop_of(*chain_).parts().forget(*this);
}

bool wait::suspend(weave::context* chain, std::coroutine_handle<> waiting) {
    if (!chain) throw error(errc::invalid_state, "this coroutine was not started on a moebius::loop");
    chain_ = chain;
    if (chain->stop_requested()) {
        interrupted_ = true;
        return false;
    }
    coroutine_ = waiting;
    phase_ = phase::waiting;
    chain->begin_wait(*this);
    return true;
}

void wait::wake() noexcept {
    if (phase_ != phase::waiting) return;
    phase_ = phase::posted;
    chain_->end_wait();
    chain_->home().post(*this);
}

void wait::interrupt() noexcept {
    unhook();
    interrupted_ = true;
    wake();
}

void wait::run(weave::job& self) noexcept {
    wait& ended = static_cast<wait&>(self);
    if (ended.phase_ == phase::waiting) ended.chain_->end_wait();  // woken on another thread
    ended.phase_ = phase::done;
    ended.coroutine_.resume();
}

void wait::throw_cancelled() {
    throw cancelled();
}

nested_wait::~nested_wait() {
    if (now() != phase::waiting) return;
    loop::impl& home = loop_of(chain()).parts();
    home.disarm(*this);
    home.forget(ended_);
}

bool nested_wait::prepare(weave::context* chain_of_awaiter, std::coroutine_handle<> waiting) {
    if (shielded_ && chain_of_awaiter && chain_of_awaiter->stop_requested()) {
        // What must not be left half done is not begun by a chain that is told to stop.
        return false;
    }
    if (!suspend(chain_of_awaiter, waiting)) return false;
    inner_.emplace(chain().home());
    return true;
}

// The work is suspended: the limit begins to count. Also when it is over already.
bool nested_wait::begin() {
    if (limit_) loop_of(chain()).parts().arm(*this, std::chrono::steady_clock::now() + *limit_);
    return true;
}

bool nested_wait::finished_at_once() noexcept {
    stay();
    return false;
}

void nested_wait::interrupt() noexcept {
    if (!shielded_) inner_->request_stop();
}

void nested_wait::expired() noexcept {
    timed_out_ = true;
    inner_->request_stop();
}

void nested_wait::ended_job::run_ended(weave::job& self) noexcept {
    nested_wait& owner = static_cast<ended_job&>(self).owner;
    if (owner.armed()) loop_of(owner.chain()).parts().disarm(owner);
    weave::job& resumption = owner.resumption();
    resumption.run(resumption);
}

}  // namespace detail

sleep_for::~sleep_for() {
    unhook();
}

bool sleep_for::arm() {
    detail::loop_of(chain()).parts().arm(*this, std::chrono::steady_clock::now() + how_long_);
    return true;
}

void sleep_for::unhook() noexcept {
    if (armed()) detail::loop_of(chain()).parts().disarm(*this);
}

}  // namespace moebius
