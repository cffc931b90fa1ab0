// What clients of a cluster saw, and the checker that says whether a correct store could have shown it to them.
//
// Payloads name transactions: each is written by one checkpoint only, whatever is asked again. Positions of a name only
// rise, but for names that are said to be free. Streams are lasting, or brief: what a brief one held may have expired
// unseen, or gone with it.
#pragma once

#include "core/keys.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::sim {

using core::partition_key;

// Virtual time with a count behind it: of two moments one is always first.
using moment = std::uint64_t;

struct opened {
    partition_key where;
    transaction_id id;
    moment asked = 0;
    moment answered = 0;
};

struct member {
    partition_key where;
    transaction_id id;  // zero: opened by the checkpoint itself, and the answer was lost
    std::string payload;
    // The input transactions from which this one was made: each input is copied once, or the loop is not
    // exactly-once.
    std::vector<std::pair<partition_key, transaction_id>> copies;
    // The same, of a source outside.
    std::vector<std::uint64_t> ingested{};
};

struct offset_move {
    partition_key where;
    std::string consumer;
    std::uint64_t instance = 0;
    transaction_id position;
};

struct source_move {
    core::stream_id stream = 0;
    std::string producer;
    std::uint64_t instance = 0;
    std::uint64_t position = 0;  // rises; zero: the instance has transactions in the checkpoint, and no more
};

// One request id, however often it was asked.
struct checkpoint {
    std::vector<member> transactions;
    std::vector<offset_move> offsets;
    std::vector<source_move> sources;
    moment asked = 0;
    moment answered = 0;   // the first final answer
    bool done = false;     // some answer said so
    bool refused = false;  // some answer said that it did not happen and never will
    // Neither: unknown to its client.
};

struct cancellation {
    partition_key where;
    transaction_id id;
};

// What a broker said of a transaction for good.
struct finding {
    partition_key where;
    transaction_id id;
    bool checkpointed = false;  // else: not, and never
};

// A consumer instance, or one of a named producer (then `where` is partition 0 and `position` the source's).
struct attachment {
    partition_key where;
    std::string name;
    std::uint64_t instance = 0;
    std::uint64_t position = 0;
    moment asked = 0;
    moment answered = 0;
};

struct delivery {
    transaction_id id;
    std::string payload;
};

// A reader was told that what is behind `from` has expired, and went on behind `to`.
struct expiry_jump {
    transaction_id from;
    transaction_id to;
    wall_time latest;  // the latest time of day that the store could have gone by
};

// What one reader got of one partition, in its order.
struct reading {
    partition_key where;
    transaction_id start;
    std::vector<delivery> got;
    std::vector<transaction_id> skipped;  // by an explicit wish to pass open transactions
    std::vector<expiry_jump> jumps{};
    moment asked = 0;       // of the last read that gave something
    bool complete = false;  // it read to the end when all was over
};

// One stream of the name, from its making to its end.
struct stream_life {
    std::chrono::seconds ttl{0};
    bool brief = false;
    bool doomed = false;  // somebody asked for its deletion
    bool ended = false;   // it was seen to be gone
    moment deleted = 0;   // when a deletion of it was acknowledged; zero: none was
};

// An administrator moved a consumer, or deleted its offset (then `position` is zero, where it begins again).
struct intervention {
    partition_key where;
    std::string consumer;
    transaction_id position;
    moment asked = 0;
    moment answered = 0;  // zero: unknown
};

struct offset_reading {
    partition_key where;
    std::string consumer;
    transaction_id position;
    moment asked = 0;
    moment answered = 0;
};

// What a fresh broker reads when all is over.
struct final_state {
    std::map<partition_key, std::vector<delivery>> readable;
    std::map<std::pair<partition_key, std::string>, transaction_id> offsets;
    std::map<std::pair<core::stream_id, std::string>, std::uint64_t> sources;
};

struct history {
    std::vector<opened> opens;
    std::vector<checkpoint> checkpoints;
    std::vector<cancellation> cancellations;
    std::vector<finding> findings;
    std::vector<attachment> consumers;
    std::vector<attachment> producers;
    std::vector<reading> readings;
    // The consumer whose inputs are copied, and what it reads.
    std::string copier;
    std::vector<partition_key> inputs;
    std::string feeder;  // the producer that ingests from a source outside, into the stream of the inputs
    std::set<std::string, std::less<>> free_names;  // consumers and producers whose positions may go back
    std::map<core::stream_id, stream_life> streams;
    std::vector<intervention> interventions;
    std::vector<offset_reading> offset_readings;
    std::vector<std::string> oddities;  // what was wrong at once
    final_state end;
};

// Every way in which the history is wrong, as sentences; empty: none was found.
[[nodiscard]] std::vector<std::string> check(const history& seen);

}  // namespace tstreams::sim
