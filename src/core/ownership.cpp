#include "core/ownership.hpp"

#include "core/shard_writer.hpp"

#include <algorithm>
#include <vector>

namespace tstreams::core {
namespace {

const char* const slot_key = "e";

[[noreturn]] void throw_not_owner(slot_number number) {
    throw error(errc::not_owner, "slot " + std::to_string(number) + " belongs to another broker; ask that one");
}

}  // namespace

bool slot::held() const noexcept {
    if (lost_) return false;
    if (world_.exclusive) return true;
    return lease && world_.clock.now() < lease->safe_until;
}

weave::task<void> slot::take() {
    const std::optional<ports::bytes> stored = co_await world_.rows.get(keys::slot_shard(number_), slot_key);
    slot_row next;
    if (stored) row_ = decode<slot_row>(*stored);
    next.epoch = row_.epoch + 1;
    next.owner = world_.options.node;
    next.ceiling = row_.ceiling;
    floor_ = transaction_id(row_.ceiling);
    highest_ = row_.ceiling;
    ports::batch change;
    change.shard = keys::slot_shard(number_);
    change.operation = world_.next_operation();
    if (stored) {
        require_equal(change, slot_key, *stored);
    } else {
        require_absent(change, slot_key);
    }
    put(change, slot_key, encode(next));
    const write_result result = co_await write_shard(world_, std::move(change), durability::sync());
    if (result == write_result::unavailable)
        throw error(errc::unavailable, "slot " + std::to_string(number_) + " could not be taken; try again");
    if (result != write_result::applied) throw_not_owner(number_);
    row_ = next;
}

std::optional<std::uint64_t> slot::try_mint(wall_time now, std::uint64_t last, unsigned shift) {
    // The end settles the ceiling at what was given until then.
    if (world_.stopping) return std::nullopt;
    const auto micros = static_cast<std::uint64_t>(now.time_since_epoch().count());
    // Slots count ids of 64 bits whose upper 54 are microseconds; other kinds of id keep another share of them.
    const std::uint64_t next = std::max(micros << shift, last + 1);
    const std::uint64_t as_slot_id = shift == 10 ? next : (next >> shift) << 10;
    if (as_slot_id >= row_.ceiling) return std::nullopt;
    highest_ = std::max(highest_, as_slot_id);
    const auto reserve = static_cast<std::uint64_t>(world_.options.ids_ahead.count()) * 1000 / 4;
    if (row_.ceiling - as_slot_id < reserve << 10 && !raising_ && !world_.stopping) {
        // Ahead of need, so that nobody waits for it. A failure shows when the ceiling is reached.
        raising_ = true;
        world_.tasks.run(raise_ahead(shared_from_this(), as_slot_id), "raising the id ceiling");
    }
    return next;
}

// In the background a slot that is lost meanwhile has nobody else to keep it.
weave::task<void> slot::raise_ahead(std::shared_ptr<slot> self, std::uint64_t last) {
    co_await self->raise_ceiling(last);
}

weave::task<void> slot::raise_ceiling(std::uint64_t last) {
    weave::mutex::guard held_gate = co_await gate_.lock();
    if (world_.stopping) {
        raising_ = false;
        throw error(errc::shutting_down, "the store is being closed");
    }
    const auto now = static_cast<std::uint64_t>(world_.clock.wall_now().time_since_epoch().count());
    const auto ahead = static_cast<std::uint64_t>(world_.options.ids_ahead.count()) * 1000;
    const std::uint64_t base = std::max(now, last >> 10);
    if (row_.ceiling >= (base + ahead / 2) << 10) {
        raising_ = false;
        co_return;
    }
    slot_row next = row_;
    next.ceiling = (base + ahead) << 10;
    bool stored = false;
    try {
        stored = co_await store(next);
    } catch (...) {
        raising_ = false;
        throw;
    }
    raising_ = false;
    if (!stored) throw_not_owner(number_);
}

weave::task<void> slot::settle_ceiling() {
    weave::mutex::guard held_gate = co_await gate_.lock();
    slot_row next = row_;
    next.ceiling = std::max(highest_ + 1, floor_.value());
    if (next.ceiling < row_.ceiling) co_await store(next);
}

weave::task<bool> slot::store(slot_row next) {
    ports::batch change;
    change.shard = keys::slot_shard(number_);
    change.operation = world_.next_operation();
    require_equal(change, slot_key, encode(row_));
    put(change, slot_key, encode(next));
    const write_result result = co_await write_shard(world_, std::move(change), durability::sync());
    if (result == write_result::unavailable)
        throw error(errc::unavailable, "the id ceiling could not be raised; try again");
    if (result != write_result::applied) {
        lose();
        co_return false;
    }
    row_ = next;
    co_return true;
}

weave::task<void> ownership::start() {
    if (world_.exclusive) {
        auto everything = std::make_shared<slot>(world_, slot_number{0});
        co_await everything->take();
        owned_.emplace(slot_number{0}, everything);
    } else {
        schedule_renewal();
    }
}

weave::task<void> ownership::stop() {
    if (renewal_) world_.clock.cancel(std::exchange(renewal_, 0));
    const auto owned = std::exchange(owned_, {});
    for (const auto& [number, one] : owned) {
        if (!one->held()) continue;
        try {
            co_await one->settle_ceiling();
            if (one->lease) co_await world_.options.coordinator->release(*one->lease);
        } catch (const error&) {
            // The ceiling then leaves a gap in the ids, and the lease runs out by itself.
        }
        one->lose();
    }
}

weave::task<std::shared_ptr<slot>> ownership::own(slot_number number) {
    if (world_.exclusive) number = 0;
    const auto found = owned_.find(number);
    if (found != owned_.end()) {
        if (found->second->held()) co_return found->second;
        if (world_.exclusive) throw error(errc::shutting_down, "the broker is stopping");
    }
    co_return co_await acquire(number);
}

weave::task<std::shared_ptr<slot>> ownership::acquire(slot_number number) {
    if (world_.stopping || world_.exclusive) throw error(errc::shutting_down, "the broker is stopping");
    std::shared_ptr<weave::mutex>& entry = taking_[number];
    if (!entry) entry = std::make_shared<weave::mutex>(world_.executor);
    const std::shared_ptr<weave::mutex> gate = entry;
    weave::mutex::guard held_gate = co_await gate->lock();
    const auto found = owned_.find(number);
    if (found != owned_.end() && found->second->held()) co_return found->second;
    owned_.erase(number);
    const std::string name = "slot/" + std::to_string(number);
    std::optional<ports::lease> lease =
        co_await world_.options.coordinator->acquire(name, world_.options.node, world_.options.lease_duration);
    if (!lease) throw_not_owner(number);
    auto taken = std::make_shared<slot>(world_, number);
    taken->lease = std::move(lease);
    co_await taken->take();
    owned_.insert_or_assign(number, taken);
    co_return taken;
}

void ownership::lost(const std::shared_ptr<slot>& owned) {
    owned->lose();
    const auto found = owned_.find(owned->number());
    if (found != owned_.end() && found->second == owned) owned_.erase(found);
}

void ownership::schedule_renewal() {
    renewal_ = world_.clock.call_at(world_.clock.now() + world_.options.lease_duration / 3, [this] {
        renewal_ = 0;
        if (!world_.stopping) world_.tasks.run(renew_all(), "renewing leases");
    });
}

weave::task<void> ownership::renew_all() {
    std::vector<std::shared_ptr<slot>> held;
    for (const auto& [number, one] : owned_) held.push_back(one);
    for (const std::shared_ptr<slot>& one : held) {
        if (world_.stopping) co_return;
        if (!one->lease) continue;
        std::optional<ports::lease> renewed;
        try {
            renewed = co_await world_.options.coordinator->renew(*one->lease, world_.options.lease_duration);
        } catch (const error&) {
            continue;  // the lease runs out by itself if this goes on
        }
        if (renewed) {
            one->lease = std::move(renewed);
        } else {
            lost(one);
        }
    }
    if (!world_.stopping) schedule_renewal();
}

}  // namespace tstreams::core
