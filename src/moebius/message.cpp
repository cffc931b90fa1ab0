#include "moebius/batch.hpp"
#include "moebius/frames.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

namespace moebius {

message::message(std::size_t bytes) {
    if (zmq_msg_init_size(&frame_, bytes) != 0) throw std::bad_alloc();
    held_ = true;
    bytes_ = bytes;
}

message::message(std::string_view text) : message(text.size()) {
    if (!text.empty()) std::memcpy(data(), text.data(), text.size());
}

message::message(std::span<const std::byte> bytes) : message(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data(), bytes.data(), bytes.size());
}

message message::uninitialized(std::size_t bytes) {
    return message(bytes);
}

message message::adopt(std::span<std::byte> bytes, std::function<void()> release) {
    auto owner = std::make_unique<std::function<void()>>(std::move(release));
    message made;
    const auto free = [](void*, void* hint) {
        const std::unique_ptr<std::function<void()>> last(static_cast<std::function<void()>*>(hint));
        (*last)();
    };
    if (zmq_msg_init_data(&made.frame_, bytes.data(), bytes.size(), free, owner.get()) != 0) throw std::bad_alloc();
    made.held_ = true;
    made.bytes_ = bytes.size();
    owner.release();
    return made;
}

message message::adopt(std::string text) {
    constexpr std::size_t copied_bytes_max = 4096;
    if (text.size() <= copied_bytes_max) return message(std::string_view(text));
    auto owned = std::make_unique<std::string>(std::move(text));
    std::string* const held = owned.get();
    message made = adopt(std::as_writable_bytes(std::span(held->data(), held->size())), [held] { delete held; });
    std::ignore = owned.release();
    return made;
}

message message::share() const {
    message other;
    if (!held_) return other;
    // zmq_msg_copy marks the source as shared, which is no change of its content.
    zmq_msg_copy(detail::frame_access::raw(other), const_cast<zmq_msg_t*>(&frame_));
    other.bytes_ = bytes_;
    other.offset_ = offset_;
    return other;
}

namespace detail {
namespace {

// The body as a frame, kept alive by the whole it is a part of.
message tail_of(message whole) {
    auto keeper = std::make_shared<message>(std::move(whole));
    const std::span<std::byte> part{keeper->data(), keeper->size()};
    return message::adopt(part, [keeper] {});
}

}  // namespace

message bare_frame(message&& body) {
    if (frame_access::offset(body) == 0) return std::move(body);
    if (body.size() <= separate_body_bytes) return message(body.bytes());
    return tail_of(std::move(body));
}

void frame_queue::gather() noexcept {
    std::size_t end = first_;
    std::size_t bytes = header_bytes;
    for (; end < entries_.size() && end - first_ < batch_messages_max; ++end) {
        const entry& one = entries_[end];
        const std::size_t with_it = bytes + sizeof(std::uint32_t) + one.frame.size();
        if (one.more || one.messages != 1 || one.frame.size() > batched_bytes_max || with_it > batch_bytes_max) break;
        bytes = with_it;
    }
    if (end - first_ < 2) return;
    message whole;
    try {
        whole = message::uninitialized(bytes);
    } catch (const std::bad_alloc&) {
        return;
    }
    batch_writer to(whole.data());
    std::size_t counted = 0;
    const auto count = static_cast<std::uint32_t>(end - first_);
    for (; first_ < end; ++first_) {
        to.add(entries_[first_].frame.bytes());
        counted += entries_[first_].bytes;
        entries_[first_].frame = message();
    }
    entries_[--first_] = entry(std::move(whole), counted, count, false);
}

bool write_header(header top, message& body) noexcept {
    const std::size_t offset = frame_access::offset(body);
    if (offset < header_bytes || zmq_msg_get(frame_access::raw(body), ZMQ_SHARED) != 0) return false;
    top.name_bytes = static_cast<std::uint16_t>(offset - header_bytes);
    encode(top, frame_access::frame_begin(body));
    frame_access::set_offset(body, 0);
    return true;
}

outgoing with_header(header top, std::string_view name, message&& body) {
    if (name.empty() && write_header(top, body)) return {.head = std::move(body), .tail = {}};
    outgoing made;
    top.name_bytes = static_cast<std::uint16_t>(name.size());
    const std::size_t prefix = header_bytes + name.size();
    const bool together = body.size() <= separate_body_bytes;
    made.head = message::uninitialized(prefix + (together ? body.size() : 0));
    encode(top, made.head.data());
    if (!name.empty()) std::memcpy(made.head.data() + header_bytes, name.data(), name.size());
    if (together) {
        if (!body.empty()) std::memcpy(made.head.data() + prefix, body.data(), body.size());
    } else {
        made.tail = bare_frame(std::move(body));
        made.two_frames = true;
    }
    return made;
}

}  // namespace detail
}  // namespace moebius
