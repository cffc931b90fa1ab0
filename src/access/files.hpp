// Files that decide about security, read only where nobody else can have written or read them.
#pragma once

#include <moebius/security.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace tstreams::access {

enum class file_privacy {
    secret,       // nobody but its owner reads it; in systemd's directory of credentials its service does
    others_read,  // nobody but its owner, or root, writes it
};

// Throws error(invalid_argument) for a file that is not there, is a link or no regular file, belongs to somebody else,
// is open to others, or is longer than `bytes_max`.
[[nodiscard]] std::string read_file(const std::string& path, file_privacy wanted, std::size_t bytes_max);

// The keys of a file that `tstreams key new` wrote. Throws error(invalid_argument); the text shows no secret.
[[nodiscard]] moebius::key_pair read_keys(const std::string& path);

// In one step: a reader sees the old or the new text, and so does the disk. The mode and the owner's rights of an
// existing file stay. Throws error(invalid_argument).
void replace_file(const std::string& path, std::string_view text);

}  // namespace tstreams::access
