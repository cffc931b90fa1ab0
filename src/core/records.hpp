// Bytes of records: little fixed-width and length-prefixed fields, read back with every bound checked.
#pragma once

#include "core/service.hpp"

#include <tstreams/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace tstreams::core {

// Integers are big-endian, so that they order as keys too.
class record_writer {
public:
    record_writer() = default;
    explicit record_writer(std::size_t bytes_expected) { bytes_.reserve(bytes_expected); }

    record_writer& u8(std::uint8_t value);
    record_writer& u16(std::uint16_t value);
    record_writer& u32(std::uint32_t value);
    record_writer& u64(std::uint64_t value);
    record_writer& raw(std::string_view bytes);     // without its length
    record_writer& string(std::string_view bytes);  // u32 length, bytes
    record_writer& time(wall_time value) { return u64(static_cast<std::uint64_t>(value.time_since_epoch().count())); }

    [[nodiscard]] std::string take() && { return std::move(bytes_); }

private:
    std::string bytes_;
};

// Throws corrupt, naming `what`, on anything that does not fit.
class record_reader {
public:
    record_reader(std::string_view bytes, std::string_view what) noexcept : rest_(bytes), what_(what) {}

    std::uint8_t u8();
    std::uint16_t u16();
    std::uint32_t u32();
    std::uint64_t u64();
    std::string_view raw(std::size_t size);
    std::string_view string();
    wall_time time() { return wall_time(std::chrono::microseconds(static_cast<std::int64_t>(u64()))); }
    std::string_view rest() noexcept { return std::exchange(rest_, {}); }

    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    void expect_end() const;

private:
    [[noreturn]] void damaged() const;
    std::uint64_t integer(std::size_t size);

    std::string_view rest_;
    std::string_view what_;
};

void write_frame_ref(record_writer& out, const frame_ref& ref);
[[nodiscard]] frame_ref read_frame_ref(record_reader& in);

}  // namespace tstreams::core
