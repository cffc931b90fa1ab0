// The life of a transaction up to its decision: opened, filled, kept alive, cancelled, expired.
#pragma once

#include "core/environment.hpp"
#include "core/partitions.hpp"
#include "core/sessions.hpp"
#include "core/watchers.hpp"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

namespace tstreams::core {

class transactions {
public:
    transactions(environment& world, partitions& parts, sessions& clients, watchers& watching);

    // Cancels everything that is open.
    void stop();

    weave::task<std::shared_ptr<open_transaction>> open(open_request request);
    // The same for a session that has just been heard of, where nothing has to be waited for; null where something has.
    [[nodiscard]] std::shared_ptr<open_transaction> open_now(const open_request& request);
    weave::task<void> write(session_id session, transaction_ref ref, bytes_view data, std::uint32_t crc32c);
    weave::task<void> cancel(session_id session, std::vector<transaction_ref> refs);
    weave::task<void> abort(partition_key key, transaction_id id);
    void end_session(session_id session);
    // Those of older instances of a named producer.
    void cancel_older(const std::string& producer, stream_id stream, std::uint64_t instance);
    void cancel_stream(stream_id stream);

    [[nodiscard]] std::uint64_t count() const noexcept { return open_count_; }
    // The oldest ones, of all streams. The second is cheaper where it is asked again and again.
    [[nodiscard]] std::vector<open_transaction_info> list(std::uint32_t limit);
    [[nodiscard]] std::vector<open_transaction_info> oldest(std::uint32_t limit);

    // The open transaction that `ref` names, or null. Undecided is not always open: look at its phase.
    [[nodiscard]] std::shared_ptr<open_transaction> find(const transaction_ref& ref);
    // Throws fenced when a newer instance of the named producer is attached.
    void check_producer(stream_id stream, const std::string& producer, std::uint64_t instance);
    // Throws what became of a transaction that is not undecided: transaction_expired, fenced, stream_deleted,
    // transaction_closed, transaction_unknown.
    [[noreturn]] void throw_ended(const transaction_ref& ref);
    // Decided: out of the partition, the session and the deadlines.
    void finish(const std::shared_ptr<partition>& part, const std::shared_ptr<open_transaction>& transaction,
                bool checkpointed);
    // In the background; references of index frames are followed.
    void drop_frames(std::vector<frame_ref> frames);
    weave::task<void> drop_tree(std::vector<frame_ref> frames);

    // Reads the index frames, so that all_blobs is complete.
    weave::task<void> gather(std::shared_ptr<open_transaction> transaction);
    // Every blob of a transaction that has no index frames or was gathered. Throws invalid_state for one that was
    // written to since.
    [[nodiscard]] static std::vector<ports::blob_ref> all_blobs(const open_transaction& transaction);
    // The same, and what was gathered is not kept: a later try gathers again.
    [[nodiscard]] static std::vector<ports::blob_ref> take_blobs(open_transaction& transaction);
    [[nodiscard]] static std::vector<frame_ref> row_frames(const open_transaction& transaction);

private:
    std::shared_ptr<open_transaction> add(const std::shared_ptr<partition>& part,
                                          const std::shared_ptr<session>& client, open_request request,
                                          transaction_id id, wall_time now);
    [[nodiscard]] std::vector<transaction_ref> first_refs(std::size_t limit) const;
    [[nodiscard]] std::vector<open_transaction_info> describe_all(const std::vector<transaction_ref>& refs);
    weave::task<std::vector<frame_ref>> children_of(frame_ref frame);
    weave::task<void> make_room(std::shared_ptr<partition> part);
    void check_limits(const partition& part, const session& client) const;
    weave::task<void> gather_below(std::shared_ptr<open_transaction> transaction, std::vector<frame_ref> frames);
    weave::task<void> store_frame(std::shared_ptr<open_transaction> transaction, bytes_view data, std::uint32_t crc32c,
                                  std::uint8_t level);
    // `why` is a literal; without it, the text of the reason.
    void cancel_now(const std::shared_ptr<partition>& part, const std::shared_ptr<open_transaction>& transaction,
                    errc reason, std::string_view why = {});
    struct ending {
        errc reason;
        std::string_view why;
    };
    void remember_end(const transaction_ref& ref, ending how);
    void schedule_expiry();
    weave::task<void> expire();
    // A partition is given up: its open transactions are lost.
    void forget(const std::shared_ptr<partition>& part);

    environment& world_;
    partitions& parts_;
    sessions& clients_;
    watchers& watching_;
    std::uint64_t open_count_ = 0;
    std::vector<transaction_ref> oldest_;  // some of the oldest ones, in order; ones that have ended among them
    using due = std::pair<ports::steady_time, transaction_ref>;
    std::set<due, std::less<>, weave::recycling_allocator<due>> deadlines_;
    ports::clock::timer expiry_ = 0;
    ports::steady_time expiry_due_{};
    // What became of transactions that ended without their client's doing; the newest few thousand.
    std::map<transaction_ref, ending> ended_;
    std::deque<transaction_ref> ended_order_;
};

}  // namespace tstreams::core
