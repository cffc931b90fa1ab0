// A checkpoint group: its members, and the gate that keeps callbacks and checkpoints apart.
#pragma once

#include "client/client_state.hpp"
#include "client/commit.hpp"
#include "client/consumer_state.hpp"
#include "client/producer_state.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace tstreams::detail {

// Held by a callback of a subscriber in the group, or by a checkpoint or cancel from outside. First come, first
// served. It belongs to nobody: who holds it hands it on, from any thread.
class callback_gate {
public:
    void lock();                            // blocks the thread; not on the executor
    weave::task<void> lock(runtime& home);  // on the executor
    void unlock();

private:
    bool enter_or_wait(std::function<void()> entered);  // true: entered now

    std::mutex mutex_;
    bool busy_ = false;                          // guarded by mutex_
    std::deque<std::function<void()>> waiting_;  // guarded by mutex_
};

// Where a callback of a group's subscriber is in the middle of a transaction that counts as processed.
struct processed_now {
    std::shared_ptr<offsets_state> reader;
    partition_position position;
};

class group_state : public std::enable_shared_from_this<group_state> {
public:
    explicit group_state(std::shared_ptr<client_state> client) : client_(std::move(client)) {}

    void add(const std::shared_ptr<producer_state>& member);
    void add(const std::shared_ptr<offsets_state>& member);
    void remove(const std::shared_ptr<producer_state>& member);
    void remove(const std::shared_ptr<offsets_state>& member);
    void clear();
    [[nodiscard]] bool contains(const producer_state* member) const;
    [[nodiscard]] bool contains(const offsets_state* member) const;
    [[nodiscard]] std::size_t size() const;

    // On the executor. From inside a callback of the group, which holds the gate: `also` is what it is processing.
    static weave::task<void> checkpoint(std::shared_ptr<group_state> self, std::optional<processed_now> also);
    static weave::task<void> cancel(std::shared_ptr<group_state> self, bool inside);

    void poison() noexcept { poisoned_ = true; }
    [[nodiscard]] request_id last_request() const;
    [[nodiscard]] request_id next_request();
    [[nodiscard]] callback_gate& gate() noexcept { return gate_; }
    [[nodiscard]] client_state& client() const noexcept { return *client_; }

private:
    void check_not_frozen(const char* call) const;  // under mutex_
    void check_store(const std::shared_ptr<client_state>& owner) const;
    [[nodiscard]] std::shared_ptr<commit_plan> plan_checkpoint(const std::optional<processed_now>& also);
    void collect(commit_plan& plan, const std::optional<processed_now>& also) const;
    void note_end(commit_end end, const std::shared_ptr<commit_plan>& plan);

    const std::shared_ptr<client_state> client_;
    callback_gate gate_;
    std::atomic<bool> poisoned_ = false;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::vector<std::shared_ptr<producer_state>> producers_;
    std::vector<std::shared_ptr<offsets_state>> readers_;
    std::shared_ptr<commit_plan> in_doubt_;
    request_id last_request_;
    request_id next_request_;  // empty: not given out
};

// The callback in which this thread is: its group, which it has entered by the gate, and what it is processing.
struct callback_here {
    const group_state* group = nullptr;
    processed_now now;
};
// Null outside of a callback of a group's subscriber.
[[nodiscard]] const callback_here* current_callback() noexcept;
void set_current_callback(const callback_here* here) noexcept;
// What a checkpoint of `group` on this thread includes, when it is called inside a callback of the group.
[[nodiscard]] std::optional<processed_now> processed_inside(const group_state& group);

}  // namespace tstreams::detail
