// The bytes of the log, of the mark and of the index; the tables are in README.md.
#pragma once

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/key_value.hpp>
#include <tstreams/types.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::local {

inline constexpr std::size_t header_bytes = 64;  // of a file, and of a record
inline constexpr std::uint32_t no_file = 0xffffffff;
inline constexpr std::size_t record_bytes_max = std::size_t{1} << 30;
inline constexpr std::size_t blob_bytes_max = std::size_t{256} << 20;
inline constexpr std::size_t value_bytes_max = std::size_t{64} << 20;

[[nodiscard]] std::uint32_t checksum(std::string_view bytes) noexcept;

// A place in the log.
struct position {
    std::uint32_t file = 0;
    std::uint32_t offset = 0;

    [[nodiscard]] std::uint64_t value() const noexcept { return std::uint64_t{file} << 32 | offset; }
    [[nodiscard]] static position from(std::uint64_t value) noexcept {
        return {static_cast<std::uint32_t>(value >> 32), static_cast<std::uint32_t>(value)};
    }
    friend auto operator<=>(const position&, const position&) noexcept = default;
};
[[nodiscard]] std::string to_string(position where);

// Big-endian integers.
void put_u16(char* out, std::uint16_t value) noexcept;
void put_u32(char* out, std::uint32_t value) noexcept;
void put_u64(char* out, std::uint64_t value) noexcept;
[[nodiscard]] std::uint32_t get_u32(const char* in) noexcept;
[[nodiscard]] std::uint64_t get_u64(const char* in) noexcept;

// What a blob_ref holds as its place.
[[nodiscard]] std::string encode_place(position where);
[[nodiscard]] std::optional<position> decode_place(std::string_view place) noexcept;

using header_block = std::array<char, header_bytes>;

// What a file says of the one before it, so that a lost end of that one is noticed.
struct file_header {
    std::uint32_t previous_end = 0;  // its size
    std::uint64_t last_commit = 0;   // the number of the last commit in or before it
};
[[nodiscard]] header_block encode_file_header(std::uint32_t file, const file_header& header) noexcept;
// Empty where there is no valid header for the file of this number.
[[nodiscard]] std::optional<file_header> decode_file_header(std::string_view block, std::uint32_t file) noexcept;

enum class record_type : std::uint8_t { frame = 1, commit = 2 };

struct record_header {
    record_type type = record_type::frame;
    std::uint32_t length = 0;
    std::uint32_t crc32c = 0;
    std::uint64_t commit = 0;
    ports::blob_name name;                     // frames
    position synced;                           // commits
    std::uint32_t oldest_undecided = no_file;  // commits

    // With header and padding.
    [[nodiscard]] std::size_t record_bytes() const noexcept { return (header_bytes + std::size_t{length} + 7) / 8 * 8; }
};

[[nodiscard]] header_block encode_record_header(const record_header& header, position where) noexcept;
// Empty where there is no valid record header for this position.
[[nodiscard]] std::optional<record_header> decode_record_header(std::string_view block, position where) noexcept;

// Operations of a commit's payload.
enum class operation : std::uint8_t { put = 1, erase = 2, live = 3, dead = 4 };

void append_row_key(std::string& out, std::string_view shard, std::string_view key);
void append_put(std::string& out, std::string_view row_key, std::string_view value,
                const std::optional<wall_time>& expires);
void append_erase(std::string& out, std::string_view row_key);
void append_live(std::string& out, position place, std::uint32_t length);
void append_dead(std::string& out, position place);

struct operation_view {
    operation what = operation::put;
    std::string_view key;    // put, erase
    std::string_view value;  // put: with its expiry prefix
    position place;          // live, dead
    std::uint32_t length = 0;
};

// Walks the operations of a payload.
class operation_reader {
public:
    explicit operation_reader(std::string_view payload) noexcept : rest_(payload) {}
    // False at the end. Throws corrupt where the payload is not well formed.
    bool next(operation_view& out);

private:
    std::string_view take(std::size_t bytes);
    std::string_view take_string();

    std::string_view rest_;
};

// The value as stored, taken apart. Throws corrupt.
struct stored_value {
    std::string_view value;
    std::optional<wall_time> expires;
};
[[nodiscard]] stored_value decode_value(std::string_view stored);

// How far the log reaches. Two slots, written in turn, so that one is whole whatever happens to the other.
struct mark {
    static constexpr std::size_t bytes = 96;

    position synced;
    position written;
    std::uint64_t commit = 0;
    bool clean = false;
    std::string boot_id;         // at most 40 bytes
    std::uint64_t sequence = 0;  // the higher one is the later one
};
[[nodiscard]] std::string encode_mark(const mark& value);
// Of the one or two slots in `blocks` the later one that is whole.
[[nodiscard]] std::optional<mark> decode_marks(std::string_view blocks) noexcept;

}  // namespace tstreams::local
