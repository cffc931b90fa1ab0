#include "moebius/batch.hpp"

#include <cstdint>

namespace moebius::detail {

std::optional<std::string_view> batch_reader::next() noexcept {
    std::uint32_t bytes = 0;
    if (rest_.size() < sizeof bytes || count_ == batch_messages_max) return {};
    std::memcpy(&bytes, rest_.data(), sizeof bytes);
    if (bytes > rest_.size() - sizeof bytes) return {};
    const std::string_view found = rest_.substr(sizeof bytes, bytes);
    rest_.remove_prefix(sizeof bytes + bytes);
    ++count_;
    return found;
}

batch_writer::batch_writer(std::byte* to) noexcept : at_(to + header_bytes) {
    header top;
    top.kind = kind::batch;
    encode(top, to);
}

void batch_writer::add(std::span<const std::byte> one) noexcept {
    const auto bytes = static_cast<std::uint32_t>(one.size());
    std::memcpy(at_, &bytes, sizeof bytes);
    if (bytes > 0) std::memcpy(at_ + sizeof bytes, one.data(), bytes);
    at_ += sizeof bytes + bytes;
}

}  // namespace moebius::detail
