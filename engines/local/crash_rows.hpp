// What the process that is killed writes, and what the test that kills it expects to find.
//
// Row n says "inline n", or where its blob is. A commit of n with n % 3 == 0 also removes row n - 60.
#pragma once

#include "engines/local/engine.hpp"
#include "engines/local/format.hpp"

#include <tstreams/ports/blob_store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::local {

inline constexpr std::uint64_t crash_distance = 60;

// Small files and early flushes, so that every part of the engine is at work when the kill comes.
inline options crash_options(const std::string& path) {
    options chosen;
    chosen.path = path;
    chosen.log_file_bytes = std::uint64_t{256} << 10;
    chosen.replay_bytes_max = std::uint64_t{512} << 10;
    return chosen;
}

inline std::string crash_key(std::uint64_t number) {
    const std::string digits = std::to_string(number);
    return std::string(12 - digits.size(), '0') + digits;
}
inline std::uint64_t crash_number(const std::string& key) {
    return std::stoull(key);
}

inline std::string crash_value(std::uint64_t number, const std::optional<ports::blob_ref>& blob) {
    if (!blob) return "inline " + std::to_string(number);
    std::string value = "blob " + blob->place + std::string(8, '\0');
    put_u32(value.data() + 13, blob->length);
    put_u32(value.data() + 17, blob->crc32c);
    return value;
}
inline std::optional<ports::blob_ref> crash_ref(const std::string& value) {
    if (!value.starts_with("blob ") || value.size() != 21) return std::nullopt;
    ports::blob_ref ref;
    ref.place = value.substr(5, 8);
    ref.length = get_u32(value.data() + 13);
    ref.crc32c = get_u32(value.data() + 17);
    return ref;
}

// Whether row `number` is gone once all commits up to `last` are applied.
inline bool crash_removed(std::uint64_t number, std::uint64_t last) {
    return number % 3 == 0 && number + crash_distance <= last;
}

}  // namespace tstreams::local
