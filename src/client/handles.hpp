// What all handles of the public API have in common.
#pragma once

#include <tstreams/detail/access.hpp>
#include <tstreams/error.hpp>
#include <tstreams/types.hpp>

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::detail {

// The state behind a handle; throws invalid_state for one that is empty.
template <class Handle>
[[nodiscard]] const auto& use(const Handle& handle, const char* what) {
    const auto& state = access::state(handle);
    if (!state)
        throw error(errc::invalid_state, std::string("this ") + what + " is empty: it was moved from or never made");
    return state;
}

[[nodiscard]] error stream_not_found(std::string_view name);

// What an exception of a callback says, for people.
[[nodiscard]] std::string text_of(const std::exception_ptr& failure);

// Throws invalid_name unless it matches [A-Za-z0-9._-]{1,128}.
void check_name(std::string_view what, std::string_view name);

// The partitions named, or all of them where none is. Throws partition_not_found, invalid_argument for duplicates.
[[nodiscard]] std::vector<partition_number> choose_partitions(const stream_info& stream,
                                                              std::vector<partition_number> wanted);
void check_partition(const stream_info& stream, partition_number partition);

// FNV-1a, 64 bits. Keys stay in their partitions only as long as this function stays what it is.
[[nodiscard]] std::uint64_t key_hash(std::string_view key) noexcept;

}  // namespace tstreams::detail
