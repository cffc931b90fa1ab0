// A message: owned bytes that move from the socket to the handler and back without being copied.
#pragma once

#include <zmq.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace moebius {

namespace detail {
struct frame_access;
}

// Move-only; a moved-from message is empty. Its bytes are inside the message or behind it: pointers into a message
// of up to 33 bytes are good until it is moved, into a larger one until it is destroyed. Not thread-safe, but may be
// moved to another thread. What makes one throws std::bad_alloc when there is no memory, and nothing else.
class message {
public:
    message() noexcept {}                                // empty
    explicit message(std::string_view text);             // copies
    explicit message(std::span<const std::byte> bytes);  // copies
    static message uninitialized(std::size_t bytes);     // to be filled through data()

    // Takes memory without copying it. `release` is called once when the last message that shares it is done with,
    // on any thread, libzmq's included; it must not throw. If this throws, the memory is still the caller's.
    static message adopt(std::span<std::byte> bytes, std::function<void()> release);
    // Takes a text; a short one is copied, which costs less.
    static message adopt(std::string text);

    message(message&& other) noexcept { take(other); }
    message& operator=(message&& other) noexcept {
        if (this != &other) {
            reset();
            take(other);
        }
        return *this;
    }
    ~message() { reset(); }

    // Another message with the same bytes: O(1), counted, nothing is copied above 33 bytes. Neither may be written
    // to while there are two.
    [[nodiscard]] message share() const;

    [[nodiscard]] std::byte* data() noexcept {
        return held_ ? static_cast<std::byte*>(zmq_msg_data(&frame_)) + offset_ : nullptr;
    }
    [[nodiscard]] const std::byte* data() const noexcept { return const_cast<message*>(this)->data(); }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_ - offset_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data(), size()}; }
    [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data()), size()}; }

private:
    friend struct detail::frame_access;
    explicit message(std::size_t bytes);

    void reset() noexcept {
        if (held_) zmq_msg_close(&frame_);
        held_ = false;
        bytes_ = offset_ = 0;
    }
    // A frame moves as its bytes, as it does in libzmq's own queues: nothing in it points into it. A request passes
    // through many hands, and the calls of libzmq that this saves are a good part of what it costs.
    void take(message& other) noexcept {
        if (other.held_) std::memcpy(&frame_, &other.frame_, sizeof frame_);
        bytes_ = std::exchange(other.bytes_, 0U);
        offset_ = std::exchange(other.offset_, 0U);
        held_ = std::exchange(other.held_, false);
    }

    zmq_msg_t frame_;  // libzmq's only while held_
    bool held_ = false;
    std::size_t bytes_ = 0;   // of the whole frame
    std::size_t offset_ = 0;  // the body begins here; what is before it belongs to the wire format
};

}  // namespace moebius
