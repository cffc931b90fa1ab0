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

class watcher_state final : public stoppable, public std::enable_shared_from_this<watcher_state> {
public:
    static weave::task<std::shared_ptr<watcher_state>> make(std::shared_ptr<client_state> client, std::string stream,
                                                            watch_options options, watch_callback callback);
    watcher_state(std::shared_ptr<client_state> client, stream_info stream, watch_options options,
                  watch_callback callback);
    ~watcher_state() override;

    void stop() override;
    [[nodiscard]] bool running() const;
    [[nodiscard]] const stream_info& stream() const noexcept { return stream_; }

private:
    // On the executor.
    void start();
    static weave::task<void> watch(std::shared_ptr<watcher_state> self);
    static weave::task<core::event_batch> fetch(std::shared_ptr<watcher_state> self);
    static weave::task<void> let_go(std::shared_ptr<watcher_state> self);

    // On the watcher's thread.
    static void work(std::shared_ptr<watcher_state> self) noexcept;
    [[nodiscard]] bool await_batch();
    [[nodiscard]] bool tell_all(const core::event_batch& batch);
    [[nodiscard]] bool tell();
    [[nodiscard]] bool go_on_after(const std::exception_ptr& failure);
    [[nodiscard]] bool keep_going(const std::exception_ptr& failure) const noexcept;
    void set_stopping() noexcept;

    const std::shared_ptr<client_state> client_;
    const stream_info stream_;
    const watch_options options_;
    const watch_callback callback_;

    // On the executor only.
    std::shared_ptr<core::event_source> source_;
    bool fetching_ = false;
    bool let_go_ = false;

    // On the watcher's thread only.
    transaction_event event_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    // Guarded by mutex_.
    bool arrived_ = false;
    core::event_batch batch_;
    std::exception_ptr failure_;
    bool stopping_ = false;

    std::mutex join_mutex_;
    std::thread thread_;  // guarded by join_mutex_
};

}  // namespace tstreams::detail
