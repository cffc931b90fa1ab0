// Clients that come and go.
//
// libzmq says which descriptor was closed, not which peer that was; a message says from which descriptor it came. A
// client is bound to the descriptor of its first message. When that one closes, the client has left, unless one of
// its later messages came from another connection: so it departs only after the socket was read empty.
#include "moebius/loop_impl.hpp"
#include "moebius/server_core.hpp"

#include <algorithm>
#include <cstdlib>

namespace moebius::detail {
namespace {

// Of two clients that chose no routing id: whether the first one's connection is the older. libzmq counts them.
bool came_before(const client_state& one, const client_state& other) noexcept {
    const auto number = [](const std::string& id) {
        std::uint32_t value = 0;
        for (std::size_t i = 1; i < id.size(); ++i) value = value << 8 | static_cast<std::uint8_t>(id[i]);
        return value;
    };
    return static_cast<std::int32_t>(number(other.id) - number(one.id)) > 0;
}

}  // namespace

client_state::client_state(server_core& of) noexcept
    : job([](weave::job& self) noexcept {
          client_state& one = static_cast<client_state&>(self);
          one.posted = false;
          if (one.connected)
              one.core.advance(one);
          else
              one.core.depart(one);
      }),
      core(of) {}

void client_state::renew() noexcept {
    connected = binary = batches = check_origin = blocked = false;
    origin = -1;
    connection = nullptr;
    departure = errc::none;
    for (std::string* text : {&id, &name, &user_id, &address, &key}) text->clear();
    user.reset();
    topics.clear();
    by_number = {};
}

// An error answer to somebody who does not become a client; to each message of a batch.
void server_core::turn_away(std::string_view id, std::string_view first, errc why, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(first));
    if (is_batch(bytes)) {
        batch_reader messages(first.substr(header_bytes));
        while (const std::optional<std::string_view> one = messages.next())
            if (!is_batch(std::as_bytes(std::span(*one)))) turn_away(id, *one, why, text);
        return;
    }
    call stranger(*this);
    stranger.binary = is_binary(bytes);
    if (const auto top = decode(bytes)) {
        if (top->kind != kind::request) return;
        stranger.correlation = top->correlation;
    }
    outgoing refusal = compose(stranger, kind::failure, message(text), why);
    client_state nobody(*this);
    nobody.id = id;
    (void)send_now(nobody, refusal.head, nullptr, 1);
}

client_state* server_core::arrive(std::string_view id, message& first) {
    const auto property = [&](const char* name) {
        const char* value = zmq_msg_gets(frame_access::raw(first), name);
        return std::string(value ? value : "");
    };
    // What the handler of handshakes said: the key. libzmq asks nobody about inproc.
    std::string key = guard_ ? property("User-Id") : std::string();
    const std::string* user = guard_ ? guard_->clients.find(key) : nullptr;
    if (guard_ && !user && !(inproc_ && key.empty())) {
        ++counts_.unauthorized;
        turn_away(id, first.text(), errc::unauthorized, "this key is not allowed");
        return nullptr;
    }
    if (clients_.size() >= options_.limits.clients) {
        ++counts_.overloaded;
        turn_away(id, first.text(), errc::overloaded, "too many clients");
        return nullptr;
    }
    client_state& made = clients_.add(id);
    ++counts_.clients_arrived;
    made.last_seen = tick_;
    if (user) made.user_id = *user;
    made.key = std::move(key);
    made.address = property("Peer-Address");
    bind_origin(made, first);
    try {
        if (hook.connected) hook.connected(handle(made));
    } catch (...) {
        home.log_failure("the hook for arrivals");
    }
    return &made;
}

void server_core::bind_origin(client_state& one, message& from) noexcept {
    if (!watch_) return;  // a worker
    // Where libzmq keeps the property is the same for all messages of a connection, and no other's while one of them
    // is left: the descriptor alone may be in use again before the last message of its last user is read.
    const char* connection = zmq_msg_gets(frame_access::raw(from), "__fd");
    if (connection == one.connection) return;  // if it has ended, this is what it had brought
    watch_->drain();                           // or a connection that has just come would count as closed
    one.connection = connection;
    one.check_origin = false;
    const int origin = connection ? std::atoi(connection) : -1;
    if (const auto old = by_origin_.find(one.origin); old != by_origin_.end() && old->second == &one)
        by_origin_.erase(old);
    one.origin = origin;
    if (origin < 0) return;
    const auto place = by_origin_.find(origin);
    // The connection is closed already, or it was never seen: its messages are all that is left of it.
    if (place == by_origin_.end()) return suspect(one);
    client_state* const other = place->second;
    if (other && other != &one && other->connected && other->anonymous() && one.anonymous()) {
        // One of them has left, and the other one got its descriptor. What the older one sent may be read later.
        if (came_before(one, *other)) return suspect(one);
        suspect(*other);
    }
    place->second = &one;
}

// Its connection has ended, as far as is known: it departs when all that it sent is read, unless that shows that it
// has another one.
void server_core::suspect(client_state& one) noexcept {
    if (std::exchange(one.check_origin, true)) return;
    perhaps_gone_.emplace_back(&one, one.generation);
    pump_.look_again();
}

bool server_core::same_key(const client_state& one, message& from) const noexcept {
    const char* key = zmq_msg_gets(frame_access::raw(from), "User-Id");
    return one.key == std::string_view(key ? key : "");
}

