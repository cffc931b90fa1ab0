// The index: RocksDB with its own log off, always a state that the log has been through.
#pragma once

#include "engines/local/file.hpp"
#include "engines/local/format.hpp"

#include <tstreams/ports/key_value.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::local {

// How far the index has come.
struct index_state {
    position applied;  // behind the last commit record applied
    std::uint64_t commit = 0;
    std::uint32_t oldest_undecided = no_file;
};

struct index_options {
    std::string path;
    bool read_only = false;
    disk_faults* faults = nullptr;
    // Called on threads of RocksDB.
    std::function<bool()> before_table;  // puts the log on the disk; false: no table may be written any more
    std::function<void()> flushed;
    std::function<void()> full;  // nothing more is taken in before resume() succeeds
    std::function<void(const std::string&)> failed;
};

// Every call throws tstreams::error: corrupt, no_space, or storage_failed.
class index {
public:
    // Walks the live frames, as of its making, by position.
    class live_frames {
    public:
        virtual ~live_frames() = default;
        virtual bool next(position& place, std::uint32_t& length) = 0;
    };

    // Whether there is anything at the path.
    [[nodiscard]] static bool exists(const disk& files, const std::string& path);
    explicit index(index_options options);
    ~index();
    index(const index&) = delete;
    index& operator=(const index&) = delete;

    // Applies the payload of a commit record, all or nothing.
    void apply(std::string_view payload, const index_state& reached);

    // Rows that expire at or before `now`, and by the time at which expiry is held, read as absent.
    [[nodiscard]] std::optional<std::string> get(std::string_view row_key, wall_time now);
    [[nodiscard]] std::vector<ports::row> scan(const ports::scan_range& range, wall_time now);
    [[nodiscard]] std::optional<std::uint32_t> live_length(position place);
    [[nodiscard]] std::unique_ptr<live_frames> all_live_frames();
    [[nodiscard]] std::uint64_t count_rows();

    [[nodiscard]] index_state state();      // zeros in a new one
    [[nodiscard]] index_state persisted();  // what a restart would find

    // Blocks until the memtable is on the disk. Any thread.
    void flush();
    // After `full`: tries to go on. False: there is still no space. Any thread.
    [[nodiscard]] bool resume();
    // Reads every block. Returns what is wrong, or nothing.
    [[nodiscard]] std::string verify();

    // See key_value::hold_expiry. Until the first call compactions remove nothing.
    void hold_expiry(std::optional<wall_time> at) noexcept {
        held_at_ = at;
        removes_ = true;
    }
    // What compactions take for the time of day.
    void set_now(wall_time now) noexcept {
        if (removes_) now_.store(expiry_by(now).time_since_epoch().count(), std::memory_order_relaxed);
    }

private:
    [[nodiscard]] wall_time expiry_by(wall_time now) const noexcept {
        return held_at_ ? std::min(*held_at_, now) : now;
    }

    struct parts;
    std::atomic<std::int64_t> now_{0};
    std::optional<wall_time> held_at_;
    bool removes_ = false;
    std::unique_ptr<parts> parts_;
};

}  // namespace tstreams::local
