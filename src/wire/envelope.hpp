// What stands around a call and around its answer.
//
// A request: the head, then the fields of the call. An answer: one byte, then the fields of the reply (0) or of the
// error (1).
//
// Sequence numbers make a call that acts happen once. A client counts its acting calls from 1 in each session, asks
// again with the same number when an answer did not come, and says which answers it has: `answered_below` is the lowest
// number whose answer it still waits for. The server keeps every answer until then.
#pragma once

#include "wire/archive.hpp"
#include "wire/calls.hpp"

#include <exception>
#include <string>
#include <string_view>

namespace tstreams::wire {

inline constexpr std::uint8_t major_version = 1;  // another one is refused
inline constexpr std::uint8_t minor_version = TSTREAMS_WIRE_MINOR;

struct request_head {
    std::uint8_t major = major_version;  // the first byte in every version
    std::uint8_t minor = minor_version;
    core::session_id session = 0;
    std::uint64_t sequence = 0;  // of a call that acts; else 0
    std::uint64_t answered_below = 0;
};

inline constexpr std::size_t request_head_bytes = 26;

template <class Call>
[[nodiscard]] std::string encode_request(const request_head& head, const Call& call, std::size_t bytes_expected = 128) {
    encoder to(bytes_expected);
    to(head.major, head.minor, head.session, head.sequence, head.answered_below);
    to.fields_of(call);
    return to.take();
}

// What stands in front of the frame in the request that writes it. The frame is the last field: with a later field
// behind it the request is not in two pieces.
[[nodiscard]] std::string encode_write_front(const request_head& head, const write_call& call);

// Takes the head off. Throws unsupported for another major version, malformed_message.
[[nodiscard]] request_head decode_head(decoder& from);

template <class Reply>
[[nodiscard]] std::string encode_reply(const Reply& reply, std::size_t bytes_expected = 64) {
    encoder to(bytes_expected);
    to(std::uint8_t{0});
    to(reply);
    return to.take();
}
// Of whatever is being handled. What is no tstreams::error becomes invalid_state, of unknown outcome.
[[nodiscard]] std::string encode_failure(const std::exception_ptr& failure);

// Throws the error that the answer holds; malformed_message for what is no answer.
void check_failure(decoder& from);

template <class Reply>
[[nodiscard]] Reply decode_reply(std::string_view bytes) {
    decoder from(bytes);
    check_failure(from);
    Reply reply{};
    from(reply);
    return reply;
}

}  // namespace tstreams::wire
