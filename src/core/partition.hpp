// What a broker knows of a partition while it is in use: the layout of its segments, the open transactions and
// where readers must stop. Rebuilt from the head and the tail when first touched; forgotten when idle.
#pragma once

#include "core/environment.hpp"
#include "core/keys.hpp"
#include "core/ownership.hpp"
#include "core/rows.hpp"

#include <weave/frame_pool.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::core {

// A stream as the broker caches it.
struct stream_entry {
    stream_info info;
    bool deleted = false;
};

// An undecided transaction. Volatile: a broker that ends forgets it, and nothing of it can appear later.
struct open_transaction {
    enum class phase : std::uint8_t {
        open,
        deciding,  // its commit is under way: it does not expire any more
        prepared,  // part of a group that several owners decide
        over,      // decided; only writers that were under way still hold it
    };

    transaction_ref ref;
    std::uint32_t segment = 0;
    std::uint32_t place = 0;
    session_id session = 0;
    std::shared_ptr<const std::string> client;
    std::string producer;
    std::uint64_t producer_instance = 0;
    ports::steady_time opened_at{};
    ports::steady_time deadline{};  // keepalive cannot move it
    wall_time expires;              // the deadline, by the wall clock
    wall_time retained_until;
    std::uint64_t items = 0;  // these two are known once it is to be checkpointed
    std::uint64_t bytes = 0;
    phase state = phase::open;
    request_id decider;          // of the commit under way, or of the group
    std::string prepared_value;  // the row as stored, while prepared
    bool abandoned = false;      // once its group is given up nobody will decide it any more
    bool writing = false;
    std::uint32_t frames = 0;                      // written by the client
    std::uint64_t frame_bytes = 0;                 // of those
    std::uint32_t chunks = 0;                      // blobs written, index frames included
    std::array<std::vector<frame_ref>, 6> levels;  // references not yet gathered into an index frame
    // Every blob, gathered for a commit and up to `gathered` chunks: only where there are index frames, which hold
    // the references meanwhile.
    std::vector<ports::blob_ref> covers;
    std::uint32_t gathered = 0;

    [[nodiscard]] bool has_index_frames() const noexcept { return chunks != frames; }
};

using undecided_map =
    std::map<transaction_id, std::shared_ptr<open_transaction>, std::less<>,
             weave::recycling_allocator<std::pair<const transaction_id, std::shared_ptr<open_transaction>>>>;

// A row with an instance, as the broker has it. A change counts from the moment when it is handed to the engine, and
// later ones are built on it; one that fails is taken out again, whatever came after it.
template <class Row>
struct named_row {
    struct change {
        request_id by;
        Row before;
        bool overtaken = false;  // a later one is stored: whether this one was does not matter to the row any more
    };

    Row row;
    std::uint64_t newest = 0;       // the instance that is being attached, if any: older ones are fenced already
    std::vector<change> under_way;  // in the order of their handing over

    [[nodiscard]] bool is_newest(std::uint64_t instance) const noexcept {
        return instance == std::max(row.instance, newest);
    }
    // Neither is true of an older one while a newer one is being attached: that may fail, and then the older one goes
    // on.
    [[nodiscard]] bool is_fenced(std::uint64_t instance) const noexcept {
        return newest == 0 && instance != row.instance;
    }
    void hand_over(const request_id& by, Row next) {
        under_way.push_back({by, std::exchange(row, std::move(next)), false});
    }
    // It is stored, or nobody knows and the engine has failed. The answers to earlier ones may come later.
    void settle(const request_id& by) {
        for (auto one = under_way.begin(); one != under_way.end(); ++one) {
            if (one->by != by) continue;
            for (auto earlier = under_way.begin(); earlier != one; ++earlier) earlier->overtaken = true;
            under_way.erase(one);
            return;
        }
    }
    // It is surely not stored.
    void take_back(const request_id& by) {
        for (auto one = under_way.begin(); one != under_way.end(); ++one) {
            if (one->by != by) continue;
            const auto next = std::next(one);
            if (!one->overtaken) (next == under_way.end() ? row : next->before) = std::move(one->before);
            under_way.erase(one);
            return;
        }
    }
};

struct consumer_entry : named_row<offset_row> {
    session_id session = 0;  // of the instance that reads now; zero: none
};
using producer_entry = named_row<producer_row>;

// A reader that waits for something to become readable.
struct read_waiter {
    explicit read_waiter(weave::executor& home) : ready(home) {}
    weave::event ready;
};

class partition {
public:
    partition(environment& world, partition_key which, std::shared_ptr<stream_entry> of_stream,
              std::shared_ptr<slot> owned_by)
        : key(which), stream(std::move(of_stream)), owner(std::move(owned_by)), gate(world.executor), world_(world) {}

    const partition_key key;
    const std::shared_ptr<stream_entry> stream;
    const std::shared_ptr<slot> owner;
    weave::mutex gate;     // held across engine calls that change the layout, and by every write of a shared engine
    bool dropped = false;  // no longer owned, or deleted: forget it

    head_row head;
    std::uint32_t tail_places = 0;  // reserved in the tail segment
    wall_time tail_since;           // when the first of them was reserved
    bool tail_filed = false;        // retention knows of the tail segment
    bool rolling = false;           // no place is reserved until the new tail stands
    transaction_id last_id;
    wall_time last_expiry;
    transaction_id expired_through;  // nothing at or below is alive

    undecided_map undecided;
    std::map<std::string, consumer_entry, std::less<>> consumers;  // as far as they have been touched
    std::map<std::string, producer_entry, std::less<>> producers;  // only in partition 0
    std::uint64_t offsets_deleted = 0;                             // how many, since it was loaded

    // The highest checkpointed id before which nothing is undecided.
    [[nodiscard]] transaction_id visible_end() const noexcept { return visible_end_; }
    [[nodiscard]] transaction_id last_checkpointed() const noexcept {
        return held_.empty() ? visible_end_ : *held_.rbegin();
    }
    [[nodiscard]] bool readable_behind(transaction_id position, bool skip_open) const noexcept;
    [[nodiscard]] bool answers(const wait_position& wanted) const noexcept;
    // Readers without skip_open stop before this id.
    [[nodiscard]] transaction_id first_undecided() const noexcept;
    [[nodiscard]] std::optional<blocker> blocked_by() const;
    [[nodiscard]] std::uint32_t first_live_segment() const noexcept;
    [[nodiscard]] bool idle() const noexcept;

    // Called once at loading, with the last checkpointed id before any undecided one is added.
    void set_visible_end(transaction_id id) noexcept { visible_end_ = id; }
    // Loading: a checkpointed one, which may stand behind an undecided one.
    void add_checkpointed(transaction_id id);
    void add_undecided(std::shared_ptr<open_transaction> transaction);
    // Takes it out of the undecided ones; wakes readers where something became readable.
    void decide(open_transaction& transaction, bool checkpointed);

    void add_waiter(read_waiter* waiter, const wait_position& wanted) { waiting_.push_back({waiter, wanted}); }
    void remove_waiter(read_waiter* waiter) noexcept;
    void wake_all();

private:
    struct waiting {
        read_waiter* waiter;
        wait_position wanted;
    };
    void wake_readable();

    environment& world_;
    transaction_id visible_end_;
    // Checkpointed, behind an undecided one.
    std::set<transaction_id, std::less<>, weave::recycling_allocator<transaction_id>> held_;
    std::vector<waiting> waiting_;
};

}  // namespace tstreams::core
