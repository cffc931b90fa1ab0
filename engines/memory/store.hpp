// What one storage service holds in memory: rows, blobs, leases and members. The ports of memory/engine.hpp
// are connections to it. Everything here happens at once and for certain; delays and faults are the
// connections'.
//
// A store, its connections and their executors are used by one thread at a time.
#pragma once

#include "engines/memory/faults.hpp"

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/coordinator.hpp>
#include <tstreams/ports/key_value.hpp>
#include <weave/seeded_hash.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace tstreams::memory {

struct store_options {
    // True: one connection, no fences and operation ids, batches over several shards, blobs durable by
    // commit. False: as a shared service, with all that a caller has to reckon with there.
    bool exclusive = true;
    fault_plan faults{};
    std::function<void(std::string_view)> trace{};  // hears of each change; for simulation::trace
};

class store {
public:
    // Expiry and leases go by `clock`, the store's own, which must outlive the store.
    explicit store(ports::clock& clock, store_options options = {});
    store(const store&) = delete;
    store& operator=(const store&) = delete;
    ~store();

    [[nodiscard]] bool exclusive() const noexcept { return exclusive_; }
    [[nodiscard]] fault_plan& faults() noexcept { return faults_; }
    [[nodiscard]] ports::clock& clock() noexcept { return clock_; }
    // From then on every write throws storage_failed.
    void fail_for_good() noexcept { failed_ = true; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    // An exclusive store fails during a commit: that one is applied, or not, or shows only when the store is reopened
    // which it was. So do those that arrive afterwards and were on their way already.
    void fail_during(std::vector<ports::batch> changes, commit_fault how);
    void arrive_late(std::vector<ports::batch> changes);
    // As its next process opens it: of the commits that were under way when it failed a prefix is there.
    void reopen();
    // When a write that sets out now arrives, if it takes this long: an exclusive store takes them in their order.
    [[nodiscard]] std::chrono::microseconds in_order(std::chrono::microseconds there);

    // Rows.
    [[nodiscard]] std::optional<ports::bytes> get(const ports::bytes& shard, const ports::bytes& key) const;
    [[nodiscard]] std::vector<ports::row> scan(const ports::scan_range& range) const;
    // Decides before or after this batch what became of those on the shard that were unknown.
    ports::commit_result commit(ports::batch change);
    // The same for a batch whose answer is lost.
    void commit_unheard(ports::batch change);
    // Applies the batch after the time, unless the shard's next settle or commit decides otherwise.
    void commit_later(ports::batch change, std::chrono::microseconds time);
    ports::commit_result commit_all(std::vector<ports::batch> changes);
    ports::commit_result settle(const ports::bytes& shard, ports::operation_id operation);

    // See key_value::hold_expiry.
    void hold_expiry(std::optional<wall_time> at) noexcept { expiry_held_ = at; }

    // Blobs.
    ports::blob_ref write_blob(const ports::blob_name& name, bytes_view data, std::uint32_t crc32c);
    void sync_blobs(const std::vector<ports::blob_ref>& blobs);
    [[nodiscard]] std::string read_blob(const ports::blob_ref& blob) const;
    void drop_blobs(const std::vector<ports::blob_ref>& blobs);

    // Leases and members, by the store's steady clock.
    [[nodiscard]] std::optional<std::uint64_t> acquire(const std::string& name, const std::string& holder,
                                                       std::chrono::milliseconds duration);
    [[nodiscard]] bool renew(const ports::lease& held, std::chrono::milliseconds duration);
    void release(const ports::lease& held);
    void join(const ports::member& self, std::chrono::milliseconds duration);
    void leave(const std::string& node);
    [[nodiscard]] std::vector<ports::member> members();
    // Every listener hears every publication, at once.
    using listener = std::function<void(const std::string& topic, const std::string& message)>;
    std::uint64_t listen(listener heard);
    void stop_listening(std::uint64_t which) { listeners_.erase(which); }
    void publish(const std::string& topic, const std::string& message);

    // For tests and figures.
    // A power cut of a shared store: blobs that were not synced are gone.
    void lose_unsynced_blobs();
    // Everybody loses the lease; the holder finds out at the next renewal.
    void lose_lease(const std::string& name) { leases_.erase(name); }
    // Blobs named by a commit to a shared store that had not been synced: each one is a mistake of the
    // caller.
    [[nodiscard]] std::uint64_t unsynced_covers() const noexcept { return unsynced_covers_; }
    [[nodiscard]] std::size_t live_blobs() const noexcept { return blobs_.size(); }
    [[nodiscard]] std::uint64_t live_blob_bytes() const noexcept { return live_blob_bytes_; }
    [[nodiscard]] std::size_t live_shards() const noexcept { return shards_.size(); }
    // Includes expired rows that have not been removed yet.
    [[nodiscard]] std::size_t stored_rows() const noexcept { return stored_rows_; }

private:
    struct stored_row {
        ports::bytes value;
        std::optional<wall_time> expires;
    };
    using row_map = std::map<ports::bytes, stored_row>;
    struct undecided {
        ports::batch change;
        ports::clock::timer timer = 0;
    };
    struct shard_state {
        row_map rows;
        std::optional<std::uint64_t> fence;  // shared only, as what follows
        std::optional<ports::operation_id> last_applied;
        std::vector<undecided> waiting;  // unknown to their callers; at most 64
        [[nodiscard]] bool empty() const noexcept { return rows.empty() && !fence && !last_applied && waiting.empty(); }
    };
    using shard_map = std::unordered_map<ports::bytes, shard_state, weave::seeded_hash>;
    struct stored_blob {
        std::string data;
        ports::bytes name;  // shared only
        bool synced = false;
    };
    struct held_lease {
        std::string holder;
        std::uint64_t token = 0;
        ports::steady_time until;
    };
    struct joined_member {
        std::string information;
        ports::steady_time until;
    };

    [[nodiscard]] bool alive(const stored_row& row) const;
    [[nodiscard]] bool holds(const shard_state* shard, const ports::condition& wanted) const;
    [[nodiscard]] ports::commit_status check(const shard_state* shard, const ports::batch& change) const;
    row_map::iterator erase_row(shard_state& shard, row_map::iterator row);
    std::optional<std::uint64_t> apply(ports::batch change);
    ports::commit_result commit_one(ports::batch change);
    std::vector<ports::batch> take_undecided(const ports::bytes& shard);
    void note_covers(const ports::batch& change);
    void keep(ports::note one);
    void note(std::string_view what, const ports::bytes& shard, std::uint64_t number) const;
    void sweep();

    ports::clock& clock_;
    bool exclusive_;
    bool failed_ = false;
    bool later_ones_lost_ = false;                     // of those that were on their way when it failed
    std::vector<std::vector<ports::batch>> in_doubt_;  // of them, those that may show at the reopening; at most 64
    ports::steady_time last_arrival_{};
    fault_plan faults_;
    std::function<void(std::string_view)> trace_;

    shard_map shards_;
    std::size_t stored_rows_ = 0;
    std::uint64_t notes_ = 0;  // so far
    std::optional<wall_time> expiry_held_;
    std::size_t mortal_rows_ = 0;  // of them, those that expire
    std::uint64_t commits_ = 0;
    std::optional<ports::bytes> sweep_shard_;  // where the removal of expired rows goes on
    ports::bytes sweep_key_;

    std::map<std::uint64_t, stored_blob> blobs_;
    std::unordered_set<ports::bytes> blob_names_;  // shared only: each name is written once
    std::uint64_t last_blob_ = 0;
    std::uint64_t live_blob_bytes_ = 0;
    std::uint64_t unsynced_covers_ = 0;

    std::map<std::string, held_lease> leases_;
    std::map<std::string, joined_member> members_;
    std::uint64_t last_token_ = 0;
    std::uint64_t last_listener_ = 0;
    std::map<std::uint64_t, listener> listeners_;
};

}  // namespace tstreams::memory
