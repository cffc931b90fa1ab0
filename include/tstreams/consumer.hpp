// A consumer reads the transactions of a stream in the order in which they were opened.
//
//     auto consumer = client.make_consumer("orders", {.name = "billing"});
//     while (auto received = consumer.next(1s)) {
//         for (const auto& item : *received) handle(item.text());
//         consumer.checkpoint();
//     }
#pragma once

#include <tstreams/received_transaction.hpp>
#include <tstreams/types.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams {

namespace detail {
class consumer_state;
}

// Where a reader begins.
class start {
public:
    enum class kind : std::uint8_t { oldest, newest, time, id, positions, stored };

    start() noexcept = default;  // oldest
    [[nodiscard]] kind what() const noexcept { return kind_; }
    [[nodiscard]] wall_time time() const noexcept { return time_; }
    [[nodiscard]] transaction_id id() const noexcept { return id_; }
    [[nodiscard]] const std::vector<partition_position>& positions() const noexcept { return positions_; }

    static start make(kind what) {
        start result;
        result.kind_ = what;
        return result;
    }
    static start make(wall_time time) {
        start result = make(kind::time);
        result.time_ = time;
        return result;
    }
    static start make(transaction_id id) {
        start result = make(kind::id);
        result.id_ = id;
        return result;
    }
    static start make(std::vector<partition_position> positions) {
        start result = make(kind::positions);
        result.positions_ = std::move(positions);
        return result;
    }

private:
    kind kind_ = kind::oldest;
    wall_time time_;
    transaction_id id_;
    std::vector<partition_position> positions_;
};

inline const start oldest = start::make(start::kind::oldest);  // the oldest transaction that is still there
// The visible end, before the oldest open transaction: whatever becomes readable afterwards is delivered.
inline const start newest = start::make(start::kind::newest);
// A stored offset, which must exist: else offset_not_found.
inline const start stored = start::make(start::kind::stored);
// The first transaction opened at or after `time`, in every partition.
[[nodiscard]] inline start at(wall_time time) {
    return start::make(time);
}
// Behind this id's point in time, in every partition; or behind one id per partition.
[[nodiscard]] inline start after(transaction_id id) {
    return start::make(id);
}
[[nodiscard]] inline start after(std::vector<partition_position> positions) {
    return start::make(std::move(positions));
}

// What a reader does at an open transaction that holds back later ones.
enum class on_open : std::uint8_t {
    wait,  // up to its deadline (default)
    skip,  // after open_wait: passes it, with a value that says skipped()
};

struct consumer_options {
    // With a name, positions are stored by checkpoint() and the next instance goes on there; the newest instance
    // of a name on a partition fences older ones. [A-Za-z0-9._-]{1,128}.
    std::string name{};
    tstreams::start start{};                     // where a name without a stored offset begins
    bool reset = false;                          // `start` overrides the stored offset
    std::vector<partition_number> partitions{};  // empty: all
    tstreams::on_open on_open = tstreams::on_open::wait;
    std::chrono::milliseconds open_wait{0};             // with skip: how long to wait before passing
    std::uint32_t prefetch_transactions = 256;          // 1 to 65,536; read ahead of next() ...
    std::size_t prefetch_bytes = std::size_t{4} << 20;  // ... and their inline bytes, all partitions together
};

// Threads: one at a time. Errors of all calls beside those named: stream_deleted, fenced (a newer instance of the
// name took a partition; the consumer is then of no use), shutting_down, storage_failed: not_applied.
class consumer {
public:
    consumer() noexcept = default;
    consumer(consumer&&) noexcept = default;
    consumer& operator=(consumer&&) noexcept = default;
    ~consumer() = default;  // does not checkpoint

    // The next transaction, of any of its partitions in turn or of one; empty when there is none in time. Within
    // a partition in open order, each once. Zero: only what is there. Throws position_expired when retention has
    // overtaken the position (go on with set_position), partition_not_found, corrupt.
    std::optional<received_transaction> next(std::chrono::milliseconds timeout);
    std::optional<received_transaction> next(partition_number partition, std::chrono::milliseconds timeout);

    // Stores the positions of all partitions: behind the last transaction that next() returned. On return they are
    // durable as the stream's level says. Needs a name. Errors and outcomes as transaction::checkpoint; a
    // repeated call settles an unknown one.
    void checkpoint();

    // The last transaction returned, per partition. set_position moves the reader; stored by the next checkpoint.
    [[nodiscard]] std::vector<partition_position> positions() const;
    [[nodiscard]] transaction_id position(partition_number partition) const;
    void set_position(partition_number partition, transaction_id after);
    void set_position(const tstreams::start& to);  // all partitions

    // Which open transactions hold back something now.
    [[nodiscard]] std::vector<blocker> blocked_by() const;

    [[nodiscard]] const stream_info& stream() const;
    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] const std::vector<partition_number>& partitions() const;

private:
    friend struct detail::access;
    explicit consumer(std::shared_ptr<detail::consumer_state> state) noexcept;
    std::shared_ptr<detail::consumer_state> state_;
};

}  // namespace tstreams
