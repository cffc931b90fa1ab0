// What one call may hold. Over it: too_large or malformed_message, before anything is done.
#pragma once

#include "wire/calls.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tstreams::server {

struct call_limits {
    std::size_t item_bytes = std::size_t{16} << 20;
    std::size_t group_members = 1000;  // transactions, offsets and source positions of one commit
    std::uint32_t stream_partitions = core::partitions_max;
    std::chrono::seconds open_time{std::chrono::hours(24)};  // of a stream's transactions
    std::size_t listed = 4096;                               // partitions, positions or transactions that a call lists
};

// Most calls hold nothing that their own limits in the broker do not bound.
template <class Call>
void check_limits(const call_limits&, const Call&) {}

void check_limits(const call_limits& most, const wire::create_stream_call& call);
void check_limits(const call_limits& most, const wire::update_stream_call& call);
void check_limits(const call_limits& most, const wire::write_call& call);
void check_limits(const call_limits& most, const wire::commit_call& call);
void check_limits(const call_limits& most, const wire::cancel_call& call);
void check_limits(const call_limits& most, const wire::wait_readable_call& call);
void check_limits(const call_limits& most, const wire::follow_call& call);
void check_limits(const call_limits& most, const wire::watch_call& call);
void check_limits(const call_limits& most, const wire::attach_consumer_call& call);
void check_limits(const call_limits& most, const wire::set_offset_call& call);

}  // namespace tstreams::server
