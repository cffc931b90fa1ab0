#include <moebius/blocking_client.hpp>

#include "moebius/frames.hpp"
#include "moebius/wire.hpp"
#include "moebius/zap.hpp"
#include "moebius/zmq_socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <limits>
#include <utility>

namespace moebius {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint32_t window_messages = 1024;
constexpr std::uint32_t window_bytes = 8U << 20;

}  // namespace

struct blocking_client::request_frame {
    detail::header top;
};

struct blocking_client::answer {
    detail::kind what{};
    message body;
};

// A request that is left before its last answer (a timeout, an exception of the caller's function) is cancelled at the
// server: a stream that waits for credit would hold back this client's next requests.
struct blocking_client::cancel_unless_ended {
    blocking_client& client;
    explicit cancel_unless_ended(blocking_client& of) noexcept : client(of) { client.in_flight_ = true; }
    cancel_unless_ended(const cancel_unless_ended&) = delete;
    cancel_unless_ended& operator=(const cancel_unless_ended&) = delete;
    ~cancel_unless_ended() {
        if (!std::exchange(client.in_flight_, false)) return;
        request_frame cancel;
        cancel.top.kind = detail::kind::cancel;
        cancel.top.correlation = client.last_correlation_;
        try {
            client.send(cancel, {}, {}, clock::now());
        } catch (const std::exception&) {
            // Nobody reads: then nobody is at work either.
        }
    }
};

blocking_client::blocking_client(const std::string& endpoint, blocking_client_options options)
    : endpoint_(endpoint),
      name_(options.name.substr(0, detail::name_bytes_max)),
      context_(options.zmq_context ? std::make_shared<detail::zmq_context>(options.zmq_context)
                                   : std::make_shared<detail::zmq_context>(1, 16)),
      socket_(std::make_unique<detail::zmq_socket>(context_, ZMQ_DEALER)) {
    constexpr int linger_ms = 1000;  // a message without an answer is to leave, too
    socket_->set(ZMQ_LINGER, linger_ms);
    socket_->set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(options.message_bytes));
    if (options.security) {
        detail::set_client_keys(*socket_, *options.security);
        watch_refusals();
    }
    socket_->connect(endpoint_);
    say_hello();
}

blocking_client::~blocking_client() = default;

void blocking_client::say_hello() {
    if (name_.empty()) return;
    request_frame hello;
    hello.top.kind = detail::kind::hello;
    send(hello, name_, {}, clock::now());
}

// Between two requests: late answers are dropped, and a server that has said BYE hears the name again. Read after the
// next request, that BYE would look like the end of it.
void blocking_client::catch_up() {
    bool forgotten = false;
    message frame;
    while (detail::frame_access::receive(socket_->get(), frame, ZMQ_DONTWAIT)) {
        const std::optional<detail::header> top = detail::decode(frame.bytes());
        forgotten |= top && top->kind == detail::kind::bye;
    }
    if (forgotten) say_hello();
}

void blocking_client::watch_refusals() {
    static std::atomic<std::uint64_t> last{0};
    const std::string events = "inproc://moebius-refusals-" + std::to_string(++last);
    if (zmq_socket_monitor(socket_->get(), events.c_str(), ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) != 0)
        detail::throw_zmq("a monitor");
    refusals_ = std::make_unique<detail::zmq_socket>(context_, ZMQ_PAIR);
    refusals_->connect(events);
}

// libzmq tries a connection no more that was refused: the next call does.
void blocking_client::throw_if_refused() {
    std::array<char, 512> frame{};
    bool refused = false;
    while (zmq_recv(refusals_->get(), frame.data(), frame.size(), ZMQ_DONTWAIT) >= 0) refused = true;
    if (!refused) return;
    zmq_disconnect(socket_->get(), endpoint_.c_str());
    socket_->connect(endpoint_);
    throw error(errc::unauthorized, "the server does not know this client's key");
}

void blocking_client::wait(short events, deadline until) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
        std::array<zmq_pollitem_t, 2> items{{{socket_->get(), 0, events, 0}, {}}};
        if (refusals_) items[1] = {refusals_->get(), 0, ZMQ_POLLIN, 0};
        const long patience = std::clamp<long>(left.count(), 0, std::numeric_limits<int>::max());
        const int ready = zmq_poll(items.data(), refusals_ ? 2 : 1, patience);
        if (refusals_ && items[1].revents != 0) throw_if_refused();
        if (items[0].revents != 0) return;
        if (ready < 0 && zmq_errno() != EINTR) detail::throw_zmq("waiting for the server");
        if (clock::now() >= until) throw error(errc::timed_out, "no answer in time");
    }
}

