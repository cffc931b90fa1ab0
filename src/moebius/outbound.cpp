// Everything a server sends. What libzmq does not take at once waits in a queue of its client, bounded in bytes.
#include "moebius/json_scan.hpp"
#include "moebius/server_core.hpp"

#include <cerrno>

namespace moebius::detail {
namespace {

constexpr unsigned retries_per_client = 64;  // in one pass over the blocked ones
// What is held for the end of a turn. More bytes fill packets by themselves; more frames than this would fill libzmq's
// queue (server_options::send_queue) before its thread has begun to empty it.
constexpr std::size_t held_bytes_max = std::size_t{64} << 10;
constexpr std::size_t held_frames_max = 32;
constexpr std::size_t held_messages_max = 512;  // for one that takes batches

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

header answer_header(const call& of, kind what, errc code) noexcept {
    header top;
    top.kind = what;
    top.code = static_cast<std::uint16_t>(code);
    top.correlation = of.correlation;
    return top;
}

}  // namespace

// With MANDATORY the frame with the routing id decides: no room, nobody there, or all frames go.
server_core::sent server_core::send_now(const client_state& to, message& head, message* tail,
                                        std::size_t messages) noexcept {
    void* socket = socket_.get();
    // Nobody else may get what is for this key.
    if (guard_ && to.connected && connection_ended(to)) return sent::gone;
    while (zmq_send(socket, to.id.data(), to.id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EINTR) continue;
        return zmq_errno() == EAGAIN ? sent::no_room : sent::gone;
    }
    pump_.touched();
    const std::size_t bytes = head.size() + (tail ? tail->size() : 0);
    if (!frame_access::send(socket, head, tail ? ZMQ_SNDMORE : 0)) return sent::gone;
    if (tail && !frame_access::send(socket, *tail, 0)) return sent::gone;
    counts_.sent += messages;
    counts_.bytes_out += bytes;
    return sent::all;
}

// What is held only for the end of the turn makes room for what comes.
bool server_core::has_room(client_state& to, std::size_t bytes) noexcept {
    const auto fits = [&] {
        return to.outbound.empty() || (to.outbound_bytes + bytes + frame_cost <= options_.limits.outbound_bytes &&
                                       outbound_bytes_ + bytes + frame_cost <= options_.limits.all_outbound_bytes);
    };
    if (fits()) return true;
    if (to.blocked) return false;
    send_queued(to);
    return fits();
}

// Under load messages are held until the end of the turn, and then sent client by client: a client that has many
// requests in flight gets its answers in few packets and is woken once, and so is libzmq's thread. So are answers that
// handlers give after the turn, when what they all waited for is there: until the jobs that are ready now have run. A
// client that waits for each answer (its last busy turn had only one) gets it at once. A worker holds nothing: its
// handlers may block, and what others have answered by then is not to wait for them, nor to die with them.
errc server_core::deliver(client_state& to, message&& head, message* tail) {
    if (!to.connected || closed_) return errc::peer_gone;
    const bool first = to.outbound.empty();
    const bool many = pump_.busy() || batch_.from || !pump_.turning();
    const bool hold = !worker_ && many && to.pipelines(pump_.counters().turns);
    if (first && !hold) {
        const sent outcome = send_now(to, head, tail, 1);
        if (outcome == sent::all) return errc::none;
        if (outcome == sent::gone) {
            suspect(to);  // not gone at once: what it had sent would come in again as of somebody new
            return errc::peer_gone;
        }
    }
    const std::size_t bytes = to.outbound.push(std::move(head), tail);
    to.outbound_bytes += bytes;
    outbound_bytes_ += bytes;
    if (first && !hold)
        block(to);
    else if (first)
        hold_back(to);
    const std::size_t frames = to.outbound.frames();
    const bool enough = to.outbound_bytes > held_bytes_max + frames * frame_cost ||
                        frames >= (to.batches ? held_messages_max : held_frames_max);
    if (!to.blocked && enough) send_queued(to);
    return errc::none;
}

server_core::flush::flush(server_core& of) noexcept
    : job([](weave::job& self) noexcept {
          auto& one = static_cast<flush&>(self);
          one.posted = false;
          one.core.batch_ended();
      }),
      core(of) {}

void server_core::hold_back(client_state& to) noexcept {
    held_.push_back(to);
    if (pump_.turning() || std::exchange(flush_.posted, true)) return;
    home.post(flush_);
}

void server_core::block(client_state& to) noexcept {
    ++counts_.blocked_sends;
    to.blocked = true;
    to.blocked_since = tick_;
    blocked_.push_back(to);
    pump_.touched();
}

// Returns how many were sent. Afterwards the client has nothing left, or is blocked, or leaves.
unsigned server_core::send_queued(client_state& to, unsigned most) noexcept {
    unsigned count = 0;
    for (; count < most && !to.outbound.empty(); ++count) {
        if (to.batches) to.outbound.gather();
        message& head = to.outbound.head();
        const sent outcome = send_now(to, head, to.outbound.tail(), to.outbound.messages_of_head());
        if (outcome == sent::gone) suspect(to);
        if (outcome != sent::all) break;
        const std::size_t bytes = to.outbound.pop();
        to.outbound_bytes -= bytes;
        outbound_bytes_ -= bytes;
    }
    if (to.outbound.empty()) {
        to.blocked = false;
        to.list_node::unlink();
    } else if (!to.blocked && to.connected) {
        block(to);
    }
    return count;
}

void server_core::batch_ended() noexcept {
    if (held_.empty()) return;
    held_.for_each([this](client_state& one) { send_queued(one); });
    if (stopping_) maybe_close();
}

bool server_core::retry_blocked() noexcept {
    bool progress = false;
    blocked_.for_each([&](client_state& one) {
        if (send_queued(one, retries_per_client) == 0) return;
        progress = true;
        one.blocked_since = tick_;
        retry_senders(one);
    });
    if (progress && stopping_) maybe_close();
    return progress;
}

// Sends that wait for room or credit, in their order; one that still has to wait does not hold the others back.
void server_core::retry_senders(client_state& of) noexcept {
    of.senders.for_each([&](send_op& one) {
        try {
            one.status_ = attempt(one, std::move(one.body_));
        } catch (...) {
            home.log_failure("a send");
            one.status_ = errc::overloaded;
        }
        if (one.status_ == errc::would_block) return;
        if (one.status_ != errc::none) lost(&of, one.status_);
        one.list_node::unlink();
        one.wake();
    });
}

// Makes a frame of the body where it is, if that is possible.
bool server_core::finished(const call& of, kind what, message& body) noexcept {
    if (what == kind::failure) return false;
    return of.binary ? write_header(answer_header(of, what, errc::none), body) : frame_access::offset(body) == 0;
}

outgoing server_core::compose(const call& of, kind what, message&& body, errc code) const {
    if (!of.binary) {
        if (what == kind::failure) return {.head = error_text(code, body.text()), .tail = {}};
        return {.head = bare_frame(std::move(body)), .tail = {}};
    }
    return with_header(answer_header(of, what, code), {}, std::move(body));
}

send_op server_core::answer(call& of, kind what, message&& body, errc code) {
    if (of.answered) throw error(errc::invalid_state, "this request has its answer already");
    if (what == kind::item && of.binary && !of.stream && !of.one_way)
        throw error(errc::not_a_stream, "the client expects one answer");
    of.answered = what != kind::item;
    if (of.one_way || (!of.binary && what == kind::end)) return send_op(errc::none);
    return {*of.from, &of, what, std::move(body), code};
}

send_op server_core::send_to(client_state& to, message&& body) {
    return {to, nullptr, kind::publish, std::move(body), errc::none};
}

errc server_core::try_send(client_state& to, message&& body) {
    const errc outcome = send_unasked(to, std::move(body));
    if (outcome == errc::peer_gone) lost(&to, outcome);
    return outcome;
}

errc server_core::send_unasked(client_state& to, message&& body) {
    if (worker_) return errc::peer_gone;  // the front does not know which of its clients is meant
    if (!has_room(to, body.size())) return errc::would_block;
    outgoing what;
    if (to.binary) {
        header top;
        top.kind = kind::publish;
        what = with_header(top, {}, std::move(body));
    } else {
        what.head = bare_frame(std::move(body));
    }
    return deliver(to, std::move(what));
}

// Whoever called counts what is lost. The body is taken unless the outcome is would_block.
errc server_core::attempt(const send_op& one, message&& body) {
    client_state& to = *one.to_;
    if (!to.connected || closed_) return errc::peer_gone;
    if (!to.outbound.empty() && !has_room(to, body.size())) return errc::would_block;
    if (!one.of_) return send_unasked(to, std::move(body));
    call& of = *one.of_;
    if (one.kind_ == kind::item && of.binary) {
        // One item may overdraw the bytes: else an item larger than the grant would never go.
        if (of.credit_messages <= 0 || of.credit_bytes <= 0) return errc::would_block;
        --of.credit_messages;
        of.credit_bytes -= static_cast<std::int64_t>(body.size());
    }
    if (finished(of, one.kind_, body)) return deliver(to, std::move(body));
    return deliver(to, compose(of, one.kind_, std::move(body), one.code_));
}

void server_core::lost(client_state* to, errc why) noexcept {
    ++counts_.undelivered;
    if (!hook.undelivered || closed_) return;
    try {
        hook.undelivered(handle(*to), why);
    } catch (...) {
        home.log_failure("the hook for undelivered messages");
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

send_op::send_op(detail::client_state& to, detail::call* of, detail::kind what, message&& body, errc code)
    : to_(&to), of_(of), generation_(to.generation), code_(code), kind_(what) {
    status_ = to.core.attempt(*this, std::move(body));
    if (status_ == errc::none) return;
    if (status_ == errc::would_block)
        body_ = std::move(body);
    else
        to.core.lost(to_, status_);
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
