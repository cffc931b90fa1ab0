// What is inside a message, for the parts that send and receive it.
#pragma once

#include "moebius/wire.hpp"

#include <moebius/message.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace moebius::detail {

struct frame_access {
    // For libzmq, which must know it: an empty one becomes a frame without bytes.
    [[nodiscard]] static zmq_msg_t* raw(message& one) noexcept {
        if (!std::exchange(one.held_, true)) zmq_msg_init(&one.frame_);
        return &one.frame_;
    }
    // The next frame of the socket takes the place of what was in `to`. False: there is none, or libzmq failed.
    [[nodiscard]] static bool receive(void* socket, message& to, int flags) noexcept {
        zmq_msg_t* frame = raw(to);
        to.bytes_ = to.offset_ = 0;
        int bytes = 0;
        while ((bytes = zmq_msg_recv(frame, socket, flags)) < 0)
            if (zmq_errno() != EINTR) return false;
        to.bytes_ = static_cast<std::size_t>(bytes);
        return true;
    }
    // Gives a whole frame to libzmq, without waiting. False: it was not taken.
    [[nodiscard]] static bool send(void* socket, message& from, int flags) noexcept {
        while (zmq_msg_send(raw(from), socket, flags | ZMQ_DONTWAIT) < 0)
            if (zmq_errno() != EINTR) return false;
        from.held_ = false;  // libzmq left an empty frame, which owns nothing
        from.bytes_ = 0;
        return true;
    }
    [[nodiscard]] static bool more(message& one) noexcept { return zmq_msg_more(raw(one)) != 0; }
    [[nodiscard]] static std::byte* frame_begin(message& one) noexcept {
        return static_cast<std::byte*>(zmq_msg_data(raw(one)));
    }
    [[nodiscard]] static std::size_t offset(const message& one) noexcept { return one.offset_; }
    // The body begins at `bytes` of the frame from now on.
    static void set_offset(message& one, std::size_t bytes) noexcept { one.offset_ = bytes; }
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

// What a frame that waits costs beside its bytes: its place in the queue, and libzmq's block for those that do not fit
// into the place. It counts as bytes do; else tiny messages took several times what they may.
inline constexpr std::size_t frame_cost = 160;

// Messages that wait to be sent, as frames. It keeps room for a few when it is empty, and gives back what it took for
// more.
class frame_queue {
public:
    [[nodiscard]] bool empty() const noexcept { return first_ == entries_.size(); }
    [[nodiscard]] std::size_t frames() const noexcept { return entries_.size() - first_; }
    [[nodiscard]] std::size_t messages() const noexcept {
        const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first_);
        const auto add = [](std::size_t sum, const entry& one) { return sum + one.messages; };
        return std::accumulate(begin, entries_.end(), std::size_t{0}, add);
    }
    // Returns what the message counts, as pop() does later: its bytes, and the cost of its frames.
    std::size_t push(message&& head, message* tail) {
        const std::size_t bytes = head.size() + frame_cost + (tail ? tail->size() + frame_cost : 0);
        if (entries_.size() == kept && entries_.capacity() == kept) entries_.reserve(4 * kept);  // not by and by
        entries_.emplace_back(std::move(head), bytes, 1, tail != nullptr);
        if (tail) entries_.emplace_back(std::move(*tail), 0, 0, false);
        return bytes;
    }
    // Makes one message, a batch, of those at the front that are small, if there are several, and memory for it.
    void gather() noexcept;
    [[nodiscard]] message& head() noexcept { return entries_[first_].frame; }
    [[nodiscard]] message* tail() noexcept { return entries_[first_].more ? &entries_[first_ + 1].frame : nullptr; }
    [[nodiscard]] std::size_t messages_of_head() const noexcept { return entries_[first_].messages; }
    std::size_t pop() noexcept {
        const std::size_t bytes = entries_[first_].bytes;
        first_ += entries_[first_].more ? 2 : 1;
        if (first_ == entries_.size()) {
            clear();
        } else if (first_ >= kept && first_ * 2 >= entries_.size()) {
            entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_));
            first_ = 0;
        }
        return bytes;
    }
    void clear() noexcept {
        entries_.clear();
        if (entries_.capacity() > kept) std::vector<entry>().swap(entries_);
        first_ = 0;
    }

private:
    static constexpr std::size_t kept = 32;
    struct entry {
        entry(message&& of, std::size_t of_message, std::uint32_t in_it, bool another) noexcept
            : frame(std::move(of)), bytes(of_message), messages(in_it), more(another) {}
        message frame;
        std::size_t bytes;       // that the message that begins here counts
        std::uint32_t messages;  // of a batch; 0 for the second frame of a message
        bool more;
    };
    std::vector<entry> entries_;
    std::size_t first_ = 0;
};

// A frame that is the body alone, without copying more than 8 KiB.
[[nodiscard]] message bare_frame(message&& body);

// Writes the header over the one that the body came with, which makes it a whole frame. False: it cannot be done.
[[nodiscard]] bool write_header(header top, message& body) noexcept;

// Header, name and body. A body that came from the socket is sent in its own frame, with the header written over the
// one it came with; one of up to 8 KiB is copied behind its header; a larger one is a second frame.
[[nodiscard]] outgoing with_header(header top, std::string_view name, message&& body);

}  // namespace moebius::detail
