// The binary format: a header of 24 bytes in front of the body. docs/moebius-wire.md describes it.
//
//     0  1  magic 0xB5       a byte with which no JSON text, and no UTF-8 text, begins
//     1  1  version 1
//     2  1  kind
//     3  1  flags            bit 0: the request opens a stream; bit 1: whoever sends this takes batches
//     4  2  name_bytes       between header and body: the command, the topic, the client's name; in answers padding
//     6  2  code             of an error
//     8  8  correlation id   chosen by the client, returned in every answer
//    16  4  credit_messages  REQUEST: granted at first; CREDIT: granted more
//    20  4  credit_bytes
//
// All numbers are little-endian. The body follows in the same frame, or is a second frame of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace moebius::detail {

enum class kind : std::uint8_t {
    // From the client.
    hello = 1,
    request = 2,
    one_way = 3,
    credit = 4,
    cancel = 5,
    bye = 6,
    // From either.
    batch = 7,
    // From the server.
    reply = 16,
    item = 17,
    end = 18,
    failure = 19,
    publish = 20,
};

struct header {
    detail::kind kind{};
    std::uint8_t flags = 0;
    std::uint16_t name_bytes = 0;
    std::uint16_t code = 0;
    std::uint64_t correlation = 0;
    std::uint32_t credit_messages = 0;
    std::uint32_t credit_bytes = 0;
};

// Stands between a pool and its workers where clients have their routing ids.
constexpr std::string_view worker_envelope = "f";

constexpr std::size_t header_bytes = 24;
constexpr std::uint8_t wire_magic = 0xB5;
constexpr std::uint8_t wire_version = 1;
constexpr std::uint8_t flag_stream = 1;
constexpr std::uint8_t flag_batches = 2;
constexpr std::size_t name_bytes_max = 255;  // of what a client sends
constexpr std::size_t error_text_max = 4096;
constexpr std::size_t separate_body_bytes = 8192;  // a larger body is not copied but sent as a frame of its own

[[nodiscard]] inline bool is_binary(std::span<const std::byte> frame) noexcept {
    return !frame.empty() && static_cast<std::uint8_t>(frame[0]) == wire_magic;
}

void encode(const header& from, std::byte* to) noexcept;  // header_bytes
// Nothing for a frame that is too short for its header and name, of another version, or not binary.
[[nodiscard]] std::optional<header> decode(std::span<const std::byte> frame) noexcept;

}  // namespace moebius::detail
