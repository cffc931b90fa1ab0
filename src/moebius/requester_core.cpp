#include "moebius/requester_core.hpp"

#include "moebius/batch.hpp"
#include "moebius/loop_impl.hpp"
#include "moebius/zap.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace moebius::detail {
namespace {

constexpr int linger_ms = 1000;  // for what libzmq has taken
// Whoever has so many requests in flight sends further ones together with those that follow at once.
constexpr std::size_t few_in_flight = 4;
constexpr std::size_t held_messages_max = 512;

int as_option(std::chrono::milliseconds time) {
    return static_cast<int>(time.count());
}

}  // namespace

void pending::expired() noexcept {
    core_->expired(*this);
}

requester_core::requester_core(loop& on, const std::string& endpoint, requester_options with)
    : home_(on),
      endpoint_(endpoint),
      options_(std::move(with)),
      socket_(on.parts().zmq, ZMQ_DEALER),
      pump_(on, socket_, *this, 64),
      with_keys_(options_.security.has_value()),
      reach_(endpoint.starts_with("inproc:") ? reach::server : reach::nobody) {  // of those libzmq tells nothing
    socket_.set(ZMQ_SNDHWM, options_.send_queue);
    socket_.set(ZMQ_RCVHWM, options_.receive_queue);
    const std::size_t frame_bytes = std::max(options_.message_bytes, batch_bytes_max);
    socket_.set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(frame_bytes));
    socket_.set(ZMQ_HEARTBEAT_IVL, as_option(options_.heartbeat));
    socket_.set(ZMQ_HEARTBEAT_TIMEOUT, as_option(options_.dead_after));
    socket_.set(ZMQ_HEARTBEAT_TTL, as_option(options_.dead_after));
    socket_.set(ZMQ_RECONNECT_IVL, as_option(options_.reconnect_first));
    socket_.set(ZMQ_RECONNECT_IVL_MAX, as_option(options_.reconnect_most));
    if (options_.security) {
        set_client_keys(socket_, *options_.security);
        wipe(options_.security->keys.secret_key);
        options_.security.reset();
    }
    constexpr int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED |
                           ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED;
    watch_.emplace(home_, home_.parts().zmq, socket_, events,
                   [this](connection_event event) { connection_changed(event); });
    socket_.connect(endpoint);
    pump_.start();
    hello();
}

requester_core::~requester_core() {
    close();
}

