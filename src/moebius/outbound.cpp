// Everything a server sends. What libzmq does not take at once waits in a queue of its client, bounded in bytes.
#include "moebius/json_scan.hpp"
#include "moebius/server_core.hpp"

#include <cerrno>

namespace moebius::detail {
namespace {

constexpr unsigned retries_per_client = 64;  // in one pass over the blocked ones

bool send_frame(void* socket, message& frame, int flags) noexcept {
    while (zmq_msg_send(frame_access::raw(frame), socket, flags | ZMQ_DONTWAIT) < 0)
        if (zmq_errno() != EINTR) return false;
    return true;
}

// {"error": "overloaded", "text": "..."}: what a text client gets for an error.
message error_text(errc code, std::string_view text) {
    std::string body = R"({"error":")";
    body += name_of(code);
    body += R"(","code":)";
    body += std::to_string(static_cast<unsigned>(code));
    body += R"(,"text":")";
    append_escaped(body, text);
    body += "\"}";
    return message(body);
}

}  // namespace

// With MANDATORY the frame with the routing id decides: no room, nobody there, or all frames go.
server_core::sent server_core::send_now(const client_state& to, outgoing& what) noexcept {
    void* socket = socket_.get();
    // Nobody else may get what is for this key.
    if (guard_ && to.connected && connection_ended(to)) return sent::gone;
    while (zmq_send(socket, to.id.data(), to.id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EINTR) continue;
        return zmq_errno() == EAGAIN ? sent::no_room : sent::gone;
    }
    ++counts_.sent;
    counts_.bytes_out += what.bytes();
    pump_.touched();
    if (!send_frame(socket, what.head, what.two_frames ? ZMQ_SNDMORE : 0)) return sent::gone;
    if (what.two_frames && !send_frame(socket, what.tail, 0)) return sent::gone;
    return sent::all;
}

bool server_core::has_room(const client_state& to, std::size_t bytes) const noexcept {
    return to.outbound.empty() || (to.outbound_bytes + bytes <= options_.limits.outbound_bytes &&
                                   outbound_bytes_ + bytes <= options_.limits.all_outbound_bytes);
}

errc server_core::deliver(client_state& to, outgoing what) {
    if (!to.connected || closed_) return errc::peer_gone;
    if (to.outbound.empty()) {
        const sent outcome = send_now(to, what);
        if (outcome == sent::all) return errc::none;
        if (outcome == sent::gone) {
            leave(to, errc::peer_gone);
            return errc::peer_gone;
        }
        ++counts_.blocked_sends;
        to.blocked_since = tick_;
        blocked_.push_back(to);
        pump_.touched();
    }
    const std::size_t bytes = what.bytes();
    to.outbound.push_back(std::move(what));
    to.outbound_bytes += bytes;
    outbound_bytes_ += bytes;
    return errc::none;
}

bool server_core::retry_blocked() noexcept {
    bool progress = false;
    blocked_.for_each([&](client_state& one) {
        unsigned count = 0;
        for (; count < retries_per_client && !one.outbound.empty(); ++count) {
            outgoing& first = one.outbound.front();
            const std::size_t bytes = first.bytes();
            const sent outcome = send_now(one, first);
            if (outcome == sent::no_room) break;
            if (outcome == sent::gone) {
                leave(one, errc::peer_gone);
                break;
            }
            one.outbound.pop_front();
            one.outbound_bytes -= bytes;
            outbound_bytes_ -= bytes;
        }
        if (one.outbound.empty()) one.list_node::unlink();
        if (count == 0) return;
        progress = true;
        one.blocked_since = tick_;
        retry_senders(one);
    });
    if (progress && stopping_) maybe_close();
    return progress;
}

// Sends that wait for room or credit, in their order; one that still has to wait does not hold the others back.
void server_core::retry_senders(client_state& of) noexcept {
    of.senders.for_each([this](send_op& one) {
        try {
            one.status_ = attempt(one);
        } catch (...) {
            log_failure("a send");
            one.status_ = errc::overloaded;
        }
        if (one.status_ == errc::would_block) return;
        one.list_node::unlink();
        one.wake();
    });
}

outgoing server_core::compose(const call& of, kind what, message body, errc code) const {
    outgoing made;
    if (!of.binary) {
        made.head = what == kind::failure ? error_text(code, body.text()) : bare_frame(std::move(body));
        return made;
    }
    header top;
    top.kind = what;
    top.code = static_cast<std::uint16_t>(code);
    top.correlation = of.correlation;
    return with_header(top, {}, std::move(body));
}

