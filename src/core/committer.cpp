#include "core/committer.hpp"

#include "core/frames.hpp"
#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <set>

namespace tstreams::core {
namespace {

const char* const group_key = "g";
constexpr std::size_t members_max = 100'000;

std::string describe(const transaction_ref& ref) {
    return "transaction " + std::to_string(ref.id.value()) + " of partition " + std::to_string(ref.partition);
}

void check_request(const commit_request& request) {
    const std::size_t members = request.transactions.size() + request.offsets.size() + request.sources.size();
    if (members == 0 || members > members_max)
        throw error(errc::invalid_argument, "a commit has from 1 to 100000 members");
    if (request.request.empty()) throw error(errc::invalid_argument, "a commit needs a request id");
    for (const decision& one : request.transactions) {
        if (one.inline_items.size() > inline_bytes_max || (one.frames != 0 && !one.inline_items.empty()))
            throw error(errc::too_large, "items of over 16 KiB are written as frames before the commit");
    }
    for (const source_update& one : request.sources) {
        if (one.position.size() > source_position_bytes_max)
            throw error(errc::too_large, "a source position is at most 4096 bytes");
    }
}

ports::batch& batch_for(environment& world, std::vector<ports::batch>& batches, ports::bytes shard) {
    // Groups are small, or mostly on one shard: the last batches are the likely ones.
    const std::size_t looked_at = std::min<std::size_t>(batches.size(), 16);
    for (std::size_t back = 1; back <= looked_at; ++back) {
        ports::batch& candidate = batches[batches.size() - back];
        if (candidate.shard == shard) return candidate;
    }
    batches.push_back(make_batch(world, std::move(shard), 0));
    return batches.back();
}

}  // namespace

weave::task<commit_reply> committer::commit(commit_request request) {
    check_request(request);
    std::ignore = clients_.get(request.session);
    // The same request while it is under way waits for the answer of the first.
    for (;;) {
        const auto found = in_flight_.find(request.request);
        if (found == in_flight_.end()) break;
        if (!found->second) found->second = std::make_shared<weave::event>(world_.executor);
        const std::shared_ptr<weave::event> other = found->second;
        co_await other->wait();
    }
    // The storage has failed, so it stays unknown until the store is opened again, whatever the next write would say.
    if (in_doubt_.contains(request.request))
        throw error(errc::storage_failed, "the storage failed during this checkpoint; open the store again and ask",
                    outcome::unknown);
    const request_id id = request.request;
    in_flight_.emplace(id, nullptr);
    commit_reply reply;
    std::exception_ptr failure;
    try {
        reply = co_await commit_once(std::move(request));
    } catch (const error& refused) {
        const bool doubtful = world_.exclusive && refused.code() == errc::storage_failed;
        if (doubtful && refused.outcome() == outcome::unknown) in_doubt_.insert(id);
        failure = std::current_exception();
    } catch (...) {
        failure = std::current_exception();
    }
    const auto mine = in_flight_.find(id);
    const std::shared_ptr<weave::event> awaited = std::move(mine->second);
    in_flight_.erase(mine);
    if (awaited) awaited->set();
    if (failure) std::rethrow_exception(failure);
    co_return reply;
}

weave::task<commit_reply> committer::commit_once(commit_request request) {
    opened_refs opened;
    std::exception_ptr failure;
    commit_reply reply;
    const bool kept = request.has_group_row();
    const bool noted = has_note(request);
    if (!noted) request.first_asked = {};
    bool in_doubt = false;
    try {
        if (world_.exclusive && (kept || noted) && too_old(request.request))
            co_return co_await answer_old(std::move(request));
        if (noted && !request.fresh) {
            std::optional<commit_reply> answer = co_await noted_answer(request.request, request.first_asked);
            if (answer) co_return std::move(*answer);
        }
        // What is opened and decided in one step is found again by its request only: by the row of a group.
        const bool one_step = std::any_of(request.transactions.begin(), request.transactions.end(),
                                          [](const decision& one) { return one.transaction.id == transaction_id(0); });
        if (one_step && !world_.exclusive) {
            std::optional<commit_reply> answer = co_await group_answer(request.request);
            if (answer) co_return std::move(*answer);
        }
        co_await open_missing(request, opened);
        // Named: g++ 12 destroys a conditional temporary in a co_await expression twice.
        weave::task<commit_reply> work = world_.exclusive ? commit_loaded(request) : commit_shared(request, one_step);
        reply = co_await work;
    } catch (const error& refused) {
        // What was opened for this commit alone has nobody else to cancel it.
        in_doubt = refused.outcome() != outcome::not_applied;
        if (in_doubt) opened.clear();
        failure = std::current_exception();
    }
    if (failure && !in_doubt && world_.exclusive && kept) {
        // What keeps it from being done again, a newer instance or the end of a stream, may have come after it was
        // done.
        try {
            std::optional<group_row> row = co_await read_group(request.request);
            if (row && row->decision == group_row::kind::committed) {
                failure = nullptr;
                reply.transactions = std::move(row->transactions);
            }
        } catch (const error& unread) {
            failure = std::make_exception_ptr(error(unread.code(), unread.what(), outcome::unknown));
        }
    }
    if (!failure && !opened.empty()) {
        // Either this try did it, or an earlier one, and then all that this one has opened is nobody's.
        const std::vector<transaction_id>& done = reply.transactions;
        if (std::find(done.begin(), done.end(), opened.front().id) != done.end()) opened.clear();
    }
    if (!opened.empty()) co_await give_up(request.session, std::move(opened));
    if (failure) std::rethrow_exception(failure);
    co_return reply;
}

weave::task<void> committer::give_up(session_id session, opened_refs opened) {
    for (const transaction_ref& ref : opened) {
        const std::shared_ptr<open_transaction> transaction = open_.find(ref);
        if (!transaction) continue;
        transaction->abandoned = true;
        if (transaction->state != open_transaction::phase::open) continue;
        std::vector<transaction_ref> one;
        one.push_back(ref);
        co_await open_.cancel(session, std::move(one));
    }
}

weave::task<commit_reply> committer::commit_loaded(commit_request& request) {
    if (!all_loaded(request)) co_await load_all(request);
    bool open = true;
    bool gathered = false;
    for (const decision& one : request.transactions) {
        const std::shared_ptr<open_transaction> found = open_.find(one.transaction);
        if (!found || found->state != open_transaction::phase::open) open = false;
        if (found && !found->producer.empty()) {
            const partition_key names{found->ref.stream, 0};
            const std::shared_ptr<partition> part = co_await parts_.load(names);
            co_await parts_.load_producer(part, found->producer);
            gathered = true;
        }
        if (!found || !found->has_index_frames()) continue;
        co_await open_.gather(found);
        gathered = true;
    }
    if (gathered && !all_loaded(request)) co_await load_all(request);  // that took its time
    if (is_last_of_its_row(request)) co_return commit_reply();
    if (!open) {
        std::optional<commit_reply> answer = co_await known_answer(request);
        if (answer) co_return std::move(*answer);
    }
    co_return co_await commit_exclusive(request);
}

// A position that was committed alone is found again in its own row, while nothing later is there.
bool committer::is_last_of_its_row(const commit_request& request) const {
    if (request.has_group_row() || !request.transactions.empty()) return false;
    const auto by_this = [&request](const auto& names, const std::string& name) {
        const auto found = names.find(name);
        return found != names.end() && found->second.row.request == request.request;
    };
    for (const offset_update& one : request.offsets) {
        const std::shared_ptr<partition> part = parts_.loaded({one.stream, one.partition});
        return part && by_this(part->consumers, one.consumer);
    }
    for (const source_update& one : request.sources) {
        const std::shared_ptr<partition> part = parts_.loaded({one.stream, 0});
        return part && by_this(part->producers, one.producer);
    }
    return false;
}

// What an earlier call with this request id did, if it did something.
weave::task<std::optional<commit_reply>> committer::known_answer(const commit_request& request) {
    if (request.has_group_row()) co_return co_await group_answer(request.request);
    for (const decision& one : request.transactions) {
        const transaction_ref& ref = one.transaction;
        const partition_key key{ref.stream, ref.partition};
        const std::shared_ptr<partition> part = co_await parts_.load(key);
        const std::uint32_t segment = co_await parts_.segment_behind(part, transaction_id(ref.id.value() - 1));
        const std::optional<ports::bytes> value =
            co_await world_.rows.get(keys::segment_shard(key, segment), keys::transaction_row(ref.id));
        if (!value) co_return std::nullopt;
        const transaction_row row = decode<transaction_row>(*value);
        if (row.state != transaction_row::kind::checkpointed) co_return std::nullopt;
        if (row.request != request.request)
            throw error(errc::transaction_closed, describe(ref) + " is checkpointed already");
        commit_reply reply;
        for (const decision& member : request.transactions) reply.transactions.push_back(member.transaction.id);
        co_return reply;
    }
    co_return std::nullopt;
}

weave::task<std::optional<commit_reply>> committer::group_answer(request_id request) {
    const std::optional<group_row> row = co_await read_group(request);
    if (!row) co_return std::nullopt;
    if (row->decision == group_row::kind::aborted)
        throw error(errc::transaction_closed, "this checkpoint was given up before; use a new request id");
    commit_reply reply;
    reply.transactions = row->transactions;
    co_return reply;
}

bool committer::has_note(const commit_request& request) const {
    return world_.exclusive && !request.has_group_row() && request.first_asked.session != 0 &&
           request.transactions.size() == 1 && request.transactions.front().transaction.id == transaction_id(0);
}

// Until it is known whether the answer is there, an earlier call may have done it. A page is not read beyond what the
// answers to its calls can be: who gives one number to many calls makes it as large as he likes.
weave::task<std::optional<commit_reply>> committer::noted_answer(request_id request, call_number first_asked) {
    constexpr std::size_t page_bytes = keys::answers_page_calls * answer_note_bytes;
    ports::scan_range range;
    range.shard = keys::answers_shard(first_asked.session);
    range.from = keys::answers_page(first_asked.sequence);
    range.to = keys::behind_prefix(range.from);
    range.limit = keys::answers_page_calls + 1;
    range.bytes_max = page_bytes + 1;
    std::size_t bytes = 0;
    try {
        const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        for (const ports::row& row : rows) {
            bytes += row.value.size();
            for (const answer_note& one : decode_answers(row.value)) {
                if (one.request != request) continue;
                commit_reply reply;
                reply.transactions.push_back(one.transaction);
                co_return reply;
            }
        }
    } catch (const error& unread) {
        throw error(unread.code(), unread.what(), outcome::unknown);
    }
    if (bytes > page_bytes)
        throw error(errc::outcome_unknown, "more answers than calls: somebody numbers them wrongly", outcome::unknown);
    co_return std::nullopt;
}

weave::task<void> committer::open_missing(commit_request& request, opened_refs& opened) {
    for (decision& one : request.transactions) {
        if (one.transaction.id != transaction_id(0)) continue;
        one.open.session = request.session;
        std::shared_ptr<open_transaction> fresh = open_.open_now(one.open);
        if (!fresh) fresh = co_await open_.open(one.open);
        one.transaction = fresh->ref;
        opened.push_back(fresh->ref);
    }
}

bool committer::all_loaded(const commit_request& request) const {
    return request.offsets.empty() && request.sources.empty() &&
           std::all_of(request.transactions.begin(), request.transactions.end(), [this](const decision& one) {
               return parts_.loaded({one.transaction.stream, one.transaction.partition}) != nullptr;
           });
}

// Brings everything into memory, so that the plan is made without waiting.
weave::task<void> committer::load_all(const commit_request& request) {
    for (const decision& one : request.transactions) {
        const partition_key key{one.transaction.stream, one.transaction.partition};
        if (!parts_.loaded(key)) co_await parts_.load(key);
    }
    for (const offset_update& one : request.offsets) {
        const partition_key key{one.stream, one.partition};
        const std::shared_ptr<partition> part = co_await parts_.load(key);
        co_await parts_.load_consumer(part, one.consumer);
    }
    for (const source_update& one : request.sources) {
        const partition_key key{one.stream, 0};
        const std::shared_ptr<partition> part = co_await parts_.load(key);
        co_await parts_.load_producer(part, one.producer);
    }
}

committer::plan committer::make_plan(commit_request& request) {
    plan made;
    for (decision& one : request.transactions) {
        made.transactions.push_back(plan_transaction(request, one));
        made.items += one.items;
        made.bytes += one.bytes;
        made.reply.transactions.push_back(one.transaction.id);
        made.level = stricter(made.level, made.transactions.back().part->stream->info.durability);
    }
    for (const offset_update& one : request.offsets) {
        made.offsets.push_back(plan_offset(request, one));
        made.level = stricter(made.level, made.offsets.back().part->stream->info.durability);
    }
    for (source_update& one : request.sources) made.sources.push_back(plan_source(request, one));
    return made;
}

committer::planned_transaction committer::plan_transaction(const commit_request& request, decision& wanted) {
    planned_transaction planned;
    planned.transaction = open_.find(wanted.transaction);
    if (!planned.transaction) open_.throw_ended(wanted.transaction);
    const open_transaction& transaction = *planned.transaction;
    if (transaction.session != (wanted.session != 0 ? wanted.session : request.session))
        throw error(errc::transaction_unknown, describe(wanted.transaction) + " belongs to another client");
    if (transaction.state != open_transaction::phase::open || transaction.writing)
        throw error(errc::invalid_state, describe(wanted.transaction) + " is written to, or being decided, already");
    if (transaction.frames != wanted.frames)
        throw error(errc::invalid_state, describe(wanted.transaction) + " has " + std::to_string(transaction.frames) +
                                             " frames, not " + std::to_string(wanted.frames));
    if (transaction.has_index_frames() && transaction.gathered != transaction.chunks)
        throw error(errc::invalid_state, describe(wanted.transaction) + " was written to while it was being decided");
    open_.check_producer(transaction.ref.stream, transaction.producer, transaction.producer_instance);
    planned.part = parts_.loaded({wanted.transaction.stream, wanted.transaction.partition});
    planned.transaction->items = wanted.items;
    planned.transaction->bytes = wanted.bytes;
    transaction_row row;
    row.request = request.request;
    row.place = transaction.place;
    row.items = wanted.items;
    row.bytes = wanted.bytes;
    row.expires = transaction.retained_until;
    row.inline_items = std::move(wanted.inline_items);
    row.frames = transactions::row_frames(transaction);
    planned.row = encode(row);
    return planned;
}

committer::planned_offset committer::plan_offset(const commit_request& request, const offset_update& wanted) {
    planned_offset planned;
    planned.part = parts_.loaded({wanted.stream, wanted.partition});
    planned.consumer = wanted.consumer;
    if (!planned.part) throw error(errc::unavailable, "a partition was given up meanwhile; try again");
    const auto found = planned.part->consumers.find(wanted.consumer);
    const bool known = found != planned.part->consumers.end();
    if (known && !found->second.is_fenced(wanted.instance) && !found->second.is_newest(wanted.instance))
        throw error(errc::unavailable, "consumer '" + wanted.consumer + "' is being taken over; try again");
    if (!known || !found->second.is_newest(wanted.instance))
        throw error(errc::fenced, "a newer instance of consumer '" + wanted.consumer + "' has taken over partition " +
                                      std::to_string(wanted.partition));
    planned.before = found->second.row;
    if (wanted.expected && planned.before.position != *wanted.expected)
        throw error(errc::invalid_state, "the offset of consumer '" + wanted.consumer + "' in partition " +
                                             std::to_string(wanted.partition) + " is not at the expected position");
    planned.after = planned.before;
    planned.after.position = wanted.position;
    planned.after.updated_at = world_.clock.wall_now();
    planned.after.request = request.request;
    return planned;
}

committer::planned_source committer::plan_source(const commit_request& request, source_update& wanted) {
    planned_source planned;
    planned.part = parts_.loaded({wanted.stream, 0});
    planned.producer = wanted.producer;
    if (!planned.part) throw error(errc::unavailable, "a partition was given up meanwhile; try again");
    const auto found = planned.part->producers.find(wanted.producer);
    const bool known = found != planned.part->producers.end();
    if (known && !found->second.is_fenced(wanted.instance) && !found->second.is_newest(wanted.instance))
        throw error(errc::unavailable, "producer '" + wanted.producer + "' is being taken over; try again");
    if (!known || !found->second.is_newest(wanted.instance))
        throw error(errc::fenced, "a newer instance of producer '" + wanted.producer + "' has taken over");
    planned.before = found->second.row;
    planned.after = planned.before;
    planned.after.source_position = std::move(wanted.position);
    planned.after.request = request.request;
    return planned;
}

weave::task<commit_reply> committer::commit_exclusive(commit_request& request) {
    plan made = make_plan(request);
    std::vector<ports::batch> batches = exclusive_batches(request, made);
    begin(made, request.request);
    ports::commit_result result;
    std::exception_ptr failure;
    try {
        result = co_await world_.rows.commit_all(std::move(batches), made.level);
    } catch (const error& refused) {
        // After an unknown outcome the transactions stay as they are: nobody may read past them.
        if (refused.outcome() == outcome::not_applied) {
            undo(made);
        } else {
            settle_rows(made, written::perhaps);
        }
        failure = std::current_exception();
    }
    if (failure) std::rethrow_exception(failure);
    if (result.status == ports::commit_status::applied) {
        finish(made);
        co_return std::move(made.reply);
    }
    if (result.status == ports::commit_status::unknown)
        throw error(errc::outcome_unknown, "the checkpoint may or may not have happened; ask again", outcome::unknown);
    undo(made);
    if (result.status == ports::commit_status::condition_failed) {
        std::optional<commit_reply> answer = co_await known_answer(request);
        if (answer) co_return std::move(*answer);
    }
    throw error(errc::unavailable, "the engine did not take the checkpoint; try again");
}

std::vector<ports::batch> committer::exclusive_batches(const commit_request& request, plan& made) {
    std::vector<ports::batch> batches;
    batches.reserve(made.members() + 2);
    for (planned_transaction& one : made.transactions) {
        open_transaction& transaction = *one.transaction;
        ports::batch& change = batch_for(world_, batches, keys::segment_shard(one.part->key, transaction.segment));
        put(change, keys::transaction_row(transaction.ref.id), std::move(one.row));
        if (transaction.chunks != 0) {
            std::vector<ports::blob_ref> blobs = transactions::take_blobs(transaction);
            change.covers.insert(change.covers.end(), std::make_move_iterator(blobs.begin()),
                                 std::make_move_iterator(blobs.end()));
        }
        if (!one.part->tail_filed && transaction.segment == one.part->head.tail) {
            batches.push_back(parts_.filing(*one.part));
            one.part->tail_filed = true;
        }
    }
    for (const planned_offset& one : made.offsets)
        put(batch_for(world_, batches, keys::head_shard(one.part->key)), keys::offset_row(one.consumer),
            encode(one.after));
    for (const planned_source& one : made.sources)
        put(batch_for(world_, batches, keys::head_shard(one.part->key)), keys::producer_row(one.producer),
            encode(one.after));
    if (request.first_asked.session != 0) {
        const answer_note answer{request.request, made.reply.transactions.front()};
        batches.front().note.emplace(ports::note{keys::answers_shard(request.first_asked.session),
                                                 keys::answers_page(request.first_asked.sequence), encode(answer),
                                                 answer_expires(request.request)});
    }
    if (request.has_group_row()) {
        group_row row;
        row.transactions = made.reply.transactions;
        ports::batch& group = batch_for(world_, batches, keys::group_shard(request.request));
        const bool known_absent =
            request.fresh && given_up_.size() < given_up_max && !given_up_.contains(request.request);
        if (!known_absent) require_absent(group, group_key);
        put(group, group_key, encode(row), answer_expires(request.request));
    }
    return batches;
}

// Positions change in memory when their write is handed over: later writes are built on them, and an exclusive
// engine applies in that order.
void committer::begin(const plan& made, const request_id& request) {
    for (const planned_transaction& one : made.transactions) {
        one.transaction->state = open_transaction::phase::deciding;
        one.transaction->decider = request;
    }
    for (const planned_offset& one : made.offsets)
        one.part->consumers.find(one.consumer)->second.hand_over(request, one.after);
    for (const planned_source& one : made.sources)
        one.part->producers.find(one.producer)->second.hand_over(request, one.after);
}

// What became of the named rows of a plan.
void committer::settle_rows(const plan& made, written end) {
    const auto tell = [end](auto& known, const std::string& name, const request_id& request) {
        const auto found = known.find(name);
        if (found == known.end()) return;
        if (end == written::not_at_all) {
            found->second.take_back(request);
        } else {
            found->second.settle(request);
        }
        // Asked again, it is not known to be there.
        if (end == written::perhaps && found->second.row.request == request) found->second.row.request = {};
    };
    for (const planned_offset& one : made.offsets) tell(one.part->consumers, one.consumer, one.after.request);
    for (const planned_source& one : made.sources) tell(one.part->producers, one.producer, one.after.request);
}

void committer::undo(plan& made) {
    for (planned_transaction& one : made.transactions) {
        one.transaction->state = open_transaction::phase::open;
        // The filing was part of what failed.
        one.part->tail_filed = one.part->tail_filed && one.transaction->segment != one.part->head.tail;
    }
    settle_rows(made, written::not_at_all);
}

void committer::finish(plan& made) {
    for (planned_transaction& one : made.transactions) {
        one.transaction->covers = {};
        open_.finish(one.part, one.transaction, true);
    }
    world_.counted.checkpointed += made.transactions.size();
    world_.counted.items_in += made.items;
    world_.counted.bytes_in += made.bytes;
    settle_rows(made, written::surely);
}

weave::task<std::optional<group_row>> committer::read_group(request_id group) {
    const std::optional<ports::bytes> value = co_await world_.rows.get(keys::group_shard(group), group_key);
    if (!value) co_return std::nullopt;
    co_return decode<group_row>(*value);
}

weave::task<transaction_state> committer::find_commit(request_id request) {
    const auto said = [](const group_row& row) {
        return row.decision == group_row::kind::committed ? transaction_state::checkpointed
                                                          : transaction_state::not_checkpointed;
    };
    for (;;) {
        const auto found = in_flight_.find(request);
        if (found == in_flight_.end()) break;
        if (!found->second) found->second = std::make_shared<weave::event>(world_.executor);
        const std::shared_ptr<weave::event> other = found->second;
        co_await other->wait();
    }
    if (const std::optional<group_row> row = co_await read_group(request)) co_return said(*row);
    if (!answer_kept(request))
        throw error(errc::invalid_argument,
                    "the answer to this request is not kept by itself: ask for the state of what it decided");
    std::vector<transaction_id> none;
    if (!world_.exclusive) co_return said(co_await decide(request, false, std::move(none)));
    const wall_time now = world_.clock.wall_now();
    const bool from_ahead = made_at(request) > now + std::chrono::minutes(1);
    if (too_old(request) || from_ahead || world_.expiry_frozen) co_return transaction_state::gone;
    // It did not come, and this row keeps it from coming late.
    // Those that are too old are not done anyway; they are ordered by their time.
    while (!given_up_.empty() && too_old(*given_up_.begin())) given_up_.erase(given_up_.begin());
    if (given_up_.size() < given_up_max) given_up_.insert(request);
    group_row given_up;
    given_up.decision = group_row::kind::aborted;
    ports::batch change;
    change.shard = keys::group_shard(request);
    change.operation = world_.next_operation();
    require_absent(change, group_key);
    put(change, group_key, encode(given_up), answer_expires(request));
    const write_result result = co_await write_shard(world_, std::move(change), durability::sync());
    if (result == write_result::applied) co_return transaction_state::not_checkpointed;
    const std::optional<group_row> stands = co_await read_group(request);
    if (!stands) throw error(errc::unavailable, "the request's fate could not be settled; try again");
    co_return said(*stands);
}

bool committer::too_old(const request_id& request) const {
    return world_.clock.wall_now() - made_at(request) >= world_.options.group_row_ttl;
}

// Not before its request is too old, or it would be done again; a client's clock may be ahead, but it does not say how
// long rows stay.
wall_time committer::answer_expires(const request_id& request) const {
    const wall_time now = world_.clock.wall_now();
    return std::clamp(made_at(request), now, now + std::chrono::hours(24)) + world_.options.group_row_ttl;
}

// Its answer is kept no longer than this, so what has none may have been committed, or given up, before.
weave::task<commit_reply> committer::answer_old(commit_request request) {
    // Named: see commit_once().
    weave::task<std::optional<commit_reply>> look = request.first_asked.session != 0
                                                        ? noted_answer(request.request, request.first_asked)
                                                        : group_answer(request.request);
    std::optional<commit_reply> answer = co_await look;
    if (answer) co_return std::move(*answer);
    for (const decision& one : request.transactions) {
        const std::shared_ptr<open_transaction> found = open_.find(one.transaction);
        if (found && found->state == open_transaction::phase::open)
            throw error(errc::transaction_closed, "this checkpoint is older than an hour; use a new request id");
    }
    throw error(errc::outcome_unknown, "this checkpoint is older than an hour, and its answer is not kept any more",
                outcome::unknown);
}

}  // namespace tstreams::core
