#include "engines/local/committer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace tstreams::local {
namespace {

// A group that is larger is written at once.
constexpr std::size_t group_bytes_max = std::size_t{4} << 20;
// Space of dropped frames, and writes that nobody asked to be synced, wait for a sync at most this long.
constexpr auto lazy_sync = std::chrono::seconds(1);
constexpr auto idle_time = std::chrono::seconds(1);
// How often an index without space is tried again.
constexpr auto resume_pause = std::chrono::milliseconds(500);
// A commit that is in the log, but that the index has no space for, is waited for at most this long.
constexpr auto stuck_time = std::chrono::minutes(1);
// An idle store with this much log behind the flushed index flushes it.
constexpr std::uint64_t idle_flush_bytes = std::uint64_t{16} << 20;

}  // namespace

committer::committer(const committer_parts& parts)
    : executor_(parts.executor),
      clock_(parts.clock),
      log_(parts.log),
      rows_(parts.rows),
      frames_(parts.frames),
      failure_(parts.failure),
      sync_thread_(parts.sync_thread),
      maintenance_(parts.maintenance),
      letters_(parts.letters),
      replay_bytes_max_(parts.replay_bytes_max) {}

void committer::recovered(position last_commit_end, position persisted) {
    last_commit_end_ = last_commit_end;
    persisted_ = persisted;
}

void committer::stage_put(std::string_view row_key, std::string_view value, const std::optional<wall_time>& expires) {
    append_put(group_.payload, row_key, value, expires);
    touched_.add(row_key);
}

void committer::stage_erase(std::string_view row_key) {
    append_erase(group_.payload, row_key);
    touched_.add(row_key);
}

void committer::stage_live(const frame_place& frame) {
    append_live(group_.payload, frame.at, frame.length);
    touched_.add(encode_place(frame.at));
    group_.live.push_back(frame);
}

void committer::stage_dead(const frame_place& frame) {
    append_dead(group_.payload, frame.at);
    touched_.add(encode_place(frame.at));
    group_.dead.push_back(frame);
    frames_.dropping(frame);
}

// Pages are few, or the last ones are the likely ones; a page that is begun twice becomes two rows.
void committer::stage_note(std::string_view shard_key, std::string_view page_name, std::string_view text,
                           wall_time expires) {
    constexpr std::size_t looked_at = 16;
    std::vector<page>& pages = group_.pages;
    const auto end = pages.rbegin() + static_cast<std::ptrdiff_t>(std::min(pages.size(), looked_at));
    const auto found = std::find_if(pages.rbegin(), end, [&](const page& one) {
        return one.key.size() == shard_key.size() + page_name.size() && one.key.starts_with(shard_key) &&
               one.key.ends_with(page_name);
    });
    if (found == end) {
        touched_.add(shard_key);
        pages.push_back({std::string(shard_key).append(page_name), std::string(text), expires});
        return;
    }
    found->notes.append(text);
    found->expires = std::max(found->expires, expires);
}

void committer::enlist(waiter& one) {
    group_.waiters.push(one);
    ++group_.commits;
    if (one.level == durability::kind::sync) {
        group_.wants_sync = true;
    } else {
        group_.wants_mark = true;
        if (one.level == durability::kind::interval) group_.interval = std::min(group_.interval, one.interval);
    }
    post_group();
    if (group_.payload.size() >= group_bytes_max) write_group();
}

// At the end of the executor's queue: what is ready now joins the group.
void committer::post_group() {
    if (job_posted_) return;
    job_posted_ = true;
    executor_.post(job_);
}

void committer::run_group() {
    job_posted_ = false;
    write_group();
    limit_replay();
    resume_ready();
}

void committer::write_group() {
    if (group_.empty()) return;
    std::swap(group_, spare_);
    group& written = spare_;
    touched_.clear();
    try {
        put_pages(written);
        const position end = append(written);
        if (written.wants_sync && log_.synced() < end) {
            sync_wanted_ = end;
            request_sync();  // the disk works while the index takes the group in
        }
        if (!apply(written, end)) {
            std::swap(spare_, stuck_);
            stuck_end_ = end;
            stuck_since_ = clock_.now();
            return index_full();
        }
        settle_waiters(written, end);
    } catch (const error& failure) {
        fail(written.waiters, failure);
    }
    clear(written);
    if (failure_.failed()) fail_waiters();
}

