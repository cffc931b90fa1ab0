#include "core/records.hpp"

namespace tstreams::core {
namespace {

template <class Integer>
void append_big_endian(std::string& out, Integer value) {
    char bytes[sizeof(Integer)];
    for (std::size_t i = 0; i < sizeof(Integer); ++i)
        bytes[i] = static_cast<char>(value >> (8 * (sizeof(Integer) - 1 - i)));
    out.append(bytes, sizeof(Integer));
}

}  // namespace

record_writer& record_writer::u8(std::uint8_t value) {
    bytes_.push_back(static_cast<char>(value));
    return *this;
}

record_writer& record_writer::u16(std::uint16_t value) {
    append_big_endian(bytes_, value);
    return *this;
}

record_writer& record_writer::u32(std::uint32_t value) {
    append_big_endian(bytes_, value);
    return *this;
}

record_writer& record_writer::u64(std::uint64_t value) {
    append_big_endian(bytes_, value);
    return *this;
}

record_writer& record_writer::raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
}

record_writer& record_writer::string(std::string_view bytes) {
    return u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
}

void record_reader::damaged() const {
    throw error(errc::corrupt, std::string(what_) + " is damaged: its bytes do not fit its format");
}

std::uint64_t record_reader::integer(std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : raw(size)) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
}

std::uint8_t record_reader::u8() {
    return static_cast<std::uint8_t>(integer(1));
}
std::uint16_t record_reader::u16() {
    return static_cast<std::uint16_t>(integer(2));
}
std::uint32_t record_reader::u32() {
    return static_cast<std::uint32_t>(integer(4));
}
std::uint64_t record_reader::u64() {
    return integer(8);
}

std::string_view record_reader::raw(std::size_t size) {
    if (size > rest_.size()) damaged();
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
}

std::string_view record_reader::string() {
    const std::uint32_t size = u32();
    return raw(size);
}

void record_reader::expect_end() const {
    if (!rest_.empty()) damaged();
}

void write_frame_ref(record_writer& out, const frame_ref& ref) {
    out.u8(ref.level).u32(ref.blob.length).u32(ref.blob.crc32c);
    out.u8(static_cast<std::uint8_t>(ref.blob.place.size())).raw(ref.blob.place);
}

frame_ref read_frame_ref(record_reader& in) {
    frame_ref ref;
    ref.level = in.u8();
    ref.blob.length = in.u32();
    ref.blob.crc32c = in.u32();
    ref.blob.place = std::string(in.raw(in.u8()));
    return ref;
}

}  // namespace tstreams::core
