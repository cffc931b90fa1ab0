// A watcher: one coroutine fetches events, a thread calls back.
#pragma once

#include "client/client_state.hpp"

#include <tstreams/watcher.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace tstreams::detail {

// From the executor to the watcher's thread. It does not keep the client: to fetch is a use of it, whose end close()
// waits for. So the last owner of a client is never a coroutine that was told to stop, and has not yet heard of it.
class event_fetcher final : public std::enable_shared_from_this<event_fetcher> {
public:
    event_fetcher(client_state& client, core::watch_request request) : client_(client), request_(std::move(request)) {}

    // On the executor: watches from then on.
    static weave::task<void> watch(std::shared_ptr<event_fetcher> self);
    // Where nothing was fetched yet.
    void forget() noexcept { source_.reset(); }

    // On the watcher's thread. False when it is to stop. Else there is a batch, or a failure, until it asks again.
    [[nodiscard]] bool fetch();
    [[nodiscard]] const core::event_batch& batch() const noexcept { return batch_; }
    [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
    // Returns early, and false, when it is to stop.
    [[nodiscard]] bool pause(std::chrono::milliseconds time);

    // From any thread: the thread is told, and nothing is fetched any more. While the client is not closed yet.
    void stop() noexcept;
    [[nodiscard]] bool stopping() const;

private:
    static weave::task<core::event_batch> next(std::shared_ptr<event_fetcher> self);
    static weave::task<void> let_go(std::shared_ptr<event_fetcher> self);

    client_state& client_;
    const core::watch_request request_;

    // On the executor only.
    std::shared_ptr<core::event_source> source_;
    bool fetching_ = false;
    bool let_go_ = false;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_; the first two are the thread's once they have arrived.
    core::event_batch batch_;
    std::exception_ptr failure_;
    bool arrived_ = false;
    bool stopping_ = false;
};

class watcher_state final : public stoppable, public std::enable_shared_from_this<watcher_state> {
public:
    static weave::task<std::shared_ptr<watcher_state>> make(std::shared_ptr<client_state> client, std::string stream,
                                                            watch_options options, watch_callback callback);
    watcher_state(std::shared_ptr<client_state> client, stream_info stream, watch_options options,
                  watch_callback callback);
    ~watcher_state() override;

    void stop() override;
    [[nodiscard]] bool running() const { return !events_->stopping(); }
    [[nodiscard]] const stream_info& stream() const noexcept { return stream_; }

private:
    void start();
    static void work(std::shared_ptr<watcher_state> self) noexcept;
    [[nodiscard]] bool tell_all(const core::event_batch& batch);
    [[nodiscard]] bool tell();
    [[nodiscard]] bool go_on_after(const std::exception_ptr& failure);
    [[nodiscard]] bool keep_going(const std::exception_ptr& failure) const noexcept;

    const std::shared_ptr<client_state> client_;
    const stream_info stream_;
    const watch_options options_;
    const watch_callback callback_;
    const std::shared_ptr<event_fetcher> events_;
    transaction_event event_;  // the thread's

    std::mutex join_mutex_;
    std::thread thread_;  // guarded by join_mutex_
};

}  // namespace tstreams::detail
