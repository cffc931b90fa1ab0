#include "sim/audit.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

namespace tstreams::sim {
namespace {

constexpr int tries_max = 100;

// Empty: the stream is gone. `expires`, if given, takes the earliest expiry of what was read.
std::optional<reading> read_all(cluster& world, const host_ptr& auditor, partition_key where,
                                wall_time* expires = nullptr) {
    memory::simulated_node& node = auditor->node;
    reading all;
    all.where = where;
    all.complete = true;
    transaction_id after;
    for (int tries = 0; tries < tries_max;) {
        core::read_request request;
        request.stream = where.stream;
        request.partition = where.partition;
        request.after = after;
        core::read_reply reply;
        try {
            reply = world.simulation.run(node, auditor->broker->read(request));
        } catch (const position_expired_error& expired) {
            const transaction_id live(expired.oldest_live_position());
            all.jumps.push_back({after, live, world.believable()});
            after = live;
            ++tries;
            continue;
        } catch (const error& failure) {
            if (failure.code() == errc::stream_deleted) return std::nullopt;
            // A lease of those that went away.
            if (failure.code() != errc::not_owner && failure.code() != errc::unavailable) throw;
            ++tries;
            world.simulation.run_for(200ms);
            continue;
        }
        for (core::stored_transaction& stored : reply.transactions) {
            std::string items = stored.inline_items;
            for (const core::frame_ref& frame : stored.frames)
                items += world.simulation.run(node, auditor->broker->read_frame(frame.blob));
            if (expires) *expires = std::min(*expires, stored.expires);
            all.got.push_back({stored.id, unpack(items)});
            after = stored.id;
        }
        if (reply.end && !reply.blocked) return all;
        if (!reply.blocked) continue;
        ++tries;
        world.simulation.run_for(200ms);
    }
    throw std::runtime_error("liveness: partition " + std::to_string(where.partition) + " of stream " +
                             std::to_string(where.stream) + " stays blocked");
}

}  // namespace

void audit(cluster& world, const host_ptr& auditor, scene& shared) {
    final_state& end = shared.seen.end;
    const auto run = [&](auto work) { return world.simulation.run(auditor->node, std::move(work)); };
    for (const tstreams::stream_info* stream : {&shared.input, &shared.output}) {
        for (partition_number number = 0; number < stream->partitions; ++number) {
            const partition_key where{stream->id, number};
            std::optional<reading> all = read_all(world, auditor, where);
            if (!all || !all->jumps.empty())
                throw std::runtime_error("something of a lasting stream has expired, or the stream is gone");
            end.readable[where] = std::move(all->got);
        }
        for (const offset_info& one : run(auditor->broker->list_offsets(stream->id, std::string())))
            end.offsets[{{stream->id, one.partition}, one.consumer}] = one.position;
    }
    if (!world.exclusive()) return;
    for (auto& [stream, life] : shared.seen.streams) {
        for (const partition_number number : {0U, 1U}) {
            std::optional<reading> all = read_all(world, auditor, {stream, number});
            if (!all) {
                life.ended = true;
                break;
            }
            shared.seen.readings.push_back(std::move(*all));
        }
        if (life.ended) continue;
        for (const offset_info& one : run(auditor->broker->list_offsets(stream, std::string())))
            end.offsets[{{stream, one.partition}, one.consumer}] = one.position;
    }
    core::attach_producer_request request;
    request.session = run(auditor->broker->open_session("auditor", 1h));
    std::set<std::pair<core::stream_id, std::string>> names;
    for (const attachment& one : shared.seen.producers) names.emplace(one.where.stream, one.name);
    for (const auto& [stream, name] : names) {
        request.stream = stream;
        request.producer = name;
        const core::attached_producer found = run(auditor->broker->attach_producer(request));
        if (found.source_position) end.sources[{stream, name}] = std::stoull(*found.source_position);
    }
}

std::vector<std::string> audit_retention(cluster& world, const host_ptr& auditor, const scene& shared) {
    std::vector<std::string> found;
    std::ignore = world.believe_clock();
    world.simulation.run(auditor->node, auditor->broker->accept_clock());
    if (world.simulation.run(auditor->node, auditor->broker->retention()).holding)
        found.emplace_back("retention holds although somebody said that the clock is right");
    world.simulation.run_for(15s);
    for (const auto& [stream, life] : shared.seen.streams) {
        for (const partition_number number : {0U, 1U}) {
            wall_time expires = wall_time::max();
            const std::optional<reading> left = read_all(world, auditor, {stream, number}, &expires);
            if (!left) break;
            if (expires < world.wall_now() - 1s) found.emplace_back("something was read long after it had expired");
            // Ids that were given by a clock far ahead live on by it.
            if (world.counted.clocks_set == 0 && !left->got.empty())
                found.emplace_back("something of a brief stream lives too long");
        }
    }
    return found;
}

}  // namespace tstreams::sim
