// The partitions in use: claimed and loaded when first touched, rolled as they grow, forgotten when idle.
#pragma once

#include "core/catalogue.hpp"
#include "core/environment.hpp"
#include "core/ownership.hpp"
#include "core/partition.hpp"
#include "core/shard_writer.hpp"

#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tstreams::core {

class partitions {
public:
    partitions(environment& world, catalogue& streams, ownership& owners)
        : world_(world), streams_(streams), owners_(owners) {}

    // The partition, claimed and loaded; its stream is alive and its slot owned at the moment of return. Throws
    // stream_deleted, partition_not_found, not_owner, unavailable.
    weave::task<std::shared_ptr<partition>> load(partition_key key);
    // The same where it is in use already; empty otherwise.
    [[nodiscard]] std::shared_ptr<partition> loaded(const partition_key& key);

    // Begins a new tail segment. Needs the gate. Throws as write errors do.
    weave::task<void> roll(std::shared_ptr<partition> part);
    [[nodiscard]] bool wants_roll(const partition& part, wall_time now) const;

    // Notes for retention that the tail holds something: as a batch for a commit, or written now.
    [[nodiscard]] ports::batch filing(const partition& part);
    weave::task<void> file_tail(std::shared_ptr<partition> part);

    // Writes to a shard of the partition; a fenced write gives up the slot and throws not_owner.
    weave::task<write_result> write(std::shared_ptr<partition> part, ports::batch change, durability level);

    // Throws not_owner where a newer owner has the partition: what this one does not know of may be there all the
    // same. Needs the gate; does nothing on an exclusive engine.
    weave::task<void> confirm(std::shared_ptr<partition> part);

    // Brings the row of a consumer or named producer into memory, if there is one.
    weave::task<void> load_consumer(std::shared_ptr<partition> part, std::string consumer);
    weave::task<void> load_producer(std::shared_ptr<partition> part, std::string producer);

    // Called when something of an undecided group was loaded: a former owner left it.
    std::function<void(const std::shared_ptr<partition>&)> on_leftover;
    // Called when a partition in use is given up.
    std::function<void(const std::shared_ptr<partition>&)> on_drop;
    // Forgets it: its undecided transactions are lost, its readers wake up and find out why.
    void drop(const std::shared_ptr<partition>& part);
    // Least recently used first, here and below.
    [[nodiscard]] std::vector<std::shared_ptr<partition>> of_stream(stream_id stream) const;
    [[nodiscard]] std::vector<std::shared_ptr<partition>> all() const;
    [[nodiscard]] std::size_t count() const noexcept { return table_.size(); }

    // Which segment has the ids right behind `position`.
    weave::task<std::uint32_t> segment_behind(std::shared_ptr<partition> part, transaction_id position);
    // When retention should look at a segment that is the tail now.
    [[nodiscard]] static std::chrono::seconds retention_slack(const stream_info& stream);

private:
    struct loading {
        explicit loading(weave::executor& home) : done(home) {}
        weave::event done;
    };

    weave::task<std::shared_ptr<partition>> claim(partition_key key);
    weave::task<void> begin_segment(std::shared_ptr<partition> part);
    weave::task<void> raise(std::shared_ptr<slot> owner, ports::bytes shard);
    weave::task<std::optional<ports::row>> last_row(std::shared_ptr<partition> part, std::uint32_t segment,
                                                    transaction_id limit);
    weave::task<void> load_tail(std::shared_ptr<partition> part);
    weave::task<void> load_prepared(std::shared_ptr<partition> part);
    struct held {
        std::shared_ptr<partition> part;
        std::list<partition_key>::iterator place;
    };
    void touch(const held& used);
    void evict();

    environment& world_;
    catalogue& streams_;
    ownership& owners_;
    std::unordered_map<partition_key, held, partition_key_hash> table_;
    std::list<partition_key> order_;  // least recently used first
    std::unordered_map<partition_key, std::shared_ptr<loading>, partition_key_hash> loading_;
};

}  // namespace tstreams::core
