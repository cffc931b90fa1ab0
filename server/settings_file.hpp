// The settings of tstreamsd as a TOML file.
#pragma once

#include <string>
#include <vector>

namespace tstreams::server {

struct setting {
    std::string name;                 // of the option, without its dashes
    std::vector<std::string> values;  // as the command line would have them
};

// Throws usage_error where the file cannot be read or is no TOML, and for a value that no option can have: of a table,
// a fraction, a date.
[[nodiscard]] std::vector<setting> read_settings(const std::string& path);

// What read_settings() would read: one value as itself, more as an array.
[[nodiscard]] std::string as_toml(const std::vector<setting>& settings);

}  // namespace tstreams::server
