#include "core/retention.hpp"

#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>

namespace tstreams::core {
namespace {

constexpr std::uint32_t due_per_round = 1000;
constexpr std::uint32_t rows_per_step = 512;

// So that it is counted.
weave::task<void> fail(std::exception_ptr failure) {
    std::rethrow_exception(failure);
    co_return;
}

std::uint64_t to_seconds(wall_time time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

}  // namespace

void retention::start() {
    world_.tasks.run(purge_all(), "removing deleted streams");
    schedule();
}

void retention::stop() {
    if (timer_) world_.clock.cancel(std::exchange(timer_, 0));
}

void retention::schedule() {
    if (world_.stopping) return;
    timer_ = world_.clock.call_at(world_.clock.now() + world_.options.retention_interval, [this] {
        timer_ = 0;
        world_.tasks.run(round(), "retention");
    });
}

weave::task<void> retention::round() {
    std::exception_ptr failure;
    try {
        co_await sweep();
    } catch (...) {
        failure = std::current_exception();
    }
    schedule();
    if (failure) std::rethrow_exception(failure);
}

weave::task<void> retention::purge_all() {
    std::vector<std::pair<stream_id, std::uint32_t>> before;
    for (;;) {
        const std::vector<std::pair<stream_id, std::uint32_t>> deleted = co_await streams_.deletions();
        if (deleted == before) co_return;
        for (const auto& [stream, partitions] : deleted) {
            if (world_.stopping) co_return;
            co_await purge(stream, partitions);
        }
        before = deleted;
    }
}

weave::task<void> retention::sweep() {
    co_await time_.look();
    for (int rounds = 0; rounds < 64 && !time_.holding(); ++rounds) {
        ports::scan_range range;
        range.shard = keys::work_shard(0);
        range.from = keys::due_row(0, partition_key{}, 0);
        range.to = keys::due_row(to_seconds(world_.clock.wall_now()), partition_key{}, 0);
        range.limit = due_per_round;
        const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        for (const ports::row& one : rows) {
            if (world_.stopping || time_.holding()) co_return;
            const keys::due due = keys::parse_due(one.key);
            bool done = false;
            std::exception_ptr failure;
            try {
                done = co_await sweep_segment(due);
            } catch (const error& damaged) {
                if (damaged.code() != errc::corrupt) throw;
                failure = std::current_exception();
            }
            std::optional<std::uint64_t> again;
            if (!done) again = to_seconds(world_.clock.wall_now()) + 60;
            co_await finish(due, again);
            // A partition that is damaged holds up no other one.
            if (failure) world_.tasks.run(fail(failure), "retention of a damaged partition");
        }
        if (rows.size() < due_per_round) co_return;
    }
}

// Returns whether nothing is left to do for the segment.
weave::task<bool> retention::sweep_segment(keys::due due) {
    std::shared_ptr<partition> part;
    try {
        part = co_await parts_.load(due.partition);
    } catch (const error& failure) {
        if (failure.code() != errc::stream_deleted) throw;
    }
    if (!part) {
        // Its deletion has removed everything but a segment that the head did not name any more, or that a commit
        // which was under way came to.
        co_await remove_segment(due.partition, due.segment);
        co_return true;
    }
    weave::mutex::guard gate = co_await part->gate.lock();
    if (part->dropped) co_return false;
    // The live range is a suffix: older segments go first.
    for (std::uint32_t segment = part->head.first_segment; segment <= due.segment; ++segment) {
        transaction_id last;
        if (segment >= part->first_live_segment() && !part->undecided.empty()) co_return false;
        if (!co_await fully_expired(part, segment, last)) co_return false;
        if (segment == part->head.tail) {
            co_await parts_.roll(part);
            // Until the new tail stood, transactions could get a place in the old one.
            if (segment >= part->first_live_segment()) co_return false;
            if (!co_await fully_expired(part, segment, last)) co_return false;
        }
        co_await forget_segment(part, segment, last);
        co_await remove_segment(part->key, segment);
    }
    // A crash may have come between forgetting a segment and removing its rows.
    co_await remove_segment(part->key, due.segment);
    co_return true;
}

weave::task<bool> retention::fully_expired(std::shared_ptr<partition> part, std::uint32_t segment,
                                           transaction_id& last) {
    ports::scan_range range;
    range.shard = keys::segment_shard(part->key, segment);
    range.from = keys::transaction_row(transaction_id(0));
    range.to = keys::behind_prefix("t");
    range.limit = 1;
    range.reverse = true;
    const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
    if (rows.empty()) co_return true;
    // Expiries rise with ids, so the last row speaks for all.
    const transaction_row row = decode<transaction_row>(rows.front().value);
    last = keys::id_of(rows.front().key);
    const auto slack = partitions::retention_slack(part->stream->info);
    co_return row.expires + slack <= world_.expiry_now();
}

// From here on nobody reads the segment; positions before its last transaction have expired.
weave::task<void> retention::forget_segment(std::shared_ptr<partition> part, std::uint32_t segment,
                                            transaction_id last) {
    head_row next = part->head;
    next.first_segment = segment + 1;
    next.first_live = std::max(next.first_live, next.first_segment);
    next.last_removed = std::max(next.last_removed, last);
    next.last_id = part->last_id;
    next.last_expiry = part->last_expiry;
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    put(change, "m", encode(next));
    ports::scan_range range;
    range.shard = keys::head_shard(part->key);
    range.from = keys::segment_row(transaction_id(0));
    range.to = keys::behind_prefix("s");
    range.limit = 16;
    const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
    for (const ports::row& one : rows) {
        if (decode_segment_number(one.value) < next.first_segment) erase(change, one.key);
    }
    const write_result result = co_await parts_.write(part, std::move(change), durability::sync());
    if (result != write_result::applied) throw error(errc::unavailable, "retention could not write; it tries again");
    part->head = next;
}

// Blobs first: until the rows are gone they can be found again.
weave::task<void> retention::remove_segment(partition_key key, std::uint32_t segment) {
    for (;;) {
        ports::scan_range range;
        range.shard = keys::segment_shard(key, segment);
        range.from = keys::transaction_row(transaction_id(0));
        range.to = keys::behind_prefix("t");
        range.limit = rows_per_step;
        range.bytes_max = std::size_t{4} << 20;
        const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        if (rows.empty()) co_return;
        std::vector<frame_ref> dead;
        ports::batch change;
        change.shard = keys::segment_shard(key, segment);
        for (const ports::row& one : rows) {
            transaction_row row = decode<transaction_row>(one.value);
            dead.insert(dead.end(), row.frames.begin(), row.frames.end());
            erase(change, one.key);
        }
        if (!dead.empty()) co_await open_.drop_tree(std::move(dead));
        const write_result result = co_await write_shard(world_, std::move(change), durability::process());
        if (result != write_result::applied)
            throw error(errc::unavailable, "retention could not write; it tries again");
        co_await weave::yield(world_.executor);
    }
}

weave::task<void> retention::finish(keys::due due, std::optional<std::uint64_t> again) {
    ports::batch change;
    change.shard = keys::work_shard(0);
    erase(change, keys::due_row(due.second, due.partition, due.segment));
    if (again) put(change, keys::due_row(*again, due.partition, due.segment), std::string());
    std::ignore = co_await write_shard(world_, std::move(change), durability::process());
}

weave::task<void> retention::purge(stream_id stream, std::uint32_t partitions) {
    for (partition_number number = 0; number < partitions; ++number) {
        const partition_key key{stream, number};
        const std::optional<ports::bytes> value = co_await world_.rows.get(keys::head_shard(key), "m");
        head_row head;
        if (value) head = decode<head_row>(*value);
        for (std::uint32_t segment = head.first_segment; segment <= head.tail; ++segment)
            co_await remove_segment(key, segment);
        for (;;) {
            ports::scan_range range;
            range.shard = keys::head_shard(key);
            range.limit = rows_per_step;
            const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
            if (rows.empty()) break;
            ports::batch change;
            change.shard = keys::head_shard(key);
            for (const ports::row& one : rows) erase(change, one.key);
            std::ignore = co_await write_shard(world_, std::move(change), durability::process());
        }
        if (world_.stopping) co_return;
    }
    co_await streams_.forget_deletion(stream);
}

}  // namespace tstreams::core
