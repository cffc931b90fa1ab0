#include "core/frames.hpp"

#include "core/records.hpp"

#include <isa-l/crc.h>

#include <tstreams/error.hpp>

namespace tstreams::core {

std::uint32_t crc32c(bytes_view data) noexcept {
    // ISA-L's crc32_iscsi is CRC32C without the final inversion; its length is an int and it does not write.
    std::uint32_t state = 0xffffffff;
    constexpr std::size_t step = std::size_t{1} << 30;
    while (!data.empty()) {
        const bytes_view part = data.first(data.size() < step ? data.size() : step);
        auto* start = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(part.data()));
        state = crc32_iscsi(start, static_cast<int>(part.size()), state);
        data = data.subspan(part.size());
    }
    return ~state;
}

std::size_t packed_bytes(std::size_t size) noexcept {
    std::size_t header = 1;
    for (std::size_t rest = size >> 7; rest != 0; rest >>= 7) ++header;
    return header + size;
}

void pack_item(std::string& frame, bytes_view item) {
    std::size_t rest = item.size();
    while (rest >= 0x80) {
        frame.push_back(static_cast<char>(rest | 0x80));
        rest >>= 7;
    }
    frame.push_back(static_cast<char>(rest));
    frame.append(as_text(item));
}

std::optional<bytes_view> frame_reader::next() {
    if (rest_.empty()) return std::nullopt;
    std::uint64_t size = 0;
    std::size_t used = 0;
    for (int shift = 0;; shift += 7) {
        if (used == rest_.size() || shift > 28)
            throw error(errc::corrupt, "a frame of items is damaged: an item's length is not whole");
        const auto byte = static_cast<unsigned char>(rest_[used++]);
        size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (!(byte & 0x80)) break;
    }
    if (size > rest_.size() - used)
        throw error(errc::corrupt, "a frame of items is damaged: an item ends behind its frame");
    const bytes_view item = as_bytes(rest_.substr(used, size));
    rest_.remove_prefix(used + size);
    return item;
}

std::string encode_index(const std::vector<frame_ref>& children) {
    record_writer out;
    for (const frame_ref& child : children) write_frame_ref(out, child);
    return std::move(out).take();
}

std::vector<frame_ref> decode_index(std::string_view frame, std::uint8_t level) {
    record_reader in(frame, "an index frame");
    std::vector<frame_ref> children;
    while (!in.at_end()) {
        frame_ref child = read_frame_ref(in);
        if (child.level + 1 != level) throw error(errc::corrupt, "an index frame is damaged: wrong level");
        children.push_back(std::move(child));
    }
    return children;
}

}  // namespace tstreams::core
