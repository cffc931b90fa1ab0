// The data port: blobs, written once, unfenced, under names that no other writer can use. Only a fenced metadata
// commit that holds a blob's reference makes it visible.
#pragma once

#include <tstreams/types.hpp>
#include <weave/task.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tstreams::ports {

// Who writes a blob. The epoch keeps apart two owners that gave the same id to volatile transactions.
struct blob_name {
    std::uint64_t stream = 0;
    std::uint64_t transaction = 0;
    std::uint64_t epoch = 0;
    partition_number partition = 0;
    std::uint32_t chunk = 0;
};

// Where a blob is; the engine's own words in `place`. Stored in metadata rows.
struct blob_ref {
    std::string place;
    std::uint32_t length = 0;
    std::uint32_t crc32c = 0;
    friend bool operator==(const blob_ref&, const blob_ref&) = default;
};

struct blob_caps {
    std::size_t blob_bytes_preferred = std::size_t{1} << 20;
    std::size_t blob_bytes_max = std::size_t{64} << 20;
    bool commit_covers = false;  // a commit makes the blobs it names durable, no sync() needed
};

// Called, and resumes its callers, only on the executor it was constructed with.
// Errors: unavailable, no_space, read_only, storage_failed (each not_applied: an unreferenced blob is invisible);
// reads: corrupt, unavailable, storage_failed.
class blob_store {
public:
    virtual ~blob_store() = default;

    [[nodiscard]] virtual blob_caps caps() const noexcept = 0;

    // Stores `data`, which must stay valid until the task ends; not yet durable. `crc32c` is its checksum, made
    // by the caller and kept in the reference. Blobs that nobody refers to may disappear after `expires`.
    virtual weave::task<blob_ref> write(blob_name name, bytes_view data, std::uint32_t crc32c, wall_time expires) = 0;

    // Makes them durable at the level; does nothing where commit_covers.
    virtual weave::task<void> sync(std::vector<blob_ref> blobs, durability level) = 0;

    // The whole blob, its checksum verified; throws corrupt on a mismatch or where it is gone.
    virtual weave::task<std::string> read(blob_ref blob) = 0;

    // The blobs are not needed any more. Idempotent; space comes back in the background.
    virtual weave::task<void> drop(std::vector<blob_ref> blobs) = 0;
};

}  // namespace tstreams::ports
