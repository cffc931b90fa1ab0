#include "moebius/wire.hpp"

#include <bit>
#include <cstring>

namespace moebius::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "the header is copied as it is in memory");

template <class T>
void put(std::byte* to, std::size_t at, T value) noexcept {
    std::memcpy(to + at, &value, sizeof value);
}

template <class T>
T get(const std::byte* from, std::size_t at) noexcept {
    T value;
    std::memcpy(&value, from + at, sizeof value);
    return value;
}

}  // namespace

void encode(const header& from, std::byte* to) noexcept {
    put(to, 0, wire_magic);
    put(to, 1, wire_version);
    put(to, 2, from.kind);
    put(to, 3, from.flags);
    put(to, 4, from.name_bytes);
    put(to, 6, from.code);
    put(to, 8, from.correlation);
    put(to, 16, from.credit_messages);
    put(to, 20, from.credit_bytes);
}

std::optional<header> decode(std::span<const std::byte> frame) noexcept {
    if (frame.size() < header_bytes || !is_binary(frame)) return {};
    const std::byte* from = frame.data();
    if (get<std::uint8_t>(from, 1) != wire_version) return {};
    header found;
    found.kind = get<kind>(from, 2);
    found.flags = get<std::uint8_t>(from, 3);
    found.name_bytes = get<std::uint16_t>(from, 4);
    found.code = get<std::uint16_t>(from, 6);
    found.correlation = get<std::uint64_t>(from, 8);
    found.credit_messages = get<std::uint32_t>(from, 16);
    found.credit_bytes = get<std::uint32_t>(from, 20);
    if (frame.size() < header_bytes + found.name_bytes) return {};
    return found;
}

}  // namespace moebius::detail
