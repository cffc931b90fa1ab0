// libFuzzer on the decoders of what clients send: the binary header, batches, and the command in a JSON text.
//
//     moebius_decoders_fuzz CORPUS...       for ever; what it finds is written to a file and printed
#include "moebius/batch.hpp"
#include "moebius/json_scan.hpp"
#include "moebius/wire.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace {

using namespace moebius;

void must(bool holds) {
    if (!holds) std::abort();
}

void read_header(std::span<const std::byte> frame) {
    const auto found = detail::decode(frame);
    if (!found) return;
    must(detail::is_binary(frame) && detail::header_bytes + found->name_bytes <= frame.size());
    std::array<std::byte, detail::header_bytes> again{};
    detail::encode(*found, again.data());
    must(std::memcmp(again.data(), frame.data(), again.size()) == 0);
}

void read_batch(std::string_view body) {
    detail::batch_reader from(body);
    std::size_t bytes = 0;
    while (const auto one = from.next()) {
        must(one->data() >= body.data() && one->data() + one->size() <= body.data() + body.size());
        bytes += sizeof(std::uint32_t) + one->size();
        read_header(std::as_bytes(std::span(*one)));
    }
    must(bytes <= body.size() && from.broken() == (bytes != body.size()));
}

void read_text(std::string_view text) {
    std::string scratch;
    const detail::json_command found = detail::find_command(text, scratch);
    must(found.failure == errc::none || found.failure == errc::malformed || found.failure == errc::unroutable);
    // Whatever it is, as the inside of a string it makes a valid text.
    std::string escaped = R"({"command":")";
    detail::append_escaped(escaped, text);
    escaped += "\"}";
    must(detail::find_command(escaped, scratch).failure == errc::none);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    read_header({bytes, size});
    if (detail::is_batch({bytes, size}))
        read_batch({reinterpret_cast<const char*>(data) + detail::header_bytes, size - detail::header_bytes});
    read_text({reinterpret_cast<const char*>(data), size});
    return 0;
}
