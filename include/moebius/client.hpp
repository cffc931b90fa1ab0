// The server's side of a client: a handle that any handler may keep.
#pragma once

#include <moebius/error.hpp>
#include <moebius/message.hpp>
#include <moebius/send.hpp>

#include <any>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace moebius {

class server;

namespace detail {
class server_core;
struct client_state;
}  // namespace detail

// A copyable handle. After the client's departure it is harmless: connected() is false, sends say peer_gone. It is
// for the loop's thread, and not for after the server's end.
class client {
public:
    client() noexcept = default;  // of nobody

    [[nodiscard]] bool connected() const noexcept;
    [[nodiscard]] std::string_view id() const noexcept;    // its routing id: bytes, unique while it is connected
    [[nodiscard]] std::string_view name() const noexcept;  // as it calls itself (HELLO); a claim, not a proof
    [[nodiscard]] std::string_view user_id()
        const noexcept;  // its name in the allowlist, or its key; empty without keys
    [[nodiscard]] std::string_view address()
        const noexcept;  // its IP address; of ipc, user and process; empty for inproc

    [[nodiscard]] std::size_t queued_requests() const noexcept;  // waiting behind its running handler
    [[nodiscard]] std::size_t outbound_bytes() const noexcept;   // not taken by libzmq yet; 160 more per frame

    // A message that answers no request. none: libzmq has it, or it waits in the client's outbound queue;
    // would_block: the client's budget is used up and nothing was queued; peer_gone: neither was it sent. Only an
    // attempt that finds the client gone is told to on_undelivered().
    errc try_send(message body);
    // The same, but co_await waits for room in the budget. Throws error(peer_gone).
    send_op send(message body);

    // From now on publish(topic, ...) reaches it. Ends with its departure, after which this does nothing. Throws
    // error(too_large) for a topic of more than 255 bytes.
    void subscribe(std::string_view topic);
    void unsubscribe(std::string_view topic);

    // Cancels its handlers, drops what it has queued, says BYE to a binary client and forgets it: the caller's own
    // handler, too, at its next suspension. (libzmq cannot cut the connection: if it sends again it is a new client.)
    void close();

    // The user's state of this client, made by the first call, destroyed after on_disconnect and the last of its
    // handlers. One type per server: throws std::bad_any_cast for another one. Throws error(peer_gone) afterwards.
    template <class T>
    T& context() {
        std::any& place = user_state();
        if (!place.has_value()) place.emplace<T>();
        return std::any_cast<T&>(place);
    }

    friend bool operator==(const client&, const client&) noexcept = default;

private:
    friend class detail::server_core;
    friend class request;
    client(detail::client_state& state, std::uint32_t generation) noexcept : state_(&state), generation_(generation) {}
    [[nodiscard]] detail::client_state* get() const noexcept;  // null after its departure
    [[nodiscard]] std::any& user_state();

    detail::client_state* state_ = nullptr;
    std::uint32_t generation_ = 0;
};

}  // namespace moebius
