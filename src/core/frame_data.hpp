// The bytes of a frame on their way, with room in front of them, so that they can be sent as they stand: what a message
// has in front of a frame is put there, and the message refers to the memory as long as it needs it.
#pragma once

#include <tstreams/types.hpp>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tstreams::core {

class frame_memory {
public:
    static constexpr std::size_t headroom = 128;

    frame_memory() : bytes(headroom, '\0') {}

    // Messages that refer to it: it is not written to as long as there is one. They end on any thread.
    [[nodiscard]] bool lent() const noexcept { return readers_.load(std::memory_order_acquire) != 0; }
    void lend() noexcept { readers_.fetch_add(1, std::memory_order_relaxed); }
    void give_back() noexcept { readers_.fetch_sub(1, std::memory_order_release); }

    std::string bytes;  // `headroom` bytes, then the frame

private:
    std::atomic<unsigned> readers_{0};
};

// The bytes of a frame that is to be written. Without `memory` they are the caller's, as long as the call lasts.
struct frame_data {
    frame_data(bytes_view data) noexcept : bytes(data) {}
    frame_data(bytes_view data, std::shared_ptr<frame_memory> of) noexcept : bytes(data), memory(std::move(of)) {}

    // A message of `front` and the frame in one piece, without a copy, to be released by whoever gets it: from any
    // thread, once. Null where that is not possible: no memory, no room, or an earlier message still refers to it.
    struct message {
        std::span<std::byte> bytes;
        std::function<void()> release;
    };
    [[nodiscard]] message in_one_piece(std::string_view front) const {
        if (!memory || front.size() > frame_memory::headroom || memory->lent()) return {};
        char* const begin = memory->bytes.data() + frame_memory::headroom - front.size();
        std::memcpy(begin, front.data(), front.size());
        memory->lend();
        return {std::as_writable_bytes(std::span(begin, front.size() + bytes.size())),
                [kept = memory] { kept->give_back(); }};
    }

    bytes_view bytes;
    std::shared_ptr<frame_memory> memory{};
};

}  // namespace tstreams::core
