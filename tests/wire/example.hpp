// The messages of the worked example in docs/wire-format.md: a transaction of the stream `orders` is copied to the
// stream `copies`, in one step with the position in the former.
#pragma once

#include "wire/envelope.hpp"

namespace tstreams::wire::test {

namespace example {

inline constexpr core::session_id session = 0x1122334455667788;
inline constexpr core::stream_id orders = 7;
inline constexpr core::stream_id copies = 8;
inline constexpr wall_time noon = wall_time(std::chrono::seconds(1'764'158'400));  // 2025-11-26 12:00:00
inline constexpr transaction_id first = transaction_id(transaction_id::at(noon).value() + 1);
inline const std::string two_items =
    "\x08"
    "apples 3"
    "\x07"
    "pears 5";

inline stream_info stream(core::stream_id id, const std::string& name) {
    stream_info made;
    made.id = id;
    made.name = name;
    made.partitions = 1;
    made.ttl = std::chrono::hours(24);
    made.max_open = std::chrono::minutes(10);
    made.created_at = noon;
    return made;
}

inline core::read_reply one_transaction() {
    core::stored_transaction stored;
    stored.id = first;
    stored.items = 2;
    stored.bytes = 15;
    stored.expires = noon + std::chrono::hours(24);
    stored.inline_items = two_items;
    core::read_reply reply;
    reply.transactions.push_back(stored);
    reply.end = true;
    return reply;
}

inline commit_call copy() {
    core::decision decided;
    decided.open.stream = copies;
    decided.items = 2;
    decided.bytes = 15;
    decided.inline_items = two_items;
    core::offset_update progress;
    progress.stream = orders;
    progress.consumer = "copier";
    progress.instance = 1;
    progress.position = first;
    commit_call call;
    call.request.request = core::make_request_id(noon, true, 0, 0x0102030405060708);
    call.request.transactions.push_back(decided);
    call.request.offsets.push_back(progress);
    call.request.fresh = true;
    return call;
}

}  // namespace example

// Calls visit<Call>(name, head, call, reply) for each, in their order.
template <class Function>
void each_of_example(Function visit) {
    using namespace example;
    request_head head;
    opened_session opened{session, 0, noon, 17'000'000, "tstreamsd 0.1.0"};
    visit.template operator()<open_session_call>("1_open_session", head,
                                                 open_session_call{"copier", std::chrono::seconds(30)}, opened);
    head.session = session;
    head.answered_below = 1;
    visit.template operator()<find_stream_call>("2_find_stream", head, find_stream_call{"orders"},
                                                stream(orders, "orders"));
    head.sequence = 1;
    attach_consumer_call attach;
    attach.request.stream = orders;
    attach.request.consumer = "copier";
    attach.request.partitions = {0};
    attach.request.starts = {core::start_point{}};
    visit.template operator()<attach_consumer_call>("3_attach_consumer", head, attach,
                                                    std::vector<core::attached_partition>{{0, 1, transaction_id()}});
    head.sequence = 0;
    head.answered_below = 2;
    read_call read;
    read.request.stream = orders;
    visit.template operator()<read_call>("4_read", head, read, one_transaction());
    head.sequence = 2;
    core::commit_reply committed;
    committed.transactions.push_back(transaction_id(first.value() + (std::uint64_t{250'000} << 10)));
    visit.template operator()<commit_call>("5_commit", head, copy(), committed);
}

}  // namespace tstreams::wire::test
