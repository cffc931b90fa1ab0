// What all agents of one client share: its runtime, store, session, budget and handlers.
#pragma once

#include "client/frame_buffer.hpp"
#include "client/handler_pool.hpp"
#include "client/memory_budget.hpp"
#include "client/runtime.hpp"
#include "client/store.hpp"
#include "core/service.hpp"

#include <tstreams/client.hpp>
#include <tstreams/detail/operation.hpp>

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tstreams::detail {

// Something that runs on threads of its own and must end before the store does.
class stoppable {
public:
    virtual ~stoppable() = default;
    virtual void stop() = 0;
};

class client_state final {
public:
    using store_opener = weave::task<std::unique_ptr<store>> (*)(store_place, client_options, weave::executor&,
                                                                 ports::clock&);
    static std::shared_ptr<client_state> open(std::string_view uri, client_options options,
                                              store_opener opener = open_store);

    client_state(std::string_view uri, client_options options);
    ~client_state();
    client_state(const client_state&) = delete;
    client_state& operator=(const client_state&) = delete;

    // Throws when the store could not be closed cleanly; it is closed all the same. In a callback or handler it returns
    // at once when another thread is closing.
    void close();

    [[nodiscard]] const std::string& uri() const noexcept { return uri_; }
    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] const std::string& shown_name() const noexcept { return shown_name_; }
    [[nodiscard]] runtime& home() noexcept { return runtime_; }
    [[nodiscard]] memory_budget& budget() noexcept { return budget_; }
    [[nodiscard]] core::service& service() noexcept { return store_->service(); }
    [[nodiscard]] core::session_id session() const noexcept { return session_; }

    [[nodiscard]] bool closing() const noexcept { return closing_.load(); }
    void check_open() const;  // throws shutting_down

    // Runs `work` on the executor and waits for it. close() waits for all of these.
    template <class T>
    T run(weave::task<T> work) {
        const visit counted(*this);
        return runtime_.run(std::move(work));
    }

    // Starts `work` on the executor; done(outcome_of<T>) is called there at its end. close() waits for these too.
    template <class T, class Done>
    void launch(weave::task<T> work, Done done) {
        visit counted(*this);
        weave::spawn(runtime_, std::move(work),
                     [counted = std::move(counted), done = std::move(done)](weave::outcome_of<T> result) mutable {
                         done(std::move(result));
                         const visit over = std::move(counted);
                     });
    }

    // The asynchronous form: the operation hears of the end. A failure to start is also heard there.
    template <class T>
    void start(weave::task<T> work, std::unique_ptr<operation<T>> heard) noexcept {
        operation<T>* const waiting = heard.release();
        try {
            launch(std::move(work), [this, waiting](weave::outcome_of<T> result) {
                waiting->failure = result.failure();
                if constexpr (!std::is_void_v<T>)
                    if (!waiting->failure) waiting->value.emplace(result.get());
                finished(*waiting);
            });
        } catch (...) {
            waiting->failure = std::current_exception();
            deliver_now(*waiting);
        }
    }
    void deliver_now(operation_base& one) noexcept;  // from any thread

    // The store's time of day, as far as its last session told. From any thread.
    [[nodiscard]] wall_time store_now() const noexcept { return runtime_.wall_now() + store_->ahead(); }
    // On the executor.
    [[nodiscard]] request_id new_request(bool answer_kept = false) noexcept {
        const std::uint64_t high = runtime_.random();
        return core::make_request_id(store_now(), answer_kept, high, runtime_.random());
    }
    // Waits until a partition is readable; close() ends the wait, which then throws shutting_down.
    weave::task<std::vector<partition_number>> wait_readable(core::wait_request request);
    void stop_wait(std::uint64_t wait);
    [[nodiscard]] std::uint64_t new_wait() noexcept { return ++last_wait_; }
    // While transactions are open a heartbeat keeps the session alive.
    void transaction_opened();
    void transaction_over() noexcept { --open_transactions_; }

    // Readers of a name; the last of this client to go detaches it. From any thread.
    void reader_attached(core::stream_id stream, const std::string& name);
    [[nodiscard]] bool reader_detached(core::stream_id stream, const std::string& name);

    // Frame buffers of full size are used again. From any thread; the bytes are not charged here.
    [[nodiscard]] frame_buffer take_frame_buffer();
    void give_frame_buffer(frame_buffer buffer) noexcept;

    void add_stoppable(std::weak_ptr<stoppable> one);
    // A thread of a subscriber says whose it is: close() waits for it, so it must not wait for another close().
    static void set_callbacks_of(const client_state* client) noexcept;

    // Counts one use of the store; throws shutting_down once the client closes.
    class visit {
    public:
        explicit visit(client_state& client) : client_(&client) { client.enter(); }
        visit(visit&& other) noexcept : client_(std::exchange(other.client_, nullptr)) {}
        visit& operator=(visit&&) = delete;
        ~visit() {
            if (client_) client_->leave();
        }

    private:
        client_state* client_;
    };

private:
    void enter();
    void leave() noexcept;
    void finished(operation_base& one) noexcept;  // on the executor
    void deliver_finished() noexcept;             // at the end of a pass
    void arm_heartbeat();
    weave::task<void> open_all(store_opener opener);
    weave::task<void> end_waits();
    weave::task<void> close_all();
    [[nodiscard]] bool on_own_thread() const noexcept;

    const std::string uri_;
    const client_options options_;
    const std::string shown_name_;
    runtime runtime_;
    handler_pool handlers_;
    memory_budget budget_;
    std::unique_ptr<store> store_;
    core::session_id session_ = 0;

    std::atomic<bool> closing_ = false;
    std::atomic<std::size_t> visits_ = 0;
    std::mutex close_mutex_;  // held while closing; a second close() waits for the first
    bool closed_ = false;     // guarded by close_mutex_

    // On the executor only.
    operation_base* finished_head_ = nullptr;
    operation_base* finished_tail_ = nullptr;
    std::size_t finished_count_ = 0;
    std::uint64_t last_wait_ = 0;
    std::unordered_set<std::uint64_t> waits_;
    std::size_t open_transactions_ = 0;
    bool heartbeat_armed_ = false;

    std::mutex shared_mutex_;
    std::vector<frame_buffer> frame_buffers_;                                 // guarded by shared_mutex_
    std::vector<std::weak_ptr<stoppable>> stoppables_;                        // guarded by shared_mutex_
    std::map<std::pair<core::stream_id, std::string>, std::size_t> readers_;  // guarded by shared_mutex_
};

}  // namespace tstreams::detail
