// What a client asks of a broker: the requests that an embedded client makes by a call and a remote one by frames.
//
// All calls run on the broker's executor. Arguments are values, so that a request can be sent, kept and repeated.
// Failures throw tstreams::error with its outcome. Requests that write carry a request id; asking again with the
// same id gives the same answer and never acts twice. What a commit of one member did is kept in the row of that
// member: as long as that is there, and for a position while nothing later is. One that is to be asked again although
// it opens and checkpoints in one step, or holds a source position alone, has an id that says that its answer is kept;
// in the former case it is enough to tell as which call it was asked first.
#pragma once

#include "core/frame_data.hpp"

#include <tstreams/error.hpp>
#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/status.hpp>
#include <tstreams/types.hpp>
#include <weave/task.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::core {

// A request id tells when it was made, and whether the answer to it is kept in a row of its own, so that find_commit
// knows of it: microseconds since 1970 (54 bits), 9 random bits, one bit for "kept"; 64 random bits.
[[nodiscard]] request_id make_request_id(wall_time made, bool answer_kept, std::uint64_t random_high,
                                         std::uint64_t random_low) noexcept;
[[nodiscard]] constexpr bool answer_kept(const request_id& request) noexcept {
    return (request.high & 1) != 0;
}
[[nodiscard]] constexpr wall_time made_at(const request_id& request) noexcept {
    return transaction_id(request.high).time();
}

using session_id = std::uint64_t;
using stream_id = std::uint64_t;

// Names an open transaction. The epoch is that of the owner that opened it: a later owner does not know it.
struct transaction_ref {
    stream_id stream = 0;
    partition_number partition = 0;
    transaction_id id;
    std::uint64_t epoch = 0;
    friend auto operator<=>(const transaction_ref&, const transaction_ref&) = default;
};

struct open_request {
    session_id session = 0;
    stream_id stream = 0;
    partition_number partition = 0;
    std::string producer;  // name of a named producer, or empty
    std::uint64_t producer_instance = 0;
    std::chrono::milliseconds max_open{0};  // zero: the stream's
};

struct open_reply {
    transaction_ref transaction;
    wall_time expires;  // the latest moment, with keepalive
};

// A transaction to be checkpointed. Its frames, if any, were written before by `write`.
struct decision {
    transaction_ref transaction;  // id zero: `open` first and checkpoint in one step
    open_request open;            // only with id zero
    session_id session = 0;       // that opened it, where that was at another broker; zero: the commit's
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
    std::uint32_t frames = 0;  // how many frames were written; a mismatch is refused
    std::string inline_items;  // one packed frame, at most inline_bytes_max; only with frames == 0
};

struct offset_update {
    stream_id stream = 0;
    partition_number partition = 0;
    std::string consumer;
    std::uint64_t instance = 0;
    transaction_id position;
    // Refused unless this is the stored position. For clients whose requests can arrive late or twice: it keeps
    // an old one from moving the offset back.
    std::optional<transaction_id> expected;
};

struct source_update {
    stream_id stream = 0;
    std::string producer;
    std::uint64_t instance = 0;
    std::string position;  // at most source_position_bytes_max
};

// Which call of which session a request was when it was asked for the first time; zeros: nobody counts.
struct call_number {
    session_id session = 0;
    std::uint64_t sequence = 0;
};

// One atomic commit of everything that is named in it.
struct commit_request {
    session_id session = 0;
    tstreams::request_id request;
    std::vector<decision> transactions;
    std::vector<offset_update> offsets;
    std::vector<source_update> sources;
    // The id was made for this call, nobody was told of it before, and it was not asked in another session: there is no
    // answer in the store to be looked for.
    bool fresh = false;
    // By this the answer to one transaction that is opened and checkpointed in one step is found again, on an exclusive
    // engine, unless the id says that it is kept. Such answers share rows, and cost a fraction of one.
    call_number first_asked;

    // Whether the answer is kept in a row of its own; else in the one row that it changes, or by first_asked.
    [[nodiscard]] bool has_group_row() const noexcept {
        return answer_kept(request) || transactions.size() + offsets.size() + sources.size() > 1;
    }
};

struct commit_reply {
    std::vector<transaction_id> transactions;  // in the order of the request
};

// A frame of packed items, or with level > 0 an index frame of references of the level below (see frames.hpp).
struct frame_ref {
    ports::blob_ref blob;
    std::uint8_t level = 0;
};

struct stored_transaction {
    transaction_id id;
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
    wall_time expires;
    std::string inline_items;       // one packed frame, or
    std::vector<frame_ref> frames;  // its frames in order
};

