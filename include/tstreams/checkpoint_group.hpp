// A checkpoint group commits the open transactions of its producers and the positions of its consumers and
// subscribers in one atomic step: the exactly-once step of a pipeline.
//
//     auto group = client.make_checkpoint_group();
//     group.add(consumer);  group.add(output);
//     ... read from consumer, put to transactions of output ...
//     group.checkpoint();
#pragma once

#include <tstreams/consumer.hpp>
#include <tstreams/producer.hpp>
#include <tstreams/subscriber.hpp>

#include <memory>

namespace tstreams {

namespace detail {
class group_state;
}

// Threads: one at a time. A member keeps working by itself except that its transactions are not decided one by
// one: transaction::checkpoint and producer::send, checkpoint throw invalid_state for members.
class checkpoint_group {
public:
    checkpoint_group() noexcept = default;
    checkpoint_group(checkpoint_group&&) noexcept = default;
    checkpoint_group& operator=(checkpoint_group&&) noexcept = default;
    ~checkpoint_group() = default;  // members are free again; nothing is decided

    // Throws foreign_store for a member of another client, invalid_state for one that is in a group already or,
    // for consumers and subscribers, has no name.
    void add(producer& member);
    void add(consumer& member);
    void add(subscriber& member);
    // Throws invalid_state for one that is not a member. Its open transactions are not decided.
    void remove(producer& member);
    void remove(consumer& member);
    void remove(subscriber& member);
    [[nodiscard]] bool contains(const producer& member) const noexcept;
    [[nodiscard]] bool contains(const consumer& member) const noexcept;
    [[nodiscard]] bool contains(const subscriber& member) const noexcept;
    void clear();
    [[nodiscard]] std::size_t size() const noexcept;

    // Commits all open transactions and positions of the members at the strictest durability among their streams.
    // Throws transaction_lost (not_applied) when a member's transaction was destroyed undecided, until cancel();
    // transaction_expired, fenced, stream_deleted, no_space (not_applied). After outcome_unknown or
    // storage_failed (unknown) the group is frozen: checkpoint() asks again with the same request id, every
    // other call throws invalid_state.
    void checkpoint();
    // Cancels all open transactions of the members. Positions stay where the readers are: set_position goes back.
    void cancel();

    // The request id of the last checkpoint that had something to commit, for client::commit_state; and the one that
    // the next will have, so that it can be written down before: after a crash it is the question to ask. After an
    // unknown outcome they are the same.
    [[nodiscard]] request_id last_request() const noexcept;
    [[nodiscard]] request_id next_request();

private:
    friend struct detail::access;
    explicit checkpoint_group(std::shared_ptr<detail::group_state> state) noexcept;
    std::shared_ptr<detail::group_state> state_;
};

}  // namespace tstreams
