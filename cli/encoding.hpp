// Bytes as text: what may go to a terminal, into JSON, and into a shell command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::cli {

// As Unicode 15 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool valid_utf8(std::string_view bytes) noexcept;

// RFC 4648 section 4, with padding.
[[nodiscard]] std::string base64(std::string_view bytes);

// The text in one line with control characters (and bytes that are not UTF-8) written as \xNN, so that what a
// user stored cannot steer the terminal of another.
[[nodiscard]] std::string printable(std::string_view text);

// The text as one word of a POSIX shell, quoted where that is needed.
[[nodiscard]] std::string shell_word(std::string_view text);

// Decimal digits only; empty when it is anything else or does not fit.
[[nodiscard]] std::optional<std::uint64_t> decimal(std::string_view text) noexcept;

// "1 item", "2 items".
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view thing);

}  // namespace tstreams::cli