struct read_request {
    stream_id stream = 0;
    partition_number partition = 0;
    transaction_id after;
    transaction_id up_to = transaction_id(~std::uint64_t{0});  // inclusive
    std::uint32_t transactions_max = 256;
    std::size_t bytes_max = std::size_t{1} << 20;  // of inline items; at least one transaction is returned
    bool skip_open = false;                        // go on past open transactions and name them in `skipped`
};

struct read_reply {
    std::vector<stored_transaction> transactions;
    std::vector<transaction_id> skipped;  // rising; only with skip_open
    std::optional<blocker> blocked;       // the open transaction at which the reply stops
    bool end = false;                     // nothing readable was left behind the last one when this was made
};

enum class start_kind : std::uint8_t { oldest, newest, after };

struct start_point {
    start_kind kind = start_kind::oldest;
    transaction_id after;  // only with start_kind::after
};

struct wait_position {
    partition_number partition = 0;
    transaction_id after;
    bool skip_open = false;  // what stands behind an open transaction counts, too
    transaction_id held_by;  // not zero: only the end of this open one counts
};

struct wait_request {
    std::uint64_t wait = 0;  // names the call for cancel_wait; chosen by the caller, unique in its session
    session_id session = 0;
    stream_id stream = 0;
    std::vector<wait_position> positions;
    ports::steady_time until{};
};

struct attach_consumer_request {
    session_id session = 0;
    stream_id stream = 0;
    std::string consumer;  // empty: no stored offset, nothing is written
    std::vector<partition_number> partitions;
    std::vector<start_point> starts;  // one per partition
    bool reset = false;               // the starts override stored offsets
    bool must_exist = false;          // offset_not_found instead of registering the name
};

struct attached_partition {
    partition_number partition = 0;
    std::uint64_t instance = 0;
    transaction_id position;
};

struct attach_producer_request {
    session_id session = 0;
    stream_id stream = 0;
    std::string producer;
};

struct attached_producer {
    std::uint64_t instance = 0;
    std::optional<std::string> source_position;
};

struct scan_request {
    stream_id stream = 0;
    partition_number partition = 0;
    transaction_id from;
    transaction_id to = transaction_id(~std::uint64_t{0});  // inclusive
    bool open = true;
    bool checkpointed = true;
    std::uint32_t limit = 1000;
};

struct create_request {
    stream_options options;
    tstreams::request_id request;
};

// Which kinds of events, as a sum.
[[nodiscard]] constexpr std::uint8_t bit_of(event_kind kind) noexcept {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(kind));
}
inline constexpr std::uint8_t all_event_kinds = bit_of(event_kind::opened) | bit_of(event_kind::checkpointed) |
                                                bit_of(event_kind::cancelled) | bit_of(event_kind::expired);
inline constexpr std::uint32_t buffer_events_max = 8192;

struct watch_request {
    stream_id stream = 0;
    std::vector<partition_number> partitions;  // empty: all
    std::uint8_t kinds = all_event_kinds;
    std::uint32_t buffer_events = 1024;  // 1 to buffer_events_max
};

// What happened to a transaction.
struct transaction_change {
    partition_number partition = 0;
    event_kind kind = event_kind::opened;
    transaction_id id;
    std::uint64_t items = 0;  // of a checkpointed one
    std::uint64_t bytes = 0;
};

struct event_batch {
    bool interrupted = false;  // first of all, nobody knows how many were lost: another server, or connection
    std::uint64_t lost = 0;    // so many, before the events
    std::vector<transaction_change> events;
};

// Events as they happen. On the executor; to be destroyed before what gave it.
class event_source {
public:
    virtual ~event_source() = default;
    // Waits for something to tell. Nothing in it: it was stopped. Throws what ended it, after the last events:
    // stream_deleted, shutting_down, and of a remote one what keeps it from watching on. One call at a time; whoever
    // waits keeps the source.
    virtual weave::task<event_batch> next() = 0;
    virtual void stop() noexcept = 0;
};

inline constexpr std::size_t inline_bytes_max = 16 * 1024;
inline constexpr std::size_t source_position_bytes_max = 4096;
inline constexpr std::uint32_t partitions_max = 1024;

class service {
public:
    virtual ~service() = default;

    // Sessions. A session without a heartbeat for `timeout` ends: its open transactions are cancelled.
    virtual weave::task<session_id> open_session(std::string client, std::chrono::milliseconds timeout) = 0;
    virtual weave::task<void> heartbeat(session_id session) = 0;
    virtual weave::task<void> close_session(session_id session) = 0;

