// Every call of the protocol, once: what is to be done for each of them is done for this list. The server serves what
// is in it, and tests feed it with mutations of all.
#pragma once

#include "wire/calls.hpp"

#include <cstddef>

namespace tstreams::wire {

template <class... Calls>
struct call_list {
    static constexpr std::size_t count = sizeof...(Calls);
    // Calls each.template operator()<Call>() for all in their order.
    template <class Function>
    static void each(Function each) {
        (each.template operator()<Calls>(), ...);
    }
    static constexpr bool named_once() {
        const std::string_view names[] = {Calls::command...};
        for (std::size_t one = 0; one < count; ++one)
            for (std::size_t other = 0; other < one; ++other)
                if (names[one] == names[other]) return false;
        return true;
    }
};

// New ones at the end: the corpus of the fuzzer says by a number which one it is about.
using all_calls =
    call_list<open_session_call, heartbeat_call, close_session_call, create_stream_call, find_stream_call,
              list_streams_call, update_stream_call, delete_stream_call, open_call, write_call, commit_call,
              cancel_call, attach_producer_call, read_call, read_frame_call, wait_readable_call, cancel_wait_call,
              follow_call, resolve_call, last_call, find_transaction_call, scan_call, find_commit_call,
              attach_consumer_call, detach_consumer_call, retention_call, accept_clock_call, abort_call,
              list_offsets_call, set_offset_call, delete_offset_call, list_open_call, server_status_call,
              server_clients_call, watch_call>;

static_assert(all_calls::count == 35, "another call? then docs/wire-format.md and clients/python have to know it, too");
static_assert(all_calls::named_once());

}  // namespace tstreams::wire
