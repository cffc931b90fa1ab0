// How items are packed into frames, and how a long list of frames is kept short.
//
// frame        := item*                      item := length (LEB128, at most 5 bytes) bytes
// index frame  := frame_ref*                 of one level; see records.hpp for the encoding of a frame_ref
//
// A transaction holds the references of its frames. When 64 of one level have come together they are written as
// one index frame, whose reference takes their place one level up: a transaction of any size has a short row.
#pragma once

#include "core/service.hpp"

#include <tstreams/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::core {

inline constexpr std::size_t frame_bytes_target = std::size_t{1} << 20;
inline constexpr std::size_t index_fanout = 64;

[[nodiscard]] std::uint32_t crc32c(bytes_view data) noexcept;

// Bytes that an item of `size` takes in a frame.
[[nodiscard]] std::size_t packed_bytes(std::size_t size) noexcept;
void pack_item(std::string& frame, bytes_view item);

// Walks the items of a frame; the views point into it.
class frame_reader {
public:
    explicit frame_reader(std::string_view frame) noexcept : rest_(frame) {}
    // The next item, or empty at the end. Throws corrupt where the frame is not well formed.
    std::optional<bytes_view> next();

private:
    std::string_view rest_;
};

[[nodiscard]] std::string encode_index(const std::vector<frame_ref>& children);
// Throws corrupt.
[[nodiscard]] std::vector<frame_ref> decode_index(std::string_view frame, std::uint8_t level);

}  // namespace tstreams::core
