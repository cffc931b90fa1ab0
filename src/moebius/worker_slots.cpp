// The processes of a worker pool: started, watched, buried, started again.
//
// Three signs say that a worker is lost: its process has ended (seen through a descriptor of the process, at once),
// its connection has (libzmq's heartbeats find one that is frozen), or its loop is silent for too long. In the latter
// two cases it is killed. It is buried, and its requests are answered, when its process has ended and all that it
// had sent before was read.
#include "moebius/loop_impl.hpp"
#include "moebius/worker_pool_core.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace moebius::detail {
namespace {

// For what a dead worker had sent: its connection ends right after its process.
constexpr std::chrono::milliseconds last_words_max{100};
constexpr int linger_ms = 1000;

}  // namespace

worker_slot::worker_slot(worker_pool_core& of, unsigned number) : core_(of), number_(number), exit_(of.home().io()) {}

worker_slot::~worker_slot() {
    if (exit_.is_open()) exit_.release();
}

void worker_slot::expired() noexcept {
    core_.slot_timer(*this);
}

std::chrono::milliseconds worker_pool_core::heartbeat() const noexcept {
    constexpr std::chrono::milliseconds least{10}, most{1000};
    return options_.silent_max.count() == 0 ? most : std::clamp(options_.silent_max / 4, least, most);
}

void worker_pool_core::launch(worker_slot& one) {
    one.id_ = std::to_string(one.number_) + '.' + std::to_string(++generations_);
    one.process_.emplace(options_.command, worker_setting{directory_.endpoint(), one.id_, heartbeat()},
                         lifeline_.get());
    one.now_ = state::starting;
    one.heard_ = std::chrono::steady_clock::now();
    one.exited_ = false;
    one.origin_ = -1;
    watch_exit(one);
}

void worker_pool_core::watch_exit(worker_slot& one) {
    one.exit_.assign(one.process_->descriptor());
    one.exit_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this, &one](const boost::system::error_code& failure) {
                             if (!failure) has_exited(one);  // else released: the slot may be gone
                         });
}

void worker_pool_core::try_launch(worker_slot& one) noexcept {
    try {
        launch(one);
    } catch (const std::exception& failure) {
        home_.log(failure.what());
        one.process_.reset();
        restart_later(one);
    }
}

void worker_pool_core::is_ready(worker_slot& one, int origin) {
    watch_->drain();  // of older connections that had the same descriptor
    one.origin_ = origin;
    one.now_ = state::ready;
    one.ready_since_ = one.heard_;
    dispatch();
}

void worker_pool_core::has_exited(worker_slot& one) noexcept {
    one.exit_.release();
    (void)one.process_->wait(std::chrono::milliseconds(0));
    one.exited_ = true;
    one.now_ = state::ending;
    home_.parts().arm(one, std::chrono::steady_clock::now() + last_words_max);
    pump_.look_again();
}

void worker_pool_core::connection_lost(int origin) noexcept {
    for (const auto& one : slots_) {
        if (origin < 0 || one->origin_ != origin) continue;
        one->origin_ = -1;
        end(*one);
        pump_.look_again();
    }
}

void worker_pool_core::end(worker_slot& one) noexcept {
    one.now_ = state::ending;
    if (one.process_) one.process_->kill();
}

void worker_pool_core::found_empty() noexcept {
    const steady_time now = std::chrono::steady_clock::now();
    for (const auto& one : slots_) {
        if (one->exited_ && one->origin_ < 0) bury(*one);
        const bool alive = one->now_ == state::starting || one->now_ == state::ready;
        if (!alive || options_.silent_max.count() == 0 || now - one->heard_ < options_.silent_max) continue;
        home_.log("worker " + std::to_string(one->number_) + " gives no sign of life and is killed");
        ++counts_.workers_silent;
        end(*one);
    }
}

// The silence is judged where the socket is empty, so that it is not the front that was too slow to listen.
void worker_pool_core::tick() noexcept {
    home_.parts().arm(ticker_, std::chrono::steady_clock::now() + heartbeat());
    pump_.look_again();
}

void worker_pool_core::slot_timer(worker_slot& one) noexcept {
    if (one.exited_)
        bury(one);
    else if (one.now_ == state::empty)
        try_launch(one);
}

void worker_pool_core::bury(worker_slot& one) noexcept {
    home_.parts().disarm(one);
    const std::vector<worker_slot::entry> lost = std::exchange(one.in_flight_, {});
    ++counts_.workers_lost;
    counts_.lost += lost.size();
    home_.log("worker " + std::to_string(one.number_) + " (process " + std::to_string(one.process_->pid()) + ") " +
              one.process_->end() + " with " + std::to_string(lost.size()) + " requests");
    one.process_.reset();
    one.exited_ = false;
    one.origin_ = -1;
    for (const worker_slot::entry& job : lost) {
        if (!job.owner) continue;
        job.owner->at_ = nullptr;
        job.owner->heard({kind::failure, errc::peer_gone, message(std::string_view("the worker process was lost"))});
    }
    restart_later(one);
}

void worker_pool_core::restart_later(worker_slot& one) noexcept {
    const steady_time now = std::chrono::steady_clock::now();
    const bool was_ready = one.ready_since_ != steady_time();
    const bool lived = was_ready && now - one.ready_since_ >= options_.restart_most;
    one.back_off_ = lived || one.back_off_.count() == 0 ? options_.restart_first
                                                        : std::min(one.back_off_ * 2, options_.restart_most);
    one.ready_since_ = steady_time();
    one.now_ = state::empty;
    home_.parts().arm(one, now + one.back_off_);
}

// Workers that can hear it are told to end, and have some time for it. Then nobody is left.
void worker_pool_core::end_processes() noexcept {
    header top;
    top.kind = kind::bye;
    top.credit_messages = static_cast<std::uint32_t>(options_.stop_grace.count() / 2);  // then handlers are cancelled
    for (const auto& one : slots_) {
        home_.parts().disarm(*one);
        if (one->exit_.is_open()) one->exit_.release();
        if (one->now_ == state::ready)
            control(*one, top);
        else if (one->process_)
            one->process_->kill();
    }
    watch_.reset();
    zmq_setsockopt(socket_.get(), ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    socket_.close();
    const steady_time until = std::chrono::steady_clock::now() + options_.stop_grace;
    for (const auto& one : slots_) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (one->process_) (void)one->process_->wait(std::max(left, std::chrono::milliseconds(0)));
        one->process_.reset();
    }
    lifeline_end_.close();
}

}  // namespace moebius::detail
