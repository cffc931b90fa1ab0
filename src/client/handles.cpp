#include "client/handles.hpp"

#include <algorithm>
#include <numeric>

namespace tstreams::detail {

error stream_not_found(std::string_view name) {
    return {errc::stream_not_found, "stream '" + std::string(name) + "': no such stream"};
}

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& known) {
        return known.what();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

void check_name(std::string_view what, std::string_view name) {
    constexpr std::size_t longest = 128;
    const bool well_formed = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    });
    if (!name.empty() && name.size() <= longest && well_formed) return;
    throw error(errc::invalid_name, std::string(what) + " '" + std::string(name.substr(0, longest)) +
                                        "': use 1 to 128 of A-Z a-z 0-9 . _ -");
}

void check_partition(const stream_info& stream, partition_number partition) {
    if (partition < stream.partitions) return;
    throw error(errc::partition_not_found, "stream '" + stream.name + "' has no partition " +
                                               std::to_string(partition) + ": its partitions are 0 to " +
                                               std::to_string(stream.partitions - 1));
}

std::vector<partition_number> choose_partitions(const stream_info& stream, std::vector<partition_number> wanted) {
    if (wanted.empty()) {
        wanted.resize(stream.partitions);
        std::iota(wanted.begin(), wanted.end(), 0U);
        return wanted;
    }
    for (const partition_number one : wanted) check_partition(stream, one);
    std::sort(wanted.begin(), wanted.end());
    if (const auto twice = std::adjacent_find(wanted.begin(), wanted.end()); twice != wanted.end())
        throw error(errc::invalid_argument,
                    "partition " + std::to_string(*twice) + " of stream '" + stream.name + "' is named twice");
    return wanted;
}

std::uint64_t key_hash(std::string_view key) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char byte : key) {
        hash ^= static_cast<unsigned char>(byte);
        hash *= 0x100000001b3U;
    }
    return hash;
}

}  // namespace tstreams::detail
