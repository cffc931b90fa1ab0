// Lengths of time as people write them: 200ms, 90s, 15m, 24h, 7d, 1h30m.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace tstreams::cli {

// `option` names where the text comes from, for the message. Throws usage_error. A lone 0 needs no unit.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text, std::string_view option);
// As above, and whole seconds.
[[nodiscard]] std::chrono::seconds parse_seconds(std::string_view text, std::string_view option);

// Exact, in the largest units that fit: "24h", "7d", "1m30s", "250ms".
[[nodiscard]] std::string format_duration(std::chrono::milliseconds length);

}  // namespace tstreams::cli