// No two records of a log begin at the same place, so no two rows of a page have the same key.
void committer::put_pages(group& to) {
    std::array<char, sizeof(std::uint64_t) + sizeof(std::uint32_t)> suffix{};
    put_u64(suffix.data(), log_.end().value());
    for (std::size_t i = 0; i < to.pages.size(); ++i) {
        page& one = to.pages[i];
        put_u32(suffix.data() + sizeof(std::uint64_t), static_cast<std::uint32_t>(i));
        one.key.append(suffix.data(), suffix.size());
        append_put(to.payload, one.key, one.notes, one.expires);
    }
    to.pages.clear();
}

void committer::clear(group& used) {
    std::string payload = std::move(used.payload);
    payload.clear();
    if (payload.capacity() > 2 * group_bytes_max) payload.shrink_to_fit();
    used.live.clear();
    used.dead.clear();
    used.pages.clear();
    group fresh;
    fresh.payload = std::move(payload);
    fresh.pages = std::move(used.pages);
    fresh.live = std::move(used.live);
    fresh.dead = std::move(used.dead);
    used = std::move(fresh);
}

// Returns where the group's record ends. A group without changes writes nothing: it is as safe as all before
// it.
position committer::append(const group& written) {
    try {
        failure_.check();
        if (written.payload.empty() && !written.forced) return log_.end();
        if (index_full_)
            throw error(errc::no_space, "there is no space for the index of the store; free some and try again");
        const position end = log_.append_commit(written.payload, frames_.oldest_undecided());
        last_commit_end_ = end;
        ++groups_;
        group_commits_.add(written.commits);
        return end;
    } catch (const error&) {
        for (const frame_place& frame : written.dead) frames_.not_dropped(frame);
        throw;
    }
}

// False: the index has no space for it now; it must be tried again before anything else is written.
bool committer::apply(const group& written, position end) {
    if (written.payload.empty() && !written.forced) return true;
    try {
        rows_.apply(written.payload, {end, log_.last_commit(), frames_.oldest_undecided()});
    } catch (const error& failure) {
        if (failure.code() == errc::no_space) return false;
        failure_.set(failure.what());
        throw failure_.as_error(outcome::unknown);
    }
    for (const frame_place& frame : written.live) frames_.covered(frame);
    for (const frame_place& frame : written.dead) frames_.dropped(frame, end);
    if (!written.dead.empty()) sync_within(lazy_sync);
    rows_.set_now(clock_.wall_now());
    arm_idle_timer();
    return true;
}

void committer::settle_waiters(group& written, position end) {
    // While a sync runs its end is waited for, however far it is: the mark is written before anybody is told.
    const bool on_disk = end <= log_.synced() && !sync_running_;
    while (!written.waiters.empty()) {
        waiter& one = written.waiters.pop();
        one.until = end;
        const bool waits = one.level == durability::kind::sync && !on_disk;
        (waits ? unsynced_ : ready_).push(one);
    }
    if (written.interval != std::chrono::milliseconds::max() && !on_disk) sync_within(written.interval);
    if (written.wants_mark) log_.write_mark();
    if (!ready_.empty()) post_group();
}

void committer::fail(waiter_list& waiters, const error& reason) {
    if (waiters.empty()) return;
    const auto shared = std::make_shared<const error>(reason);
    while (!waiters.empty()) {
        waiter& one = waiters.pop();
        one.failure = shared;
        ready_.push(one);
    }
    post_group();
}

void committer::fail_waiters() {
    fail(unsynced_, failure_.as_error(outcome::unknown));
    fail(stuck_.waiters, failure_.as_error(outcome::unknown));
    clear(stuck_);
    for (const frame_place& frame : group_.dead) frames_.not_dropped(frame);
    fail(group_.waiters, failure_.as_error(outcome::not_applied));
    clear(group_);
    touched_.clear();
}

// Only from a job of the executor, so that nobody is resumed inside somebody else's call.
void committer::resume_ready() {
    waiter_list now = std::exchange(ready_, {});
    while (!now.empty()) now.pop().coroutine.resume();
    if (!ready_.empty()) post_group();
}

void committer::request_sync() {
    if (sync_running_) return;
    sync_running_ = true;
    sync_thread_.run([this] {
        const auto begun = std::chrono::steady_clock::now();
        log_.sync_all();
        const auto took = std::chrono::ceil<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun);
        letters_.send([this, took] { sync_done(took); });
    });
}

void committer::sync_done(std::chrono::microseconds took) {
    sync_running_ = false;
    sync_microseconds_.add(static_cast<std::uint64_t>(took.count()));
    if (failure_.failed()) {
        fail_waiters();
        return resume_ready();
    }
    const position reached = log_.synced();
    while (!unsynced_.empty() && unsynced_.front().until <= reached) ready_.push(unsynced_.pop());
    if (reached < sync_wanted_) request_sync();
    log_.write_mark();
    frames_.synced(reached);
    resume_ready();
}

