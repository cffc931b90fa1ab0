// Many small messages in one frame. What a message costs is mostly the waking of the threads that it passes; these are
// woken once for all of a batch. docs/moebius-wire.md describes it.
#pragma once

#include "moebius/wire.hpp"

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace moebius::detail {

// More of one batch are not looked at. It is the turn that a client has before the others', so it is small.
constexpr std::size_t batch_messages_max = 64;
// A sender's: larger ones fill packets by themselves.
constexpr std::size_t batch_bytes_max = std::size_t{64} << 10;
constexpr std::size_t batched_bytes_max = header_bytes + name_bytes_max + separate_body_bytes;  // of one message

[[nodiscard]] inline bool is_batch(std::span<const std::byte> frame) noexcept {
    return frame.size() >= header_bytes && is_binary(frame) && static_cast<std::uint8_t>(frame[1]) == wire_version &&
           static_cast<kind>(frame[2]) == kind::batch;
}

// The messages of a batch, one after another.
class batch_reader {
public:
    // `body` is what stands behind the batch's header; it outlives the reader.
    explicit batch_reader(std::string_view body) noexcept : rest_(body) {}

    // Nothing at the end, or where what is left is no message: then broken() is true.
    [[nodiscard]] std::optional<std::string_view> next() noexcept;
    [[nodiscard]] bool broken() const noexcept { return !rest_.empty(); }

private:
    std::string_view rest_;
    std::size_t count_ = 0;
};

// Fills a frame with messages. The memory has room for header_bytes, and for each message its bytes and 4 more.
class batch_writer {
public:
    explicit batch_writer(std::byte* to) noexcept;
    void add(std::span<const std::byte> one) noexcept;

private:
    std::byte* at_;
};

}  // namespace moebius::detail
