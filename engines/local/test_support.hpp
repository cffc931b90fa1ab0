// A real executor and clock for tests of the engine: the test's own thread drives them.
#pragma once

#include "core/frames.hpp"
#include "engines/local/engine.hpp"
#include "engines/local/file.hpp"

#include <tstreams/error.hpp>
#include <tstreams/ports/clock.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/task.hpp>

#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace tstreams::local {

class test_loop final : public weave::executor, public ports::clock {
public:
    void post(weave::job& work) noexcept override {
        const std::lock_guard lock(mutex_);
        work.next = nullptr;
        (head_ ? tail_->next : head_) = &work;
        tail_ = &work;
        wake_.notify_one();
    }
    [[nodiscard]] bool running_here() const noexcept override { return running_; }

    [[nodiscard]] ports::steady_time now() const noexcept override {
        return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::steady_clock::now()) + skipped_;
    }
    // Timers fire so much earlier from now on.
    void skip(std::chrono::microseconds time) noexcept { skipped_ += time; }
    [[nodiscard]] wall_time wall_now() const noexcept override {
        return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    }
    timer call_at(ports::steady_time when, std::function<void()> callback) override {
        timers_.emplace(std::pair(when, ++last_timer_), std::move(callback));
        return last_timer_;
    }
    void cancel(timer which) noexcept override {
        std::erase_if(timers_, [which](const auto& one) { return one.first.second == which; });
    }
    [[nodiscard]] std::uint64_t random() noexcept override { return random_(); }

    [[nodiscard]] bool has_jobs() const {
        const std::lock_guard lock(mutex_);
        return head_ != nullptr;
    }

    // Runs jobs and timers until `done` says so. Throws after a minute.
    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        while (!done()) {
            if (weave::job* work = take(deadline)) {
                running_ = true;
                work->run(*work);
                running_ = false;
            }
            fire_timers();
        }
    }
    void run_for(std::chrono::milliseconds time) {
        bool over = false;
        call_at(now() + time, [&over] { over = true; });
        run_until([&over] { return over; });
    }
    template <class T>
    T run(weave::task<T> work) {
        std::optional<weave::outcome_of<T>> result;
        weave::spawn(*this, std::move(work), [&result](weave::outcome_of<T> got) { result.emplace(std::move(got)); });
        run_until([&result] { return result.has_value(); });
        return result->get();
    }

private:
    weave::job* take(std::chrono::steady_clock::time_point deadline) {
        std::unique_lock lock(mutex_);
        if (!head_) {
            auto until = deadline;
            if (!timers_.empty())
                until = std::min(until, std::chrono::steady_clock::time_point(timers_.begin()->first.first - skipped_));
            wake_.wait_until(lock, until, [this] { return head_ != nullptr; });
            if (!head_ && std::chrono::steady_clock::now() >= deadline) throw std::runtime_error("the test hangs");
        }
        if (!head_) return nullptr;
        weave::job* first = head_;
        head_ = first->next;
        return first;
    }
    void fire_timers() {
        while (!timers_.empty() && timers_.begin()->first.first <= now()) {
            const auto callback = std::move(timers_.begin()->second);
            timers_.erase(timers_.begin());
            callback();
        }
    }

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    weave::job* head_ = nullptr;
    weave::job* tail_ = nullptr;
    std::map<std::pair<ports::steady_time, timer>, std::function<void()>> timers_;
    timer last_timer_ = 0;
    std::mt19937_64 random_{42};
    std::chrono::microseconds skipped_{0};
    bool running_ = false;
};

// Holds the index in front of its tables until they are let go. For an engine with threads.
class held_tables final : public disk_faults {
public:
    int before(disk_operation what, const std::string& path, std::size_t&) noexcept override {
        std::unique_lock lock(mutex_);
        if (what == disk_operation::write && path.find("/log/") != std::string::npos && next_log_write_) {
            const std::function<void()> call = std::exchange(next_log_write_, {});
            lock.unlock();
            call();
            return 0;
        }
        if (what != disk_operation::index_file || !path.ends_with(".sst")) return 0;
        waiting_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !holding_; });
        return number_;
    }
    void hold() {
        const std::lock_guard lock(mutex_);
        holding_ = true;
        waiting_ = false;
    }
    void wait_for_one() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::minutes(1), [this] { return waiting_; }))
            throw std::runtime_error("no table is begun");
    }
    // From now on tables are made, or fail with the number.
    void let_go(int number = 0) {
        const std::lock_guard lock(mutex_);
        holding_ = false;
        number_ = number;
        changed_.notify_all();
    }
    void at_next_log_write(std::function<void()> call) {
        const std::lock_guard lock(mutex_);
        next_log_write_ = std::move(call);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> next_log_write_;  // guarded by mutex_, as all below
    bool holding_ = true;
    bool waiting_ = false;
    int number_ = 0;
};

// Removed at the end, with everything in it.
class temporary_directory {
public:
    temporary_directory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "tstreams-local-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
        path_ = pattern;
    }
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

// An engine with a loop of its own. Destroying it without close() is like a crash of the process.
class running_engine {
public:
    explicit running_engine(const options& chosen) : engine_(engine::open(chosen, loop_, loop_)) {}
    explicit running_engine(const std::string& path) : running_engine(at(path)) {}

    static options at(const std::string& path) {
        options chosen;
        chosen.path = path;
        return chosen;
    }

    [[nodiscard]] test_loop& loop() noexcept { return loop_; }
    [[nodiscard]] engine& store() noexcept { return *engine_; }
    [[nodiscard]] ports::key_value& rows() noexcept { return engine_->rows(); }
    [[nodiscard]] ports::blob_store& blobs() noexcept { return engine_->blobs(); }

    void close() { loop_.run(engine_->close()); }

    ports::commit_result commit(ports::batch change, durability level = durability::sync()) {
        return loop_.run(rows().commit(std::move(change), level));
    }
    ports::commit_result put(const std::string& key, const std::string& value, durability level = durability::sync()) {
        return commit(batch(key, value), level);
    }
    std::optional<std::string> get(const std::string& key) { return loop_.run(rows().get("shard", key)); }
    ports::blob_ref write(const std::string& data) {
        return loop_.run(blobs().write({}, as_bytes(data), core::crc32c(as_bytes(data)), wall_time::max()));
    }
    std::string read(const ports::blob_ref& ref) { return loop_.run(blobs().read(ref)); }
    void drop(std::vector<ports::blob_ref> refs) { loop_.run(blobs().drop(std::move(refs))); }

    // A batch that puts one row.
    static ports::batch batch(const std::string& key, const std::string& value) {
        ports::batch change;
        change.shard = "shard";
        change.mutations.push_back({key, value, std::nullopt});
        return change;
    }

private:
    test_loop loop_;
    std::unique_ptr<engine> engine_;
};

// The code of the error that `work` throws, and its outcome.
struct failure {
    std::optional<errc> code;
    outcome result = outcome::applied;
    std::string text;
};
template <class Work>
failure failure_of(Work work) {
    try {
        work();
    } catch (const error& thrown) {
        return {thrown.code(), thrown.outcome(), thrown.what()};
    }
    return {};
}

}  // namespace tstreams::local
