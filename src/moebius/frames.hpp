// What is inside a message, for the parts that send and receive it.
#pragma once

#include "moebius/wire.hpp"

#include <moebius/message.hpp>

#include <cstddef>
#include <string_view>

namespace moebius::detail {

struct frame_access {
    [[nodiscard]] static zmq_msg_t* raw(message& one) noexcept { return &one.frame_; }
    [[nodiscard]] static std::byte* frame_begin(message& one) noexcept {
        return static_cast<std::byte*>(zmq_msg_data(&one.frame_));
    }
    [[nodiscard]] static std::size_t offset(const message& one) noexcept { return one.offset_; }
    // The body begins at `bytes` of the frame from now on.
    static void set_offset(message& one, std::size_t bytes) noexcept {
        one.offset_ = static_cast<std::uint32_t>(bytes);
    }
};

// A message on its way out: one frame, or two.
struct outgoing {
    message head;
    message tail;
    bool two_frames = false;
    [[nodiscard]] std::size_t bytes() const noexcept { return head.size() + tail.size(); }
    [[nodiscard]] outgoing share() const {
        outgoing other;
        other.head = head.share();
        if (two_frames) other.tail = tail.share();
        other.two_frames = two_frames;
        return other;
    }
};

// A frame that is the body alone, without copying more than 8 KiB.
[[nodiscard]] message bare_frame(message body);

// Header, name and body. A body that came from the socket is sent in its own frame, with the header written over the
// one it came with; one of up to 8 KiB is copied behind its header; a larger one is a second frame.
[[nodiscard]] outgoing with_header(header top, std::string_view name, message body);

}  // namespace moebius::detail
