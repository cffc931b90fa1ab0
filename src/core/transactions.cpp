#include "core/transactions.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <algorithm>

namespace tstreams::core {
namespace {

constexpr std::size_t ended_max = 4096;
constexpr auto expiry_check = std::chrono::seconds(1);

std::string describe(const transaction_ref& ref) {
    return "transaction " + std::to_string(ref.id.value()) + " of partition " + std::to_string(ref.partition);
}

// What was written of it; nothing is left in it.
std::vector<frame_ref> take_frames(open_transaction& transaction) {
    if (transaction.chunks == 0) return {};
    std::vector<frame_ref> frames = transactions::row_frames(transaction);
    for (std::vector<frame_ref>& level : transaction.levels) level.clear();
    transaction.covers = {};
    return frames;
}

}  // namespace

transactions::transactions(environment& world, partitions& parts, sessions& clients, watchers& watching)
    : world_(world), parts_(parts), clients_(clients), watching_(watching) {
    parts_.on_drop = [this](const std::shared_ptr<partition>& part) { forget(part); };
}

void transactions::forget(const std::shared_ptr<partition>& part) {
    const auto undecided = part->undecided;
    for (const auto& [id, transaction] : undecided) {
        if (transaction->state != open_transaction::phase::deciding) finish(part, transaction, false);
    }
}

void transactions::stop() {
    if (expiry_) world_.clock.cancel(std::exchange(expiry_, 0));
    for (const std::shared_ptr<partition>& part : parts_.all()) {
        const auto undecided = part->undecided;
        for (const auto& [id, transaction] : undecided) {
            if (transaction->state == open_transaction::phase::open) cancel_now(part, transaction, errc::shutting_down);
        }
        part->wake_all();
    }
}

weave::task<std::shared_ptr<open_transaction>> transactions::open(open_request request) {
    const partition_key key{request.stream, request.partition};
    std::shared_ptr<session> client = clients_.get(request.session);
    std::shared_ptr<partition> part = parts_.loaded(key);
    if (!part) part = co_await parts_.load(key);
    std::shared_ptr<partition> names;  // held, so that it is not given up before the producer is checked
    if (!request.producer.empty()) {
        const partition_key first{request.stream, 0};
        names = co_await parts_.load(first);
        co_await parts_.load_producer(names, request.producer);
        if (!names->producers.contains(request.producer))
            throw error(errc::fenced, "there is no producer '" + request.producer + "'; attach it first");
    }
    std::optional<std::uint64_t> id;
    wall_time now;
    while (!id) {
        // Again after each wait: the tail may have filled up, or be rolling, meanwhile.
        now = world_.clock.wall_now();
        if (!part->dropped && parts_.wants_roll(*part, now)) {
            co_await make_room(part);
            continue;
        }
        check_limits(*part, *client);
        id = part->owner->try_mint(now, part->last_id.value(), 10);
        if (!id) co_await part->owner->raise_ceiling(part->last_id.value());
    }
    // Nothing is awaited from here on, so the checks hold.
    if (part->dropped || part->stream->deleted || client->ended) {
        if (part->stream->deleted)
            throw error(errc::stream_deleted, "stream '" + part->stream->info.name + "' has been deleted");
        throw error(client->ended ? errc::session_ended : errc::not_owner, "the transaction could not be opened");
    }
    check_producer(request.stream, request.producer, request.producer_instance);
    co_return add(part, client, std::move(request), transaction_id(*id), now);
}

std::shared_ptr<open_transaction> transactions::open_now(const open_request& request) {
    if (!request.producer.empty()) return nullptr;
    const std::shared_ptr<session> client = clients_.find(request.session);
    const std::shared_ptr<partition> part = parts_.loaded({request.stream, request.partition});
    const wall_time now = world_.clock.wall_now();
    if (!client || client->ended || !part || part->dropped || part->stream->deleted || parts_.wants_roll(*part, now))
        return nullptr;
    check_limits(*part, *client);
    const std::optional<std::uint64_t> id = part->owner->try_mint(now, part->last_id.value(), 10);
    return id ? add(part, client, request, transaction_id(*id), now) : nullptr;
}

std::shared_ptr<open_transaction> transactions::add(const std::shared_ptr<partition>& part,
                                                    const std::shared_ptr<session>& client, open_request request,
                                                    transaction_id id, wall_time now) {
    const stream_info& stream = part->stream->info;
    auto fresh = std::allocate_shared<open_transaction>(weave::recycling_allocator<open_transaction>());
    fresh->ref.stream = request.stream;
    fresh->ref.partition = request.partition;
    fresh->ref.id = id;
    fresh->ref.epoch = part->owner->epoch();
    fresh->segment = part->head.tail;
    fresh->place = part->tail_places;
    fresh->session = request.session;
    fresh->client = client->client;
    fresh->producer = std::move(request.producer);
    fresh->producer_instance = request.producer_instance;
    std::chrono::milliseconds longest =
        std::min<std::chrono::milliseconds>(stream.max_open, world_.options.open_time_max);
    if (request.max_open.count() > 0) longest = std::min(longest, request.max_open);
    fresh->opened_at = world_.clock.now();
    fresh->deadline = fresh->opened_at + longest;
    fresh->expires = now + longest;
    fresh->retained_until = std::max(fresh->ref.id.time() + stream.ttl, part->last_expiry);
    part->last_id = fresh->ref.id;
    part->last_expiry = fresh->retained_until;
    if (part->tail_places++ == 0) part->tail_since = fresh->ref.id.time();
    part->add_undecided(fresh);
    client->open.insert(fresh->ref);
    deadlines_.emplace(fresh->deadline, fresh->ref);
    ++open_count_;
    ++world_.counted.opened;
    watching_.tell(*fresh, event_kind::opened);
    schedule_expiry();
    return fresh;
}

weave::task<void> transactions::make_room(std::shared_ptr<partition> part) {
    weave::mutex::guard held = co_await part->gate.lock();
    if (!part->dropped && parts_.wants_roll(*part, world_.clock.wall_now())) co_await parts_.roll(part);
}

void transactions::check_limits(const partition& part, const session& client) const {
    if (open_count_ >= world_.options.open_transactions_max)
        throw error(errc::overloaded, std::to_string(open_count_) + " transactions are open, which is the limit");
    if (client.open.size() >= world_.options.session_transactions_max)
        throw error(errc::overloaded,
                    std::to_string(client.open.size()) + " transactions of this client are open, which is the limit");
    if (part.head.tail - part.first_live_segment() <= world_.options.live_segments_max) return;
    const open_transaction& first = *part.undecided.begin()->second;
    throw error(errc::overloaded, describe(first.ref) + " of " + *first.client +
                                      " has been open for too many later ones; checkpoint or abort it");
}

std::shared_ptr<open_transaction> transactions::find(const transaction_ref& ref) {
    const std::shared_ptr<partition> part = parts_.loaded({ref.stream, ref.partition});
    if (!part) return nullptr;
    const auto found = part->undecided.find(ref.id);
    if (found == part->undecided.end() || found->second->ref.epoch != ref.epoch) return nullptr;
    return found->second;
}

void transactions::check_producer(stream_id stream, const std::string& producer, std::uint64_t instance) {
    if (producer.empty()) return;
    const std::shared_ptr<partition> names = parts_.loaded({stream, 0});
    if (!names || !names->producers.contains(producer))
        throw error(errc::unavailable, "producer '" + producer + "': its partition was given up meanwhile; try again");
    const auto found = names->producers.find(producer);
    if (!found->second.is_fenced(instance) && !found->second.is_newest(instance))
        throw error(errc::unavailable, "producer '" + producer + "' is being taken over; try again");
    if (!found->second.is_newest(instance))
        throw error(errc::fenced, "a newer instance of producer '" + producer + "' has taken over");
}

void transactions::throw_ended(const transaction_ref& ref) {
    const auto found = ended_.find(ref);
    const ending how = found == ended_.end() ? ending{errc::transaction_unknown, {}} : found->second;
    throw error(how.reason, describe(ref) + ": " + std::string(how.why.empty() ? text(how.reason) : how.why));
}

weave::task<void> transactions::write(session_id session, transaction_ref ref, bytes_view data, std::uint32_t crc32c) {
    std::shared_ptr<open_transaction> transaction = find(ref);
    if (!transaction || transaction->session != session) throw_ended(ref);
    if (transaction->state != open_transaction::phase::open || transaction->writing)
        throw error(errc::invalid_state, describe(ref) + " is being decided or written to already");
    std::ignore = clients_.get(session);
    const std::uint64_t most = world_.options.transaction_bytes_max;
    if (data.size() > most || transaction->frame_bytes > most - data.size())
        throw error(errc::too_large, describe(ref) + " would be over " + std::to_string(most) +
                                         " bytes, which is the limit; begin another one");
    transaction->writing = true;
    std::exception_ptr failure;
    try {
        co_await store_frame(transaction, data, crc32c, 0);
    } catch (...) {
        failure = std::current_exception();
    }
    transaction->writing = false;
    if (transaction->state == open_transaction::phase::over) {
        // Cancelled meanwhile: this frame came too late to be dropped with the others.
        drop_frames(take_frames(*transaction));
        throw_ended(ref);
    }
    if (failure) std::rethrow_exception(failure);
    ++transaction->frames;
    transaction->frame_bytes += data.size();
}

// Writes a frame and, whenever 64 of a level have come together, the index frame above them.
weave::task<void> transactions::store_frame(std::shared_ptr<open_transaction> transaction, bytes_view data,
                                            std::uint32_t crc, std::uint8_t level) {
    ports::blob_name name;
    name.stream = transaction->ref.stream;
    name.partition = transaction->ref.partition;
    name.transaction = transaction->ref.id.value();
    name.epoch = transaction->ref.epoch;
    name.chunk = transaction->chunks++;
    frame_ref stored;
    stored.level = level;
    stored.blob = co_await world_.blobs.write(name, data, crc, transaction->retained_until);
    std::vector<frame_ref>& siblings = transaction->levels.at(level);
    siblings.push_back(std::move(stored));
    if (siblings.size() < index_fanout) co_return;
    if (level + 1u == transaction->levels.size())
        throw error(errc::too_large, describe(transaction->ref) + " has too many frames");
    const std::string index = encode_index(siblings);
    const bytes_view bytes = as_bytes(index);
    co_await store_frame(transaction, bytes, core::crc32c(bytes), static_cast<std::uint8_t>(level + 1));
    siblings.clear();
}

weave::task<void> transactions::gather(std::shared_ptr<open_transaction> transaction) {
    if (!transaction->has_index_frames() || transaction->gathered == transaction->chunks) co_return;
    transaction->covers.clear();
    transaction->gathered = 0;
    const std::uint32_t chunks = transaction->chunks;
    transaction->covers.reserve(chunks);
    std::vector<frame_ref> roots = row_frames(*transaction);
    co_await gather_below(transaction, std::move(roots));
    transaction->gathered = chunks;
}

weave::task<void> transactions::gather_below(std::shared_ptr<open_transaction> transaction,
                                             std::vector<frame_ref> frames) {
    for (frame_ref& frame : frames) {
        transaction->covers.push_back(frame.blob);
        if (frame.level == 0) continue;
        const std::string index = co_await world_.blobs.read(std::move(frame.blob));
        std::vector<frame_ref> children = decode_index(index, frame.level);
        co_await gather_below(transaction, std::move(children));
    }
}

std::vector<ports::blob_ref> transactions::all_blobs(const open_transaction& transaction) {
    if (transaction.has_index_frames()) {
        if (transaction.gathered != transaction.chunks)
            throw error(errc::invalid_state, describe(transaction.ref) + " was written to while it was being decided");
        return transaction.covers;
    }
    std::vector<ports::blob_ref> blobs;
    blobs.reserve(transaction.levels.front().size());
    for (const frame_ref& frame : transaction.levels.front()) blobs.push_back(frame.blob);
    return blobs;
}

std::vector<ports::blob_ref> transactions::take_blobs(open_transaction& transaction) {
    if (!transaction.has_index_frames() || transaction.gathered != transaction.chunks) return all_blobs(transaction);
    transaction.gathered = 0;
    return std::exchange(transaction.covers, {});
}

std::vector<frame_ref> transactions::row_frames(const open_transaction& transaction) {
    std::vector<frame_ref> frames;
    for (auto level = transaction.levels.rbegin(); level != transaction.levels.rend(); ++level)
        frames.insert(frames.end(), level->begin(), level->end());
    return frames;
}

weave::task<void> transactions::cancel(session_id session, std::vector<transaction_ref> refs) {
    if (const std::shared_ptr<core::session> client = clients_.find(session)) client->last_seen = world_.clock.now();
    for (const transaction_ref& ref : refs) {
        const std::shared_ptr<open_transaction> transaction = find(ref);
        const partition_key key{ref.stream, ref.partition};
        if (transaction && transaction->session != 0 && transaction->session != session)
            throw error(errc::transaction_unknown, describe(ref) + " was not opened by this client");
        if (transaction && transaction->state == open_transaction::phase::open) {
            cancel_now(parts_.loaded(key), transaction, errc::transaction_closed);
            continue;
        }
        if (transaction)
            throw error(errc::invalid_state, describe(ref) + " is being decided; ask for the outcome of that first");
        std::shared_ptr<partition> part;
        try {
            part = co_await parts_.load(key);
        } catch (const error& failure) {
            // Nothing of a stream that is gone can become visible.
            if (failure.code() == errc::stream_deleted) continue;
            throw;
        }
        if (!world_.exclusive) {
            const weave::mutex::guard gate = co_await part->gate.lock();
            co_await parts_.confirm(part);
        }
        const std::uint32_t segment = co_await parts_.segment_behind(part, transaction_id(ref.id.value() - 1));
        const std::optional<ports::bytes> row =
            co_await world_.rows.get(keys::segment_shard(key, segment), keys::transaction_row(ref.id));
        if (!row) continue;
        if (decode<transaction_row>(*row).state == transaction_row::kind::prepared)
            throw error(errc::invalid_state, describe(ref) + " is being decided; ask for the outcome of that first");
        throw error(errc::transaction_closed, describe(ref) + " is checkpointed already", outcome::applied);
    }
}

weave::task<void> transactions::abort(partition_key key, transaction_id id) {
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    const auto found = part->undecided.find(id);
    if (found == part->undecided.end())
        throw error(errc::transaction_unknown, "transaction " + std::to_string(id.value()) + " of partition " +
                                                   std::to_string(key.partition) + " of stream '" +
                                                   part->stream->info.name + "' is not open");
    const std::shared_ptr<open_transaction> transaction = found->second;
    if (transaction->state != open_transaction::phase::open)
        throw error(errc::invalid_state, describe(transaction->ref) + " is being decided; try again");
    cancel_now(part, transaction, errc::transaction_expired, "an operator has aborted the transaction");
}

void transactions::cancel_now(const std::shared_ptr<partition>& part,
                              const std::shared_ptr<open_transaction>& transaction, errc reason, std::string_view why) {
    const bool cancelled = reason == errc::transaction_closed;
    ++(cancelled ? world_.counted.cancelled : world_.counted.ended);
    watching_.tell(*transaction, cancelled ? event_kind::cancelled : event_kind::expired);
    remember_end(transaction->ref, {reason, why});
    std::vector<frame_ref> dead = take_frames(*transaction);
    finish(part, transaction, false);
    if (!dead.empty()) drop_frames(std::move(dead));
}

void transactions::finish(const std::shared_ptr<partition>& part, const std::shared_ptr<open_transaction>& transaction,
                          bool checkpointed) {
    if (const std::shared_ptr<session> client = clients_.find(transaction->session))
        client->open.erase(transaction->ref);
    deadlines_.erase({transaction->deadline, transaction->ref});
    if (transaction->session != 0) --open_count_;
    if (checkpointed) watching_.tell(*transaction, event_kind::checkpointed);
    part->decide(*transaction, checkpointed);
}

void transactions::end_session(session_id session) {
    const std::shared_ptr<core::session> client = clients_.find(session);
    if (!client) return;
    const open_refs open = client->open;
    for (const transaction_ref& ref : open) {
        const std::shared_ptr<open_transaction> transaction = find(ref);
        if (transaction && transaction->state == open_transaction::phase::open)
            cancel_now(parts_.loaded({ref.stream, ref.partition}), transaction, errc::transaction_expired);
    }
    clients_.end(session);
}

void transactions::cancel_older(const std::string& producer, stream_id stream, std::uint64_t instance) {
    for (const std::shared_ptr<partition>& part : parts_.of_stream(stream)) {
        const auto undecided = part->undecided;
        for (const auto& [id, transaction] : undecided) {
            if (transaction->state == open_transaction::phase::open && transaction->producer == producer &&
                transaction->producer_instance < instance)
                cancel_now(part, transaction, errc::fenced);
        }
    }
}

void transactions::cancel_stream(stream_id stream) {
    for (const std::shared_ptr<partition>& part : parts_.of_stream(stream)) {
        const auto undecided = part->undecided;
        for (const auto& [id, transaction] : undecided) {
            if (transaction->state == open_transaction::phase::open)
                cancel_now(part, transaction, errc::stream_deleted);
        }
        parts_.drop(part);
    }
}

void transactions::remember_end(const transaction_ref& ref, ending how) {
    if (!ended_.insert_or_assign(ref, how).second) return;
    ended_order_.push_back(ref);
    if (ended_order_.size() <= ended_max) return;
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
}

void transactions::drop_frames(std::vector<frame_ref> frames) {
    world_.tasks.run(drop_tree(std::move(frames)), "dropping the frames of a transaction");
}

weave::task<std::vector<frame_ref>> transactions::children_of(frame_ref frame) {
    try {
        const std::string index = co_await world_.blobs.read(frame.blob);
        co_return decode_index(index, frame.level);
    } catch (const error& failure) {
        if (failure.code() != errc::corrupt) throw;
    }
    co_return std::vector<frame_ref>();
}

weave::task<void> transactions::drop_tree(std::vector<frame_ref> frames) {
    std::vector<ports::blob_ref> leaves;
    for (frame_ref& frame : frames) {
        if (frame.level > 0) {
            // Children first: after a crash in between the index frame is still there to find them. Where it is gone
            // they are, too.
            std::vector<frame_ref> children = co_await children_of(frame);
            co_await drop_tree(std::move(children));
        }
        leaves.push_back(std::move(frame.blob));
    }
    if (!leaves.empty()) co_await world_.blobs.drop(std::move(leaves));
}

// Ids tell the order of opening, over all partitions as far as the clock does.
std::vector<transaction_ref> transactions::first_refs(std::size_t limit) const {
    const auto older = [](const transaction_ref& a, const transaction_ref& b) { return a.id < b.id; };
    std::vector<transaction_ref> first;  // a heap, the youngest on top
    for (const auto& [id, client] : clients_.all()) {
        for (const transaction_ref& ref : client->open) {
            if (first.size() == limit) {
                if (!older(ref, first.front())) continue;
                std::pop_heap(first.begin(), first.end(), older);
                first.pop_back();
            }
            first.push_back(ref);
            std::push_heap(first.begin(), first.end(), older);
        }
    }
    std::sort_heap(first.begin(), first.end(), older);
    return first;
}

std::vector<open_transaction_info> transactions::describe_all(const std::vector<transaction_ref>& refs) {
    std::vector<open_transaction_info> all;
    for (const transaction_ref& ref : refs) {
        const std::shared_ptr<open_transaction> found = find(ref);
        if (!found) continue;
        open_transaction_info one;
        one.stream = parts_.loaded({ref.stream, ref.partition})->stream->info.name;
        one.transaction.partition = ref.partition;
        one.transaction.id = ref.id;
        one.transaction.expires = found->expires;
        one.transaction.client = *found->client;
        one.age = std::chrono::floor<std::chrono::milliseconds>(world_.clock.now() - found->opened_at);
        all.push_back(std::move(one));
    }
    return all;
}

std::vector<open_transaction_info> transactions::list(std::uint32_t limit) {
    return describe_all(first_refs(limit));
}

// What is opened later is younger: the oldest ones that are known stay the oldest until they end.
std::vector<open_transaction_info> transactions::oldest(std::uint32_t limit) {
    std::erase_if(oldest_, [this](const transaction_ref& ref) { return !find(ref); });
    if (oldest_.size() < std::min<std::uint64_t>(limit, open_count_)) oldest_ = first_refs(8 * std::size_t{limit});
    return describe_all({oldest_.begin(), oldest_.begin() + std::min<std::ptrdiff_t>(limit, std::ssize(oldest_))});
}

void transactions::schedule_expiry() {
    if (expiry_ != 0 || open_count_ == 0 || world_.stopping) return;
    expiry_due_ = world_.clock.now() + expiry_check;
    expiry_ = world_.clock.call_at(expiry_due_, [this] {
        expiry_ = 0;
        // Once through the queue: what arrived during a pause of the process is handled before anything expires.
        world_.tasks.run(expire(), "expiring transactions");
    });
}

weave::task<void> transactions::expire() {
    if (world_.stopping) co_return;
    const ports::steady_time now = world_.clock.now();
    // Time in which this process itself stood still is held against nobody: a client that shares it could not speak,
    // and what others have said meanwhile is still on its way in.
    const auto asleep = now - expiry_due_;
    std::vector<session_id> silent;
    for (const auto& [id, client] : clients_.all()) {
        if (asleep > expiry_check) client->last_seen = std::min(now, client->last_seen + asleep);
        if (!client->open.empty() && now - client->last_seen > client->timeout) silent.push_back(id);
    }
    for (const session_id id : silent) {
        // The session goes on; only what it kept open is over.
        const open_refs open = clients_.find(id)->open;
        for (const transaction_ref& ref : open) {
            const std::shared_ptr<open_transaction> transaction = find(ref);
            if (transaction && transaction->state == open_transaction::phase::open)
                cancel_now(parts_.loaded({ref.stream, ref.partition}), transaction, errc::transaction_expired);
        }
    }
    std::vector<transaction_ref> late;
    for (const auto& [deadline, ref] : deadlines_) {
        if (deadline > now) break;
        late.push_back(ref);
    }
    for (const transaction_ref& ref : late) {
        const std::shared_ptr<open_transaction> transaction = find(ref);
        if (transaction && transaction->state == open_transaction::phase::open)
            cancel_now(parts_.loaded({ref.stream, ref.partition}), transaction, errc::transaction_expired);
    }
    schedule_expiry();
}

}  // namespace tstreams::core
