// One fenced batch on one shard, its outcome made certain.
#pragma once

#include "core/environment.hpp"

#include <tstreams/ports/key_value.hpp>

namespace tstreams::core {

enum class write_result : std::uint8_t {
    applied,
    refused,      // a condition failed
    fenced,       // a newer owner has the shard
    unavailable,  // surely not applied; without a fence another broker's batch may have hidden that it was
};

// Commits `change` and settles an unknown outcome, asking again for a while. Throws outcome_unknown when even
// that cannot be had: the caller must give up the shard. The caller keeps one batch in flight per shard.
[[nodiscard]] weave::task<write_result> write_shard(environment& world, ports::batch change, durability level);

// A batch on `shard` for the owner of `epoch`.
[[nodiscard]] ports::batch make_batch(environment& world, ports::bytes shard, std::uint64_t epoch);
void put(ports::batch& change, ports::bytes key, std::string value, std::optional<wall_time> expires = std::nullopt);
void erase(ports::batch& change, ports::bytes key);
void require_absent(ports::batch& change, ports::bytes key);
void require_equal(ports::batch& change, ports::bytes key, std::string value);

}  // namespace tstreams::core
