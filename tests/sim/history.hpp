// What clients of a cluster saw, and the checker that says whether a correct store could have shown it to them.
//
// Payloads name transactions: each is written by one checkpoint only, whatever is asked again. Positions of one
// consumer only rise. Nothing expires: the streams of a simulation live long enough.
#pragma once

#include "core/keys.hpp"

#include <cstdint>
#include <map>
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
    std::uint64_t position = 0;  // rises
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

// What one reader got of one partition, in its order.
struct reading {
    partition_key where;
    transaction_id start;
    std::vector<delivery> got;
    std::vector<transaction_id> skipped;  // by an explicit wish to pass open transactions
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
    final_state end;
};

// Every way in which the history is wrong, as sentences; empty: none was found.
[[nodiscard]] std::vector<std::string> check(const history& seen);

}  // namespace tstreams::sim
