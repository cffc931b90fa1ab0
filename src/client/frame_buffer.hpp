// Where a frame is packed.
#pragma once

#include "core/frame_data.hpp"
#include "core/frames.hpp"

#include <tstreams/types.hpp>

#include <cstddef>
#include <memory>
#include <string_view>

namespace tstreams::detail {

// Holds no memory at first. One thread at a time.
class frame_buffer {
public:
    [[nodiscard]] std::size_t size() const noexcept { return memory_ ? memory_->bytes.size() - memory_->headroom : 0; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::size_t capacity() const noexcept {
        return memory_ ? memory_->bytes.capacity() - memory_->headroom : 0;
    }
    [[nodiscard]] std::string_view text() const noexcept {
        return memory_ ? std::string_view(memory_->bytes).substr(memory_->headroom) : std::string_view();
    }
    [[nodiscard]] core::frame_data data() const noexcept { return {as_bytes(text()), memory_}; }

    void reserve(std::size_t size) {
        if (!memory_) memory_ = std::make_shared<core::frame_memory>();
        memory_->bytes.reserve(memory_->headroom + size);
    }
    void pack(bytes_view item) {
        if (!memory_) memory_ = std::make_shared<core::frame_memory>();
        core::pack_item(memory_->bytes, item);
    }
    void append(std::string_view frame) {
        if (!memory_) memory_ = std::make_shared<core::frame_memory>();
        memory_->bytes.append(frame);
    }
    // Keeps the memory, unless a message still refers to it.
    void clear() noexcept {
        if (memory_ && memory_->lent()) memory_.reset();
        if (memory_) memory_->bytes.resize(memory_->headroom);
    }

private:
    std::shared_ptr<core::frame_memory> memory_;
};

}  // namespace tstreams::detail
