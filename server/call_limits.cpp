#include "server/call_limits.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <string>

namespace tstreams::server {

namespace {

void check_count(std::size_t count, std::size_t most, const char* what) {
    if (count > most)
        throw error(errc::too_large,
                    std::to_string(count) + " " + what + " in one call: at most " + std::to_string(most));
}

// Readers have to be able to take it apart again.
void check_frame(const call_limits& most, std::string_view frame) {
    core::frame_reader items(frame);
    try {
        while (const std::optional<bytes_view> one = items.next()) {
            if (one->size() > most.item_bytes)
                throw error(errc::too_large, "an item of " + std::to_string(one->size()) + " bytes: at most " +
                                                 std::to_string(most.item_bytes));
        }
    } catch (const error& failure) {
        if (failure.code() != errc::corrupt) throw;
        throw error(errc::malformed_message, "a frame that does not hold whole items");
    }
}

void check_partitions(const call_limits& most, std::uint32_t count) {
    if (count > most.stream_partitions)
        throw error(errc::too_large, std::to_string(count) + " partitions of one stream: at most " +
                                         std::to_string(most.stream_partitions));
}

}  // namespace

void check_limits(const call_limits& most, const wire::create_stream_call& call) {
    check_partitions(most, call.request.options.partitions);
    if (call.request.options.max_open > most.open_time)
        throw error(errc::too_large, "max_open of " + std::to_string(call.request.options.max_open.count()) +
                                         " s: this server allows at most " + std::to_string(most.open_time.count()) +
                                         " s (--open-time)");
}

void check_limits(const call_limits& most, const wire::update_stream_call& call) {
    if (call.changes.partitions) check_partitions(most, *call.changes.partitions);
}

void check_limits(const call_limits& most, const wire::write_call& call) {
    // In this order: the checksum brings all of the frame into the cache, in the order of its bytes; the other way
    // round each item is waited for.
    if (core::crc32c(call.data) != call.crc32c)
        throw error(errc::malformed_message, "a frame whose checksum is not that of its bytes");
    check_frame(most, as_text(call.data));
}

void check_limits(const call_limits& most, const wire::commit_call& call) {
    const core::commit_request& asked = call.request;
    check_count(asked.transactions.size() + asked.offsets.size() + asked.sources.size(), most.group_members, "members");
    for (const core::decision& one : asked.transactions) check_frame(most, one.inline_items);
}

void check_limits(const call_limits& most, const wire::cancel_call& call) {
    check_count(call.transactions.size(), most.listed, "transactions");
}

void check_limits(const call_limits&, const wire::wait_readable_call& call) {
    check_count(call.positions.size(), core::partitions_max, "partitions");
}

void check_limits(const call_limits&, const wire::follow_call& call) {
    check_count(call.positions.size(), core::partitions_max, "partitions");
}

void check_limits(const call_limits&, const wire::watch_call& call) {
    check_count(call.request.partitions.size(), core::partitions_max, "partitions");
}

void check_limits(const call_limits&, const wire::attach_consumer_call& call) {
    check_count(call.request.partitions.size(), core::partitions_max, "partitions");
}

void check_limits(const call_limits&, const wire::set_offset_call& call) {
    check_count(call.positions.size(), core::partitions_max, "partitions");
}

}  // namespace tstreams::server
