#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

namespace tstreams::core {
namespace {

constexpr int settle_tries = 20;
constexpr auto settle_pause = std::chrono::milliseconds(50);

write_result to_result(ports::commit_status status) {
    switch (status) {
        case ports::commit_status::applied:
            return write_result::applied;
        case ports::commit_status::condition_failed:
            return write_result::refused;
        case ports::commit_status::fenced:
            return write_result::fenced;
        case ports::commit_status::unavailable:
        case ports::commit_status::unknown:
            break;
    }
    return write_result::unavailable;
}

}  // namespace

weave::task<write_result> write_shard(environment& world, ports::batch change, durability level) {
    const ports::bytes shard = change.shard;
    const ports::operation_id operation = change.operation;
    const ports::fence fence = change.fence;
    ports::commit_result result = co_await world.rows.commit(std::move(change), level);
    if (result.status != ports::commit_status::unknown) co_return to_result(result.status);
    for (int attempt = 0; attempt < settle_tries; ++attempt) {
        const ports::commit_result settled = co_await world.rows.settle(shard, operation);
        if (settled.status == ports::commit_status::applied) co_return write_result::applied;
        if (settled.status == ports::commit_status::condition_failed) {
            // Behind a newer owner's batch this one is not the last on the shard, applied or not.
            if (fence.check == ports::fence::mode::none || settled.fence <= fence.epoch)
                co_return write_result::unavailable;
            if (fence.check == ports::fence::mode::raise) co_return write_result::fenced;
            break;
        }
        if (settled.status == ports::commit_status::fenced) co_return write_result::fenced;
        co_await sleep_until(world, world.clock.now() + settle_pause);
    }
    throw error(errc::outcome_unknown, "the engine does not say whether a write was applied", outcome::unknown);
}

ports::batch make_batch(environment& world, ports::bytes shard, std::uint64_t epoch) {
    ports::batch change;
    change.shard = std::move(shard);
    if (!world.exclusive) {
        change.fence.check = ports::fence::mode::equal;
        change.fence.epoch = epoch;
        change.operation = world.next_operation();
    }
    return change;
}

void put(ports::batch& change, ports::bytes key, std::string value, std::optional<wall_time> expires) {
    ports::mutation& added = change.mutations.emplace_back();
    added.key = std::move(key);
    added.value = std::move(value);
    added.expires = expires;
}

void erase(ports::batch& change, ports::bytes key) {
    change.mutations.emplace_back().key = std::move(key);
}

void require_absent(ports::batch& change, ports::bytes key) {
    ports::condition& added = change.conditions.emplace_back();
    added.key = std::move(key);
    added.wanted = ports::condition::test::absent;
}

void require_equal(ports::batch& change, ports::bytes key, std::string value) {
    ports::condition& added = change.conditions.emplace_back();
    added.key = std::move(key);
    added.wanted = ports::condition::test::equals;
    added.value = std::move(value);
}

}  // namespace tstreams::core