void requester_core::close() noexcept {
    if (closed_) return;
    (void)send_queued();
    closed_ = true;
    home_.parts().forget(flush_);
    pump_.stop();
    home_.parts().disarm(retry_);
    fail_older_than(era_ + 1);
    end_callbacks();
    watch_.reset();
    zmq_setsockopt(socket_.get(), ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    socket_.close();
}

void requester_core::begin(pending& one, header top, std::string_view command, message body, duration timeout) {
    if (closed_) throw error(errc::peer_gone, "the requester is closed");
    if (command.size() > name_bytes_max) throw error(errc::too_large, "a command of more than 255 bytes");
    if (in_flight_ >= options_.requests_max) throw error(errc::overloaded, "too many requests in flight");
    if (outbound_bytes_ + body.size() > options_.outbound_bytes && !outbound_.empty())
        throw error(errc::overloaded, "the server takes no more at the moment");
    if (free_.empty()) {
        free_.reserve(slots_.size() + 1);
        slots_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
    }
    slot& place = slots_[free_.back()];
    one.slot_ = free_.back();
    top.correlation = correlation_of(one);
    top.flags |= flag_batches;
    deliver(with_header(top, command, std::move(body)));
    free_.pop_back();
    place.owner = &one;
    place.era = era_;
    ++in_flight_;
    one.core_ = this;
    one.streams_ = (top.flags & flag_stream) != 0;
    one.timeout_ = timeout;
    extend(one);
}

void requester_core::extend(pending& one) noexcept {
    if (one.core_ && one.timeout_ > duration::zero())
        home_.parts().arm(one, std::chrono::steady_clock::now() + one.timeout_);
}

void requester_core::suspend_time(pending& one) noexcept {
    home_.parts().disarm(one);
}

// The slot is free, and answers that still come for it are stale.
pending* requester_core::end(std::size_t at) noexcept {
    slot& place = slots_[at];
    pending* owner = std::exchange(place.owner, nullptr);
    ++place.generation;
    free_.push_back(static_cast<std::uint32_t>(at));  // never grows: begin() made room for all slots
    --in_flight_;
    home_.parts().disarm(*owner);
    owner->core_ = nullptr;
    return owner;
}

void requester_core::abandon(pending& one) noexcept {
    if (!one.core_) return;
    const std::uint64_t correlation = correlation_of(one);
    end(one.slot_);
    control(kind::cancel, correlation, {0, 0});
}

// libzmq tells of no permission, and of no such host, as of nobody. Asking for the name here would block the loop.
std::string_view requester_core::nobody_text() const noexcept {
    constexpr std::string_view ipc = "ipc://", tcp = "tcp://";
    if (endpoint_.starts_with(ipc)) {
        const bool denied =
            ::faccessat(AT_FDCWD, endpoint_.c_str() + ipc.size(), W_OK, AT_EACCESS) != 0 && errno == EACCES;
        if (denied) return "no answer in time: no permission to use that socket";
    }
    const bool by_name = endpoint_.starts_with(tcp) &&
                         endpoint_.find_first_not_of("0123456789.:", tcp.size()) != std::string::npos &&
                         endpoint_[tcp.size()] != '[';
    return by_name ? "no answer in time: nobody listens there, or there is no host of that name"
                   : "no answer in time: nobody listens there";
}

void requester_core::expired(pending& one) noexcept {
    ++counts_.timed_out;
    abandon(one);
    std::string_view text = "no answer in time";
    if (reach_ == reach::nobody) text = nobody_text();
    if (reach_ == reach::silent) text = "no answer in time: somebody listens there and says nothing";
    if (reach_ == reach::no_handshake)
        text = with_keys_ ? "no answer in time: the handshake fails; the server has no keys, or others"
                          : "no answer in time: the handshake fails; does the server want keys?";
    one.failed(errc::timed_out, text);
}

void requester_core::grant(const pending& one, stream_window more) noexcept {
    if (one.core_) control(kind::credit, correlation_of(one), more);
}

void requester_core::control(kind what, std::uint64_t correlation, stream_window more) noexcept {
    if (closed_) return;
    header top;
    top.kind = what;
    top.correlation = correlation;
    top.credit_messages = more.messages;
    top.credit_bytes = more.bytes;
    try {
        deliver(with_header(top, {}, {}));
    } catch (...) {
        home_.log_failure("a request's control message");
    }
}

void requester_core::notify(std::string_view command, message body) {
    if (closed_) throw error(errc::peer_gone, "the requester is closed");
    if (command.size() > name_bytes_max) throw error(errc::too_large, "a command of more than 255 bytes");
    if (outbound_bytes_ + body.size() > options_.outbound_bytes && !outbound_.empty())
        throw error(errc::overloaded, "the server takes no more at the moment");
    header top;
    top.kind = kind::one_way;
    deliver(with_header(top, command, std::move(body)));
}

void requester_core::hello() {
    if (options_.name.empty()) return;
    header top;
    top.kind = kind::hello;
    deliver(with_header(top, std::string_view(options_.name).substr(0, name_bytes_max), {}));
}

bool requester_core::send_now(message& head, message* tail, std::size_t messages) noexcept {
    if (!frame_access::send(socket_.get(), head, tail ? ZMQ_SNDMORE : 0)) return false;
    if (tail) (void)frame_access::send(socket_.get(), *tail, 0);
    counts_.sent += messages;
    pump_.touched();
    return true;
}

requester_core::flush::flush(requester_core& of) noexcept
    : job([](weave::job& self) noexcept {
          auto& one = static_cast<flush&>(self);
          one.posted = false;
          (void)one.core.send_queued();
      }),
      core(of) {}

// Many requests that are made one after another go as batches, when the jobs that are ready now have run.
void requester_core::deliver(outgoing what) {
    message* const tail = what.two_frames ? &what.tail : nullptr;
    const bool hold = in_flight_ >= few_in_flight && !tail;
    if (outbound_.empty() && !hold && send_now(what.head, tail, 1)) return;
    outbound_bytes_ += outbound_.push(std::move(what.head), tail);
    if (blocked_) return;
    const std::size_t frames = outbound_.frames();
    const bool enough = outbound_bytes_ > batch_bytes_max + frames * frame_cost || frames >= held_messages_max;
    if (!hold || enough)
        (void)send_queued();
    else if (!std::exchange(flush_.posted, true))
        home_.post(flush_);
}

bool requester_core::send_queued() noexcept {
    bool some = false;
    while (!outbound_.empty()) {
        outbound_.gather();
        if (!send_now(outbound_.head(), outbound_.tail(), outbound_.messages_of_head())) break;
        outbound_bytes_ -= outbound_.pop();
        some = true;
    }
    blocked_ = !outbound_.empty();
    if (blocked_) pump_.touched();
    return some;
}

bool requester_core::retry_blocked() noexcept {
    return send_queued();
}

bool requester_core::receive_one() noexcept {
    try {
        message head;
        if (!frame_access::receive(socket_.get(), head, ZMQ_DONTWAIT)) return false;
        ++counts_.received;
        message tail;
        const bool two_frames = frame_access::more(head);
        bool excess = false;
        for (bool rest = two_frames, first = true; rest; first = false) {
            message frame;
            if (!frame_access::receive(socket_.get(), frame, 0)) return false;
            rest = frame_access::more(frame);
            excess |= !first;
            if (first) tail = std::move(frame);
        }
        if (excess)
            ++counts_.malformed;
        else if (!two_frames && is_batch(head.bytes()))
            accept_batch(std::move(head));
        else
            accept(std::move(head), std::move(tail), two_frames);
    } catch (...) {
        home_.log_failure("an answer");
    }
    return true;
}

void requester_core::accept_batch(message whole) {
    batch_reader messages(whole.text().substr(header_bytes));
    bool first = true;
    while (const std::optional<std::string_view> one = messages.next()) {
        if (closed_) return;
        if (!std::exchange(first, false)) ++counts_.received;  // the first one is counted as the frame
        accept(message(*one), {}, false);
    }
    if (messages.broken()) ++counts_.malformed;
}

void requester_core::accept(message head, message tail, bool two_frames) {
    if (!is_binary(head.bytes())) {
        if (on_message && !two_frames) on_message({}, std::move(head));
        return;
    }
    const std::optional<header> top = decode(head.bytes());
    if (!top || (two_frames && head.size() != header_bytes + top->name_bytes)) {
        ++counts_.malformed;
        return;
    }
    frame_access::set_offset(head, header_bytes + top->name_bytes);
    if (top->kind == kind::publish) {
        const std::string topic(reinterpret_cast<const char*>(frame_access::frame_begin(head)) + header_bytes,
                                top->name_bytes);
        if (on_message) on_message(topic, two_frames ? std::move(tail) : std::move(head));
        return;
    }
    answered(*top, two_frames ? std::move(tail) : std::move(head));
}

void requester_core::answered(const header& top, message body) {
    const std::size_t at = top.correlation & 0xFFFFFFFFU;
    if (top.kind == kind::bye) {  // forgotten: this makes it known again
        hello();
        return fail_older_than(++era_);
    }
    if (at >= slots_.size() || !slots_[at].owner || slots_[at].generation != top.correlation >> 32) {
        ++counts_.stale;
        return;
    }
    switch (top.kind) {
        case kind::reply:
            end(at)->heard(answer_kind::reply, std::move(body));
            return;
        case kind::item:
            item(*slots_[at].owner, std::move(body));
            return;
        case kind::end:
            end(at)->heard(answer_kind::end, std::move(body));
            return;
        case kind::failure:
            end(at)->failed(static_cast<errc>(top.code), body.text());
            return;
        default:
            ++counts_.malformed;
            return;
    }
}

void requester_core::item(pending& of, message body) {
    if (of.streams_) return of.heard(answer_kind::item, std::move(body));
    abandon(of);
    of.failed(errc::not_a_stream, stream_text);
}

// libzmq tries a connection no more that was refused, and drops what was sent to it. Without disconnecting it would
// go on to take messages for it until it has noticed.
void requester_core::refused() noexcept {
    ++counts_.refusals;
    zmq_disconnect(socket_.get(), endpoint_.c_str());
    outbound_.clear();
    outbound_bytes_ = 0;
    blocked_ = false;
    fail_older_than(era_ + 1, errc::unauthorized, "the server does not know this client's key");
    home_.parts().arm(retry_, std::chrono::steady_clock::now() + options_.reconnect_most);
}

void requester_core::connect_again() noexcept {
    try {
        socket_.connect(endpoint_);
        hello();
    } catch (...) {
        home_.log_failure("a new connection");
    }
}

// A handshake that has failed is not forgotten while the next attempt is under way.
void requester_core::note_reach(std::uint16_t what) noexcept {
    if (what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        reach_ = reach::server;
    else if (what == ZMQ_EVENT_CLOSED)
        reach_ = reach::nobody;
    else if (what == ZMQ_EVENT_DISCONNECTED)
        reach_ = connected_ ? reach::nobody : reach::no_handshake;
    else if (what == ZMQ_EVENT_CONNECTED && reach_ == reach::nobody)
        reach_ = reach::silent;
}

void requester_core::connection_changed(connection_event event) {
    note_reach(event.what);
    if (event.what == ZMQ_EVENT_CLOSED) return;
    if (event.what == ZMQ_EVENT_CONNECTED) return widen(event.value);
    if (event.what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return refused();
    const bool now = event.what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    if (now) {
        if (counts_.connects++ > 0) hello();
    } else if (connected_) {
        ++counts_.disconnects;
        ++era_;
        lost_ = true;
        pump_.look_again();
    }
    if (std::exchange(connected_, now) == now) return;
    try {
        if (on_connection) on_connection(now);
    } catch (...) {
        home_.log_failure("the hook for connections");
    }
}

// A large message goes through a Unix socket in pieces of what that buffers, some 200 KiB by default, and for each the
// threads at both ends are woken. libzmq sets its size for TCP only, where the kernel knows better. A descriptor that
// was closed meanwhile may be another socket of the process, which the room does not hurt.
void requester_core::widen(int descriptor) const noexcept {
    constexpr int buffer_bytes = 512 << 10;
    if (endpoint_.starts_with("ipc:"))
        ::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
}

// Every answer that the lost connection had brought is read: what is still in flight from before will have none.
void requester_core::found_empty() noexcept {
    if (std::exchange(lost_, false)) fail_older_than(era_);
}

void requester_core::fail_older_than(std::uint32_t era, errc why, std::string_view text) noexcept {
    for (std::size_t at = 0; at < slots_.size(); ++at)
        if (slots_[at].owner && slots_[at].era < era) end(at)->failed(why, text);
}

requester_metrics requester_core::metrics() const noexcept {
    requester_metrics now = counts_;
    now.turns = pump_.counters().turns;
    now.recheck_hits = pump_.counters().recheck_hits;
    now.safety_turns = pump_.counters().safety_turns;
    now.safety_hits = pump_.counters().safety_hits;
    now.in_flight = in_flight_;
    now.outbound_bytes = outbound_bytes_;
    return now;
}

}  // namespace moebius::detail
