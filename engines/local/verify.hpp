// Checks a store that no process has open; behind tstreams::verify.
#pragma once

#include <tstreams/verify.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace tstreams::local {

// Reads every file and checks every checksum, the sequence of commits, that every live frame is there, and
// the index. Changes nothing. Throws store_not_found, not_a_store, format_newer, locked, storage_failed.
[[nodiscard]] verify_report verify(const std::string& path,
                                   const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace tstreams::local
