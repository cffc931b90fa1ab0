// The first role: brings the flights of the file into the input stream, each exactly once.
//
// It is a named producer, and every checkpoint carries the source position: per partition, how many of the
// partition's flights have been sent. A new run goes on there. Many transactions are open at once, several in
// each partition; partitions are checkpointed independently of each other and in any order, which is why the
// position is one number per partition. Within a partition transactions are opened and checkpointed in the
// order of the file, so that readers get its flights in time order. A transaction that is cancelled takes
// those that were opened behind it in its partition with it, and their flights are sent again.
#pragma once

#include "flights.hpp"

#include <tstreams/tstreams.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

namespace flights {

class feeder {
public:
    feeder(tstreams::client& client, const std::vector<flight>& source, std::uint64_t seed, status& progress);

    // Until everything is sent, or a stop is requested. After an exception the feeder is of no use: a new one
    // goes on from what was committed.
    void run(const std::stop_token& stop);

private:
    // A transaction in the making: the flights of its lane from `begin` to `end`, of which `next` comes next.
    struct piece {
        tstreams::transaction txn;
        std::size_t begin;
        std::size_t end;
        std::size_t next;
    };
    // One partition. The place behind its last flight stands for the end mark.
    struct lane {
        std::vector<std::uint32_t> flights;  // places in the source
        std::size_t sent = 0;                // checkpointed
        std::size_t opened = 0;              // checkpointed, or in an open piece
        std::deque<piece> open;
        [[nodiscard]] std::size_t size() const noexcept { return flights.size() + 1; }
    };

    [[nodiscard]] std::size_t random(std::size_t from, std::size_t to);  // both included
    [[nodiscard]] std::string position_with(const lane& changed, std::size_t sent) const;
    void load_position();
    void step(lane& chosen, tstreams::partition_number partition);
    void open(lane& chosen, tstreams::partition_number partition);
    void fill(lane& chosen, piece& chosen_piece);
    void checkpoint_first(lane& chosen);
    void cancel_from(lane& chosen, std::size_t place);

    const std::vector<flight>& source_;
    std::mt19937_64 random_;
    status& progress_;
    tstreams::producer producer_;
    std::array<lane, partitions> lanes_;
};

}  // namespace flights