send_op server_core::answer(call& of, kind what, message body, errc code) {
    if (of.answered) throw error(errc::invalid_state, "this request has its answer already");
    if (what == kind::item && of.binary && !of.stream && !of.one_way)
        throw error(errc::not_a_stream, "the client expects one answer");
    of.answered = what != kind::item;
    if (of.one_way || (!of.binary && what == kind::end)) return send_op(errc::none);
    return {*of.from, &of, what, std::move(body), code};
}

send_op server_core::send_to(client_state& to, message body) {
    return {to, nullptr, kind::publish, std::move(body), errc::none};
}

errc server_core::try_send(client_state& to, message body) {
    if (worker_) {
        lost(&to, errc::peer_gone);  // the front does not know which of its clients is meant
        return errc::peer_gone;
    }
    if (!has_room(to, body.size())) return errc::would_block;
    outgoing what;
    if (to.binary) {
        header top;
        top.kind = kind::publish;
        what = with_header(top, {}, std::move(body));
    } else {
        what.head = bare_frame(std::move(body));
    }
    const errc outcome = deliver(to, std::move(what));
    if (outcome != errc::none) lost(&to, outcome);
    return outcome;
}

errc server_core::attempt(send_op& one) {
    client_state& to = *one.to_;
    if (!to.connected || closed_) return errc::peer_gone;
    if (!has_room(to, one.body_.size())) return errc::would_block;
    if (!one.of_) return try_send(to, std::move(one.body_));
    call& of = *one.of_;
    if (one.kind_ == kind::item && of.binary) {
        // One item may overdraw the bytes: else an item larger than the grant would never go.
        if (of.credit_messages <= 0 || of.credit_bytes <= 0) return errc::would_block;
        --of.credit_messages;
        of.credit_bytes -= static_cast<std::int64_t>(one.body_.size());
    }
    return deliver(to, compose(of, one.kind_, std::move(one.body_), one.code_));
}

void server_core::lost(client_state* to, errc why) noexcept {
    ++counts_.undelivered;
    if (!hook.undelivered || closed_) return;
    try {
        hook.undelivered(handle(*to), why);
    } catch (...) {
        log_failure("the hook for undelivered messages");
    }
}

std::size_t server_core::broadcast(message body, const std::function<bool(const client&)>& filter) {
    std::vector<client_state*> them = clients_.all();
    if (filter) std::erase_if(them, [&](client_state* one) { return !filter(handle(*one)); });
    return send_to_all(them, {}, std::move(body));
}

std::size_t server_core::publish(std::string_view topic, message body) {
    if (topic.size() > name_bytes_max) throw error(errc::too_large, "a topic of more than 255 bytes");
    const auto found = topics_.find(std::string(topic));
    if (found == topics_.end()) return 0;
    const std::vector<client_state*> them = found->second;
    return send_to_all(them, topic, std::move(body));
}

// The bytes exist twice at most: with a header for the clients that speak the binary format, and bare.
std::size_t server_core::send_to_all(const std::vector<client_state*>& them, std::string_view topic, message body) {
    const std::size_t bytes = body.size();
    outgoing bare;
    bare.head = bare_frame(body.share());
    header top;
    top.kind = kind::publish;
    const outgoing framed = with_header(top, topic, std::move(body));
    std::size_t reached = 0;
    for (client_state* one : them) {
        const errc outcome =
            has_room(*one, bytes) ? deliver(*one, (one->binary ? framed : bare).share()) : errc::would_block;
        if (outcome == errc::none)
            ++reached;
        else
            lost(one, outcome);
    }
    return reached;
}

}  // namespace moebius::detail

namespace moebius {

send_op::send_op(detail::client_state& to, detail::call* of, detail::kind what, message body, errc code)
    : to_(&to), of_(of), body_(std::move(body)), generation_(to.generation), code_(code), kind_(what) {
    status_ = to.core.attempt(*this);
    if (status_ != errc::none && status_ != errc::would_block) to.core.lost(to_, status_);
}

send_op::~send_op() {
    if (status_ == errc::would_block && to_->generation == generation_) to_->core.lost(to_, status_);
}

bool send_op::hang() {
    if (to_->generation != generation_) {
        status_ = errc::peer_gone;
        stay();
        return false;
    }
    to_->senders.push_back(*this);
    return true;
}

void send_op::give_up(errc why) noexcept {
    status_ = why;
    list_node::unlink();
    to_->core.lost(to_, why);
    wake();
}

void send_op::unhook() noexcept {
    list_node::unlink();
}

void send_op::await_resume() {
    throw_if_interrupted();
    if (status_ != errc::none) throw error(status_);
}

}  // namespace moebius