// Whether the client's connection is known to have ended. Its routing id may be another's by now.
bool server_core::connection_ended(const client_state& one) noexcept {
    if (watch_) watch_->drain();
    return one.check_origin;
}

void server_core::allow(allowlist clients) {
    if (!guard_) throw error(errc::invalid_state, "a server without keys knows no allowed clients");
    guard_->clients = std::move(clients);
    for (client_state* one : clients_.all()) {
        if (one->key.empty()) continue;
        if (const std::string* user = guard_->clients.find(one->key))
            one->user_id = *user;
        else
            close_client(*one);
    }
}

void server_core::connection_changed(connection_event event) {
    if (event.what == ZMQ_EVENT_ACCEPTED) {
        by_origin_[event.value] = nullptr;
        return;
    }
    const auto place = by_origin_.find(event.value);
    if (place == by_origin_.end()) return;
    client_state* one = place->second;
    by_origin_.erase(place);
    if (one && one->connected) suspect(*one);
}

void server_core::found_empty() noexcept {
    if (perhaps_gone_.empty()) return;
    const auto gone = std::exchange(perhaps_gone_, {});
    for (const auto& [one, generation] : gone)
        if (one->generation == generation && one->connected && one->check_origin) leave(*one, errc::peer_gone);
}

// Not found any more at once, but hooks and handlers hear of it in a turn of their own.
void server_core::leave(client_state& one, errc why) noexcept {
    if (!std::exchange(one.connected, false)) return;
    one.departure = why;
    clients_.forget(one);
    one.list_node::unlink();
    if (!std::exchange(one.posted, true)) home.post(one);
}

void server_core::close_client(client_state& one) noexcept {
    if (!one.connected) return;
    send_queued(one);
    if (one.binary) {
        outgoing goodbye;
        header top;
        top.kind = kind::bye;
        goodbye = with_header(top, {}, {});
        (void)send_now(one, goodbye.head, nullptr, 1);
    }
    leave(one, errc::cancelled);
}

void server_core::depart(client_state& one) noexcept {
    ++counts_.clients_departed;
    if (const auto place = by_origin_.find(one.origin); place != by_origin_.end() && place->second == &one)
        place->second = nullptr;
    outbound_bytes_ -= one.outbound_bytes;
    one.outbound_bytes = 0;
    for (std::size_t left = one.outbound.messages(); left > 0; --left) lost(&one, errc::peer_gone);
    one.outbound.clear();
    while (!one.topics.empty()) unsubscribe(one, std::string(one.topics.back()));
    // Nobody is left who could get an answer. What owes none, or may owe none, runs to its end.
    const bool everything = one.departure == errc::cancelled;
    one.running.for_each([&](call& running) {
        if (everything || (running.binary && running.wants_answer())) running.stop(errc::peer_gone);
    });
    one.waiting.for_each([&](call& waits) {
        if (everything || (waits.binary && waits.wants_answer())) refuse(waits, errc::peer_gone);
    });
    one.senders.for_each([](send_op& waits) { waits.give_up(errc::peer_gone); });
    try {
        if (hook.disconnected) hook.disconnected(handle(one));
    } catch (...) {
        home.log_failure("the hook for departures");
    }
    one.departure = errc::none;
    advance(one);
    maybe_release(one);
    if (stopping_) maybe_close();
}

void server_core::maybe_release(client_state& one) noexcept {
    if (one.connected || one.posted || one.advancing || one.departure != errc::none || one.calls > 0) return;
    clients_.release(one);
}

void server_core::sweep() {
    ++tick_;
    sweeper_.arm(std::chrono::seconds(1));
    const auto ticks = [](std::chrono::milliseconds time) {
        return static_cast<std::uint32_t>((time.count() + 999) / 1000);
    };
    blocked_.for_each([&](client_state& one) {
        if (tick_ - one.blocked_since > ticks(options_.blocked_expiry)) leave(one, errc::peer_gone);
    });
    const std::uint32_t idle = ticks(options_.idle_expiry);
    if (idle == 0 || tick_ % (idle / 4 + 1) != 0) return;
    const auto seen = [this](const client_state& one) {
        const auto place = by_origin_.find(one.origin);
        return place != by_origin_.end() && place->second == &one;
    };
    for (client_state* one : clients_.all())
        if (one->calls == 0 && tick_ - one->last_seen > idle && !seen(*one)) leave(*one, errc::timed_out);
}

void server_core::subscribe(client_state& one, std::string_view topic) {
    if (!one.connected) return;
    if (topic.size() > name_bytes_max) throw error(errc::too_large, "a topic of more than 255 bytes");
    if (std::find(one.topics.begin(), one.topics.end(), topic) != one.topics.end()) return;
    one.topics.emplace_back(topic);
    topics_[one.topics.back()].push_back(&one);
}

void server_core::unsubscribe(client_state& one, std::string_view topic) noexcept {
    std::erase(one.topics, topic);
    const auto found = topics_.find(std::string(topic));
    if (found == topics_.end()) return;
    std::erase(found->second, &one);
    if (found->second.empty()) topics_.erase(found);
}

void server_core::for_each_client(const std::function<void(client)>& visit) {
    for (client_state* one : clients_.all())
        if (one->connected) visit(handle(*one));
}

}  // namespace moebius::detail
