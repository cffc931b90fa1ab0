// A transaction that a producer writes: opened, filled, then checkpointed or cancelled.
//
//     auto txn = producer.begin();
//     txn.put("one");  txn.put(bytes);
//     txn.checkpoint();                  // or cancel(); destroyed while open it is cancelled
#pragma once

#include <tstreams/codec.hpp>
#include <tstreams/types.hpp>

#include <memory>
#include <string_view>

namespace tstreams {

namespace detail {
class transaction_state;
struct access;
}  // namespace detail

// Threads: one at a time per transaction. Keepalive is automatic: the transaction stays open until it is decided,
// its client ends, or the stream's max_open is over.
class transaction {
public:
    transaction() noexcept = default;  // empty: every call throws invalid_state
    transaction(transaction&&) noexcept = default;
    transaction& operator=(transaction&& other) noexcept;
    ~transaction();  // cancels an open one, without waiting and without a word of failures

    // Adds an item. The bytes are copied before the call returns; a full frame (1 MiB) is handed to the store, so
    // memory stays bounded however large the transaction grows. Blocks while the client's byte budget is used up,
    // for as long as its session_timeout; then throws overloaded.
    // Throws too_large (over the client's item_bytes_max), transaction_closed, transaction_expired, fenced,
    // stream_deleted, no_space, storage_failed: not_applied. After too_large and overloaded the transaction is still
    // usable, after the others only cancel() is.
    void put(bytes_view item);
    void put(std::string_view item) { put(as_bytes(item)); }
    void put(const char* item) { put(std::string_view(item)); }
    template <encodable T>
    void put(const T& value) {
        put(std::string_view(codec<T>::encode(value)));
    }

    // On return the transaction is committed with the stream's durability. With a source position (named
    // producers only, at most 4 KiB) that is stored in the same commit.
    // Throws transaction_closed, transaction_expired, transaction_unknown, fenced, stream_deleted, no_space,
    // overloaded (not_applied); outcome_unknown, storage_failed (unknown: call checkpoint() again, it asks with
    // the same request id); invalid_state for a member of a checkpoint group.
    void checkpoint();
    void checkpoint(std::string_view source_position);

    // Forgets the items. Returns also when the transaction has expired or was cancelled. Throws
    // transaction_closed (outcome applied) when it is checkpointed.
    void cancel();

    [[nodiscard]] bool is_open() const noexcept;
    [[nodiscard]] transaction_id id() const;
    [[nodiscard]] partition_number partition() const;
    [[nodiscard]] std::uint64_t items() const;  // put so far
    [[nodiscard]] std::uint64_t bytes() const;
    [[nodiscard]] wall_time expires() const;  // the deadline that keepalive cannot move

private:
    friend struct detail::access;
    explicit transaction(std::shared_ptr<detail::transaction_state> state) noexcept;
    std::shared_ptr<detail::transaction_state> state_;
};

}  // namespace tstreams
