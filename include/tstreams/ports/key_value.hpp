// The metadata port: ordered rows in shards, changed by fenced, conditional, atomic batches.
//
// A *shard* is the unit of atomicity and of fencing. A *fence* is a number kept per shard: a batch with
// fence::equal applies only while it is the stored one; fence::raise applies when it is not below the stored one
// and stores it (a shard without a fence is below everything). So an owner that has been replaced cannot write.
//
// An engine is constructed with an executor, resumes its callers only there, and is called only there. Keys and
// values are bytes; keys order bytewise. Engines share one sync among concurrent commits.
#pragma once

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/types.hpp>
#include <weave/task.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::ports {

using bytes = std::string;

// Names one batch, so that its fate can be asked for after `unknown`. Never reused.
struct operation_id {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend auto operator<=>(const operation_id&, const operation_id&) = default;
};

struct fence {
    enum class mode : std::uint8_t { none, equal, raise };
    mode check = mode::none;
    std::uint64_t epoch = 0;
};

struct condition {
    enum class test : std::uint8_t { absent, exists, equals };
    bytes key;
    test wanted = test::absent;
    bytes value;  // only with test::equals
};

struct mutation {
    bytes key;
    std::optional<bytes> value;        // empty: delete
    std::optional<wall_time> expires;  // the row reads as absent from then on; never earlier
};

// A note is part of a row that an exclusive engine makes of what commits that it writes together have for one page.
// The row's key is the page and more bytes, different in each row; its value is the notes, one behind another in the
// order of their commits; it expires with the last of them. It is there exactly if the commits are.
struct note {
    bytes shard;
    bytes page;
    bytes text;
    wall_time expires;
};

struct batch {
    bytes shard;
    ports::fence fence;
    std::vector<condition> conditions;
    std::vector<mutation> mutations;
    operation_id operation;
    // Blobs that this batch makes visible. With blob_caps::commit_covers they become durable with the commit;
    // otherwise the caller has synced them before.
    std::vector<blob_ref> covers;
    // Only for engines with caps().exclusive, which keep it cheaper than a row of its own.
    std::optional<ports::note> note;
};

enum class commit_status : std::uint8_t {
    applied,           // durable as the level says
    condition_failed,  // nothing changed
    fenced,            // nothing changed; commit_result::fence is the stored fence
    unavailable,       // nothing changed and nothing will
    // May have been applied, or may be later, until settle or a later batch on the shard returns with a decision:
    // applied, condition_failed or fenced. One that says unavailable or unknown itself decides nothing.
    unknown,
};

struct commit_result {
    commit_status status = commit_status::applied;
    std::uint64_t fence = 0;  // the shard's fence after the call; zero where unknown or where there is none
};

struct row {
    bytes key;
    bytes value;
};

struct scan_range {
    bytes shard;
    bytes from;                 // inclusive
    bytes to;                   // exclusive; empty: to the end of the shard
    std::uint32_t limit = 1;    // rows at most, 1 to 65,536
    bool reverse = false;       // from the highest key below `to` downwards
    std::size_t bytes_max = 0;  // stop after the row that reaches this many value bytes; zero: no limit
};

struct key_value_caps {
    bool exclusive = false;            // only this process can write: fences and operation ids are not stored
    bool atomic_shards = false;        // commit_all works
    std::uint32_t shard_rows_max = 0;  // zero: no limit
    std::size_t value_bytes_max = 0;   // zero: no limit
};

// Reads are linearizable with the commits of all writers. Errors of reads and of scans: unavailable, corrupt,
// storage_failed. Commits report by value, but throw storage_failed (outcome unknown for a commit that was under
// way, not_applied afterwards) once the engine has failed for good, no_space or read_only (not_applied).
//
// An exclusive engine lets commits take effect in the order in which they began, commit and commit_all alike, on
// whatever shard: the conditions of one see what those before it change, answered or not, and nothing comes between its
// check and its change. Where it fails for good, a prefix of that order was applied. So a commit checks its conditions
// and hands its change over without being suspended in between, or stands in a queue. The broker relies on it: it
// builds a change on an earlier one as soon as that is handed over.
class key_value {
public:
    virtual ~key_value() = default;

    [[nodiscard]] virtual key_value_caps caps() const noexcept = 0;

    virtual weave::task<std::optional<bytes>> get(bytes shard, bytes key) = 0;
    virtual weave::task<std::vector<row>> scan(scan_range range) = 0;

    // One atomic batch on one shard.
    virtual weave::task<commit_result> commit(batch change, durability level) = 0;

    // One atomic batch over several shards; only with caps().atomic_shards, else throws unsupported.
    virtual weave::task<commit_result> commit_all(std::vector<batch> changes, durability level) = 0;

    // After `unknown`: whether `operation` was applied to the shard. The answer (applied or condition_failed) is
    // final: an operation reported as not applied never applies later. Answers only for the last operation on
    // the shard; its owner keeps at most one batch in flight there. May itself say unavailable, which decides
    // nothing. An exclusive engine never answers unknown; settle throws unsupported there.
    virtual weave::task<commit_result> settle(bytes shard, operation_id operation) = 0;

    // For exclusive engines, which go by a clock that nobody else checks. From now on rows that expire later than `at`
    // do not expire, whatever that clock says; empty: they go by it alone. An engine whose rows outlive the process
    // removes none that has expired before it was told for the first time. Others have nothing to do.
    virtual void hold_expiry(std::optional<wall_time> at) { static_cast<void>(at); }
};

}  // namespace tstreams::ports
