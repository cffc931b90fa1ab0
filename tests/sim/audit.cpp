#include "sim/audit.hpp"

#include <stdexcept>

namespace tstreams::sim {
namespace {

constexpr int tries_max = 100;

std::vector<delivery> read_all(cluster& world, const host_ptr& auditor, partition_key where) {
    memory::simulated_node& node = auditor->node;
    std::vector<delivery> all;
    for (int tries = 0; tries < tries_max;) {
        core::read_request request;
        request.stream = where.stream;
        request.partition = where.partition;
        if (!all.empty()) request.after = all.back().id;
        core::read_reply reply;
        try {
            reply = world.simulation.run(node, auditor->broker->read(request));
        } catch (const error& failure) {
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
            all.push_back({stored.id, unpack(items)});
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

final_state audit(cluster& world, const host_ptr& auditor, const scene& shared) {
    final_state end;
    for (const tstreams::stream_info* stream : {&shared.input, &shared.output}) {
        for (partition_number number = 0; number < stream->partitions; ++number) {
            const partition_key where{stream->id, number};
            end.readable[where] = read_all(world, auditor, where);
        }
        const auto offsets =
            world.simulation.run(auditor->node, auditor->broker->list_offsets(stream->id, std::string()));
        for (const offset_info& one : offsets) {
            const partition_key where{stream->id, one.partition};
            end.offsets[{where, one.consumer}] = one.position;
        }
    }
    return end;
}

}  // namespace tstreams::sim
