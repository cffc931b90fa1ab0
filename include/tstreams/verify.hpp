// Checks a store that no process has open: every file, record and checksum.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams {

struct verify_report {
    std::uint64_t files = 0;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    std::uint64_t rows = 0;
    std::vector<std::string> problems;  // each names the file and place and says what is wrong; empty: sound
};

// Reads the whole store and changes nothing. `progress` gets bytes done and bytes in all, now and then.
// Throws locked, not_a_store, format_newer, store_not_found, unsupported (memory:).
[[nodiscard]] verify_report verify(std::string_view uri,
                                   std::function<void(std::uint64_t, std::uint64_t)> progress = {});

}  // namespace tstreams
