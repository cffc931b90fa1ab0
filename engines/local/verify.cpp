#include "engines/local/verify.hpp"

#include "engines/local/directory.hpp"
#include "engines/local/file.hpp"
#include "engines/local/index.hpp"
#include "engines/local/lock.hpp"
#include "engines/local/recovery.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace tstreams::local {
namespace {

constexpr std::size_t problems_max = 1000;

class verification {
public:
    verification(const std::string& path, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
        : paths_{path}, progress_(progress) {}

    verify_report run();

private:
    void check_index();
    void load_live();
    void check_log();
    void check_file(std::uint32_t number, std::uint64_t size);
    void check_record(record_walk& walk);
    void check_frame(record_walk& walk);
    void read_commit(record_walk& walk);
    void check_end();
    void report_missing();
    void add(std::string problem);
    void advance(std::uint64_t bytes);

    const disk files_;
    const store_paths paths_;
    const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
    verify_report report_;
    std::uint64_t done_ = 0;
    std::uint64_t all_ = 0;

    index_state state_;
    std::unique_ptr<index> rows_;
    std::map<std::uint64_t, std::uint32_t> live_;  // places of frames that are live at the end -> length
    std::optional<std::uint64_t> commit_;          // the last one met
    std::uint32_t last_file_ = 0;
    std::uint32_t last_size_ = 0;
};

void verification::add(std::string problem) {
    if (report_.problems.size() < problems_max) report_.problems.push_back(std::move(problem));
}

void verification::advance(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(std::min(done_, all_), all_);
}

verify_report verification::run() {
    if (!is_store(files_, paths_))
        throw error(errc::store_not_found, "there is no store in " + paths_.root + ": check the path");
    const store_lock lock(paths_, false);
    report_.files = 3;  // FORMAT, LOCK, SYNCED
    check_index();
    load_live();
    check_end();
    check_log();
    report_missing();
    if (progress_) progress_(all_, all_);
    return std::move(report_);
}

void verification::check_index() {
    try {
        if (!index::exists(files_, paths_.index())) return;
        report_.files += files_.list(paths_.index()).size();
        index_options options;
        options.path = paths_.index();
        options.read_only = true;
        rows_ = std::make_unique<index>(std::move(options));
        state_ = rows_->state();
        const std::string wrong = rows_->verify();
        if (!wrong.empty()) add("the index in " + paths_.index() + ": " + wrong);
        report_.rows = rows_->count_rows();
    } catch (const error& failure) {
        add(failure.what());
    }
}

// As of the end of the log: what the index has, and what the commits behind it change.
void verification::load_live() {
    try {
        if (rows_) {
            const auto walk = rows_->all_live_frames();
            position place;
            std::uint32_t length = 0;
            while (walk->next(place, length)) live_.emplace(place.value(), length);
        }
    } catch (const error& failure) {
        add(failure.what());
    }
    const position from = state_.commit == 0 ? position{1, 0} : state_.applied;
    for (const std::uint32_t number : list_log_files(files_, paths_)) {
        const std::string path = paths_.log_file(number);
        const auto opened = files_.open(path, disk::mode::read);
        all_ += opened->size();
        if (number < from.file) continue;
        record_walk walk(opened, number, number == from.file ? from.offset : 0);
        while (walk.next() == record_walk::step::record) {
            if (walk.header().type == record_type::commit) read_commit(walk);
        }
    }
}

void verification::read_commit(record_walk& walk) {
    if (!walk.payload_is_right()) return;  // reported when its file is checked
    try {
        const std::string payload = walk.read_payload();
        operation_reader operations(payload);
        operation_view one;
        while (operations.next(one)) {
            if (one.what == operation::live) live_.emplace(one.place.value(), one.length);
            if (one.what == operation::dead) live_.erase(one.place.value());
        }
    } catch (const error& failure) {
        add(paths_.log_file(walk.at().file) + " at offset " + std::to_string(walk.at().offset) + ": " + failure.what());
    }
}

// Whether the store would open: the log against the index and the mark.
void verification::check_end() {
    try {
        (void)plan_recovery(files_, paths_, state_, read_mark(files_, paths_), kernel_boot_id());
    } catch (const error& failure) {
        add(failure.what());
    }
}

void verification::check_log() {
    for (const std::uint32_t number : list_log_files(files_, paths_)) {
        ++report_.files;
        const std::uint64_t size = files_.open(paths_.log_file(number), disk::mode::read)->size();
        check_file(number, size);
        last_file_ = number;
        last_size_ = static_cast<std::uint32_t>(size);
    }
}

void verification::check_file(std::uint32_t number, std::uint64_t size) {
    const std::string path = paths_.log_file(number);
    record_walk walk(files_.open(path, disk::mode::read), number, 0);
    bool first = true;
    for (;;) {
        const auto step = walk.next();
        if (step == record_walk::step::bad) {
            // What the next open cuts off is no problem; check_end has judged it.
            const bool behind_index = walk.at() >= state_.applied;
            if (!behind_index) add(path + " at offset " + std::to_string(walk.at().offset) + ": " + walk.reason());
            advance(size - std::min<std::uint64_t>(size, walk.at().offset));
            return;
        }
        if (std::exchange(first, false)) {
            const bool follows = last_file_ + 1 == number;
            if (follows && commit_ &&
                (walk.before().previous_end != last_size_ || walk.before().last_commit != *commit_))
                add(path + ": the end of the file before is missing");
            commit_ = walk.before().last_commit;
        }
        if (step == record_walk::step::end) return;
        check_record(walk);
    }
}

void verification::check_record(record_walk& walk) {
    ++report_.records;
    report_.bytes += walk.header().record_bytes();
    advance(walk.header().record_bytes());
    if (walk.header().type == record_type::frame) {
        return check_frame(walk);
    }
    const std::string where = paths_.log_file(walk.at().file) + " at offset " + std::to_string(walk.at().offset) + ": ";
    if (!walk.payload_is_right()) add(where + "the data of a commit record is damaged");
    if (commit_ && walk.header().commit != *commit_ + 1)
        add(where + "commit " + std::to_string(*commit_ + 1) + " is missing");
    commit_ = walk.header().commit;
}

void verification::check_frame(record_walk& walk) {
    const std::string where = paths_.log_file(walk.at().file) + " at offset " + std::to_string(walk.at().offset) + ": ";
    const auto live = live_.find(walk.at().value());
    const bool right = walk.payload_is_right();
    if (live == live_.end()) {
        if (!right && !walk.payload_is_punched())
            add(where + "the data of a frame that nobody needs any more is damaged");
        return;
    }
    if (!right) add(where + "the data of a frame is damaged");
    if (live->second != walk.header().length) add(where + "a frame has another length than the index says");
    live_.erase(live);
}

void verification::report_missing() {
    for (const auto& [place, length] : live_) {
        const position at = position::from(place);
        add(paths_.log_file(at.file) + " at offset " + std::to_string(at.offset) + ": a frame of " +
            std::to_string(length) + " bytes that a commit refers to is not there");
    }
}

}  // namespace

verify_report verify(const std::string& path, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    try {
        return verification(path, progress).run();
    } catch (const disk_error& failure) {
        throw open_error(failure, {path});
    }
}

}  // namespace tstreams::local
