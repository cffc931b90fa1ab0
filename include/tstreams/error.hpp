// Failures of T-streams.
//
// Expected answers (nothing to read yet, no such key) are values. What is left throws tstreams::error: a code from
// the one table errors.def, whether a write happened, and a text that names the thing.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tstreams {

enum class errc : std::uint16_t {
#define TSTREAMS_ERROR(name, number, retryable, text) name = number,
#include <tstreams/errors.def>
#undef TSTREAMS_ERROR
};

// What became of the write that failed. Calls that write nothing report not_applied.
enum class outcome : std::uint8_t {
    applied,      // it happened, and is as durable as the level says
    not_applied,  // it did not happen and never will
    unknown,      // it may have happened, or may still: ask again with the same request id
};

[[nodiscard]] std::string_view name(errc code) noexcept;
[[nodiscard]] std::string_view text(errc code) noexcept;
[[nodiscard]] bool retryable(errc code) noexcept;
[[nodiscard]] std::string_view name(outcome value) noexcept;

class error : public std::runtime_error {
public:
    // `context` names the thing and says what to do, for example "stream 'orders': no such stream".
    error(errc code, const std::string& context, tstreams::outcome result = tstreams::outcome::not_applied)
        : std::runtime_error(context), code_(code), outcome_(result) {}

    [[nodiscard]] errc code() const noexcept { return code_; }
    [[nodiscard]] tstreams::outcome outcome() const noexcept { return outcome_; }

private:
    errc code_;
    tstreams::outcome outcome_;
};

// position_expired also says where reading can go on: the partition that has lost transactions, and the position in it
// behind which the oldest live one is. Other partitions may have lost nothing: set the position of this one.
class position_expired_error : public error {
public:
    position_expired_error(const std::string& context, std::uint32_t partition, std::uint64_t oldest_live_position)
        : error(errc::position_expired, context), oldest_live_position_(oldest_live_position), partition_(partition) {}

    [[nodiscard]] std::uint32_t partition() const noexcept { return partition_; }
    [[nodiscard]] std::uint64_t oldest_live_position() const noexcept { return oldest_live_position_; }

private:
    std::uint64_t oldest_live_position_;
    std::uint32_t partition_;
};

}  // namespace tstreams
