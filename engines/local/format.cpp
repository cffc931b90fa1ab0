#include "engines/local/format.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <cstring>

namespace tstreams::local {
namespace {

constexpr std::string_view file_magic("tslog\0\0\1", 8);
constexpr std::string_view record_magic("TSR1", 4);
constexpr std::string_view mark_magic("tsmark\0\1", 8);

constexpr std::uint32_t mark_open = 1;
constexpr std::uint32_t mark_clean = 2;
constexpr std::size_t boot_id_bytes = 40;

[[noreturn]] void damaged() {
    throw error(errc::corrupt, "a commit record of the log cannot be decoded");
}

void append_length(std::string& out, std::size_t length) {
    while (length >= 0x80) {
        out.push_back(static_cast<char>(length | 0x80));
        length >>= 7;
    }
    out.push_back(static_cast<char>(length));
}

void append_u32(std::string& out, std::uint32_t value) {
    char bytes[4];
    put_u32(bytes, value);
    out.append(bytes, sizeof bytes);
}

void append_u64(std::string& out, std::uint64_t value) {
    char bytes[8];
    put_u64(bytes, value);
    out.append(bytes, sizeof bytes);
}

// The checksum of a record header depends on where it stands.
std::uint32_t header_checksum(const char* block, position where) noexcept {
    header_block covered;
    put_u64(covered.data(), where.value());
    std::memcpy(covered.data() + 8, block + 8, header_bytes - 8);
    return checksum({covered.data(), covered.size()});
}

}  // namespace

std::uint32_t checksum(std::string_view bytes) noexcept {
    return core::crc32c(as_bytes(bytes));
}

std::string to_string(position where) {
    return "file " + std::to_string(where.file) + " offset " + std::to_string(where.offset);
}

void put_u16(char* out, std::uint16_t value) noexcept {
    out[0] = static_cast<char>(value >> 8);
    out[1] = static_cast<char>(value);
}

void put_u32(char* out, std::uint32_t value) noexcept {
    value = __builtin_bswap32(value);
    std::memcpy(out, &value, sizeof value);
}

void put_u64(char* out, std::uint64_t value) noexcept {
    value = __builtin_bswap64(value);
    std::memcpy(out, &value, sizeof value);
}

std::uint32_t get_u32(const char* in) noexcept {
    std::uint32_t value = 0;
    std::memcpy(&value, in, sizeof value);
    return __builtin_bswap32(value);
}

std::uint64_t get_u64(const char* in) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, in, sizeof value);
    return __builtin_bswap64(value);
}

std::string encode_place(position where) {
    std::string place(8, '\0');
    put_u64(place.data(), where.value());
    return place;
}

std::optional<position> decode_place(std::string_view place) noexcept {
    if (place.size() != 8) return std::nullopt;
    return position::from(get_u64(place.data()));
}

header_block encode_file_header(std::uint32_t file, const file_header& header) noexcept {
    header_block block{};
    std::memcpy(block.data(), file_magic.data(), file_magic.size());
    put_u32(block.data() + 8, file);
    put_u32(block.data() + 12, header.previous_end);
    put_u64(block.data() + 16, header.last_commit);
    put_u32(block.data() + 60, checksum({block.data(), 60}));
    return block;
}

std::optional<file_header> decode_file_header(std::string_view block, std::uint32_t file) noexcept {
    if (block.size() < header_bytes || !block.starts_with(file_magic)) return std::nullopt;
    if (get_u32(block.data() + 60) != checksum(block.substr(0, 60))) return std::nullopt;
    if (get_u32(block.data() + 8) != file) return std::nullopt;
    return file_header{get_u32(block.data() + 12), get_u64(block.data() + 16)};
}

header_block encode_record_header(const record_header& header, position where) noexcept {
    header_block block{};
    char* out = block.data();
    std::memcpy(out, record_magic.data(), record_magic.size());
    out[8] = static_cast<char>(header.type);
    put_u32(out + 12, header.length);
    put_u32(out + 16, header.crc32c);
    put_u64(out + 24, header.commit);
    if (header.type == record_type::frame) {
        put_u64(out + 32, header.name.stream);
        put_u64(out + 40, header.name.transaction);
        put_u64(out + 48, header.name.epoch);
        put_u32(out + 56, header.name.partition);
        put_u32(out + 60, header.name.chunk);
    } else {
        put_u64(out + 32, header.synced.value());
        put_u32(out + 40, header.oldest_undecided);
    }
    put_u32(out + 4, header_checksum(out, where));
    return block;
}

