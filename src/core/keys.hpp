// Where rows are kept: the keys of shards and of rows in them, the same for every engine.
//
//   shard                         rows
//   l n16        catalogue        n name -> stream_row          d stream8 -> deletion_row
//   i stream8    stream by id     n -> name
//   h stream8 partition4  head    m -> head_row                 s id8 -> segment number (u32): ids from here on
//                                 c consumer -> offset_row      p producer -> producer_row (partition 0 only)
//   t stream8 partition4 segment4 t id8 -> transaction_row
//   w slot16     work             x second8 stream8 partition4 segment4 -> (empty): look at this segment then
//                                 c -> clock_row (slot 0 only)
//   e slot16     ownership        e -> slot_row
//   g request16  group            g -> group_row
//
// Integers are big-endian, so bytewise order is numeric order.
#pragma once

#include "core/service.hpp"

#include <tstreams/ports/key_value.hpp>
#include <weave/seeded_hash.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace tstreams::core {

struct partition_key {
    stream_id stream = 0;
    partition_number partition = 0;
    friend auto operator<=>(const partition_key&, const partition_key&) = default;
};

struct partition_key_hash {
    std::size_t operator()(const partition_key& key) const noexcept {
        return weave::seeded_hash()(key.stream, key.partition);
    }
};

inline constexpr std::uint32_t slot_count = 4096;
using slot_number = std::uint16_t;

// FNV-1a over the bytes, then mixed: part of the data format of shared engines, never to be changed.
[[nodiscard]] std::uint64_t stable_hash(std::string_view bytes) noexcept;
[[nodiscard]] slot_number slot_of(const partition_key& key) noexcept;

namespace keys {

[[nodiscard]] ports::bytes catalogue_shard(std::uint16_t number);
[[nodiscard]] ports::bytes stream_shard(stream_id stream);
[[nodiscard]] ports::bytes head_shard(const partition_key& key);
[[nodiscard]] ports::bytes segment_shard(const partition_key& key, std::uint32_t segment);
[[nodiscard]] ports::bytes work_shard(slot_number slot);
[[nodiscard]] ports::bytes slot_shard(slot_number slot);
[[nodiscard]] ports::bytes answers_shard(session_id session);
[[nodiscard]] ports::bytes group_shard(const request_id& request);

[[nodiscard]] ports::bytes stream_name_row(std::string_view name);
[[nodiscard]] ports::bytes deletion_row(stream_id stream);
[[nodiscard]] ports::bytes transaction_row(transaction_id id);
[[nodiscard]] ports::bytes segment_row(transaction_id first);
[[nodiscard]] ports::bytes offset_row(std::string_view consumer);
[[nodiscard]] ports::bytes producer_row(std::string_view producer);
// What the keys of the rows begin with that hold the answers to this call and its neighbours; with each there is at
// least one answer.
inline constexpr std::uint32_t answers_page_calls = 256;
[[nodiscard]] ports::bytes answers_page(std::uint64_t sequence);
[[nodiscard]] ports::bytes clock_row();
[[nodiscard]] ports::bytes due_row(std::uint64_t second, const partition_key& key, std::uint32_t segment);

// The id of a row made by transaction_row or segment_row.
[[nodiscard]] transaction_id id_of(std::string_view row_key);

struct due {
    std::uint64_t second = 0;
    partition_key partition;
    std::uint32_t segment = 0;
};
[[nodiscard]] due parse_due(std::string_view row_key);

// The first key behind all keys that begin with `prefix`; empty: there is none.
[[nodiscard]] ports::bytes behind_prefix(std::string_view prefix);

}  // namespace keys
}  // namespace tstreams::core
