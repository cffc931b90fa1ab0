// Group commit: what arrives in one pass of the executor is written as one record, and what waits for the
// disk meanwhile shares the next sync.
#pragma once

#include "engines/local/format.hpp"
#include "engines/local/index.hpp"
#include "engines/local/key_filter.hpp"
#include "engines/local/log.hpp"
#include "engines/local/space.hpp"
#include "engines/local/worker.hpp"

#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/histogram.hpp>
#include <tstreams/types.hpp>
#include <weave/executor.hpp>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::local {

// What a committer works with; all of it outlives the committer.
struct committer_parts {
    weave::executor& executor;
    ports::clock& clock;
    log_writer& log;
    index& rows;
    space& frames;
    failure_latch& failure;
    worker_pool& sync_thread;
    worker_pool& maintenance;
    mailbox& letters;
    std::uint64_t replay_bytes_max;
};

// Belongs to the executor.
class committer {
    struct waiter {
        std::coroutine_handle<> coroutine;
        durability::kind level = durability::kind::sync;
        std::chrono::milliseconds interval{0};
        position until;
        std::shared_ptr<const error> failure;
        waiter* next = nullptr;
    };

    class waiter_list {
    public:
        [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
        [[nodiscard]] waiter& front() const noexcept { return *head_; }
        void push(waiter& one) noexcept {
            one.next = nullptr;
            (head_ ? tail_->next : head_) = &one;
            tail_ = &one;
        }
        waiter& pop() noexcept {
            waiter& first = *head_;
            head_ = first.next;
            return first;
        }

    private:
        waiter* head_ = nullptr;
        waiter* tail_ = nullptr;
    };

public:
    explicit committer(const committer_parts& parts);

    // Puts a change into the group that gathers. Nothing is written, and nobody sees it, before the group is.
    void stage_put(std::string_view row_key, std::string_view value, const std::optional<wall_time>& expires);
    void stage_erase(std::string_view row_key);
    void stage_live(const frame_place& frame);
    void stage_dead(const frame_place& frame);
    // The shard's key is that of a row without a name of its own. To it and the page the group adds what makes the key
    // of a row.
    void stage_note(std::string_view shard_key, std::string_view page, std::string_view text, wall_time expires);
    // Notes a shard or a place as touched by the group.
    void touch(std::string_view what) { touched_.add(what); }

    // Call before reading a row, shard or place: what the group may hold of it is written then.
    void settle(std::string_view what) {
        if (touched_.may_have(what)) write_group();
    }

    // co_await durable(level): until what has been staged is as safe as the level says. Throws what became of
    // it.
    auto durable(durability level) {
        struct awaiter : waiter {
            committer& home;
            explicit awaiter(committer& owner) noexcept : home(owner) {}
            [[nodiscard]] bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<> waiting) {
                coroutine = waiting;
                home.enlist(*this);
            }
            void await_resume() const {
                if (failure) throw error(*failure);
            }
        };
        awaiter result(*this);
        result.level = level.level;
        result.interval = level.interval;
        return result;
    }

    // Writes what has gathered now. Failures go to those who wait for it.
    void write_group();

    // After frames have been appended: keeps the replay bounded.
    void limit_replay();

    // RocksDB has flushed on its own.
    void index_flushed();
    // RocksDB has found no space: commits are refused until it has. First, from its thread:
    void refuse() noexcept { index_full_.store(true); }
    // and then on the executor:
    void index_full();
    // The latch has been set by somebody else: tells everybody who waits.
    void fail_waiters();

    // Where the log and the flushed index stand after open.
    void recovered(position last_commit_end, position persisted);
    // Whether the executor still has a job of this.
    [[nodiscard]] bool posted() const noexcept { return job_posted_; }
    void cancel_timers() noexcept;
    // Brings everything staged and written to the disk, in the log and in the index. No other thread may be
    // at work. Throws what went wrong.
    void finish();

    [[nodiscard]] std::uint64_t groups() const noexcept { return groups_; }
    [[nodiscard]] const ports::histogram& group_commits() const noexcept { return group_commits_; }
    [[nodiscard]] const ports::histogram& sync_microseconds() const noexcept { return sync_microseconds_; }

private:
    // What becomes a row when the group is written.
    struct page {
        std::string key;
        std::string notes;
        wall_time expires;
    };
    struct group {
        std::string payload;
        std::vector<page> pages;
        waiter_list waiters;
        std::uint32_t commits = 0;  // how many wait
        std::vector<frame_place> live;
        std::vector<frame_place> dead;
        bool forced = false;  // written even without changes, to move the index on
        bool wants_sync = false;
        bool wants_mark = false;
        std::chrono::milliseconds interval = std::chrono::milliseconds::max();  // the shortest asked for
        [[nodiscard]] bool empty() const noexcept { return payload.empty() && waiters.empty() && !forced; }
    };
    struct group_job : weave::job {
        explicit group_job(committer& owner) noexcept
            : job([](job& self) noexcept { static_cast<group_job&>(self).home.run_group(); }), home(owner) {}
        committer& home;
    };

    void enlist(waiter& one);
    void post_group();
    void run_group();
    void put_pages(group& to);
    position append(const group& written);
    bool apply(const group& written, position end);
    void settle_waiters(group& written, position end);
    void fail(waiter_list& waiters, const error& reason);
    void resume_ready();
    void clear(group& used);

    void request_sync();
    void sync_done(std::chrono::microseconds took);
    void sync_within(std::chrono::milliseconds time);
    void start_index_flush();
    void resume_index();
    void index_resumed();
    void arm_idle_timer();
    void idle_tick();

    weave::executor& executor_;
    ports::clock& clock_;
    log_writer& log_;
    index& rows_;
    space& frames_;
    failure_latch& failure_;
    worker_pool& sync_thread_;
    worker_pool& maintenance_;
    mailbox& letters_;
    const std::uint64_t replay_bytes_max_;

    group group_;
    group spare_;  // its buffers are used again
    group stuck_;  // in the log up to stuck_end_, but the index has no space for it yet
    position stuck_end_;
    ports::steady_time stuck_since_{};
    key_filter touched_;
    group_job job_{*this};
    bool job_posted_ = false;

    waiter_list unsynced_;  // written, waiting for the disk; by position
    waiter_list ready_;     // to be resumed

    bool sync_running_ = false;
    position sync_wanted_;  // a sync up to here is wanted as soon as possible
    ports::clock::timer sync_timer_ = 0;
    ports::steady_time sync_due_{};

    position last_commit_end_;
    position persisted_;
    bool flush_running_ = false;
    std::atomic<bool> index_full_ = false;
    ports::clock::timer resume_timer_ = 0;
    ports::clock::timer idle_timer_ = 0;
    position idle_seen_;

    std::uint64_t groups_ = 0;
    ports::histogram group_commits_;
    ports::histogram sync_microseconds_;
};

}  // namespace tstreams::local
