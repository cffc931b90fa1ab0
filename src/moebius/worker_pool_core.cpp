// Requests to workers and answers back; worker_slots.cpp: the processes.
#include "moebius/worker_pool_core.hpp"

#include "moebius/loop_impl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace moebius::detail {
namespace {

constexpr int no_limit = 0;

}  // namespace

worker_pool_core::worker_pool_core(loop& on, worker_pool_options with)
    : home_(on), options_(std::move(with)), socket_(on.parts().zmq, ZMQ_ROUTER), pump_(on, socket_, *this, 64) {
    constexpr unsigned workers_max = 1024;
    if (std::getenv(worker_setting::variable))
        throw error(errc::invalid_state, "a worker process must call run_worker() before it makes a pool of its own");
    if (options_.workers == 0 || options_.workers > workers_max || options_.in_flight_max == 0)
        throw error(errc::invalid_state, "a pool has 1 to 1024 workers, with at least one request in flight each");
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
        throw error(errc::transport, std::string("a pipe to the workers: ") + std::strerror(errno));
    lifeline_.reset(ends[0]);
    lifeline_end_.reset(ends[1]);
    // What is sent is bounded by the requests in flight, so there always is room, and no send has to wait.
    socket_.set(ZMQ_SNDHWM, no_limit);
    socket_.set(ZMQ_ROUTER_MANDATORY, 1);
    // Not a worker's loop but its ZeroMQ thread answers these: they find a process that is frozen as a whole.
    const int dead_after = static_cast<int>(std::clamp<std::int64_t>(options_.silent_max.count(), 0, 6'000));
    socket_.set(ZMQ_HEARTBEAT_IVL, dead_after / 3);
    socket_.set(ZMQ_HEARTBEAT_TIMEOUT, dead_after);
}

worker_pool_core::~worker_pool_core() {
    close();
}

void worker_pool_core::start() {
    watch_.emplace(home_, home_.parts().zmq, socket_, ZMQ_EVENT_DISCONNECTED,
                   [this](connection_event event) { connection_lost(event.value); });
    socket_.bind(directory_.endpoint());
    for (unsigned number = 0; number < options_.workers; ++number)
        slots_.push_back(std::make_unique<worker_slot>(*this, number));
    for (const auto& one : slots_) launch(*one);
    pump_.start();
    tick();
}

void worker_pool_core::close() noexcept {
    if (std::exchange(closed_, true)) return;
    pump_.stop();
    home_.parts().disarm(ticker_);
    while (!queue_.empty()) {
        worker_job& one = queue_.front();
        forget(one);
        one.heard({kind::failure, errc::stopping, {}});
    }
    for (const auto& one : slots_)
        for (const worker_slot::entry& job : std::exchange(one->in_flight_, {}))
            if (job.owner) {
                job.owner->at_ = nullptr;
                job.owner->heard({kind::failure, errc::stopping, {}});
            }
    end_processes();
}

// -- requests -----------------------------------------------------------------------------------------------

errc worker_pool_core::submit(worker_job& one) {
    if (closed_) return errc::stopping;
    const bool full = queued_ >= options_.queue_max || queued_bytes_ + one.bytes_ > options_.queue_bytes;
    if (full && (!queue_.empty() || !least_loaded())) {
        ++counts_.refused;
        return errc::overloaded;
    }
    queue_.push_back(one);
    ++queued_;
    queued_bytes_ += one.bytes_;
    dispatch();
    return errc::none;
}

void worker_pool_core::forget(worker_job& queued) noexcept {
    queued.unlink();
    --queued_;
    queued_bytes_ -= queued.bytes_;
}

worker_slot* worker_pool_core::least_loaded() noexcept {
    worker_slot* best = nullptr;
    for (const auto& one : slots_) {
        if (one->now_ != state::ready || one->in_flight_.size() >= options_.in_flight_max) continue;
        if (!best || one->in_flight_.size() < best->in_flight_.size()) best = one.get();
    }
    return best;
}

void worker_pool_core::dispatch() noexcept {
    while (!queue_.empty()) {
        worker_slot* to = least_loaded();
        if (!to) return;
        worker_job& one = queue_.front();
        if (!send(*to, one.what_)) {
            end(*to);
            continue;
        }
        forget(one);
        one.at_ = to;
        to->in_flight_.push_back({one.number_, &one});
        ++counts_.dispatched;
    }
}

void worker_pool_core::leave(worker_job& one) noexcept {
    if (one.linked()) {
        forget(one);
        ++counts_.abandoned;
    }
    worker_slot* at = std::exchange(one.at_, nullptr);
    if (!at) return;
    ++counts_.abandoned;
    for (worker_slot::entry& job : at->in_flight_)
        if (job.owner == &one) job.owner = nullptr;
    header top;
    top.kind = kind::cancel;
    top.correlation = one.number_;
    control(*at, top);
}

void worker_pool_core::grant(const worker_job& one, std::uint32_t messages, std::uint32_t bytes) noexcept {
    if (!one.at_) return;
    header top;
    top.kind = kind::credit;
    top.correlation = one.number_;
    top.credit_messages = messages;
    top.credit_bytes = bytes;
    control(*one.at_, top);
}

void worker_pool_core::control(const worker_slot& to, header top) noexcept {
    outgoing what = with_header(top, {}, {});
    (void)send(to, what);  // a worker that is gone needs no telling
}

// With MANDATORY the first frame decides: nobody there, or all frames go.
bool worker_pool_core::send(const worker_slot& to, outgoing& what) noexcept {
    message address(to.id_), envelope(worker_envelope);
    if (!frame_access::send(socket_.get(), address, ZMQ_SNDMORE)) return false;
    bool sent = frame_access::send(socket_.get(), envelope, ZMQ_SNDMORE);
    sent = sent && frame_access::send(socket_.get(), what.head, what.two_frames ? ZMQ_SNDMORE : 0);
    sent = sent && (!what.two_frames || frame_access::send(socket_.get(), what.tail, 0));
    pump_.touched();
    return sent;
}

// -- answers ------------------------------------------------------------------------------------------------

bool worker_pool_core::receive_one() noexcept {
    std::array<message, 4> frames;  // worker, envelope, head, tail
    std::size_t count = 0;
    for (bool more = true; more; ++count) {
        message excess;
        message& frame = count < frames.size() ? frames[count] : excess;
        if (!frame_access::receive(socket_.get(), frame, count == 0 ? ZMQ_DONTWAIT : 0)) return false;
        more = frame_access::more(frame);
    }
    const auto from = std::find_if(slots_.begin(), slots_.end(), [&](const std::unique_ptr<worker_slot>& one) {
        return one->now_ != state::empty && one->id_ == frames[0].text();
    });
    // Not from any worker of now, or not in their format: whoever else comes into the directory is not served.
    if (from == slots_.end() || count < 3 || count > 4 || frames[1].text() != worker_envelope) return true;
    try {
        accept(**from, std::move(frames[2]), std::move(frames[3]), count == 4);
    } catch (const std::exception& failure) {
        home_.log(std::string("a worker's answer failed: ") + failure.what());
    }
    return true;
}

void worker_pool_core::accept(worker_slot& from, message head, message tail, bool two_frames) {
    const std::optional<header> top = decode(head.bytes());
    if (!top) return;
    from.heard_ = std::chrono::steady_clock::now();
    if (top->kind == kind::hello) {
        if (from.now_ == state::starting) is_ready(from, zmq_msg_get(frame_access::raw(head), ZMQ_SRCFD));
        return;
    }
    frame_access::set_offset(head, header_bytes + top->name_bytes);
    answered(from, *top, two_frames ? std::move(tail) : std::move(head));
}

void worker_pool_core::answered(worker_slot& from, const header& top, message body) {
    const auto place = std::find_if(from.in_flight_.begin(), from.in_flight_.end(),
                                    [&](const worker_slot::entry& one) { return one.job == top.correlation; });
    if (place == from.in_flight_.end()) return;
    worker_job* owner = place->owner;
    if (top.kind != kind::item) {
        from.in_flight_.erase(place);
        ++counts_.answered;
        if (owner) owner->at_ = nullptr;
    }
    if (owner) owner->heard({top.kind, static_cast<errc>(top.code), std::move(body)});
    if (top.kind != kind::item) dispatch();
}

worker_pool_metrics worker_pool_core::metrics() const noexcept {
    worker_pool_metrics now = counts_;
    now.queued = queued_;
    for (const auto& one : slots_) {
        now.ready += one->now_ == state::ready ? 1 : 0;
        now.in_flight += one->in_flight_.size();
    }
    return now;
}

std::vector<worker_status> worker_pool_core::workers() const {
    std::vector<worker_status> all;
    for (const auto& one : slots_)
        all.push_back({one->number_, one->process_ && !one->exited_ ? one->process_->pid() : 0,
                       one->now_ == state::ready, one->in_flight_.size()});
    return all;
}

}  // namespace moebius::detail