void committer::sync_within(std::chrono::milliseconds time) {
    const ports::steady_time due = clock_.now() + time;
    if (sync_timer_ != 0 && sync_due_ <= due) return;
    if (sync_timer_ != 0) clock_.cancel(sync_timer_);
    sync_due_ = due;
    sync_timer_ = clock_.call_at(due, [this] {
        sync_timer_ = 0;
        if (log_.synced() >= log_.end()) return frames_.synced(log_.synced());
        sync_wanted_ = log_.end();
        request_sync();
    });
}

void committer::limit_replay() {
    if (!flush_running_ && !index_full_ && log_.bytes_since(persisted_) > replay_bytes_max_) start_index_flush();
}

// The index can only move to the end of a commit record; an empty one takes it behind frames of data.
void committer::start_index_flush() {
    if (failure_.failed()) return;
    flush_running_ = true;
    if (last_commit_end_ != log_.end()) {
        group_.forced = true;
        write_group();
    }
    maintenance_.run([this, before = persisted_] {
        try {
            rows_.flush();
        } catch (const error& failure) {
            if (failure.code() != errc::no_space) failure_.set(failure.what());
        }
        letters_.send([this, before] {
            flush_running_ = false;
            index_flushed();
            // What was written meanwhile may be too much already, and perhaps nothing is written after it. A flush that
            // got nowhere is not followed by another at once: there is no space.
            if (persisted_ > before) limit_replay();
        });
    });
}

void committer::index_flushed() {
    try {
        if (!failure_.failed()) persisted_ = rows_.persisted().applied;
    } catch (const error& failure) {
        failure_.set(failure.what());
    }
    if (failure_.failed()) return fail_waiters();
    frames_.persisted(persisted_);
}

void committer::index_full() {
    index_full_ = true;
    if (resume_timer_ != 0) return;
    resume_timer_ = clock_.call_at(clock_.now() + resume_pause, [this] { resume_index(); });
}

void committer::resume_index() {
    maintenance_.run([this] {
        bool resumed = false;
        try {
            resumed = rows_.resume();
        } catch (const error& failure) {
            failure_.set(failure.what());
        }
        letters_.send([this, resumed] {
            resume_timer_ = 0;
            if (!resumed && !stuck_.empty() && clock_.now() - stuck_since_ > stuck_time)
                failure_.set("the disk has been full for too long");
            if (failure_.failed()) return fail_waiters();
            if (!resumed) return index_full();
            index_resumed();
        });
    });
}

// The group that the log has and the index has not goes first.
void committer::index_resumed() {
    // What has gathered was judged by an index without that group, and is refused.
    if (!stuck_.empty()) write_group();
    index_full_ = false;
    if (stuck_.empty()) return;
    try {
        if (!apply(stuck_, stuck_end_)) return index_full();
        settle_waiters(stuck_, stuck_end_);
        clear(stuck_);
    } catch (const error&) {
        fail_waiters();
    }
}

void committer::arm_idle_timer() {
    if (idle_timer_ != 0) return;
    idle_timer_ = clock_.call_at(clock_.now() + idle_time, [this] { idle_tick(); });
}

// When nothing has been written for a while: flush, so that a restart is quick and dead files go away.
void committer::idle_tick() {
    idle_timer_ = 0;
    if (failure_.failed()) return;
    if (idle_seen_ != log_.end()) {
        idle_seen_ = log_.end();
        return arm_idle_timer();
    }
    if (flush_running_ || index_full_) return arm_idle_timer();
    if (log_.bytes_since(persisted_) < idle_flush_bytes) return;
    try {
        if (log_.end().offset >= idle_flush_bytes) log_.roll();
        start_index_flush();
    } catch (const error&) {
        // There is no space for a new file; the next write finds that too and says so.
    }
}

void committer::cancel_timers() noexcept {
    if (sync_timer_ != 0) clock_.cancel(std::exchange(sync_timer_, 0));
    if (idle_timer_ != 0) clock_.cancel(std::exchange(idle_timer_, 0));
    if (resume_timer_ != 0) clock_.cancel(std::exchange(resume_timer_, 0));
}

void committer::finish() {
    if (index_full_ && rows_.resume()) index_resumed();
    write_group();
    failure_.check();
    if (log_.end().offset >= idle_flush_bytes) log_.roll();
    if (last_commit_end_ != log_.end()) {
        group_.forced = true;
        write_group();
    }
    log_.sync_all();
    failure_.check();
    rows_.flush();
    persisted_ = rows_.persisted().applied;
    frames_.synced(log_.synced());
    frames_.persisted(persisted_);
    cancel_timers();
}

}  // namespace tstreams::local
