// What can go wrong, as a number that travels over the wire and as the exception that carries it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace moebius {

// The numbers are part of the wire format and are never reused. 1 to 999 are Moebius' own; an application takes its
// own from 1000 on: static_cast<moebius::errc>(1000 + n).
enum class errc : std::uint16_t {
    none = 0,
    peer_gone = 1,        // the other side is not connected (any more); whether it did the work is not known
    would_block = 2,      // the client does not read: its outbound budget is used up
    overloaded = 3,       // a queue or a limit is full; nothing was done
    unroutable = 4,       // no rule for this request
    malformed = 5,        // the frames or the JSON text break the format
    timed_out = 6,        // the time is over; whether the work was done is not known
    cancelled = 7,        // the handler was told to stop by its client
    ignored = 8,          // the client's handler still runs and the rule says `ignore`; nothing was done
    replaced = 9,         // a later request of the same client took this one's place
    unanswered = 10,      // the handler ended without an answer
    handler_failed = 11,  // the handler threw something that is not a moebius::error
    stopping = 12,        // the server stops
    not_a_stream = 13,    // one side streams, the other expects one answer
    too_large = 14,       // over a limit of size
    invalid_state = 15,   // a call that makes no sense here: a second answer, an unbound socket
    would_deadlock = 16,  // a blocking call on the loop's own thread
    transport = 17,       // libzmq refused: a bad endpoint, an address in use
    unauthorized = 18,    // the server does not know this client's key, or not any more; nothing was done
    unprotected = 19,     // an address that other machines reach, without keys; or keys that refuse nobody
    invalid_key = 20,     // no key, or a file of keys or clients that is not as it must be
    application = 1000,
};

// "peer_gone", ...; "application" for every number from 1000 on, "unknown" for the others.
[[nodiscard]] std::string_view name_of(errc code) noexcept;

// Thrown by every call that fails. A handler that throws it (or fail()s) answers its client with this code and text;
// of any other exception the client hears `handler_failed` only.
class error : public std::runtime_error {
public:
    // An empty text: the name of the code.
    explicit error(errc code, const std::string& text = {});
    [[nodiscard]] errc code() const noexcept { return code_; }

private:
    errc code_;
};

// Thrown at the suspension point of a handler that was told to stop, and at every one after that. Let it pass.
class cancelled : public error {
public:
    cancelled() : error(errc::cancelled) {}
};

}  // namespace moebius
