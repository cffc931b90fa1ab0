// A consumer: what it has read, and what of that it has stored.
#pragma once

#include "client/client_state.hpp"
#include "client/commit.hpp"
#include "client/stream_reader.hpp"

#include <tstreams/consumer.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace tstreams::detail {

class group_state;

// Where an instance of a consumer name stands in its partitions; consumers and subscribers have one. Any thread.
class offsets_state : public std::enable_shared_from_this<offsets_state> {
public:
    offsets_state(std::shared_ptr<client_state> client, stream_info stream, std::string name,
                  const std::vector<core::attached_partition>& attached);
    ~offsets_state();

    [[nodiscard]] const stream_info& stream() const noexcept { return stream_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::vector<partition_number>& partitions() const noexcept { return partitions_; }
    [[nodiscard]] client_state& client() const noexcept { return *client_; }
    [[nodiscard]] const std::shared_ptr<client_state>& client_owner() const noexcept { return client_; }

    [[nodiscard]] std::vector<partition_position> positions() const;
    [[nodiscard]] transaction_id position(partition_number partition) const;  // throws partition_not_found
    void set(partition_number partition, transaction_id position);
    [[nodiscard]] std::size_t index_of(partition_number partition) const;  // throws partition_not_found

    // Adds to a plan what has moved since it was stored, or everything: a plan with the offsets of all partitions is
    // refused when any of them has been fenced. `also` counts as processed too.
    void add_to(commit_plan& plan, bool everything, std::optional<partition_position> also = std::nullopt);
    // The same as a commit of its own, or the one whose outcome is unknown.
    [[nodiscard]] std::shared_ptr<commit_plan> plan_checkpoint(const char* call,
                                                               std::optional<partition_position> also = std::nullopt);

    void join(const std::shared_ptr<group_state>& group);
    void leave() noexcept;
    [[nodiscard]] std::shared_ptr<group_state> group() const;

private:
    void check_named(const char* call) const;

    struct place {
        std::uint64_t instance = 0;
        transaction_id position;
        transaction_id stored;
    };

    const std::shared_ptr<client_state> client_;
    const stream_info stream_;
    const std::string name_;
    std::vector<partition_number> partitions_;

    mutable std::mutex mutex_;
    std::vector<place> places_;              // guarded by mutex_; as partitions_
    std::shared_ptr<commit_plan> in_doubt_;  // guarded by mutex_
    std::weak_ptr<group_state> group_;       // guarded by mutex_
};

class consumer_state : public std::enable_shared_from_this<consumer_state> {
public:
    static weave::task<std::shared_ptr<consumer_state>> make(std::shared_ptr<client_state> client, std::string stream,
                                                             consumer_options options);
    consumer_state(std::shared_ptr<offsets_state> offsets, reading_options reading);

    // Blocking.
    std::optional<received_transaction> next(std::optional<partition_number> partition,
                                             std::chrono::milliseconds timeout);
    // On the executor.
    static weave::task<std::optional<received_transaction>> next(std::shared_ptr<consumer_state> self,
                                                                 std::optional<partition_number> partition,
                                                                 std::chrono::milliseconds timeout,
                                                                 std::shared_ptr<cancellation> cancel);
    // The same, but throws cancelled when that is asked for before there is anything.
    static weave::task<std::optional<received_transaction>> next_unless(std::shared_ptr<consumer_state> self,
                                                                        std::optional<partition_number> partition,
                                                                        std::chrono::milliseconds timeout,
                                                                        std::shared_ptr<cancellation> cancel);
    static weave::task<void> checkpoint(std::shared_ptr<consumer_state> self);
    weave::task<void> set_position(tstreams::start to);
    void set_position(partition_number partition, transaction_id after);
    weave::task<std::vector<blocker>> blocked_by() { return reader_.blocked_by(); }

    [[nodiscard]] offsets_state& offsets() const noexcept { return *offsets_; }
    [[nodiscard]] const std::shared_ptr<offsets_state>& offsets_owner() const noexcept { return offsets_; }
    [[nodiscard]] client_state& client() const noexcept { return offsets_->client(); }

private:
    std::optional<received_transaction> take(stream_reader::slot* only);
    [[nodiscard]] stream_reader::slot* slot_of(std::optional<partition_number> partition);

    const std::shared_ptr<offsets_state> offsets_;
    stream_reader reader_;
};

}  // namespace tstreams::detail
