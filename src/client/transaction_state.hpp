// A transaction that is being written: its frame buffer, and where it is on the way to its decision.
#pragma once

#include "client/commit.hpp"
#include "client/frame_buffer.hpp"
#include "core/service.hpp"

#include <tstreams/types.hpp>
#include <weave/sync.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::detail {

class producer_state;

// Filled by one thread; decided by that or, in a group or with all of its producer, by another one. Once a decision
// has begun a put is refused.
class transaction_state : public std::enable_shared_from_this<transaction_state> {
public:
    transaction_state(std::shared_ptr<producer_state> producer, core::open_reply opened);
    ~transaction_state();

    // From the writing thread; blocks when a frame is full or memory is short.
    void put(bytes_view item);
    // The handle is gone: cancels without waiting, and poisons the group.
    void abandon() noexcept;

    // On the executor; `self` keeps the state alive.
    static weave::task<void> put(std::shared_ptr<transaction_state> self, std::string item);
    static weave::task<void> checkpoint(std::shared_ptr<transaction_state> self,
                                        std::optional<std::string> source_position);
    // From any thread: the decision has begun on return, so the handle may go away before the task has started.
    [[nodiscard]] weave::task<void> begin_checkpoint(std::optional<std::string> source_position);
    static weave::task<void> cancel(std::shared_ptr<transaction_state> self);
    // All of them in one step; where that is refused, one by one as far as it goes.
    static weave::task<void> cancel_all(std::vector<std::shared_ptr<transaction_state>> all);

    // For commits.
    // False where it is decided, or being decided, already; throws where it is failed or in doubt.
    [[nodiscard]] bool begin_decision();
    void withdraw_decision() noexcept;  // nothing has been sent: open again
    // Writes what is in the buffer first; or with `last_frame_later` counts it as the last frame, if it is one, and
    // leaves the writing to the caller.
    weave::task<core::decision> prepare_decision(bool last_frame_later);
    [[nodiscard]] bool has_last_frame(const core::decision& prepared) const noexcept {
        return prepared.frames != frames_;
    }
    weave::task<void> write_last_frame();
    void decided() noexcept;
    void not_decided(const std::exception_ptr& why) noexcept;  // `why` is null when others may be to blame
    void in_doubt(const std::shared_ptr<commit_plan>& plan) noexcept;

    [[nodiscard]] bool is_open() const noexcept;
    [[nodiscard]] bool undecided() const noexcept;  // open, or failed and not yet cancelled
    [[nodiscard]] transaction_info info() const;
    [[nodiscard]] const core::transaction_ref& ref() const noexcept { return opened_.transaction; }
    [[nodiscard]] wall_time expires() const noexcept { return opened_.expires; }
    [[nodiscard]] std::uint64_t items() const;
    [[nodiscard]] std::uint64_t bytes() const;
    [[nodiscard]] client_state& client() const noexcept { return *client_; }

private:
    enum class phase : std::uint8_t { open, deciding, unknown, checkpointed, cancelled, failed };
    enum class step : std::uint8_t { done, flush, memory };

    bool pack_where_room(bytes_view item);  // false: nothing was done
    void pack(bytes_view item);
    // Packs the item, or says what must happen first. `granted` are bytes of the budget that the caller has taken.
    step try_put(bytes_view item, std::size_t& granted, std::size_t& missing);
    bool charge(std::size_t needed, std::size_t& granted);
    void begin_flush();
    void end_flush(const std::exception_ptr& failure);
    weave::task<void> write_flushed(std::uint32_t crc32c);
    void check_open() const;
    void check_item(bytes_view item) const;
    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::shared_ptr<commit_plan> plan_checkpoint(std::optional<std::string> source_position);
    bool begin_cancel();  // false: nothing to do
    void end_cancel(const std::exception_ptr& failure) noexcept;
    void drop_buffers() noexcept;
    void over() noexcept;  // nobody counts it as open any more
    void leave_count() noexcept;
    static weave::task<void> stay_with(std::shared_ptr<transaction_state> self, std::shared_ptr<commit_plan> plan);
    static weave::task<void> cancel_abandoned(client_state* client, core::transaction_ref ref, bool counts);

    const std::shared_ptr<producer_state> producer_;
    client_state* const client_;  // kept by the producer
    const core::open_reply opened_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    phase phase_ = phase::open;
    bool abandoned_ = false;                 // no handle is left
    std::exception_ptr failure_;             // with phase failed
    std::shared_ptr<commit_plan> in_doubt_;  // with phase unknown
    std::size_t charged_ = 0;                // bytes of the budget held for frame_ and flushing_
    std::shared_ptr<weave::event> flushed_;  // there while a frame is on its way; set on the executor
    std::uint64_t items_ = 0;
    std::uint64_t bytes_ = 0;
    // The writer's while the phase is open, the executor's while it is deciding; changed under mutex_.
    frame_buffer frame_;                     // packed items that are not written yet
    frame_buffer flushing_;                  // a frame on its way
    std::atomic<bool> counted_over_{false};  // the client was told that it is not open any more
    // On the executor only.
    std::uint32_t frames_ = 0;
    std::exception_ptr flush_failure_;
};

}  // namespace tstreams::detail
