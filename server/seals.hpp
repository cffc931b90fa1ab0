// References of frames as clients see them. A client asks for a frame by the reference that the server gave it, so
// that it could ask for any place in the store; therefore each carries the stream that it is of, and a seal that only
// the server can make. Clients hand all that back as it is: to them it is the reference's `place`.
#pragma once

#include "core/service.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tstreams::server {

class seals {
public:
    // The same secret makes the same seals: references outlive a restart. An empty one, of a server without keys,
    // whose clients may do everything, makes seals that find damage and nothing more.
    explicit seals(std::string_view secret);

    void close(core::stream_id stream, core::frame_ref& frame) const;
    void close(core::stream_id stream, core::stored_transaction& stored) const;
    void close(core::stream_id stream, core::read_reply& reply) const;

    struct opened {
        core::stream_id stream = 0;
        core::frame_ref frame;
    };
    // Throws unauthorized for what this server has not sealed.
    [[nodiscard]] opened open(ports::blob_ref sealed) const;

private:
    static constexpr std::size_t seal_bytes = 16;
    using key = std::array<unsigned char, 32>;
    [[nodiscard]] std::string seal_of(std::string_view head, const ports::blob_ref& blob) const;
    key key_{};
};

}  // namespace tstreams::server
