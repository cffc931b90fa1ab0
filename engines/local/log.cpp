#include "engines/local/log.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace tstreams::local {
namespace {

constexpr std::size_t name_digits = 10;
constexpr std::string_view name_end = ".log";
constexpr std::array<char, 8> zeros{};

iovec part(const void* data, std::size_t bytes) noexcept {
    return {const_cast<void*>(data), bytes};
}

}  // namespace

std::string store_paths::log_file(std::uint32_t number) const {
    std::string digits = std::to_string(number);
    digits.insert(0, name_digits - digits.size(), '0');
    return log() + "/" + digits + std::string(name_end);
}

std::vector<std::uint32_t> list_log_files(const disk& files, const store_paths& paths) {
    std::vector<std::uint32_t> numbers;
    for (const std::string& name : files.list(paths.log())) {
        std::uint32_t number = 0;
        const char* digits_end = name.data() + std::min(name.size(), name_digits);
        const auto parsed = std::from_chars(name.data(), digits_end, number);
        if (name.size() != name_digits + name_end.size() || !name.ends_with(name_end) || parsed.ptr != digits_end)
            throw error(errc::corrupt, paths.log() + "/" + name + " is not a log file: move it away");
        numbers.push_back(number);
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

log_writer::log_writer(const disk& files, store_paths paths, std::uint64_t file_bytes, std::string boot_id,
                       failure_latch& failure)
    : files_(files),
      paths_(std::move(paths)),
      file_bytes_(std::min<std::uint64_t>(file_bytes, std::uint64_t{1} << 30)),
      boot_id_(std::move(boot_id)),
      failure_(failure) {}

void log_writer::resume(position end, std::uint64_t last_commit, const std::vector<std::uint32_t>& numbers,
                        std::uint32_t dirty) {
    last_commit_ = last_commit;
    for (const std::uint32_t number : numbers) {
        auto opened = files_.open(paths_.log_file(number), disk::mode::write);
        if (number >= dirty) {
            opened->sync();
            fsyncs_.fetch_add(1, std::memory_order_relaxed);
        }
        if (number == end.file) {
            current_ = std::move(opened);
        } else {
            sizes_[number] = static_cast<std::uint32_t>(opened->size());
        }
    }
    // Who wrote them may have been killed before their names were on the disk.
    files_.sync_directory(paths_.log());
    end_ = end;
    synced_.store(end.value(), std::memory_order_release);
}

void log_writer::roll() {
    try {
        open_next();
    } catch (const disk_error& failure) {
        throw to_error(failure, outcome::not_applied);
    }
}

// Nothing counts as synced in a file before its name is on the disk: sync_all() sees to that, because a directory that
// is synced here would make everybody wait, also for the log's data where the filesystem has one journal. There is one
// such file at most, the last: a gap in the numbers would look like damage.
void log_writer::open_next() {
    const std::uint32_t number = end_.file + 1;
    bool name_now = !current_;
    {
        const std::lock_guard lock(state_mutex_);
        name_now = name_now || unnamed_ != 0;
    }
    const std::string path = paths_.log_file(number);
    const header_block header = encode_file_header(number, {end_.offset, last_commit_});
    std::shared_ptr<file> next;
    try {
        // On the disk a later name may come first, so the former has to be there before this one is made.
        if (name_now && current_) files_.sync_directory(paths_.log());
        next = files_.open(path, disk::mode::create);
        next->write({header.data(), header.size()}, 0);
        if (name_now) files_.sync_directory(paths_.log());
    } catch (const disk_error& failure) {
        // What is left of the file would be in the way of the next attempt.
        if (next) {
            try {
                files_.unlink(path);
            } catch (const disk_error& again) {
                failure_.set(again.what());
            }
        }
        if (!failure.no_space()) failure_.set(failure.what());
        throw;
    }
    const std::lock_guard lock(state_mutex_);
    if (current_) {
        sizes_[end_.file] = end_.offset;
        unsynced_.push_back(std::move(current_));
    }
    unnamed_ = name_now ? 0 : number;
    current_ = std::move(next);
    end_ = {number, static_cast<std::uint32_t>(header_bytes)};
    bytes_written_ += header_bytes;
}

void log_writer::write_record(std::span<iovec> parts, outcome on_failure) {
    try {
        current_->write(parts, end_.offset);
    } catch (const disk_error& failure) {
        if (!failure.no_space()) {
            failure_.set(failure.what());
            throw failure_.as_error(on_failure);
        }
        // A part of a record is never valid, so cutting it off makes it certain that nothing happened.
        try {
            current_->truncate(end_.offset);
        } catch (const disk_error& again) {
            failure_.set(again.what());
            throw failure_.as_error(on_failure);
        }
        throw to_error(failure, outcome::not_applied);
    }
}

void log_writer::append(record_header& header, std::string_view payload, outcome on_failure) {
    failure_.check();
    if (end_.offset >= file_bytes_) roll();
    const header_block block = encode_record_header(header, end_);
    const std::size_t bytes = header.record_bytes();
    std::array<iovec, 3> parts{part(block.data(), block.size()), part(payload.data(), payload.size()),
                               part(zeros.data(), bytes - header_bytes - payload.size())};
    write_record(parts, on_failure);
    const std::lock_guard lock(state_mutex_);
    end_.offset += static_cast<std::uint32_t>(bytes);
    bytes_written_ += bytes;
}

position log_writer::append_frame(const ports::blob_name& name, bytes_view data, std::uint32_t crc32c) {
    record_header header;
    header.type = record_type::frame;
    header.length = static_cast<std::uint32_t>(data.size());
    header.crc32c = crc32c;
    header.commit = last_commit_;
    header.name = name;
    append(header, as_text(data), outcome::not_applied);
    return {end_.file, end_.offset - static_cast<std::uint32_t>(header.record_bytes())};
}

position log_writer::append_commit(std::string_view payload, std::uint32_t oldest_undecided) {
    record_header header;
    header.type = record_type::commit;
    header.length = static_cast<std::uint32_t>(payload.size());
    header.crc32c = checksum(payload);
    header.commit = last_commit_ + 1;
    header.synced = synced();
    header.oldest_undecided = oldest_undecided;
    append(header, payload, outcome::unknown);
    ++last_commit_;
    return end_;
}

std::uint64_t log_writer::bytes_since(position from) const {
    if (from.file == end_.file) return end_.offset - from.offset;
    std::uint64_t bytes = end_.offset;
    for (auto at = sizes_.lower_bound(from.file); at != sizes_.end(); ++at) bytes += at->second;
    return bytes - std::min<std::uint64_t>(bytes, from.offset);
}

void log_writer::sync_all() noexcept {
    const std::lock_guard one_at_a_time(sync_mutex_);
    if (failure_.failed()) return;
    std::vector<std::shared_ptr<file>> dirty;
    position reached;
    std::uint32_t unnamed = 0;
    {
        const std::lock_guard lock(state_mutex_);
        if (end_.value() == synced_.load(std::memory_order_relaxed)) return;
        dirty = unsynced_;
        dirty.push_back(current_);
        reached = end_;
        unnamed = unnamed_;
    }
    try {
        for (const auto& one : dirty) {
            one->sync();
            fsyncs_.fetch_add(1, std::memory_order_relaxed);
        }
        if (unnamed != 0) files_.sync_directory(paths_.log());
    } catch (const disk_error& failure) {
        failure_.set(failure.what());
        return;
    }
    const std::lock_guard lock(state_mutex_);
    if (unnamed_ == unnamed) unnamed_ = 0;
    unsynced_.erase(unsynced_.begin(), unsynced_.begin() + static_cast<std::ptrdiff_t>(dirty.size() - 1));
    synced_.store(reached.value(), std::memory_order_release);
}

// While the store is open the mark is evidence only: one that lags behind is right too, so a full disk is no
// failure then. But no store may be written while its mark says that it was closed cleanly.
void log_writer::write_mark(mark_state state) {
    mark value;
    value.synced = synced();
    value.written = end_;
    value.commit = last_commit_;
    value.clean = state == mark_state::clean;
    value.boot_id = boot_id_;
    value.sequence = ++mark_sequence_;
    const std::string block = encode_mark(value);
    try {
        if (state == mark_state::opened) {
            files_.write_whole(paths_.mark(), block + block);
            mark_ = files_.open(paths_.mark(), disk::mode::write);
            return;
        }
        mark_->write(block, mark_sequence_ % 2 * mark::bytes);
        if (state == mark_state::clean) mark_->sync();
    } catch (const disk_error& failure) {
        if (state == mark_state::opened) throw;
        if (!failure.no_space()) failure_.set(failure.what());
    }
}

}  // namespace tstreams::local
