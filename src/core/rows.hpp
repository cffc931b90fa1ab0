// What rows hold: one struct per kind of row, and its bytes. Every value begins with a version byte; decoding
// throws corrupt on bytes that do not fit and format_newer on a version that this build does not know.
#pragma once

#include "core/keys.hpp"
#include "core/service.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::core {

struct stream_row {
    stream_info info;
    tstreams::request_id request;  // that created it
};

// A deleted stream whose data is still to be removed.
struct deletion_row {
    std::uint32_t partitions = 0;
};

struct head_row {
    std::uint32_t first_segment = 0;  // the oldest that is still there
    std::uint32_t first_live = 0;     // the oldest in which something may be undecided
    std::uint32_t tail = 0;           // where transactions are opened
    transaction_id last_removed;      // the highest checkpointed one that retention removed
    transaction_id last_id;           // no id at or below is given again
    wall_time last_expiry;            // no later transaction expires before
};

struct transaction_row {
    enum class kind : std::uint8_t { checkpointed = 1, prepared = 2 };
    kind state = kind::checkpointed;
    tstreams::request_id request;  // that decided it, or of the group that prepared it
    std::uint32_t place = 0;       // its reserved place in the segment, counted from zero
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
    wall_time expires;
    std::string inline_items;
    std::vector<frame_ref> frames;
};

struct offset_row {
    std::uint64_t instance = 0;
    transaction_id position;
    wall_time updated_at;
    tstreams::request_id request;  // that stored the position
    // A group that is not decided yet: what the position becomes if it commits.
    struct intent {
        tstreams::request_id group;
        transaction_id position;
    };
    std::optional<intent> pending;
};

struct producer_row {
    std::uint64_t instance = 0;
    std::optional<std::string> source_position;
    tstreams::request_id request;
};

struct slot_row {
    std::uint64_t epoch = 0;
    std::string owner;
    std::uint64_t ceiling = 0;  // no id at or above was given
};

struct group_row {
    enum class kind : std::uint8_t { committed = 1, aborted = 2 };
    kind decision = kind::committed;
    std::vector<transaction_id> transactions;  // in the order of the request
};

// Part of a row with answers: what a request opened and checkpointed.
struct answer_note {
    tstreams::request_id request;
    transaction_id transaction;
};
inline constexpr std::size_t answer_note_bytes = 25;  // of each in the row

// The last time of day that was believed, and what the machine said of itself then.
struct clock_row {
    wall_time believed;
    bool synchronised = false;
    std::string boot;
    std::chrono::microseconds since_boot{0};
    std::optional<wall_time> held_since;  // retention holds since then, by a clock that is not believed
    friend bool operator==(const clock_row&, const clock_row&) = default;
};

[[nodiscard]] std::string encode(const stream_row& row);
[[nodiscard]] std::string encode(const deletion_row& row);
[[nodiscard]] std::string encode(const head_row& row);
[[nodiscard]] std::string encode(const transaction_row& row);
[[nodiscard]] std::string encode(const offset_row& row);
[[nodiscard]] std::string encode(const producer_row& row);
[[nodiscard]] std::string encode(const slot_row& row);
[[nodiscard]] std::string encode(const group_row& row);
[[nodiscard]] std::string encode(const answer_note& note);
[[nodiscard]] std::string encode(const clock_row& row);
[[nodiscard]] std::string encode_segment_number(std::uint32_t segment);

template <class Row>
[[nodiscard]] Row decode(std::string_view value);
template <>
stream_row decode<stream_row>(std::string_view value);
template <>
deletion_row decode<deletion_row>(std::string_view value);
template <>
head_row decode<head_row>(std::string_view value);
template <>
transaction_row decode<transaction_row>(std::string_view value);
template <>
offset_row decode<offset_row>(std::string_view value);
template <>
producer_row decode<producer_row>(std::string_view value);
template <>
slot_row decode<slot_row>(std::string_view value);
template <>
group_row decode<group_row>(std::string_view value);
template <>
clock_row decode<clock_row>(std::string_view value);
[[nodiscard]] std::vector<answer_note> decode_answers(std::string_view value);
[[nodiscard]] std::uint32_t decode_segment_number(std::string_view value);

[[nodiscard]] stored_transaction to_stored(transaction_id id, transaction_row row);

}  // namespace tstreams::core
