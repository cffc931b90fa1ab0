// The calls of the protocol: for each the command that names it, what it asks, and what the answer holds. They are
// those of core::service. A call that `acts` is done once, however often it is asked (envelope.hpp); the others may be
// done again.
#pragma once

#include "wire/messages.hpp"

namespace tstreams::wire {

struct nothing {};

struct opened_session {
    core::session_id session = 0;
    std::uint8_t minor = 0;               // of the server
    wall_time now;                        // the server's time of day, by which ids and expiries go
    std::uint64_t request_bytes_max = 0;  // a larger request is not looked at
    std::string server;                   // for people: name and version
};

// What a client says first.
struct open_session_call {
    using reply = opened_session;
    static constexpr std::string_view command = "tstreams.open_session";
    static constexpr bool acts = false;
    std::string client;
    std::chrono::milliseconds timeout{0};
};

#define TSTREAMS_CALL(name, what_reply, does_act)                  \
    using reply = what_reply;                                      \
    static constexpr std::string_view command = "tstreams." #name; \
    static constexpr bool acts = does_act

struct heartbeat_call {
    TSTREAMS_CALL(heartbeat, nothing, false);
};
struct close_session_call {
    TSTREAMS_CALL(close_session, nothing, false);
};

struct create_stream_call {
    TSTREAMS_CALL(create_stream, stream_info, true);
    core::create_request request;
};
struct find_stream_call {
    TSTREAMS_CALL(find_stream, std::optional<stream_info>, false);
    std::string name;
};
struct list_streams_call {
    TSTREAMS_CALL(list_streams, stream_page, false);
    std::string prefix;
    std::string after;
    std::uint32_t limit = 0;
};
struct update_stream_call {
    TSTREAMS_CALL(update_stream, stream_info, true);
    std::string name;
    stream_changes changes;
};
struct delete_stream_call {
    TSTREAMS_CALL(delete_stream, nothing, true);
    std::string name;
};

struct open_call {
    TSTREAMS_CALL(open, core::open_reply, true);
    core::open_request request;
};
struct write_call {
    TSTREAMS_CALL(write, nothing, true);
    core::transaction_ref transaction;
    std::uint32_t crc32c = 0;
    bytes_view data;
};
struct commit_call {
    TSTREAMS_CALL(commit, core::commit_reply, true);
    core::commit_request request;
};
struct cancel_call {
    TSTREAMS_CALL(cancel, nothing, true);
    std::vector<core::transaction_ref> transactions;
};
struct attach_producer_call {
    TSTREAMS_CALL(attach_producer, core::attached_producer, true);
    core::attach_producer_request request;
};

struct read_call {
    TSTREAMS_CALL(read, core::read_reply, false);
    core::read_request request;
};
struct read_frame_call {
    TSTREAMS_CALL(read_frame, std::string, false);
    ports::blob_ref frame;
};
struct wait_readable_call {
    TSTREAMS_CALL(wait_readable, std::vector<partition_number>, false);
    std::uint64_t wait = 0;
    core::stream_id stream = 0;
    std::vector<core::wait_position> positions;
    std::chrono::milliseconds patience{0};
};
struct cancel_wait_call {
    TSTREAMS_CALL(cancel_wait, nothing, false);
    std::uint64_t wait = 0;
};
// What a follower gets, one after another: of one partition what is readable behind `previous`, the last id that was
// given before. Where it is `broken` nothing more comes of that partition: a read says why.
struct followed {
    partition_number partition = 0;
    transaction_id previous;
    bool broken = false;
    core::read_reply read;
};
// A stream: as long as it is open, transactions are sent as they become readable.
struct follow_call {
    TSTREAMS_CALL(follow, followed, false);
    core::stream_id stream = 0;
    std::vector<partition_position> positions;
    std::uint32_t transactions_max = 0;  // of one message
    std::uint64_t bytes_max = 0;         // of inline items in one message
};
// A stream: the first message has nothing in it and says that watching has begun, then events come as things happen.
struct watch_call {
    TSTREAMS_CALL(watch, core::event_batch, false);
    core::watch_request request;
};
struct resolve_call {
    TSTREAMS_CALL(resolve, transaction_id, false);
    core::stream_id stream = 0;
    partition_number partition = 0;
    core::start_point start;
};
struct last_call {
    TSTREAMS_CALL(last, std::optional<core::stored_transaction>, false);
    core::stream_id stream = 0;
    partition_number partition = 0;
};
struct find_transaction_call {
    TSTREAMS_CALL(find_transaction, core::service::found_transaction, false);
    core::stream_id stream = 0;
    partition_number partition = 0;
    transaction_id id;
};
struct scan_call {
    TSTREAMS_CALL(scan, std::vector<transaction_info>, false);
    core::scan_request request;
};
struct find_commit_call {
    TSTREAMS_CALL(find_commit, transaction_state, false);
    request_id request;
};

struct attach_consumer_call {
    TSTREAMS_CALL(attach_consumer, std::vector<core::attached_partition>, true);
    core::attach_consumer_request request;
};
struct detach_consumer_call {
    TSTREAMS_CALL(detach_consumer, nothing, true);
    core::stream_id stream = 0;
    std::string consumer;
};

struct retention_call {
    TSTREAMS_CALL(retention, retention_info, false);
};
struct accept_clock_call {
    TSTREAMS_CALL(accept_clock, retention_info, true);
};
struct abort_call {
    TSTREAMS_CALL(abort, nothing, true);
    core::stream_id stream = 0;
    partition_number partition = 0;
    transaction_id id;
};
struct list_offsets_call {
    TSTREAMS_CALL(list_offsets, std::vector<offset_info>, false);
    core::stream_id stream = 0;
    std::string consumer;
};
struct set_offset_call {
    TSTREAMS_CALL(set_offset, nothing, true);
    core::stream_id stream = 0;
    std::string consumer;
    std::vector<partition_position> positions;
    bool take_over = false;
};
struct delete_offset_call {
    TSTREAMS_CALL(delete_offset, nothing, true);
    core::stream_id stream = 0;
    std::string consumer;
    bool take_over = false;
};

struct list_open_call {
    TSTREAMS_CALL(list_open, std::vector<open_transaction_info>, false);
    std::uint32_t limit = 0;
};
struct server_status_call {
    TSTREAMS_CALL(server_status, tstreams::server_status, false);
};
struct server_clients_call {
    TSTREAMS_CALL(server_clients, std::vector<server_client>, false);
    std::uint32_t limit = 0;
};

#undef TSTREAMS_CALL

template <class Archive, form_of<open_session_call> T>
void describe(Archive& archive, T& value) {
    archive(value.client, value.timeout);
}
template <class Archive, form_of<opened_session> T>
void describe(Archive& archive, T& value) {
    archive(value.session, value.minor, value.now, value.request_bytes_max, value.server);
}
template <class Archive, class T>
    requires form_of<T, nothing> || form_of<T, heartbeat_call> || form_of<T, close_session_call> ||
             form_of<T, retention_call> || form_of<T, accept_clock_call> || form_of<T, server_status_call>
void describe(Archive&, T&) {}
template <class Archive, class T>
    requires form_of<T, create_stream_call> || form_of<T, open_call> || form_of<T, commit_call> ||
             form_of<T, attach_producer_call> || form_of<T, read_call> || form_of<T, scan_call> ||
             form_of<T, find_commit_call> || form_of<T, attach_consumer_call> || form_of<T, watch_call>
void describe(Archive& archive, T& value) {
    archive(value.request);
}
template <class Archive, class T>
    requires form_of<T, find_stream_call> || form_of<T, delete_stream_call>
void describe(Archive& archive, T& value) {
    archive(value.name);
}
template <class Archive, form_of<list_streams_call> T>
void describe(Archive& archive, T& value) {
    archive(value.prefix, value.after, value.limit);
}
template <class Archive, form_of<update_stream_call> T>
void describe(Archive& archive, T& value) {
    archive(value.name, value.changes);
}
template <class Archive, form_of<write_call> T>
void describe(Archive& archive, T& value) {
    archive(value.transaction, value.crc32c, value.data);
}
template <class Archive, form_of<cancel_call> T>
void describe(Archive& archive, T& value) {
    archive(value.transactions);
}
template <class Archive, form_of<read_frame_call> T>
void describe(Archive& archive, T& value) {
    archive(value.frame);
}
template <class Archive, form_of<wait_readable_call> T>
void describe(Archive& archive, T& value) {
    archive(value.wait, value.stream, value.positions, value.patience);
}
template <class Archive, form_of<cancel_wait_call> T>
void describe(Archive& archive, T& value) {
    archive(value.wait);
}
template <class Archive, form_of<followed> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.previous, value.broken, value.read);
}
template <class Archive, form_of<follow_call> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.positions, value.transactions_max, value.bytes_max);
}
template <class Archive, form_of<resolve_call> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.start);
}
template <class Archive, form_of<last_call> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition);
}
template <class Archive, class T>
    requires form_of<T, find_transaction_call> || form_of<T, abort_call>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.id);
}
template <class Archive, class T>
    requires form_of<T, detach_consumer_call> || form_of<T, list_offsets_call>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.consumer);
}
template <class Archive, form_of<set_offset_call> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.consumer, value.positions, value.take_over);
}
template <class Archive, form_of<delete_offset_call> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.consumer, value.take_over);
}

template <class Archive, class T>
    requires form_of<T, list_open_call> || form_of<T, server_clients_call>
void describe(Archive& archive, T& value) {
    archive(value.limit);
}

}  // namespace tstreams::wire
