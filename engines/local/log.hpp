// The files of the log and its writing end.
#pragma once

#include "engines/local/file.hpp"
#include "engines/local/format.hpp"
#include "engines/local/worker.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::local {

// Where the files of a store are.
struct store_paths {
    std::string root;
    [[nodiscard]] std::string format() const { return root + "/FORMAT"; }
    [[nodiscard]] std::string lock() const { return root + "/LOCK"; }
    [[nodiscard]] std::string mark() const { return root + "/SYNCED"; }
    [[nodiscard]] std::string log() const { return root + "/log"; }
    [[nodiscard]] std::string index() const { return root + "/index"; }
    [[nodiscard]] std::string log_file(std::uint32_t number) const;
};
// The numbers of the log files, rising. Throws corrupt on a file that is not ours.
[[nodiscard]] std::vector<std::uint32_t> list_log_files(const disk& files, const store_paths& paths);

enum class mark_state : std::uint8_t { opened, running, clean };

// Appends records. Everything but sync_all, synced and the figures belongs to the executor.
class log_writer {
public:
    log_writer(const disk& files, store_paths paths, std::uint64_t file_bytes, std::string boot_id,
               failure_latch& failure);

    // Goes on at `end`, behind the commit of that number. `numbers` are the files that there are; from
    // `dirty` on they may not be on the disk yet.
    void resume(position end, std::uint64_t last_commit, const std::vector<std::uint32_t>& numbers,
                std::uint32_t dirty);
    // Makes the first file of a new store, or the next one.
    void roll();

    // Throws no_space (not_applied) when surely nothing was written; otherwise latches the failure and throws
    // storage_failed: a frame that nobody refers to is not applied, of a commit the outcome is unknown.
    position append_frame(const ports::blob_name& name, bytes_view data, std::uint32_t crc32c);
    // Returns the position behind the record.
    position append_commit(std::string_view payload, std::uint32_t oldest_undecided);

    [[nodiscard]] position end() const noexcept { return end_; }
    [[nodiscard]] std::uint64_t last_commit() const noexcept { return last_commit_; }
    [[nodiscard]] std::uint64_t bytes_since(position from) const;
    [[nodiscard]] const std::map<std::uint32_t, std::uint32_t>& sizes() const noexcept { return sizes_; }
    void forget(std::uint32_t number) { sizes_.erase(number); }

    // Any thread: puts everything written so far on the disk. A failure is latched, and nothing is tried
    // again.
    void sync_all() noexcept;
    [[nodiscard]] position synced() const noexcept { return position::from(synced_.load(std::memory_order_acquire)); }

    // Notes how far the log reaches; synced at both ends of a run. Throws disk_error only at the beginning.
    void write_mark(mark_state state = mark_state::running);

    [[nodiscard]] std::uint64_t fsyncs() const noexcept { return fsyncs_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }

private:
    void append(record_header& header, std::string_view payload, outcome on_failure);
    void write_record(std::span<iovec> parts, outcome on_failure);
    void open_next();

    const disk& files_;
    const store_paths paths_;
    const std::uint64_t file_bytes_;
    const std::string boot_id_;
    failure_latch& failure_;

    std::shared_ptr<file> mark_;
    std::uint64_t mark_sequence_ = 0;
    std::uint64_t last_commit_ = 0;
    std::map<std::uint32_t, std::uint32_t> sizes_;  // of the files before the current one
    std::uint64_t bytes_written_ = 0;

    std::mutex sync_mutex_;   // one sync at a time
    std::mutex state_mutex_;  // end_, current_, unsynced_ and unnamed_, where other threads look at them
    position end_;
    std::shared_ptr<file> current_;
    std::vector<std::shared_ptr<file>> unsynced_;  // before the current one
    std::uint32_t unnamed_ = 0;                    // the file whose name may not be on the disk yet; 0: none
    std::atomic<std::uint64_t> synced_{0};
    std::atomic<std::uint64_t> fsyncs_{0};
};

}  // namespace tstreams::local
