#include "engines/local/engine.hpp"

#include "engines/local/committer.hpp"
#include "engines/local/directory.hpp"
#include "engines/local/file.hpp"
#include "engines/local/index.hpp"
#include "engines/local/lock.hpp"
#include "engines/local/log.hpp"
#include "engines/local/recovery.hpp"
#include "engines/local/space.hpp"
#include "engines/local/store.hpp"
#include "engines/local/worker.hpp"

#include <tstreams/error.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace tstreams::local {
namespace {

constexpr std::size_t reader_threads = 2;

// Finds or makes the directory, and takes the lock.
std::unique_ptr<store_lock> enter(const disk& files, const store_paths& paths, bool create) {
    const bool there = is_store(files, paths);
    if (!there && !create)
        throw error(errc::store_not_found, "there is no store in " + paths.root + ": check the path");
    if (!there) make_root(files, paths);
    auto lock = std::make_unique<store_lock>(paths, true);
    if (!is_store(files, paths)) make_store(files, paths);
    return lock;
}

}  // namespace

struct engine::parts {
    parts(const options& chosen, weave::executor& home_executor, ports::clock& home_clock)
        : home(home_executor),
          clock(home_clock),
          paths{chosen.path},
          files(chosen.faults),
          boot_id(chosen.boot_id.empty() ? kernel_boot_id() : chosen.boot_id),
          inline_mode(chosen.inline_mode),
          lock(enter(files, paths, chosen.create)),
          letters(home),
          log(files, paths, chosen.log_file_bytes, boot_id, failure),
          sync_thread(inline_mode ? 0 : 1),
          maintenance(inline_mode ? 0 : 1),
          readers(inline_mode ? 0 : reader_threads) {
        recover(chosen.replay_bytes_max);
    }
    ~parts() {
        letters.close();
        if (commits) commits->cancel_timers();
        stop_threads();
        rows.reset();  // its threads use the log
    }

    void recover(std::uint64_t replay_bytes_max);
    std::unique_ptr<index> open_index();
    void make_ports(std::uint64_t replay_bytes_max);
    void stop_threads() {
        sync_thread.stop();
        maintenance.stop();
        readers.stop();
    }
    // Called by threads of RocksDB.
    void on_index_flushed() {
        if (!inline_mode) letters.send([this] { commits->index_flushed(); });
    }
    void on_index_full() {
        if (!ready) return;
        commits->refuse();
        letters.send([this] { commits->index_full(); });
    }
    void on_index_failed(const std::string& text) {
        failure.set(text);
        if (ready) letters.send([this] { commits->fail_waiters(); });
    }

    weave::executor& home;
    ports::clock& clock;
    const store_paths paths;
    const disk files;
    const std::string boot_id;
    const bool inline_mode;
    std::unique_ptr<store_lock> lock;
    failure_latch failure;
    mailbox letters;
    log_writer log;
    std::unique_ptr<index> rows;
    worker_pool sync_thread;
    worker_pool maintenance;
    worker_pool readers;
    std::optional<space> frames;
    std::optional<committer> commits;
    std::optional<row_store> row_port;
    std::optional<frame_store> frame_port;
    std::uint64_t torn_bytes = 0;
    std::atomic<bool> ready{false};  // open() is done
    bool closed = false;
};

std::unique_ptr<index> engine::parts::open_index() {
    index_options options;
    options.path = paths.index();
    options.faults = files.faults();
    options.before_table = [this] {
        log.sync_all();
        return !failure.failed();
    };
    options.flushed = [this] {
        if (ready) on_index_flushed();
    };
    options.full = [this] { on_index_full(); };
    options.failed = [this](const std::string& text) { on_index_failed(text); };
    return std::make_unique<index>(std::move(options));
}

void engine::parts::recover(std::uint64_t replay_bytes_max) {
    const index_state state = peek_index(files, paths);
    const recovery_plan plan = plan_recovery(files, paths, state, read_mark(files, paths), boot_id);
    cut(files, paths, plan);
    torn_bytes = plan.cut_bytes;
    if (plan.numbers.empty()) {
        log.roll();
    } else {
        log.resume(plan.end, plan.last_commit, plan.numbers, plan.from.file);
    }
    log.write_mark(mark_state::opened);
    failure.check();
    rows = open_index();
    replay(files, paths, plan, state, *rows);
    make_ports(replay_bytes_max);
    position from = plan.last_commit_end;
    if (plan.oldest_undecided < from.file) from = {plan.oldest_undecided, 0};
    if (from.file == 0) from = {1, 0};
    commits->recovered(plan.last_commit_end, rows->persisted().applied);
    frames->begin(from, log.end());
    frames->persisted(rows->persisted().applied);
    failure.check();
    ready = true;
}

void engine::parts::make_ports(std::uint64_t replay_bytes_max) {
    frames.emplace(files, paths, log, *rows, maintenance, letters, failure);
    commits.emplace(committer_parts{home, clock, log, *rows, *frames, failure, sync_thread, maintenance, letters,
                                    replay_bytes_max});
    const store_parts shared{files, paths, clock, log, *rows, *frames, *commits, failure, readers, letters, closed};
    row_port.emplace(shared);
    frame_port.emplace(shared);
    frames->on_unlink = [this](std::uint32_t number) { frame_port->forget(number); };
}

std::unique_ptr<engine> engine::open(const options& chosen, weave::executor& home, ports::clock& clock) {
    if (chosen.path.empty()) throw error(errc::invalid_argument, "the path of the store is empty");
    try {
        return std::unique_ptr<engine>(new engine(std::make_unique<parts>(chosen, home, clock)));
    } catch (const disk_error& failure) {
        throw open_error(failure, {chosen.path});
    }
}

engine::engine(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
engine::~engine() = default;

ports::key_value& engine::rows() noexcept {
    return *parts_->row_port;
}
ports::blob_store& engine::blobs() noexcept {
    return *parts_->frame_port;
}
bool engine::failed() const noexcept {
    return parts_->failure.failed();
}

weave::task<void> engine::close() {
    parts& all = *parts_;
    if (all.closed) co_return;
    all.closed = true;
    std::exception_ptr problem;
    try {
        all.commits->write_group();
        all.stop_threads();
        all.commits->finish();
    } catch (const error& failure) {
        problem = std::current_exception();
        all.failure.set(failure.what());
        all.commits->fail_waiters();
        all.commits->cancel_timers();
    }
    // What the threads have sent is done with, and so is what follows from it: there are no threads any more.
    while (all.letters.expected() || all.commits->posted()) {
        weave::yield turn(all.home);
        co_await turn;
    }
    all.commits->cancel_timers();
    all.letters.close();
    all.rows.reset();
    if (!problem) all.log.write_mark(mark_state::clean);
    all.lock.reset();
    if (problem) std::rethrow_exception(problem);
    if (all.failure.failed()) throw all.failure.as_error(outcome::not_applied);
}

counters engine::counters() const {
    const parts& all = *parts_;
    local::counters now;
    now.commits = all.row_port->commits();
    now.groups = all.commits->groups();
    now.group_commits = all.commits->group_commits();
    now.sync_microseconds = all.commits->sync_microseconds();
    now.fsyncs = all.log.fsyncs();
    now.log_bytes_written = all.log.bytes_written();
    now.log_files = all.log.sizes().size() + 1;
    now.live_bytes = all.frames->live_bytes();
    now.undecided_blobs = all.frames->undecided_frames();
    now.torn_bytes = all.torn_bytes;
    now.background_busy = all.frames->busy();
    return now;
}

}  // namespace tstreams::local
