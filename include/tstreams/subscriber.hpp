// A subscriber is called back with the transactions of a stream, in order within each partition: first what is
// stored, then what comes, without gap or repeat.
//
//     auto subscriber = client.make_subscriber("orders", {.name = "mail"},
//         [](tstreams::received_transaction& received, tstreams::delivery& delivery) {
//             for (const auto& item : received) send_mail(item.text());
//             delivery.checkpoint();
//         });
//     ...
//     subscriber.stop();
#pragma once

#include <tstreams/consumer.hpp>

#include <exception>
#include <functional>
#include <memory>

namespace tstreams {

namespace detail {
class subscriber_state;
}

// What a callback can do beside reading the transaction. Valid during the callback.
class delivery {
public:
    virtual ~delivery() = default;
    // Stores the position of this partition, this transaction included. In a group: checkpoints the group.
    // Errors and outcomes as consumer::checkpoint.
    virtual void checkpoint() = 0;
    // No callback of this partition begins after this one ends.
    virtual void stop_partition() = 0;
};

struct subscriber_options {
    std::string name{};  // as consumer_options
    tstreams::start start{};
    bool reset = false;
    std::vector<partition_number> partitions{};  // empty: all
    tstreams::on_open on_open = tstreams::on_open::wait;
    std::chrono::milliseconds open_wait{0};
    std::uint32_t threads = 1;                // 1 to 64: partitions in parallel, one callback at a time in each
    std::uint32_t buffer_transactions = 256;  // read ahead, all partitions together
    std::size_t buffer_bytes = std::size_t{4} << 20;
    // Called when a partition stops: its callback threw, or reading failed. Default: a line on standard error.
    // The position stays before the transaction that failed. Return true to call back again with the same
    // transaction after a pause of one second; false to leave the partition stopped.
    std::function<bool(partition_number, std::exception_ptr)> on_error{};
};

using subscriber_callback = std::function<void(received_transaction&, delivery&)>;

// Threads: all calls from any thread.
class subscriber {
public:
    subscriber() noexcept = default;
    subscriber(subscriber&&) noexcept = default;
    subscriber& operator=(subscriber&& other) noexcept;
    ~subscriber();  // stop()

    // Returns when no callback runs and none will; from inside a callback it returns at once and that callback
    // is the last one. Does not checkpoint.
    void stop();
    [[nodiscard]] bool running() const noexcept;  // some partition is still being read

    // Stores the positions of all partitions: behind the last callbacks that returned. Waits for callbacks that
    // run now. Not from inside a callback (invalid_state): use delivery::checkpoint there.
    void checkpoint();

    [[nodiscard]] std::vector<partition_position> positions() const;
    [[nodiscard]] std::vector<blocker> blocked_by() const;
    [[nodiscard]] const stream_info& stream() const;
    [[nodiscard]] const std::string& name() const;

private:
    friend struct detail::access;
    explicit subscriber(std::shared_ptr<detail::subscriber_state> state) noexcept;
    std::shared_ptr<detail::subscriber_state> state_;
};

}  // namespace tstreams