    // Streams, by name. find gives an empty answer for an unknown one; the others throw stream_not_found.
    virtual weave::task<stream_info> create_stream(create_request request) = 0;
    virtual weave::task<std::optional<stream_info>> find_stream(std::string name) = 0;
    virtual weave::task<stream_page> list_streams(std::string prefix, std::string after, std::uint32_t limit) = 0;
    virtual weave::task<stream_info> update_stream(std::string name, stream_changes changes) = 0;
    virtual weave::task<void> delete_stream(std::string name) = 0;
    // What a stream that is named by its id is called, for those who judge by names. Throws stream_deleted; unsupported
    // for a broker of another process.
    virtual weave::task<std::string> stream_name(stream_id stream);

    // Writing.
    virtual weave::task<open_reply> open(open_request request) = 0;
    // Appends one frame to an open transaction. `data` stays valid until the task ends, and its memory as long as
    // somebody refers to it. One call at a time per transaction.
    virtual weave::task<void> write(session_id session, transaction_ref transaction, frame_data data,
                                    std::uint32_t crc32c) = 0;
    virtual weave::task<commit_reply> commit(commit_request request) = 0;
    // Undecided ones are cancelled, cancelled and unknown ones are left alone; throws transaction_closed
    // (outcome applied) when one is checkpointed already.
    virtual weave::task<void> cancel(session_id session, std::vector<transaction_ref> transactions) = 0;
    virtual weave::task<attached_producer> attach_producer(attach_producer_request request) = 0;

    // Reading.
    virtual weave::task<read_reply> read(read_request request) = 0;
    virtual weave::task<std::string> read_frame(ports::blob_ref frame) = 0;
    // Which of the partitions have something to read behind their position (or an error to report); waits for the
    // first, up to `until`. Empty: none in time, or cancelled.
    virtual weave::task<std::vector<partition_number>> wait_readable(wait_request request) = 0;
    virtual void cancel_wait(session_id session, std::uint64_t wait) = 0;
    virtual weave::task<transaction_id> resolve(stream_id stream, partition_number partition, start_point start) = 0;
    virtual weave::task<std::optional<stored_transaction>> last(stream_id stream, partition_number partition) = 0;
    // State, and the stored transaction where it is checkpointed.
    struct found_transaction {
        transaction_info info;
        std::optional<stored_transaction> stored;
    };
    virtual weave::task<found_transaction> find_transaction(stream_id stream, partition_number partition,
                                                            transaction_id id) = 0;
    virtual weave::task<std::vector<transaction_info>> scan(scan_request request) = 0;
    // What became of a commit whose request says that its answer is kept (invalid_argument otherwise): checkpointed;
    // not_checkpointed, which is final, because the request is refused from then on; or gone, where the request is
    // older than the hour for which answers are kept.
    virtual weave::task<transaction_state> find_commit(tstreams::request_id request) = 0;

    // Events from the moment on at which this has returned. What is not taken in time is counted and dropped, the
    // oldest first. Throws overloaded where too much is watched already; unsupported unless overridden.
    virtual weave::task<std::shared_ptr<event_source>> watch(watch_request request);

    // Consumers.
    // A name is attached to one partition after the other. Where that fails, those before have the new instance: the
    // outcome is unknown, unless it is the first that fails. Asked again it gives newer instances, and the positions
    // that are stored; only `reset` stores its starts once more.
    virtual weave::task<std::vector<attached_partition>> attach_consumer(attach_consumer_request request) = 0;
    virtual weave::task<void> detach_consumer(session_id session, stream_id stream, std::string consumer) = 0;

    // Administration.
    virtual weave::task<retention_info> retention() = 0;
    // The clock is right: retention goes on by it.
    virtual weave::task<retention_info> accept_clock() = 0;
    virtual weave::task<void> abort(stream_id stream, partition_number partition, transaction_id id) = 0;
    virtual weave::task<std::vector<offset_info>> list_offsets(stream_id stream, std::string consumer) = 0;
    // Throws consumer_live while an instance of the name is attached, unless `take_over` (which fences it).
    // Partitions are written one after the other: where a later one fails, the outcome is unknown, and the same again
    // finishes it.
    virtual weave::task<void> set_offset(stream_id stream, std::string consumer,
                                         std::vector<partition_position> positions, bool take_over) = 0;
    virtual weave::task<void> delete_offset(stream_id stream, std::string consumer, bool take_over) = 0;
    // Open transactions of all streams, oldest first, at most `limit`.
    virtual weave::task<std::vector<open_transaction_info>> list_open(std::uint32_t limit);
    // Of a served store: these throw unsupported unless overridden.
    virtual weave::task<server_status> status();
    virtual weave::task<std::vector<server_client>> list_clients(std::uint32_t limit);
};

}  // namespace tstreams::core
