// Removing what has expired, and the data of deleted streams. Nothing here scans streams: a segment is noted in a
// work row when its first transaction is written, and deletions have rows of their own.
#pragma once

#include "core/catalogue.hpp"
#include "core/environment.hpp"
#include "core/partitions.hpp"
#include "core/retention_clock.hpp"
#include "core/transactions.hpp"

namespace tstreams::core {

class retention {
public:
    retention(environment& world, catalogue& streams, partitions& parts, transactions& open, retention_clock& time)
        : world_(world), streams_(streams), parts_(parts), open_(open), time_(time) {}

    // Exclusive engines: begins the rounds, and takes up deletions that were under way.
    void start();
    void stop();
    // One round over what is due now.
    weave::task<void> sweep();
    // Removes the data of a deleted stream; its name is gone already.
    weave::task<void> purge(stream_id stream, std::uint32_t partitions);

private:
    void schedule();
    weave::task<void> round();
    weave::task<void> purge_all();
    weave::task<bool> sweep_segment(keys::due due);
    weave::task<void> remove_segment(partition_key key, std::uint32_t segment);
    weave::task<bool> fully_expired(std::shared_ptr<partition> part, std::uint32_t segment, transaction_id& last);
    weave::task<void> forget_segment(std::shared_ptr<partition> part, std::uint32_t segment, transaction_id last);
    weave::task<void> finish(keys::due due, std::optional<std::uint64_t> again);

    environment& world_;
    catalogue& streams_;
    partitions& parts_;
    transactions& open_;
    retention_clock& time_;
    ports::clock::timer timer_ = 0;
};

}  // namespace tstreams::core
