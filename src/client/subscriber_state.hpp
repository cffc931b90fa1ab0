// A subscriber: one coroutine reads ahead, a pool of threads calls back, one callback at a time in each partition.
#pragma once

#include "client/client_state.hpp"
#include "client/consumer_state.hpp"
#include "client/group_state.hpp"
#include "client/stream_reader.hpp"

#include <tstreams/subscriber.hpp>
#include <weave/sync.hpp>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tstreams::detail {

class subscriber_state final : public stoppable, public std::enable_shared_from_this<subscriber_state> {
public:
    static weave::task<std::shared_ptr<subscriber_state>> make(std::shared_ptr<client_state> client, std::string stream,
                                                               subscriber_options options,
                                                               subscriber_callback callback);
    subscriber_state(std::shared_ptr<offsets_state> offsets, reading_options reading, subscriber_options options,
                     subscriber_callback callback);
    ~subscriber_state() override;

    void start();
    void stop() override;
    [[nodiscard]] bool running() const;
    void checkpoint();
    weave::task<std::vector<blocker>> blocked_by() { return reader_.blocked_by(); }

    [[nodiscard]] offsets_state& offsets() const noexcept { return *offsets_; }
    [[nodiscard]] const std::shared_ptr<offsets_state>& offsets_owner() const noexcept { return offsets_; }
    [[nodiscard]] client_state& client() const noexcept { return offsets_->client(); }

private:
    using clock = std::chrono::steady_clock;

    // One partition on its way through the callbacks.
    struct lane {
        partition_number partition = 0;
        std::deque<std::shared_ptr<const received_state>> queue;
        std::exception_ptr failure;  // of reading, behind the queue
        bool busy = false;           // a callback runs
        bool stopped = false;
        bool full = false;  // not read until there is room again
        clock::time_point retry_at{};
    };
    class delivery_now;

    // On the executor.
    static weave::task<void> read_loop(std::shared_ptr<subscriber_state> self);
    static weave::task<void> refresh(std::shared_ptr<subscriber_state> self);
    bool choose_active();
    void hand_over();
    [[nodiscard]] bool is_full(const lane& one) const;  // under mutex_
    void fail_all(const std::exception_ptr& failure);
    void ring() noexcept;  // from any thread: the reader looks again at what it should read

    // On the callback threads.
    static void work(std::shared_ptr<subscriber_state> self) noexcept;
    lane* next_lane();
    [[nodiscard]] std::optional<clock::time_point> next_retry() const;
    void process(lane& one, std::unique_lock<std::mutex>& lock);
    std::exception_ptr call_back(lane& one, std::shared_ptr<const received_state> entry, bool& stop_after);
    [[nodiscard]] bool keep_going(partition_number partition, const std::exception_ptr& failure) const noexcept;
    void drop_front(lane& one);
    void stop_lane(lane& one);

    const std::shared_ptr<offsets_state> offsets_;
    const subscriber_options options_;
    const subscriber_callback callback_;
    const std::size_t lane_max_;  // transactions in a lane

    // On the executor only.
    stream_reader reader_;
    weave::event changed_;
    std::uint64_t wait_ = 0;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_.
    std::vector<lane> lanes_;  // as the slots of the reader
    std::size_t turn_ = 0;
    std::size_t buffered_ = 0;
    std::size_t buffered_bytes_ = 0;
    std::size_t callbacks_ = 0;  // that run now
    std::size_t pauses_ = 0;     // checkpoints from outside that wait or run
    bool stopping_ = false;

    std::mutex join_mutex_;
    std::vector<std::thread> threads_;  // guarded by join_mutex_
};

}  // namespace tstreams::detail
