// The second role: counts flights per airport of origin and window of six hours, each flight exactly once.
//
// A consumer, a producer of results and a producer of its own state are one checkpoint group. Each step reads
// some input transactions, writes the windows that they close to the results and the windows that are still
// open to the state stream, and commits these and the consumer's positions at once. A new run reads the last
// state of each partition and goes on behind the last counted transaction, so no input is read twice.
//
// Within a partition the flights come in time order. So one window is open per partition at a time, for all
// of its airports, and the first flight of a later window closes it.
#pragma once

#include "flights.hpp"

#include <tstreams/tstreams.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace flights {

class aggregator {
public:
    aggregator(tstreams::client& client, status& progress);

    // Until the ends of all partitions have been counted, or a stop is requested. After an exception the
    // aggregator is of no use: a new one goes on from what was committed.
    void run(const std::stop_token& stop);

private:
    struct sums {
        std::int64_t flights = 0;
        std::int64_t delay = 0;
        std::int64_t delay_max = 0;
        std::int64_t miles = 0;
    };
    // What is known of one partition: with `open` it is what one transaction of the state stream holds.
    struct lane {
        tstreams::transaction_id after;  // the last input transaction that is counted
        std::int64_t transactions = 0;
        std::int64_t flights = 0;
        std::int64_t windows = 0;
        std::uint32_t window = 0;  // its first minute
        bool ended = false;
        std::map<std::string, sums> open;  // by airport

        bool touched = false;  // since the last commit
        tstreams::transaction results;
    };

    void load(tstreams::client& client, tstreams::partition_number partition);
    void take(const tstreams::received_transaction& received);
    void count(tstreams::partition_number partition, const flight& one);
    void close_window(tstreams::partition_number partition);
    void put_result(tstreams::partition_number partition, const std::string& line);
    void commit();
    [[nodiscard]] tstreams::transaction write_state(tstreams::partition_number partition);

    status& progress_;
    tstreams::consumer input_;
    tstreams::producer results_;
    tstreams::producer state_;
    tstreams::checkpoint_group group_;
    std::array<lane, partitions> lanes_;
};

}  // namespace flights
