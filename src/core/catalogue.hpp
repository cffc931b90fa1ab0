// The streams: their rows, and a bounded cache of those in use.
#pragma once

#include "core/environment.hpp"
#include "core/ownership.hpp"
#include "core/partition.hpp"

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace tstreams::core {

// Throws invalid_name, saying what `what` ("stream", "consumer") may be called.
void check_name(std::string_view name, std::string_view what);

class catalogue {
public:
    catalogue(environment& world, ownership& owners) : world_(world), owners_(owners) {}

    weave::task<stream_info> create(create_request request);
    weave::task<std::optional<stream_info>> find(std::string name);
    weave::task<stream_page> list(std::string prefix, std::string after, std::uint32_t limit);
    weave::task<stream_info> update(std::string name, stream_changes changes);
    // Removes the name; the data is still there and noted for removal. Throws stream_not_found.
    weave::task<stream_info> remove(std::string name);
    // Deletions whose data is still to be removed.
    weave::task<std::vector<std::pair<stream_id, std::uint32_t>>> deletions();
    weave::task<void> forget_deletion(stream_id stream);

    // The cached entry of a live stream. Throws stream_deleted for an id that is not there (any more).
    weave::task<std::shared_ptr<stream_entry>> get(stream_id stream);
    [[nodiscard]] std::shared_ptr<stream_entry> cached(stream_id stream);

private:
    weave::task<std::optional<stream_row>> read_row(std::string name);
    weave::task<stream_id> new_id(std::string name);
    weave::task<void> commit(ports::batch change, std::string name);
    weave::task<std::vector<stream_info>> list_shard(std::uint16_t number, std::string prefix, std::string from,
                                                     std::uint32_t limit);
    std::shared_ptr<stream_entry> remember(stream_info info);
    void make_room();
    [[nodiscard]] std::uint16_t shards() const noexcept { return world_.exclusive ? 1 : 256; }
    [[nodiscard]] ports::bytes shard_of(std::string_view name) const;

    environment& world_;
    ownership& owners_;
    std::uint64_t last_id_ = 0;
    std::uint64_t removed_ = 0;  // how many streams, since the start: what was read before one may be of the past
    std::unordered_map<stream_id, std::shared_ptr<stream_entry>> entries_;
    std::list<stream_id> order_;  // of entries_, oldest first
};

}  // namespace tstreams::core
