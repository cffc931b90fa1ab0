// The embedded engine: rows and blobs in one directory, one log with RocksDB as its index. See README.md.
//
//     tstreams::local::options options;
//     options.path = "/var/lib/tstreams";
//     auto engine = tstreams::local::engine::open(options, executor, clock);
//     ... engine->rows(), engine->blobs() ...
//     co_await engine->close();
#pragma once

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/histogram.hpp>
#include <tstreams/ports/key_value.hpp>
#include <weave/executor.hpp>
#include <weave/task.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace tstreams::local {

class disk_faults;

struct options {
    std::string path;
    bool create = true;        // make the store where there is none
    bool inline_mode = false;  // no threads of its own: syncs and background work block the executor
    std::uint64_t log_file_bytes = std::uint64_t{256} << 20;    // at most 1 GiB
    std::uint64_t replay_bytes_max = std::uint64_t{512} << 20;  // about as much log is read again at open
    disk_faults* faults = nullptr;                              // for tests: see file.hpp
    std::string boot_id;                                        // for tests; empty: the kernel's
};

struct counters {
    std::uint64_t commits = 0;       // acknowledged
    std::uint64_t groups = 0;        // commit records written
    std::uint64_t fsyncs = 0;        // of log files
    ports::histogram group_commits;  // how many a record carries
    ports::histogram sync_microseconds;
    std::uint64_t log_bytes_written = 0;
    std::uint64_t log_files = 0;
    std::uint64_t live_bytes = 0;  // of blobs that commits cover; rises for a moment after open
    std::uint64_t undecided_blobs = 0;
    std::uint64_t torn_bytes = 0;  // cut off at open
    bool background_busy = false;  // frames are being counted, holes punched, or files unlinked
};

class engine {
public:
    // Blocks while the log is replayed. `home` and `clock` outlive the engine. Throws, having changed
    // nothing: store_not_found, not_a_store, format_newer, locked, read_only, corrupt; or storage_failed,
    // no_space.
    [[nodiscard]] static std::unique_ptr<engine> open(const options& chosen, weave::executor& home,
                                                      ports::clock& clock);

    // Without close() before it this is like a crash: what was acknowledged is there at the next open. The
    // executor must not run jobs of this engine any more, so no call may be under way.
    ~engine();

    [[nodiscard]] ports::key_value& rows() noexcept;
    [[nodiscard]] ports::blob_store& blobs() noexcept;

    // On the executor. Everything is synced, the index is flushed and the clean end noted; the directory is
    // free then, and no job of the engine is left in the executor. Calls that come later throw shutting_down.
    // Blocks. Throws storage_failed when the engine has failed or fails now, no_space when the index cannot be
    // flushed; it is closed all the same, and the next open takes what is missing from the log.
    weave::task<void> close();

    // Once true, every call throws storage_failed; the store has to be opened again.
    [[nodiscard]] bool failed() const noexcept;
    [[nodiscard]] local::counters counters() const;

private:
    struct parts;
    explicit engine(std::unique_ptr<parts> made);
    std::unique_ptr<parts> parts_;
};

}  // namespace tstreams::local
