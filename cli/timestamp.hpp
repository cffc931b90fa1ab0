// Points in time as RFC 3339 writes them: 2026-01-31T12:00:00Z, 2026-01-31T13:00:00.25+01:00.
#pragma once

#include <tstreams/types.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace tstreams::cli {

// Empty when the text is no RFC 3339 date-time (the offset or Z is part of it). Digits below a microsecond
// are cut; a leap second is the first moment of the next minute.
[[nodiscard]] std::optional<wall_time> parse_timestamp(std::string_view text) noexcept;

// With microseconds, in UTC.
[[nodiscard]] std::string format_timestamp(wall_time time);

}  // namespace tstreams::cli
