// A request inside its handler: what was asked, by whom, and the ways to answer.
#pragma once

#include <moebius/client.hpp>
#include <moebius/error.hpp>
#include <moebius/message.hpp>
#include <moebius/send.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

namespace moebius {

// Move-only; for the loop's thread. Destroyed without an answer, its client gets error(unanswered), if it speaks the
// binary format and waits for one. It may be kept beyond its handler and answered later; after its client's departure
// answers say peer_gone. Of one that was moved from nothing may be asked. It ends before its server.
//
// A client of the JSON format has no streams and no errors of its own: write() and reply() both send the bare body,
// finish() sends nothing, fail() sends an error object (docs/moebius-wire.md).
class request {
public:
    request(request&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    request& operator=(request&& other) noexcept {
        if (this != &other) {
            if (call_) abandon();
            call_ = std::exchange(other.call_, nullptr);
        }
        return *this;
    }
    ~request() {
        if (call_) abandon();
    }

    [[nodiscard]] client peer() const noexcept;
    [[nodiscard]] std::string_view command() const noexcept;      // the name of its rule; good as long as the router
    [[nodiscard]] const message& body() const noexcept;           // JSON: the whole text
    [[nodiscard]] message take_body() noexcept;                   // the same bytes; body() is empty afterwards
    [[nodiscard]] std::uint64_t correlation_id() const noexcept;  // JSON: 0
    [[nodiscard]] bool one_way() const noexcept;    // the client waits for nothing: answers go nowhere, without error
    [[nodiscard]] bool streaming() const noexcept;  // write() is possible: a binary stream, or JSON
    [[nodiscard]] bool binary() const noexcept;
    [[nodiscard]] bool answered() const noexcept;  // reply, finish or fail was called

    // 1 -> 1. A body that came from the socket goes back without being copied. reply(text) copies once.
    send_op reply(message body);
    send_op reply(std::string_view body);
    // 1 -> N: one item; its co_await suspends while the client has granted no credit, or its budget is used up.
    // Throws error(not_a_stream) when the client expects one answer.
    send_op write(message item);
    // The end of a stream.
    send_op finish();
    // An answer that is an error; the client's call throws it. Of a text the first 4 KiB are sent.
    send_op fail(errc code, std::string_view text = {});
    // All four throw error(invalid_state) after an answer; what becomes of the message is in the send_op.

private:
    friend class detail::server_core;
    explicit request(detail::call& of) noexcept : call_(&of) {}
    void abandon() noexcept;

    detail::call* call_;
};

}  // namespace moebius
