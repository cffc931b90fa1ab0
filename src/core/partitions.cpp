#include "core/partitions.hpp"

#include <tstreams/error.hpp>

#include <algorithm>

namespace tstreams::core {
namespace {

const char* const head_key = "m";
// Rolls, claims and filings are made durable by the first checkpoint behind them: what survives is a prefix.
durability layout_level(const environment& world) {
    return world.exclusive ? durability::process() : durability::sync();
}

constexpr transaction_id highest_id(~std::uint64_t{0});

std::shared_ptr<open_transaction> prepared_again(const partition& part, std::uint32_t segment, const ports::row& stored,
                                                 const transaction_row& row) {
    auto found = std::make_shared<open_transaction>();
    found->ref.stream = part.key.stream;
    found->ref.partition = part.key.partition;
    found->ref.id = keys::id_of(stored.key);
    found->ref.epoch = part.owner->epoch();
    found->segment = segment;
    found->place = row.place;
    found->client = std::make_shared<const std::string>("a group of a former owner");
    found->deadline = ports::steady_time::max();
    found->retained_until = row.expires;
    found->state = open_transaction::phase::prepared;
    found->decider = row.request;
    found->prepared_value = stored.value;
    for (const frame_ref& frame : row.frames) found->levels[0].push_back(frame);
    return found;
}

std::string place_of(const partition_key& key) {
    return "partition " + std::to_string(key.partition) + " of stream " + std::to_string(key.stream);
}

}  // namespace

std::shared_ptr<partition> partitions::loaded(const partition_key& key) {
    const auto found = table_.find(key);
    if (found == table_.end()) return nullptr;
    std::shared_ptr<partition> part = found->second.part;
    if (part->owner->held() && !part->stream->deleted && !part->dropped) {
        touch(found->second);
        return part;
    }
    drop(part);
    return nullptr;
}

weave::task<std::shared_ptr<partition>> partitions::load(partition_key key) {
    for (;;) {
        if (std::shared_ptr<partition> part = loaded(key)) co_return part;
        const auto found = loading_.find(key);
        if (found == loading_.end()) break;
        const std::shared_ptr<loading> other = found->second;
        co_await other->done.wait();
    }
    const auto mine = std::make_shared<loading>(world_.executor);
    loading_.emplace(key, mine);
    std::exception_ptr failure;
    std::shared_ptr<partition> part;
    try {
        part = co_await claim(key);
    } catch (...) {
        failure = std::current_exception();
    }
    loading_.erase(key);
    mine->done.set();
    if (failure) std::rethrow_exception(failure);
    evict();
    order_.push_back(key);
    table_.insert_or_assign(key, held{part, std::prev(order_.end())});
    if (!part->undecided.empty() && on_leftover) on_leftover(part);
    co_return part;
}

weave::task<std::shared_ptr<partition>> partitions::claim(partition_key key) {
    const std::shared_ptr<stream_entry> stream = co_await streams_.get(key.stream);
    if (key.partition >= stream->info.partitions)
        throw error(errc::partition_not_found, "stream '" + stream->info.name + "' has partitions 0 to " +
                                                   std::to_string(stream->info.partitions - 1) + ", not " +
                                                   std::to_string(key.partition));
    const std::shared_ptr<slot> owner = co_await owners_.own(slot_of(key));
    auto part = std::make_shared<partition>(world_, key, stream, owner);
    // First the fence, then the reading: what a former owner wrote until then is part of what is read.
    if (!world_.exclusive) co_await raise(owner, keys::head_shard(key));
    const std::optional<ports::bytes> head = co_await world_.rows.get(keys::head_shard(key), head_key);
    if (head) part->head = decode<head_row>(*head);
    if (!world_.exclusive) {
        for (std::uint32_t segment = part->head.first_live; segment <= part->head.tail; ++segment)
            co_await raise(owner, keys::segment_shard(key, segment));
    }
    part->last_id = std::max(part->head.last_id, transaction_id(owner->floor().value()));
    part->last_expiry = part->head.last_expiry;
    part->expired_through = part->head.last_removed;
    co_await load_tail(part);
    if (!world_.exclusive) co_await load_prepared(part);
    if (stream->deleted) throw error(errc::stream_deleted, "stream '" + stream->info.name + "' has been deleted");
    if (!owner->held()) throw error(errc::not_owner, place_of(key) + " has moved to another broker");
    co_return part;
}

weave::task<void> partitions::raise(std::shared_ptr<slot> owner, ports::bytes shard) {
    ports::batch change = make_batch(world_, std::move(shard), owner->epoch());
    change.fence.check = ports::fence::mode::raise;
    const write_result result = co_await write_shard(world_, std::move(change), durability::sync());
    if (result == write_result::applied) co_return;
    if (result == write_result::unavailable)
        throw error(errc::unavailable, "a partition could not be claimed; try again");
    owners_.lost(owner);
    throw error(errc::not_owner, "a partition has moved to another broker");
}

// The highest row below `limit`, looking back from `segment`: a tail can be empty after a roll.
weave::task<std::optional<ports::row>> partitions::last_row(std::shared_ptr<partition> part, std::uint32_t segment,
                                                            transaction_id limit) {
    for (;; --segment) {
        ports::scan_range range;
        range.shard = keys::segment_shard(part->key, segment);
        range.from = keys::transaction_row(transaction_id(0));
        range.to = keys::transaction_row(limit);
        range.limit = 1;
        range.reverse = true;
        std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        if (!rows.empty()) co_return std::move(rows.front());
        if (segment <= part->head.first_segment) co_return std::nullopt;
    }
}

weave::task<void> partitions::load_tail(std::shared_ptr<partition> part) {
    part->set_visible_end(part->head.last_removed);
    const std::optional<ports::row> last = co_await last_row(part, part->head.tail, highest_id);
    if (!last) co_return;
    const transaction_row row = decode<transaction_row>(last->value);
    const transaction_id id = keys::id_of(last->key);
    part->last_id = std::max(part->last_id, id);
    part->last_expiry = std::max(part->last_expiry, row.expires);
    part->set_visible_end(std::max(part->visible_end(), id));
    ports::scan_range range;
    range.shard = keys::segment_shard(part->key, part->head.tail);
    range.from = keys::transaction_row(transaction_id(0));
    range.to = keys::behind_prefix("t");
    range.limit = 1;
    const std::vector<ports::row> first = co_await world_.rows.scan(std::move(range));
    if (first.empty()) co_return;
    // A tail is as old as its first transaction.
    part->tail_since = keys::id_of(first.front().key).time();
    part->tail_places = row.place + 1;
    part->tail_filed = true;
}

// A former owner may have left prepared transactions; they hold readers back until their group is settled.
weave::task<void> partitions::load_prepared(std::shared_ptr<partition> part) {
    std::vector<transaction_id> checkpointed;
    for (std::uint32_t segment = part->head.first_live; segment <= part->head.tail; ++segment) {
        ports::scan_range range;
        range.shard = keys::segment_shard(part->key, segment);
        range.from = keys::transaction_row(transaction_id(0));
        range.to = keys::behind_prefix("t");
        range.limit = world_.options.segment_transactions_max;
        const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        for (const ports::row& one : rows) {
            const transaction_row row = decode<transaction_row>(one.value);
            if (row.state == transaction_row::kind::prepared) {
                part->add_undecided(prepared_again(*part, segment, one, row));
            } else {
                checkpointed.push_back(keys::id_of(one.key));
            }
        }
    }
    if (part->undecided.empty()) co_return;
    const std::uint32_t segment = part->undecided.begin()->second->segment;
    const std::optional<ports::row> visible = co_await last_row(part, segment, part->first_undecided());
    part->set_visible_end(std::max(part->head.last_removed, visible ? keys::id_of(visible->key) : transaction_id()));
    for (const transaction_id id : checkpointed) part->add_checkpointed(id);
}

weave::task<void> partitions::load_consumer(std::shared_ptr<partition> part, std::string consumer) {
    if (part->consumers.contains(consumer)) co_return;
    std::optional<ports::bytes> value;
    std::uint64_t before = 0;
    do {
        before = part->offsets_deleted;
        value = co_await world_.rows.get(keys::head_shard(part->key), keys::offset_row(consumer));
        if (part->consumers.contains(consumer)) co_return;
    } while (part->offsets_deleted != before);  // it may have been this one
    if (!value) co_return;
    consumer_entry entry;
    entry.row = decode<offset_row>(*value);
    const bool pending = entry.row.pending.has_value();
    part->consumers.emplace(std::move(consumer), std::move(entry));
    if (pending && on_leftover) on_leftover(part);
}

weave::task<void> partitions::load_producer(std::shared_ptr<partition> part, std::string producer) {
    if (part->producers.contains(producer)) co_return;
    const std::optional<ports::bytes> value =
        co_await world_.rows.get(keys::head_shard(part->key), keys::producer_row(producer));
    if (!value || part->producers.contains(producer)) co_return;
    part->producers[producer].row = decode<producer_row>(*value);
}

bool partitions::wants_roll(const partition& part, wall_time now) const {
    if (part.rolling) return true;
    if (part.tail_places == 0) return false;
    if (part.tail_places >= world_.options.segment_transactions_max) return true;
    return now - part.tail_since > part.stream->info.ttl / 8;
}

weave::task<void> partitions::roll(std::shared_ptr<partition> part) {
    part->rolling = true;
    std::exception_ptr failure;
    try {
        co_await begin_segment(part);
    } catch (...) {
        failure = std::current_exception();
    }
    part->rolling = false;
    if (failure) std::rethrow_exception(failure);
}

weave::task<void> partitions::begin_segment(std::shared_ptr<partition> part) {
    // Places reserved in the old tail may still be decided: retention must know of it.
    if (!part->tail_filed) co_await file_tail(part);
    head_row next = part->head;
    next.first_live = part->first_live_segment();
    next.tail = part->head.tail + 1;
    next.last_id = part->last_id;
    next.last_expiry = part->last_expiry;
    // The head says where the tail is before anything is written there: that is what ends a claim's walk.
    if (!world_.exclusive) co_await raise(part->owner, keys::segment_shard(part->key, next.tail));
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    put(change, head_key, encode(next));
    put(change, keys::segment_row(transaction_id(part->last_id.value() + 1)), encode_segment_number(next.tail));
    const write_result result = co_await write(part, std::move(change), layout_level(world_));
    if (result != write_result::applied) throw error(errc::unavailable, place_of(part->key) + ": try again");
    part->head = next;
    part->tail_places = 0;
    part->tail_filed = false;
}

std::chrono::seconds partitions::retention_slack(const stream_info& stream) {
    return std::clamp(stream.ttl / 8, std::chrono::seconds(1), std::chrono::seconds(600));
}

ports::batch partitions::filing(const partition& part) {
    const stream_info& stream = part.stream->info;
    // The last transaction of the tail opens before ttl/8 is over and expires a ttl later.
    const auto due = world_.clock.wall_now() + stream.ttl + stream.ttl / 8 + retention_slack(stream);
    const auto second = std::chrono::duration_cast<std::chrono::seconds>(due.time_since_epoch()).count() + 1;
    const slot_number number = world_.exclusive ? slot_number{0} : part.owner->number();
    ports::batch change;
    change.shard = keys::work_shard(number);
    change.operation = world_.next_operation();
    put(change, keys::due_row(static_cast<std::uint64_t>(second), part.key, part.head.tail), std::string());
    return change;
}

weave::task<void> partitions::file_tail(std::shared_ptr<partition> part) {
    ports::batch change = filing(*part);
    const write_result result = co_await write_shard(world_, std::move(change), layout_level(world_));
    if (result != write_result::applied) throw error(errc::unavailable, place_of(part->key) + ": try again");
    part->tail_filed = true;
}

weave::task<write_result> partitions::write(std::shared_ptr<partition> part, ports::batch change, durability level) {
    write_result result = write_result::fenced;
    try {
        result = co_await write_shard(world_, std::move(change), level);
    } catch (const error& failure) {
        // What the shard holds now is not known: the next owner, perhaps this broker again, reads it anew.
        if (failure.outcome() == outcome::unknown) {
            owners_.lost(part->owner);
            drop(part);
        }
        throw;
    }
    if (result == write_result::fenced) {
        owners_.lost(part->owner);
        drop(part);
        throw error(errc::not_owner, place_of(part->key) + " has moved to another broker");
    }
    co_return result;
}

weave::task<void> partitions::confirm(std::shared_ptr<partition> part) {
    if (world_.exclusive) co_return;
    ports::batch nothing = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    const write_result result = co_await write(part, std::move(nothing), durability::process());
    if (result != write_result::applied) throw error(errc::unavailable, place_of(part->key) + ": try again");
}

void partitions::drop(const std::shared_ptr<partition>& part) {
    if (part->dropped) return;
    part->dropped = true;
    part->owner->not_again(part->last_id);
    if (on_drop) on_drop(part);
    part->wake_all();
    const auto found = table_.find(part->key);
    if (found == table_.end() || found->second.part != part) return;
    order_.erase(found->second.place);
    table_.erase(found);
}

std::vector<std::shared_ptr<partition>> partitions::of_stream(stream_id stream) const {
    std::vector<std::shared_ptr<partition>> found;
    for (const partition_key& key : order_) {
        if (key.stream == stream) found.push_back(table_.at(key).part);
    }
    return found;
}

std::vector<std::shared_ptr<partition>> partitions::all() const {
    std::vector<std::shared_ptr<partition>> found;
    for (const partition_key& key : order_) found.push_back(table_.at(key).part);
    return found;
}

weave::task<std::uint32_t> partitions::segment_behind(std::shared_ptr<partition> part, transaction_id position) {
    if (part->head.first_segment == part->head.tail) co_return part->head.tail;
    ports::scan_range range;
    range.shard = keys::head_shard(part->key);
    range.from = keys::segment_row(transaction_id(0));
    const bool last = position == highest_id;
    // The segment that begins at or below the next id.
    range.to = last ? keys::behind_prefix("s") : keys::segment_row(transaction_id(position.value() + 1)) + '\0';
    range.limit = 1;
    range.reverse = true;
    const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
    const std::uint32_t found = rows.empty() ? 0 : decode_segment_number(rows.front().value);
    co_return std::max(found, part->head.first_segment);
}

void partitions::touch(const held& used) {
    order_.splice(order_.end(), order_, used.place);
}

void partitions::evict() {
    // Looks at a few of the oldest: what is in use stays, whatever its age.
    int looks = 16;
    while (table_.size() >= world_.options.partitions_cached_max && looks-- > 0 && !order_.empty()) {
        const held& entry = table_.at(order_.front());
        const std::shared_ptr<partition> oldest = entry.part;
        if (oldest->idle() && oldest.use_count() == 2) {
            drop(oldest);
        } else {
            touch(entry);
        }
    }
}

}  // namespace tstreams::core
