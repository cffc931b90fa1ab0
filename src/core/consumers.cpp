#include "core/consumers.hpp"

#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <tuple>

namespace tstreams::core {
namespace {

constexpr int settle_tries = 100;
constexpr auto settle_pause = std::chrono::milliseconds(200);
constexpr auto write_pause = std::chrono::milliseconds(1);

std::string quoted(const std::string& consumer) {
    return "consumer '" + consumer + "'";
}

// In a handler of the failure of one of several partitions, which are written one after the other: what those before it
// have stays.
[[noreturn]] void rethrow_midway(const error& failure, bool any_written) {
    if (!any_written) throw;
    throw error(failure.code(), failure.what(), outcome::unknown);
}

}  // namespace

weave::task<std::vector<attached_partition>> consumers::attach(attach_consumer_request request) {
    if (request.partitions.size() != request.starts.size() || request.partitions.empty() ||
        request.partitions.size() > partitions_max)
        throw error(errc::invalid_argument, "a consumer reads from 1 to 1024 partitions, each with its start");
    std::ignore = clients_.get(request.session);
    if (!request.consumer.empty()) check_name(request.consumer, "consumer");
    std::vector<attached_partition> attached;
    // In order, so that two new instances of one name do not fence each other half and half.
    for (std::size_t i = 0; i < request.partitions.size(); ++i) {
        try {
            attached_partition one = co_await attach_one(request, i);
            attached.push_back(one);
        } catch (const error& failure) {
            // Those before this one have their new instance, and a new name or `reset` its position.
            rethrow_midway(failure, !request.consumer.empty() && !attached.empty());
        }
    }
    co_return attached;
}

weave::task<attached_partition> consumers::attach_one(const attach_consumer_request& request, std::size_t index) {
    const partition_key key{request.stream, request.partitions[index]};
    const start_point start = request.starts[index];
    attached_partition attached;
    attached.partition = key.partition;
    if (request.consumer.empty()) {
        attached.position = co_await reads_.resolve(key, start);
        co_return attached;
    }
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    co_await parts_.load_consumer(part, request.consumer);
    weave::mutex::guard gate = co_await settled_gate(part, request.consumer);
    const auto found = part->consumers.find(request.consumer);
    const bool known = found != part->consumers.end();
    if (!known && request.must_exist)
        throw error(errc::offset_not_found,
                    quoted(request.consumer) + " has no stored offset in partition " + std::to_string(key.partition));
    transaction_id begin;
    if (!known || request.reset) begin = co_await reads_.resolve(key, start);
    offset_row row;
    if (known) {
        row = co_await fence_older(part, request.consumer);
    } else {
        row.instance = world_.next_instance(0, part->owner->epoch());
    }
    if (!known || request.reset) row.position = begin;
    row.updated_at = world_.clock.wall_now();
    co_await store(part, request.consumer, row);
    consumer_entry& entry = part->consumers.find(request.consumer)->second;
    entry.session = request.session;
    attached.instance = row.instance;
    attached.position = entry.row.position;
    co_return attached;
}

// The gate, with no group of the consumer undecided: that would change the position behind a new instance's back.
weave::task<weave::mutex::guard> consumers::settled_gate(std::shared_ptr<partition> part, std::string consumer) {
    for (int attempt = 0; attempt < settle_tries; ++attempt) {
        weave::mutex::guard gate = co_await part->gate.lock();
        if (part->dropped)
            throw error(part->stream->deleted ? errc::stream_deleted : errc::unavailable,
                        quoted(consumer) + ": its partition was given up");
        const auto found = part->consumers.find(consumer);
        if (found == part->consumers.end() || !found->second.row.pending) co_return std::move(gate);
        gate.unlock();
        co_await sleep_until(world_, world_.clock.now() + settle_pause);
    }
    throw error(errc::unavailable, quoted(consumer) + " is part of a group that is still being settled; try again");
}

// Needs the gate. From here on no older instance changes the row; what one has handed over is awaited, for it may fail
// yet. Returns the row with the next instance.
weave::task<offset_row> consumers::fence_older(std::shared_ptr<partition> part, std::string consumer) {
    const std::uint64_t former = part->consumers.find(consumer)->second.row.instance;
    const std::uint64_t next = world_.next_instance(former, part->owner->epoch());
    part->consumers.find(consumer)->second.newest = next;
    while (!world_.stopping && !part->consumers[consumer].under_way.empty())
        co_await sleep_until(world_, world_.clock.now() + write_pause);
    if (world_.stopping) {
        part->consumers[consumer].newest = 0;
        throw error(errc::shutting_down, "the store is being closed");
    }
    offset_row row = part->consumers[consumer].row;
    row.instance = next;
    co_return row;
}

// Needs the gate. In memory first: a commit that is handed over later is built on it.
weave::task<void> consumers::store(std::shared_ptr<partition> part, std::string consumer, offset_row row) {
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    put(change, keys::offset_row(consumer), encode(row));
    const bool known = part->consumers.contains(consumer);
    const request_id by{world_.clock.random(), world_.clock.random()};
    part->consumers[consumer].hand_over(by, row);
    part->consumers[consumer].newest = row.instance;
    std::exception_ptr failure;
    try {
        std::string what = quoted(consumer);
        co_await write(part, std::move(change), std::move(what));
    } catch (...) {
        failure = std::current_exception();
    }
    consumer_entry& entry = part->consumers[consumer];
    entry.newest = 0;
    if (!failure) {
        entry.settle(by);
        co_return;
    }
    entry.take_back(by);
    if (!known) part->consumers.erase(consumer);
    std::rethrow_exception(failure);
}

// Returns when it is written; else throws, also where the engine could not be reached.
weave::task<void> consumers::write(std::shared_ptr<partition> part, ports::batch change, std::string what) {
    const write_result result = co_await parts_.write(part, std::move(change), part->stream->info.durability);
    if (result != write_result::applied)
        throw error(errc::unavailable, what + ": the engine cannot be reached; try again");
}

void consumers::detach(session_id session, stream_id stream, const std::string& consumer) {
    for (const std::shared_ptr<partition>& part : parts_.of_stream(stream)) {
        const auto found = part->consumers.find(consumer);
        if (found != part->consumers.end() && found->second.session == session) found->second.session = 0;
    }
}

void consumers::end_session(session_id session) {
    for (const std::shared_ptr<partition>& part : parts_.all()) {
        for (auto& [name, entry] : part->consumers) {
            if (entry.session == session) entry.session = 0;
        }
    }
}

weave::task<attached_producer> consumers::attach_producer(attach_producer_request request) {
    check_name(request.producer, "producer");
    std::ignore = clients_.get(request.session);
    if (!world_.exclusive) throw error(errc::unsupported, "named producers are not supported on shared engines yet");
    const partition_key key{request.stream, 0};
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    const weave::mutex::guard gate = co_await part->gate.lock();
    co_await parts_.load_producer(part, request.producer);
    // The newer number counts from here on: what the older instance has open can only be cancelled, and what it has
    // handed over is awaited, for it may fail yet.
    const std::uint64_t newest = part->producers[request.producer].row.instance + 1;
    part->producers[request.producer].newest = newest;
    open_.cancel_older(request.producer, request.stream, newest);
    while (!world_.stopping && !part->producers[request.producer].under_way.empty())
        co_await sleep_until(world_, world_.clock.now() + write_pause);
    if (world_.stopping) throw error(errc::shutting_down, "the store is being closed");
    if (part->dropped)
        throw error(part->stream->deleted ? errc::stream_deleted : errc::unavailable,
                    "producer '" + request.producer + "': its partition was given up");
    producer_row next = part->producers[request.producer].row;
    next.instance = newest;
    ports::batch change = make_batch(world_, keys::head_shard(key), part->owner->epoch());
    put(change, keys::producer_row(request.producer), encode(next));
    std::exception_ptr failure;
    try {
        std::string what = "producer '" + request.producer + "'";
        co_await write(part, std::move(change), std::move(what));
    } catch (...) {
        failure = std::current_exception();
    }
    part->producers[request.producer].newest = 0;  // where that failed the older one goes on
    if (failure) std::rethrow_exception(failure);
    part->producers[request.producer].row = next;
    attached_producer attached;
    attached.instance = newest;
    attached.source_position = std::move(next.source_position);
    co_return attached;
}

weave::task<std::vector<std::shared_ptr<partition>>> consumers::all_parts(stream_id stream) {
    const std::shared_ptr<stream_entry> entry = co_await streams_.get(stream);
    std::vector<std::shared_ptr<partition>> parts;
    for (partition_number number = 0; number < entry->info.partitions; ++number) {
        const partition_key key{stream, number};
        parts.push_back(co_await parts_.load(key));
    }
    co_return parts;
}

weave::task<std::vector<offset_info>> consumers::list(stream_id stream, std::string consumer) {
    std::vector<offset_info> found;
    const std::vector<std::shared_ptr<partition>> parts = co_await all_parts(stream);
    for (const std::shared_ptr<partition>& part : parts) {
        std::string from = consumer.empty() ? "c" : keys::offset_row(consumer);
        for (;;) {
            ports::scan_range range;
            range.shard = keys::head_shard(part->key);
            range.from = from;
            range.to = consumer.empty() ? keys::behind_prefix("c") : keys::offset_row(consumer) + '\0';
            range.limit = 1000;
            const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
            for (const ports::row& one : rows) {
                offset_row row = decode<offset_row>(one.value);
                offset_info info;
                info.consumer = one.key.substr(1);
                if (row.pending) {
                    // Of a group that may be committed already: the position is what that made of it.
                    co_await parts_.load_consumer(part, info.consumer);
                    const weave::mutex::guard settled = co_await settled_gate(part, info.consumer);
                    const auto known = part->consumers.find(info.consumer);
                    if (known == part->consumers.end()) continue;
                    row = known->second.row;
                }
                info.partition = part->key.partition;
                info.position = row.position;
                info.updated_at = row.updated_at;
                const auto live = part->consumers.find(info.consumer);
                info.live =
                    live != part->consumers.end() && live->second.session != 0 && clients_.alive(live->second.session);
                found.push_back(std::move(info));
            }
            if (rows.size() < 1000) break;
            from = rows.back().key + '\0';
        }
    }
    std::sort(found.begin(), found.end(), [](const offset_info& one, const offset_info& other) {
        return std::tie(one.consumer, one.partition) < std::tie(other.consumer, other.partition);
    });
    co_return found;
}

void consumers::check_not_live(const partition& part, const std::string& consumer, bool take_over) const {
    const auto found = part.consumers.find(consumer);
    if (take_over || found == part.consumers.end() || found->second.session == 0) return;
    const std::shared_ptr<session> client = clients_.find(found->second.session);
    if (!client) return;
    throw error(errc::consumer_live,
                quoted(consumer) + " is at work in " + *client->client + ", and is not to be taken over");
}

weave::task<void> consumers::set(stream_id stream, std::string consumer, std::vector<partition_position> positions,
                                 bool take_over) {
    check_name(consumer, "consumer");
    std::vector<std::shared_ptr<partition>> parts;
    for (const partition_position& one : positions) {
        const partition_key key{stream, one.partition};
        const std::shared_ptr<partition> part = co_await parts_.load(key);
        co_await parts_.load_consumer(part, consumer);
        check_not_live(*part, consumer, take_over);
        parts.push_back(part);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        try {
            co_await set_one(parts[i], consumer, positions[i].after, take_over);
        } catch (const error& failure) {
            rethrow_midway(failure, i != 0);
        }
    }
}

weave::task<void> consumers::set_one(std::shared_ptr<partition> part, std::string consumer, transaction_id after,
                                     bool take_over) {
    weave::mutex::guard gate = co_await settled_gate(part, consumer);
    check_not_live(*part, consumer, take_over);
    const auto found = part->consumers.find(consumer);
    offset_row row;
    if (found != part->consumers.end()) row = found->second.row;
    row.instance = world_.next_instance(row.instance, part->owner->epoch());  // fences whoever reads under this name
    row.position = after;
    row.updated_at = world_.clock.wall_now();
    co_await store(part, consumer, row);
    part->consumers[consumer].session = 0;
}

weave::task<void> consumers::remove(stream_id stream, std::string consumer, bool take_over) {
    check_name(consumer, "consumer");
    const std::vector<std::shared_ptr<partition>> parts = co_await all_parts(stream);
    bool any = false;
    for (const std::shared_ptr<partition>& part : parts) {
        co_await parts_.load_consumer(part, consumer);
        any = any || part->consumers.contains(consumer);
        check_not_live(*part, consumer, take_over);
    }
    if (!any)
        throw error(errc::offset_not_found,
                    quoted(consumer) + " has no stored offset in stream '" + parts.front()->stream->info.name + "'");
    bool any_erased = false;
    for (const std::shared_ptr<partition>& part : parts) {
        try {
            const bool erased = co_await remove_one(part, consumer);
            any_erased = any_erased || erased;
        } catch (const error& failure) {
            rethrow_midway(failure, any_erased);
        }
    }
}

weave::task<bool> consumers::remove_one(std::shared_ptr<partition> part, std::string consumer) {
    weave::mutex::guard gate = co_await settled_gate(part, consumer);
    if (!part->consumers.contains(consumer)) co_return false;
    // Until the row is gone a reader could move it, and bring it back.
    std::ignore = co_await fence_older(part, consumer);
    co_await erase_row(part, consumer);
    co_return true;
}

// Needs the gate.
weave::task<void> consumers::erase_row(std::shared_ptr<partition> part, std::string consumer) {
    ports::batch change = make_batch(world_, keys::head_shard(part->key), part->owner->epoch());
    erase(change, keys::offset_row(consumer));
    std::exception_ptr failure;
    try {
        std::string what = quoted(consumer);
        co_await write(part, std::move(change), std::move(what));
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) {
        part->consumers.erase(consumer);
        ++part->offsets_deleted;
        co_return;
    }
    part->consumers[consumer].newest = 0;
    std::rethrow_exception(failure);
}

}  // namespace tstreams::core
