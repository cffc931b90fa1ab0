// Commits on shared engines: within one shard by one fenced batch, else over several owners.
//
//   prepare   each owner writes its rows as prepared, under its fence
//   decide    the group's row, put if absent: this is the moment of the commit
//   resolve   each owner makes its rows final; who meets a prepared row past its deadline settles the group itself
#include "core/committer.hpp"
#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <set>

namespace tstreams::core {
namespace {

const char* const group_key = "g";
constexpr int decide_tries = 50;
constexpr auto decide_pause = std::chrono::milliseconds(100);
constexpr auto settle_pause = std::chrono::seconds(1);

std::vector<partition_key> parts_of(const commit_request& request) {
    std::vector<partition_key> parts;
    for (const decision& one : request.transactions)
        parts.push_back({one.transaction.stream, one.transaction.partition});
    for (const offset_update& one : request.offsets) parts.push_back({one.stream, one.partition});
    std::sort(parts.begin(), parts.end());
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    return parts;
}

prepare_request part_of(const commit_request& request, const partition_key& key) {
    prepare_request part;
    part.session = request.session;
    part.group = request.request;
    for (const decision& one : request.transactions) {
        if (partition_key{one.transaction.stream, one.transaction.partition} == key) part.transactions.push_back(one);
    }
    for (const offset_update& one : request.offsets) {
        if (partition_key{one.stream, one.partition} == key) part.offsets.push_back(one);
    }
    return part;
}

std::vector<transaction_id> ids_of(const commit_request& request) {
    std::vector<transaction_id> ids;
    for (const decision& one : request.transactions) ids.push_back(one.transaction.id);
    return ids;
}

[[noreturn]] void throw_again(const char* what) {
    throw error(errc::unavailable, std::string(what) + " did not work out; try again");
}

}  // namespace

weave::task<commit_reply> committer::commit_shared(commit_request request, bool as_group) {
    if (!request.sources.empty())
        throw error(errc::unsupported, "named producers are not supported on shared engines yet");
    if (!as_group && !request.has_group_row()) co_return co_await commit_in_one_shard(std::move(request));
    co_return co_await commit_group(std::move(request));
}

weave::task<commit_reply> committer::commit_in_one_shard(commit_request request) {
    const partition_key key = parts_of(request).front();
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    weave::mutex::guard gate = co_await part->gate.lock();
    if (part->dropped) throw_again("the commit");
    for (const offset_update& one : request.offsets) {
        co_await parts_.load_consumer(part, one.consumer);
        co_await settle_before(part, one.consumer, request.request);
        const auto found = part->consumers.find(one.consumer);
        if (found != part->consumers.end() && found->second.row.request == request.request) co_return commit_reply();
    }
    if (!request.transactions.empty()) {
        const std::shared_ptr<open_transaction> known = open_.find(request.transactions.front().transaction);
        if (!known || known->state != open_transaction::phase::open) {
            std::optional<commit_reply> answer = co_await known_answer(request);
            if (answer) co_return std::move(*answer);
            if (!known) co_await parts_.confirm(part);
        }
        if (!part->tail_filed) co_await parts_.file_tail(part);
        if (known) co_await open_.gather(known);
    }
    if (part->dropped) throw_again("the commit");
    plan made = make_plan(request);
    ports::bytes shard = keys::head_shard(key);
    if (!made.transactions.empty()) shard = keys::segment_shard(key, made.transactions.front().transaction->segment);
    ports::batch change = make_batch(world_, std::move(shard), part->owner->epoch());
    for (planned_transaction& one : made.transactions) {
        const open_transaction& transaction = *one.transaction;
        require_absent(change, keys::transaction_row(transaction.ref.id));
        put(change, keys::transaction_row(transaction.ref.id), std::move(one.row));
        change.covers = transactions::all_blobs(transaction);
    }
    for (const planned_offset& one : made.offsets) put(change, keys::offset_row(one.consumer), encode(one.after));
    begin(made, request.request);
    write_result result = write_result::unavailable;
    std::exception_ptr failure;
    try {
        for (const planned_transaction& one : made.transactions) {
            if (world_.blobs.caps().commit_covers) break;
            std::vector<ports::blob_ref> blobs = transactions::all_blobs(*one.transaction);
            co_await world_.blobs.sync(std::move(blobs), made.level);
        }
        result = co_await parts_.write(part, std::move(change), made.level);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && part->dropped) {
        // Not owned any more, or not known: the partition was given up, and what is undecided in it is lost.
        for (const planned_transaction& one : made.transactions) open_.finish(part, one.transaction, false);
        std::rethrow_exception(failure);
    }
    if (result == write_result::applied) {
        finish(made);
        co_return std::move(made.reply);
    }
    undo(made);
    if (failure) std::rethrow_exception(failure);
    throw_again("the commit");
}

// Needs the gate. What an earlier group made of the consumer's position, so that this one is built on it.
weave::task<void> committer::settle_before(std::shared_ptr<partition> part, std::string consumer, request_id group) {
    const auto found = part->consumers.find(consumer);
    if (found == part->consumers.end() || !found->second.row.pending) co_return;
    const request_id earlier = found->second.row.pending->group;
    if (earlier == group) co_return;
    const std::optional<group_row> decided = co_await read_group(earlier);
    if (!decided) throw_again("a group with this consumer is still being settled; the commit");
    co_await resolve_offset(part, std::move(consumer), decided->decision == group_row::kind::committed);
}

weave::task<commit_reply> committer::commit_group(commit_request request) {
    std::optional<commit_reply> answer = co_await group_answer(request.request);
    if (answer) co_return std::move(*answer);
    const std::vector<partition_key> parts = parts_of(request);
    std::exception_ptr refused;
    try {
        co_await prepare_all(request, parts);
    } catch (const error&) {
        refused = std::current_exception();
    }
    const group_row decided = co_await decide(request.request, !refused, ids_of(request));
    world_.tasks.run(resolve_everywhere(request.request, parts, decided), "rolling a group forward");
    if (decided.decision == group_row::kind::committed) {
        commit_reply reply;
        reply.transactions = decided.transactions;
        co_return reply;
    }
    if (refused) std::rethrow_exception(refused);
    throw error(errc::unavailable, "the group was given up by another broker; checkpoint again with a new request id");
}

weave::task<void> committer::prepare_all(commit_request request, std::vector<partition_key> parts) {
    std::vector<weave::task<void>> works;
    for (const partition_key& key : parts) {
        prepare_request part = part_of(request, key);
        works.push_back(prepare_at(std::move(part), key));
    }
    std::vector<weave::outcome_of<void>> results = co_await weave::when_all(world_.executor, std::move(works));
    for (weave::outcome_of<void>& one : results) one.get();
}

weave::task<void> committer::prepare_at(prepare_request request, partition_key key) {
    participant* owner = nullptr;
    if (world_.options.peers) owner = co_await world_.options.peers->owner_of(key);
    if (owner) {
        co_await owner->prepare(std::move(request));
    } else {
        co_await prepare(std::move(request));
    }
}

weave::task<void> committer::prepare(prepare_request request) {
    commit_request whole;
    whole.session = request.session;
    whole.request = request.group;
    whole.transactions = std::move(request.transactions);
    whole.offsets = std::move(request.offsets);
    for (const partition_key& key : parts_of(whole)) {
        prepare_request part = part_of(whole, key);
        co_await prepare_partition(std::move(part), key);
    }
}

// A repeated request finds its own rows prepared.
void committer::leave_out_prepared(prepare_request& request, partition& part, transactions& open) {
    std::erase_if(request.transactions, [&](const decision& one) {
        const std::shared_ptr<open_transaction> found = open.find(one.transaction);
        return found && found->state == open_transaction::phase::prepared && found->decider == request.group;
    });
    std::erase_if(request.offsets, [&](const offset_update& one) {
        const auto found = part.consumers.find(one.consumer);
        return found != part.consumers.end() && found->second.row.pending &&
               found->second.row.pending->group == request.group;
    });
}

weave::task<void> committer::prepare_partition(prepare_request request, partition_key key) {
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    weave::mutex::guard gate = co_await part->gate.lock();
    if (part->dropped) throw_again("preparing a group");
    // Under the gate, so that the group is not rolled forward here between this look and the writing: a request
    // that comes late must not prepare anew what has been decided.
    const std::optional<group_row> decided = co_await read_group(request.group);
    if (decided && decided->decision == group_row::kind::committed) co_return;
    if (decided) throw error(errc::transaction_closed, "this checkpoint was given up before; use a new request id");
    for (const offset_update& one : request.offsets) {
        co_await parts_.load_consumer(part, one.consumer);
        co_await settle_before(part, one.consumer, request.group);
    }
    if (!request.transactions.empty() && !part->tail_filed) co_await parts_.file_tail(part);
    if (part->dropped) throw_again("preparing a group");
    leave_out_prepared(request, *part, open_);
    commit_request as_commit;
    as_commit.session = request.session;
    as_commit.request = request.group;
    as_commit.transactions = std::move(request.transactions);
    as_commit.offsets = std::move(request.offsets);
    for (const decision& one : as_commit.transactions) {
        const std::shared_ptr<open_transaction> found = open_.find(one.transaction);
        if (found) co_await open_.gather(found);
    }
    if (part->dropped) throw_again("preparing a group");
    plan made = make_plan(as_commit);
    // From here on nothing of it expires or is cancelled.
    for (const planned_transaction& one : made.transactions) {
        one.transaction->state = open_transaction::phase::deciding;
        one.transaction->decider = request.group;
    }
    std::exception_ptr failure;
    try {
        for (const planned_transaction& one : made.transactions)
            co_await write_prepared(part, one, request.group, made.level);
        if (!made.offsets.empty()) co_await write_intents(part, made.offsets, request.group, made.level);
    } catch (...) {
        failure = std::current_exception();
    }
    for (const planned_transaction& one : made.transactions) {
        if (one.transaction->state != open_transaction::phase::deciding) continue;
        one.transaction->state = open_transaction::phase::open;
        if (part->dropped) open_.finish(part, one.transaction, false);
    }
    world_.tasks.run(settle_later(request.group, key), "settling a group");
    if (failure) std::rethrow_exception(failure);
}

weave::task<void> committer::write_prepared(std::shared_ptr<partition> part, planned_transaction planned,
                                            request_id group, durability level) {
    const std::shared_ptr<open_transaction> transaction = planned.transaction;
    transaction_row row = decode<transaction_row>(planned.row);
    row.state = transaction_row::kind::prepared;
    row.request = group;
    const ports::bytes key = keys::transaction_row(transaction->ref.id);
    if (!world_.blobs.caps().commit_covers) {
        std::vector<ports::blob_ref> blobs = transactions::all_blobs(*transaction);
        co_await world_.blobs.sync(std::move(blobs), level);
    }
    ports::batch change =
        make_batch(world_, keys::segment_shard(part->key, transaction->segment), part->owner->epoch());
    transaction->prepared_value = encode(row);
    require_absent(change, key);
    put(change, key, transaction->prepared_value);
    change.covers = transactions::all_blobs(*transaction);
    const write_result result = co_await parts_.write(part, std::move(change), level);
    if (result != write_result::applied) throw_again("preparing a group");
    transaction->state = open_transaction::phase::prepared;
    // Given up while this was written: the next owner settles what stands there.
    if (part->dropped) open_.finish(part, transaction, false);
}

weave::task<void> committer::write_intents(std::shared_ptr<partition> part, std::vector<planned_offset> offsets,
                                           request_id group, durability level) {
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    for (planned_offset& one : offsets) {
        offset_row::intent intent;
        intent.group = group;
        intent.position = one.after.position;
        one.after = one.before;
        one.after.pending = intent;
        put(change, keys::offset_row(one.consumer), encode(one.after));
    }
    const write_result result = co_await parts_.write(part, std::move(change), level);
    if (result != write_result::applied) throw_again("preparing a group");
    for (const planned_offset& one : offsets) part->consumers.find(one.consumer)->second.row = one.after;
}

// Puts the decision if there is none, and returns the one that stands.
weave::task<group_row> committer::decide(request_id group, bool commit, std::vector<transaction_id> ids) {
    group_row wanted;
    wanted.decision = commit ? group_row::kind::committed : group_row::kind::aborted;
    wanted.transactions = std::move(ids);
    for (int attempt = 0; attempt < decide_tries; ++attempt) {
        ports::batch change;
        change.shard = keys::group_shard(group);
        change.operation = world_.next_operation();
        require_absent(change, group_key);
        // It stays until every participant has surely seen it: an expired commit would be taken for none.
        put(change, group_key, encode(wanted));
        std::optional<group_row> stands;
        try {
            std::ignore = co_await write_shard(world_, std::move(change), durability::sync());
            stands = co_await read_group(group);
        } catch (const error& failure) {
            if (failure.code() != errc::unavailable && failure.code() != errc::outcome_unknown) throw;
        }
        if (stands) co_return std::move(*stands);
        co_await sleep_until(world_, world_.clock.now() + decide_pause);
    }
    throw error(errc::outcome_unknown, "the group's decision could not be read; ask again with the same request id",
                outcome::unknown);
}

weave::task<void> committer::resolve_everywhere(request_id group, std::vector<partition_key> parts, group_row decided) {
    for (const partition_key& key : parts) {
        try {
            co_await resolve_at(group, key, decided);
        } catch (const error&) {
            // The owner settles it by itself when the group's deadline is over.
        }
    }
}

weave::task<void> committer::resolve_at(request_id group, partition_key key, group_row decided) {
    participant* owner = nullptr;
    if (world_.options.peers) owner = co_await world_.options.peers->owner_of(key);
    if (owner) {
        std::vector<partition_key> one;
        one.push_back(key);
        co_await owner->resolve(group, std::move(one), std::move(decided));
    } else {
        co_await resolve_partition(group, key, std::move(decided));
    }
}

weave::task<void> committer::resolve(request_id group, std::vector<partition_key> parts, group_row decided) {
    for (const partition_key& key : parts) co_await resolve_partition(group, key, decided);
}

weave::task<void> committer::resolve_partition(request_id group, partition_key key, group_row decided) {
    const std::shared_ptr<partition> part = parts_.loaded(key);
    if (!part) co_return;  // whoever loads it next settles what it finds
    weave::mutex::guard gate = co_await part->gate.lock();
    std::vector<std::shared_ptr<open_transaction>> prepared;
    for (const auto& [id, transaction] : part->undecided) {
        if (transaction->state == open_transaction::phase::prepared && transaction->decider == group)
            prepared.push_back(transaction);
    }
    const bool committed = decided.decision == group_row::kind::committed;
    const std::set<transaction_id> members(decided.transactions.begin(), decided.transactions.end());
    for (const std::shared_ptr<open_transaction>& one : prepared) {
        // Of a request that opens in one step, asked twice, only one try's transactions are the group's.
        const bool happened = committed && members.contains(one->ref.id);
        co_await resolve_transaction(part, one, happened);
    }
    std::vector<std::string> pending;
    for (const auto& [consumer, entry] : part->consumers) {
        if (entry.row.pending && entry.row.pending->group == group) pending.push_back(consumer);
    }
    for (const std::string& consumer : pending) co_await resolve_offset(part, consumer, committed);
}

weave::task<void> committer::resolve_transaction(std::shared_ptr<partition> part,
                                                 std::shared_ptr<open_transaction> transaction, bool committed) {
    if (part->dropped) co_return;
    const transaction_id id = transaction->ref.id;
    ports::batch change =
        make_batch(world_, keys::segment_shard(part->key, transaction->segment), part->owner->epoch());
    require_equal(change, keys::transaction_row(id), transaction->prepared_value);
    if (committed) {
        transaction_row row = decode<transaction_row>(transaction->prepared_value);
        row.state = transaction_row::kind::checkpointed;
        put(change, keys::transaction_row(id), encode(row));
    } else {
        erase(change, keys::transaction_row(id));
    }
    const write_result result = co_await parts_.write(part, std::move(change), durability::sync());
    if (result != write_result::applied) throw_again("rolling a group forward");
    if (part->dropped) co_return;
    const bool wanted = transaction->session != 0 && clients_.alive(transaction->session) && !transaction->abandoned;
    if (!committed && wanted) {
        // The client may try again with a new request, within the deadline.
        transaction->state = open_transaction::phase::open;
        co_return;
    }
    std::vector<frame_ref> dead;
    if (!committed) dead = transactions::row_frames(*transaction);
    transaction->covers = {};
    open_.finish(part, transaction, committed);
    if (!dead.empty()) open_.drop_frames(std::move(dead));
}

weave::task<void> committer::resolve_offset(std::shared_ptr<partition> part, std::string consumer, bool committed) {
    const auto found = part->consumers.find(consumer);
    if (part->dropped || found == part->consumers.end() || !found->second.row.pending) co_return;
    offset_row row = found->second.row;
    if (committed) {
        row.position = row.pending->position;
        row.request = row.pending->group;
        row.updated_at = world_.clock.wall_now();
    }
    row.pending.reset();
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    put(change, keys::offset_row(consumer), encode(row));
    const write_result result = co_await parts_.write(part, std::move(change), durability::sync());
    if (result != write_result::applied) throw_again("rolling a group forward");
    const auto still = part->consumers.find(consumer);
    if (still != part->consumers.end()) still->second.row = row;
}

// The coordinator may be gone: after the deadline the owner settles the group, by giving it up if nobody decided.
weave::task<void> committer::settle_later(request_id group, partition_key key) {
    co_await sleep_until(world_, world_.clock.now() + world_.options.group_deadline);
    const std::shared_ptr<partition> part = parts_.loaded(key);
    if (part) co_await settle_group(group, part);
}

weave::task<void> committer::settle_group(request_id group, std::shared_ptr<partition> part) {
    while (!part->dropped && !world_.stopping) {
        const bool waiting = std::any_of(part->undecided.begin(), part->undecided.end(),
                                         [&](const auto& entry) {
                                             return entry.second->state == open_transaction::phase::prepared &&
                                                    entry.second->decider == group;
                                         }) ||
                             std::any_of(part->consumers.begin(), part->consumers.end(), [&](const auto& entry) {
                                 return entry.second.row.pending && entry.second.row.pending->group == group;
                             });
        if (!waiting) co_return;
        try {
            std::vector<transaction_id> none;
            group_row decided = co_await decide(group, false, std::move(none));
            co_await resolve_partition(group, part->key, std::move(decided));
            co_return;
        } catch (const error&) {
            // The engine is not to be had now; the group waits.
        }
        co_await sleep_until(world_, world_.clock.now() + settle_pause);
    }
}

void committer::settle_leftovers(const std::shared_ptr<partition>& part) {
    std::vector<request_id> groups;
    for (const auto& [id, transaction] : part->undecided) {
        if (transaction->state == open_transaction::phase::prepared) groups.push_back(transaction->decider);
    }
    for (const auto& [consumer, entry] : part->consumers) {
        if (entry.row.pending) groups.push_back(entry.row.pending->group);
    }
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    for (const request_id& group : groups)
        world_.tasks.run(settle_group(group, part), "settling a group of a former owner");
}

}  // namespace tstreams::core