void blocking_client::send(const request_frame& head, std::string_view command, message body, deadline until) {
    if (command.size() > detail::name_bytes_max) throw error(errc::too_large, "a command of more than 255 bytes");
    detail::outgoing what = detail::with_header(head.top, command, std::move(body));
    const auto send_frame = [&](message& frame, int flags) {
        while (!detail::frame_access::send(socket_->get(), frame, flags)) {
            if (zmq_errno() != EAGAIN) detail::throw_zmq("a request");
            wait(ZMQ_POLLOUT, until);
        }
    };
    send_frame(what.head, what.two_frames ? ZMQ_SNDMORE : 0);
    if (what.two_frames) send_frame(what.tail, 0);
}

blocking_client::answer blocking_client::receive(std::uint64_t correlation, deadline until) {
    for (;;) {
        message head, tail;
        const auto receive_frame = [&](message& frame, int flags) {
            while (!detail::frame_access::receive(socket_->get(), frame, flags)) {
                if (zmq_errno() != EAGAIN) detail::throw_zmq("an answer");
                wait(ZMQ_POLLIN, until);
            }
            return detail::frame_access::more(frame);
        };
        const bool two_frames = receive_frame(head, ZMQ_DONTWAIT);
        if (two_frames && receive_frame(tail, 0)) {
            for (message excess; receive_frame(excess, 0);) continue;
            throw error(errc::malformed, "an answer of more than two frames");
        }
        const std::optional<detail::header> top = detail::decode(head.bytes());
        if (top && top->kind == detail::kind::bye) {
            in_flight_ = false;
            say_hello();
            throw error(errc::peer_gone, "the server has closed this client");
        }
        if (!top || top->correlation != correlation) continue;  // late, or not for us
        if (!two_frames) {
            detail::frame_access::set_offset(head, detail::header_bytes + top->name_bytes);
            tail = std::move(head);
        }
        in_flight_ = top->kind == detail::kind::item;
        if (top->kind == detail::kind::failure) throw error(static_cast<errc>(top->code), std::string(tail.text()));
        return {top->kind, std::move(tail)};
    }
}

message blocking_client::call(std::string_view command, message body, std::chrono::milliseconds timeout) {
    const deadline until = clock::now() + timeout;
    request_frame head;
    head.top.kind = detail::kind::request;
    head.top.correlation = ++last_correlation_;
    catch_up();
    send(head, command, std::move(body), until);
    const cancel_unless_ended guard(*this);
    answer got = receive(last_correlation_, until);
    if (got.what != detail::kind::reply)
        throw error(errc::not_a_stream, "the server streams, and one answer was asked for");
    return std::move(got.body);
}

void blocking_client::notify(std::string_view command, message body, std::chrono::milliseconds timeout) {
    request_frame head;
    head.top.kind = detail::kind::one_way;
    send(head, command, std::move(body), clock::now() + timeout);
}

void blocking_client::stream(std::string_view command, message body, std::chrono::milliseconds timeout,
                             const std::function<bool(message)>& each) {
    request_frame head;
    head.top.kind = detail::kind::request;
    head.top.flags = detail::flag_stream;
    head.top.correlation = ++last_correlation_;
    head.top.credit_messages = window_messages;
    head.top.credit_bytes = window_bytes;
    catch_up();
    send(head, command, std::move(body), clock::now() + timeout);
    const cancel_unless_ended guard(*this);
    request_frame more;
    more.top.kind = detail::kind::credit;
    more.top.correlation = last_correlation_;
    for (;;) {
        answer got = receive(last_correlation_, clock::now() + timeout);
        if (got.what == detail::kind::end) return;
        if (got.what != detail::kind::item) throw error(errc::not_a_stream, "the server gave one answer, no stream");
        ++more.top.credit_messages;
        more.top.credit_bytes += static_cast<std::uint32_t>(got.body.size());
        if (!each(std::move(got.body))) return;
        if (more.top.credit_messages < window_messages / 2 && more.top.credit_bytes < window_bytes / 2) continue;
        send(more, {}, {}, clock::now() + timeout);
        more.top.credit_messages = more.top.credit_bytes = 0;
    }
}

message ask(const std::string& endpoint, std::string_view command, std::string_view body,
            std::chrono::milliseconds timeout, blocking_client_options options) {
    blocking_client client(endpoint, std::move(options));
    return client.call(command, message(body), timeout);
}

}  // namespace moebius
