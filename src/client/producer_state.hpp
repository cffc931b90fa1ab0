// A producer: which transactions it has open, which partition is next, and what its name stands for.
#pragma once

#include "client/client_state.hpp"
#include "client/commit.hpp"
#include "client/transaction_state.hpp"
#include "core/frames.hpp"

#include <tstreams/producer.hpp>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tstreams::detail {

class group_state;

// Items packed on the caller's thread for send().
struct packed_items {
    std::string frame;
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
};

class producer_state : public std::enable_shared_from_this<producer_state> {
public:
    // Checks the options and, for a name, takes over from older instances.
    static weave::task<std::shared_ptr<producer_state>> make(std::shared_ptr<client_state> client, std::string stream,
                                                             producer_options options);
    producer_state(std::shared_ptr<client_state> client, stream_info stream, producer_options options);

    // Which partition; any thread. Throws partition_not_found.
    [[nodiscard]] partition_number next_partition();
    [[nodiscard]] partition_number checked_partition(partition_number wanted) const;
    [[nodiscard]] partition_number partition_for_key(std::string_view key) const;

    // On the executor.
    static weave::task<std::shared_ptr<transaction_state>> begin(std::shared_ptr<producer_state> self,
                                                                 partition_number partition);
    static weave::task<transaction_id> send(std::shared_ptr<producer_state> self, partition_number partition,
                                            packed_items items);
    // Any items, inline or through a transaction of their own.
    static weave::task<transaction_id> send_items(std::shared_ptr<producer_state> self, partition_number partition,
                                                  std::vector<std::string> items);
    static weave::task<void> checkpoint(std::shared_ptr<producer_state> self,
                                        std::optional<partition_number> partition);
    // From any thread: the decisions have begun on return, so handles may go away before the task has started.
    [[nodiscard]] weave::task<void> begin_checkpoint(std::optional<partition_number> partition);
    static weave::task<void> cancel(std::shared_ptr<producer_state> self, std::optional<partition_number> partition);

    void send_and_forget(std::string_view item) noexcept;
    [[nodiscard]] std::uint64_t losses() const noexcept { return losses_.load(); }

    [[nodiscard]] std::vector<transaction_info> open_transactions(std::optional<partition_number> partition) const;
    [[nodiscard]] std::optional<std::string> source_position() const;
    void set_source_position(std::string_view position);
    // Adds the position given, or else the one that is set and not stored yet.
    void add_source(commit_plan& plan, std::optional<std::string> position);

    // Groups. A producer is in one at most.
    void join(const std::shared_ptr<group_state>& group);
    void leave() noexcept;
    [[nodiscard]] std::shared_ptr<group_state> group() const;
    void check_free(const char* call) const;  // throws invalid_state for a member of a group
    void transaction_lost() noexcept;         // one was destroyed undecided
    // Begins the decision of all open ones and adds them to the plan; throws where one is failed or in doubt, and
    // then none has begun.
    void begin_decisions(commit_plan& plan, std::optional<partition_number> partition);
    [[nodiscard]] std::vector<std::shared_ptr<transaction_state>> undecided(
        std::optional<partition_number> partition) const;

    void forget(const core::transaction_ref& which) noexcept;

    [[nodiscard]] client_state& client() const noexcept { return *client_; }
    [[nodiscard]] const std::shared_ptr<client_state>& client_owner() const noexcept { return client_; }
    [[nodiscard]] const stream_info& stream() const noexcept { return stream_; }
    [[nodiscard]] const std::string& name() const noexcept { return options_.name; }

private:
    weave::task<void> attach();
    [[nodiscard]] std::vector<std::shared_ptr<transaction_state>> open_states(
        std::optional<partition_number> partition) const;
    [[nodiscard]] std::optional<std::string> wanted_source() const;
    void check_source(std::string_view position) const;
    [[nodiscard]] std::vector<std::string> take_forgotten();
    weave::task<void> apply_policy(partition_number partition);
    [[nodiscard]] core::open_request open_request(partition_number partition) const;
    void throw_earlier_failure();
    static weave::task<void> flush_forgotten(std::shared_ptr<producer_state> self);
    [[nodiscard]] std::shared_ptr<commit_plan> plan_checkpoint(std::optional<partition_number> partition);
    void note_source(commit_end end, const std::string& position);

    const std::shared_ptr<client_state> client_;
    const stream_info stream_;
    const producer_options options_;
    std::vector<partition_number> partitions_;
    std::uint64_t instance_ = 0;  // of a named one

    mutable std::mutex mutex_;
    // All guarded by mutex_.
    std::size_t next_ = 0;  // round robin
    std::map<std::pair<partition_number, transaction_id>, std::weak_ptr<transaction_state>> open_;
    std::optional<std::string> stored_source_;
    std::optional<std::string> wanted_source_;
    std::shared_ptr<commit_plan> in_doubt_;  // of checkpoint()
    std::exception_ptr earlier_failure_;     // of a checkpoint that nobody waited for
    std::weak_ptr<group_state> group_;
    bool in_group_ = false;
    std::deque<std::string> forgotten_;  // handed over by send_and_forget
    bool flushing_forgotten_ = false;

    std::atomic<std::uint64_t> losses_ = 0;
};

// Packs for send(); more than fits inline is an empty answer.
template <class Items>
[[nodiscard]] std::optional<packed_items> pack_inline(const Items& items) {
    std::size_t size = 0;
    for (const auto& item : items) {
        size += core::packed_bytes(item.size());
        if (size > core::inline_bytes_max) return std::nullopt;
    }
    packed_items result;
    result.frame.reserve(size);
    for (const auto& item : items) {
        core::pack_item(result.frame, as_bytes(item));
        result.bytes += item.size();
    }
    result.items = items.size();
    return result;
}

}  // namespace tstreams::detail
