#include "server/seals.hpp"

#include <tstreams/error.hpp>

#include <sodium.h>
#include <cstring>
#include <utility>

namespace tstreams::server {

namespace {

constexpr std::string_view purpose = "tstreamsd frame references 1";

template <class Number>
void append(std::string& to, Number value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    to.append(raw, sizeof raw);
}

std::string head_of(core::stream_id stream, std::uint8_t level) {
    std::string head;
    append(head, stream);
    append(head, level);
    return head;
}

constexpr std::size_t head_bytes = sizeof(core::stream_id) + 1;

}  // namespace

seals::seals(std::string_view secret) {
    if (::sodium_init() < 0) throw error(errc::unsupported, "libsodium cannot be used on this machine");
    ::crypto_generichash(key_.data(), key_.size(), reinterpret_cast<const unsigned char*>(secret.data()), secret.size(),
                         reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size());
}

std::string seals::seal_of(std::string_view head, const ports::blob_ref& blob) const {
    std::string text(head);
    append(text, blob.length);
    append(text, blob.crc32c);
    text += blob.place;
    std::string seal(seal_bytes, '\0');
    ::crypto_generichash(reinterpret_cast<unsigned char*>(seal.data()), seal.size(),
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(), key_.data(), key_.size());
    return seal;
}

void seals::close(core::stream_id stream, core::frame_ref& frame) const {
    std::string place = head_of(stream, frame.level);
    place = seal_of(place, frame.blob) + place;
    frame.blob.place.insert(0, place);
}

void seals::close(core::stream_id stream, core::stored_transaction& stored) const {
    for (core::frame_ref& one : stored.frames) close(stream, one);
}

void seals::close(core::stream_id stream, core::read_reply& reply) const {
    for (core::stored_transaction& one : reply.transactions) close(stream, one);
}

seals::opened seals::open(ports::blob_ref sealed) const {
    const auto refuse = [] {
        throw error(errc::unauthorized, "a reference of a frame that this server has not given");
    };
    if (sealed.place.size() < seal_bytes + head_bytes) refuse();
    const std::string seal = sealed.place.substr(0, seal_bytes);
    const std::string head = sealed.place.substr(seal_bytes, head_bytes);
    opened found;
    std::memcpy(&found.stream, head.data(), sizeof found.stream);
    found.frame.level = static_cast<std::uint8_t>(head.back());
    sealed.place.erase(0, seal_bytes + head_bytes);
    found.frame.blob = std::move(sealed);
    if (::sodium_memcmp(seal.data(), seal_of(head, found.frame.blob).data(), seal_bytes) != 0) refuse();
    return found;
}

}  // namespace tstreams::server