std::optional<record_header> decode_record_header(std::string_view block, position where) noexcept {
    if (block.size() < header_bytes || !block.starts_with(record_magic)) return std::nullopt;
    const char* in = block.data();
    if (get_u32(in + 4) != header_checksum(in, where)) return std::nullopt;
    const auto type = static_cast<record_type>(in[8]);
    if (type != record_type::frame && type != record_type::commit) return std::nullopt;
    record_header header;
    header.type = type;
    header.length = get_u32(in + 12);
    header.crc32c = get_u32(in + 16);
    header.commit = get_u64(in + 24);
    if (type == record_type::frame) {
        header.name = {get_u64(in + 32), get_u64(in + 40), get_u64(in + 48), get_u32(in + 56), get_u32(in + 60)};
    } else {
        header.synced = position::from(get_u64(in + 32));
        header.oldest_undecided = get_u32(in + 40);
    }
    if (header.length > record_bytes_max) return std::nullopt;
    return header;
}

void append_row_key(std::string& out, std::string_view shard, std::string_view key) {
    char length[2];
    put_u16(length, static_cast<std::uint16_t>(shard.size()));
    out.append(length, sizeof length);
    out.append(shard);
    out.append(key);
}

void append_put(std::string& out, std::string_view row_key, std::string_view value,
                const std::optional<wall_time>& expires) {
    out.push_back(static_cast<char>(operation::put));
    append_length(out, row_key.size());
    out.append(row_key);
    append_length(out, value.size() + (expires ? 9 : 1));
    out.push_back(expires ? '\1' : '\0');
    if (expires) append_u64(out, static_cast<std::uint64_t>(expires->time_since_epoch().count()));
    out.append(value);
}

void append_erase(std::string& out, std::string_view row_key) {
    out.push_back(static_cast<char>(operation::erase));
    append_length(out, row_key.size());
    out.append(row_key);
}

void append_live(std::string& out, position place, std::uint32_t length) {
    out.push_back(static_cast<char>(operation::live));
    append_u64(out, place.value());
    append_u32(out, length);
}

void append_dead(std::string& out, position place) {
    out.push_back(static_cast<char>(operation::dead));
    append_u64(out, place.value());
}

std::string_view operation_reader::take(std::size_t bytes) {
    if (bytes > rest_.size()) damaged();
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
}

std::string_view operation_reader::take_string() {
    std::uint64_t length = 0;
    for (int shift = 0; shift <= 28; shift += 7) {
        const auto byte = static_cast<unsigned char>(take(1)[0]);
        length |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return take(length);
    }
    damaged();
}

bool operation_reader::next(operation_view& out) {
    if (rest_.empty()) return false;
    out.what = static_cast<operation>(take(1)[0]);
    switch (out.what) {
        case operation::put:
            out.key = take_string();
            out.value = take_string();
            return true;
        case operation::erase:
            out.key = take_string();
            return true;
        case operation::live:
            out.place = position::from(get_u64(take(8).data()));
            out.length = get_u32(take(4).data());
            return true;
        case operation::dead:
            out.place = position::from(get_u64(take(8).data()));
            return true;
    }
    damaged();
}

stored_value decode_value(std::string_view stored) {
    if (!stored.empty() && stored[0] == 0) return {stored.substr(1), std::nullopt};
    if (stored.size() >= 9 && stored[0] == 1) {
        const auto micros = static_cast<std::int64_t>(get_u64(stored.data() + 1));
        return {stored.substr(9), wall_time(std::chrono::microseconds(micros))};
    }
    throw error(errc::corrupt, "a row of the index is damaged: its value cannot be decoded");
}

std::string encode_mark(const mark& value) {
    std::string block(mark::bytes, '\0');
    std::memcpy(block.data(), mark_magic.data(), mark_magic.size());
    put_u64(block.data() + 8, value.synced.value());
    put_u64(block.data() + 16, value.written.value());
    put_u64(block.data() + 24, value.commit);
    put_u32(block.data() + 32, value.clean ? mark_clean : mark_open);
    std::memcpy(block.data() + 36, value.boot_id.data(), std::min(value.boot_id.size(), boot_id_bytes));
    put_u64(block.data() + 76, value.sequence);
    put_u32(block.data() + 92, checksum({block.data(), 92}));
    return block;
}

namespace {

std::optional<mark> decode_mark(std::string_view block) noexcept {
    if (block.size() != mark::bytes || !block.starts_with(mark_magic)) return std::nullopt;
    if (get_u32(block.data() + 92) != checksum(block.substr(0, 92))) return std::nullopt;
    mark value;
    value.synced = position::from(get_u64(block.data() + 8));
    value.written = position::from(get_u64(block.data() + 16));
    value.commit = get_u64(block.data() + 24);
    value.clean = get_u32(block.data() + 32) == mark_clean;
    const std::string_view id = block.substr(36, boot_id_bytes);
    value.boot_id = id.substr(0, std::min(id.find('\0'), id.size()));
    value.sequence = get_u64(block.data() + 76);
    return value;
}

}  // namespace

std::optional<mark> decode_marks(std::string_view blocks) noexcept {
    const std::optional<mark> one = decode_mark(blocks.substr(0, mark::bytes));
    const std::optional<mark> other = decode_mark(blocks.substr(std::min(blocks.size(), mark::bytes)));
    if (!one || !other) return one ? one : other;
    return one->sequence > other->sequence ? one : other;
}

}  // namespace tstreams::local
