// Finds the command of a JSON request without building anything.
#pragma once

#include <moebius/error.hpp>

#include <string>
#include <string_view>

namespace moebius::detail {

struct json_command {
    errc failure = errc::none;  // malformed: no valid JSON text, or no object; unroutable: no string `command`
    std::string_view name;      // in the text, or in the scratch string when it is written with escapes
};

// Checks the whole text (RFC 8259, UTF-8, at most 128 deep) and returns the last top-level member `command`, as the
// usual parsers do.
[[nodiscard]] json_command find_command(std::string_view text, std::string& scratch);

// `text` as the inside of a JSON string; bytes that are not UTF-8 become '?'.
void append_escaped(std::string& to, std::string_view text);

}  // namespace moebius::detail
