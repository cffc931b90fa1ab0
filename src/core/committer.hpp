// The decision: transactions, offsets and source positions become durable and visible in one step.
//
// On an exclusive engine that is one batch over all shards. On a shared engine a commit within one shard is one
// fenced batch; anything larger is prepared at each owner, decided by a put-if-absent row of the group, and
// rolled forward (docs/architecture.md, "Commit over several owners").
#pragma once

#include "core/environment.hpp"
#include "core/partitions.hpp"
#include "core/sessions.hpp"
#include "core/transactions.hpp"

#include <weave/frame_pool.hpp>
#include <weave/seeded_hash.hpp>

#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tstreams::core {

// The part of a group that one owner prepares.
struct prepare_request {
    session_id session = 0;
    request_id group;
    std::vector<decision> transactions;
    std::vector<offset_update> offsets;
};

// What a group's coordinator asks of the owners of its members. Calls may fail or be lost; all are idempotent.
class participant {
public:
    virtual ~participant() = default;
    // On return everything named is prepared: it commits or not as the group's row will say. Throws when it
    // cannot be; what was prepared before the failure is rolled back with the group.
    virtual weave::task<void> prepare(prepare_request request) = 0;
    // `decided` is the group's row.
    virtual weave::task<void> resolve(request_id group, std::vector<partition_key> parts, group_row decided) = 0;
};

// Finds the owners of partitions; a cluster's routing. Throws unavailable.
class peers {
public:
    virtual ~peers() = default;
    virtual weave::task<participant*> owner_of(partition_key key) = 0;
};

class committer {
public:
    committer(environment& world, partitions& parts, transactions& open, sessions& clients)
        : world_(world), parts_(parts), open_(open), clients_(clients) {
        parts_.on_leftover = [this](const std::shared_ptr<partition>& part) { settle_leftovers(part); };
    }

    weave::task<commit_reply> commit(commit_request request);
    weave::task<transaction_state> find_commit(request_id request);

    // As a participant.
    weave::task<void> prepare(prepare_request request);
    weave::task<void> resolve(request_id group, std::vector<partition_key> parts, group_row decided);
    // Settles what a former owner left prepared, in the background.
    void settle_leftovers(const std::shared_ptr<partition>& part);

private:
    using opened_refs = std::vector<transaction_ref, weave::recycling_allocator<transaction_ref>>;
    struct planned_transaction {
        std::shared_ptr<partition> part;
        std::shared_ptr<open_transaction> transaction;
        std::string row;
    };
    struct planned_offset {
        std::shared_ptr<partition> part;
        std::string consumer;
        offset_row before;
        offset_row after;
    };
    struct planned_source {
        std::shared_ptr<partition> part;
        std::string producer;
        producer_row before;
        producer_row after;
    };
    struct plan {
        std::vector<planned_transaction, weave::recycling_allocator<planned_transaction>> transactions;
        std::vector<planned_offset> offsets;
        std::vector<planned_source> sources;
        durability level = durability::process();
        commit_reply reply;
        std::uint64_t items = 0, bytes = 0;
        [[nodiscard]] std::size_t members() const { return transactions.size() + offsets.size() + sources.size(); }
    };

    weave::task<commit_reply> commit_once(commit_request request);
    // Whether its answer is kept by the number of its call.
    [[nodiscard]] bool has_note(const commit_request& request) const;
    [[nodiscard]] bool too_old(const request_id& request) const;
    [[nodiscard]] wall_time answer_expires(const request_id& request) const;
    weave::task<commit_reply> answer_old(commit_request request);
    [[nodiscard]] bool is_last_of_its_row(const commit_request& request) const;
    weave::task<std::optional<commit_reply>> known_answer(const commit_request& request);
    // The caller keeps the request until the task ends.
    weave::task<commit_reply> commit_loaded(commit_request& request);
    weave::task<void> open_missing(commit_request& request, opened_refs& opened);
    [[nodiscard]] bool all_loaded(const commit_request& request) const;
    weave::task<void> load_all(const commit_request& request);
    plan make_plan(commit_request& request);
    planned_transaction plan_transaction(const commit_request& request, decision& wanted);
    planned_offset plan_offset(const commit_request& request, const offset_update& wanted);
    planned_source plan_source(const commit_request& request, source_update& wanted);

    weave::task<commit_reply> commit_exclusive(commit_request& request);
    std::vector<ports::batch> exclusive_batches(const commit_request& request, plan& made);
    void begin(const plan& made, const request_id& request);
    enum class written : std::uint8_t { surely, perhaps, not_at_all };
    void settle_rows(const plan& made, written end);
    void undo(plan& made);
    void finish(plan& made);

    weave::task<commit_reply> commit_shared(commit_request request, bool as_group);
    weave::task<std::optional<commit_reply>> group_answer(request_id request);
    weave::task<std::optional<commit_reply>> noted_answer(request_id request, call_number first_asked);
    weave::task<void> give_up(session_id session, opened_refs opened);
    weave::task<commit_reply> commit_in_one_shard(commit_request request);
    weave::task<commit_reply> commit_group(commit_request request);
    weave::task<void> prepare_all(commit_request request, std::vector<partition_key> parts);
    weave::task<void> prepare_at(prepare_request request, partition_key key);
    weave::task<void> prepare_partition(prepare_request request, partition_key key);
    static void leave_out_prepared(prepare_request& request, partition& part, transactions& open);
    weave::task<void> write_prepared(std::shared_ptr<partition> part, planned_transaction planned, request_id group,
                                     durability level);
    weave::task<void> write_intents(std::shared_ptr<partition> part, std::vector<planned_offset> offsets,
                                    request_id group, durability level);
    weave::task<void> settle_before(std::shared_ptr<partition> part, std::string consumer, request_id group);
    weave::task<group_row> decide(request_id group, bool commit, std::vector<transaction_id> ids);
    weave::task<std::optional<group_row>> read_group(request_id group);
    weave::task<void> resolve_everywhere(request_id group, std::vector<partition_key> parts, group_row decided);
    weave::task<void> resolve_at(request_id group, partition_key key, group_row decided);
    weave::task<void> resolve_partition(request_id group, partition_key key, group_row decided);
    weave::task<void> resolve_transaction(std::shared_ptr<partition> part,
                                          std::shared_ptr<open_transaction> transaction, bool committed);
    weave::task<void> resolve_offset(std::shared_ptr<partition> part, std::string consumer, bool committed);
    weave::task<void> settle_later(request_id group, partition_key key);
    weave::task<void> settle_group(request_id group, std::shared_ptr<partition> part);

    environment& world_;
    partitions& parts_;
    transactions& open_;
    sessions& clients_;
    // Requests that find_commit has given up since the broker began. A fresh one may still come, late, if it was asked
    // in this time; so these are looked for in the store, and all when there are too many.
    static constexpr std::size_t given_up_max = 65'536;
    std::set<request_id> given_up_;
    // Those under way; the event is made by the first that waits for the end.
    struct id_hash {
        std::size_t operator()(const request_id& one) const noexcept { return weave::seeded_hash()(one.high, one.low); }
    };
    std::unordered_map<request_id, std::shared_ptr<weave::event>, id_hash, std::equal_to<>,
                       weave::recycling_allocator<std::pair<const request_id, std::shared_ptr<weave::event>>>>
        in_flight_;
    std::set<request_id> in_doubt_;  // under way when the storage failed: no more than there were then
};

}  // namespace tstreams::core
