// A producer writes transactions to one stream.
//
//     auto producer = client.make_producer("orders");
//     producer.send({"a", "b"});                        // begin, put, checkpoint in one step
//     auto txn = producer.begin_for_key("customer 7");  // or begin(), begin(partition)
#pragma once

#include <tstreams/transaction.hpp>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams {

namespace detail {
class producer_state;
}

// What begin() does about a transaction that this producer has open in the same partition.
enum class when_open : std::uint8_t {
    enqueue,           // opens another one beside it (default)
    checkpoint,        // checkpoints it first, and waits
    checkpoint_async,  // checkpoints it without waiting; a failure is thrown by the next call on the producer
    cancel,            // cancels it first
    error,             // throws transaction_open
};

struct producer_options {
    // A name makes it a *named producer*: the newest instance of a name cancels the open transactions of older ones
    // and fences them, and a checkpoint may carry a source position. [A-Za-z0-9._-]{1,128}.
    std::string name{};
    // The partitions it may write to; empty: all. begin() goes round these.
    std::vector<partition_number> partitions{};
    // Chooses the partition for begin() in place of round robin; gets the partitions that may be written to and
    // returns one of them. Called under the producer's lock: it must not call the producer, nor block, because for
    // send_and_forget it runs inside the broker.
    std::function<partition_number(std::span<const partition_number>)> partitioner{};
    when_open policy = when_open::enqueue;
    std::chrono::milliseconds max_open{0};  // deadline of its transactions; zero: the stream's
};

// Threads: all calls from any thread; each transaction from one at a time.
// Errors of all calls beside those named: stream_deleted, fenced (named producers), shutting_down,
// storage_failed: not_applied.
class producer {
public:
    producer() noexcept = default;
    producer(producer&&) noexcept = default;
    producer& operator=(producer&&) noexcept = default;
    ~producer() = default;  // its open transactions live on and are cancelled by their own destructors

    // Opens a transaction: round robin, or the partitioner. Throws partition_not_found, overloaded,
    // transaction_open (by policy).
    transaction begin();
    transaction begin(partition_number partition);
    // The same key goes to the same partition as long as the number of partitions stays: the 64-bit FNV-1a hash of
    // its bytes, modulo that number (as it was when the producer was made). Throws partition_not_found for a
    // partition that the producer may not write to.
    transaction begin_for_key(std::string_view key);

    // begin, put and checkpoint in one step; returns the id. Errors and outcomes as transaction::checkpoint, but
    // after `unknown` the call cannot be repeated safely: use begin() and checkpoint() where that matters.
    transaction_id send(std::span<const std::string_view> items);
    transaction_id send(std::initializer_list<std::string_view> items) {
        return send(std::span(items.begin(), items.size()));
    }
    transaction_id send(std::string_view item) { return send({item}); }
    transaction_id send(partition_number partition, std::span<const std::string_view> items);
    transaction_id send(partition_number partition, std::initializer_list<std::string_view> items) {
        return send(partition, std::span(items.begin(), items.size()));
    }
    transaction_id send_for_key(std::string_view key, std::span<const std::string_view> items);
    transaction_id send_for_key(std::string_view key, std::initializer_list<std::string_view> items) {
        return send_for_key(key, std::span(items.begin(), items.size()));
    }

    // At most once: hands the item over and returns; no acknowledgement, never blocks, never throws for a full
    // buffer or a failed write. What is lost is counted.
    void send_and_forget(std::string_view item) noexcept;
    [[nodiscard]] std::uint64_t forgotten_losses() const noexcept;

    // Its open transactions, all or of one partition.
    [[nodiscard]] std::vector<transaction_info> open_transactions() const;
    [[nodiscard]] std::vector<transaction_info> open_transactions(partition_number partition) const;

    // Checkpoints or cancels all of its open transactions, or those of one partition, in one atomic commit.
    // Errors and outcomes as transaction::checkpoint; after not_applied all of them are still open.
    void checkpoint();
    void checkpoint(partition_number partition);
    void cancel();
    void cancel(partition_number partition);

    // Named producers: the position stored by the last checkpoint of any instance, and the one that the next
    // checkpoint() of the producer, of a group with it, or of a transaction will store.
    [[nodiscard]] std::optional<std::string> source_position() const;
    void set_source_position(std::string_view position);

    [[nodiscard]] const stream_info& stream() const;
    [[nodiscard]] const std::string& name() const;

private:
    friend struct detail::access;
    explicit producer(std::shared_ptr<detail::producer_state> state) noexcept;
    std::shared_ptr<detail::producer_state> state_;
};

}  // namespace tstreams
