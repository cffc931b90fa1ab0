#include "engines/local/recovery.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace tstreams::local {
namespace {

constexpr std::size_t window_bytes = std::size_t{1} << 20;
constexpr std::uint64_t page_bytes = 4096;

std::uint32_t offset_of(std::uint64_t bytes) noexcept {
    return static_cast<std::uint32_t>(bytes);
}

struct cover {
    position place;
    std::uint32_t length = 0;
    position commit_end;  // behind the record that makes it live
};

// What one pass over the log behind the index has found.
class log_survey {
public:
    log_survey(const disk& files, const store_paths& paths, const index_state& state)
        : files_(files), paths_(paths), state_(state), numbers_(list_log_files(files, paths)) {}

    void read();
    [[nodiscard]] recovery_plan plan(const std::optional<mark>& noted, const std::string& boot_id);

private:
    void read_file(std::uint32_t number, std::uint64_t offset);
    void read_commit(record_walk& walk);
    void check_start();
    [[nodiscard]] position end_with_whole_frames() const;
    [[nodiscard]] bool dropped_by(position place, position end) const;
    void check_evidence(const recovery_plan& plan, const std::optional<mark>& noted, bool same_boot) const;
    void check_behind(position end, bool same_boot) const;
    [[noreturn]] void corrupt(position where, const std::string& why) const;

    const disk& files_;
    const store_paths& paths_;
    const index_state state_;
    const std::vector<std::uint32_t> numbers_;

    struct commit_end {
        position end;
        std::uint64_t number;
        std::uint32_t oldest_undecided;
    };
    std::vector<commit_end> commits_;
    std::unordered_map<std::uint64_t, bool> frames_;  // place -> its data is right
    std::vector<cover> covers_;
    std::unordered_map<std::uint64_t, position> dead_;  // place -> behind the record that dropped it
    position end_;
    bool bad_ = false;
    std::string reason_ = "the log ends there";
};

void log_survey::corrupt(position where, const std::string& why) const {
    throw error(errc::corrupt, paths_.log_file(where.file) + " at offset " + std::to_string(where.offset) + ": " + why +
                                   "; nothing was changed; restore the store from a copy");
}

void log_survey::check_start() {
    if (numbers_.empty()) {
        if (state_.commit != 0) corrupt({state_.applied.file, 0}, "the file is missing");
        return;
    }
    if (state_.commit == 0 && numbers_.front() != 1)
        corrupt({1, 0}, "the file is missing, and the index does not have what was in it");
    if (state_.commit != 0 && !std::binary_search(numbers_.begin(), numbers_.end(), state_.applied.file))
        corrupt({state_.applied.file, 0}, "the file is missing");
}

void log_survey::read() {
    check_start();
    const position from = state_.commit == 0 ? position{1, 0} : state_.applied;
    end_ = from;
    std::uint32_t expected = from.file;
    for (auto at = std::lower_bound(numbers_.begin(), numbers_.end(), from.file); at != numbers_.end(); ++at) {
        if (*at != expected) corrupt({expected, 0}, "the file is missing");
        if (bad_) break;
        read_file(*at, *at == from.file ? from.offset : 0);
        ++expected;
    }
}

void log_survey::read_file(std::uint32_t number, std::uint64_t offset) {
    const auto opened = files_.open(paths_.log_file(number), disk::mode::read);
    if (opened->size() < offset)
        corrupt({number, offset_of(opened->size())}, "the log ends there, but the index is ahead of it");
    record_walk walk(opened, number, offset);
    std::uint64_t last = commits_.empty() ? state_.commit : commits_.back().number;
    const auto stop = [&](const std::string& why) {
        bad_ = true;
        reason_ = why;
    };
    for (bool first = true;; first = false) {
        const auto step = walk.next();
        // Whatever follows the header: a file whose predecessor has lost its end is none.
        if (first && offset == 0 && number != 1 && walk.at().offset >= header_bytes &&
            (walk.before().previous_end != end_.offset || walk.before().last_commit != last))
            return stop("the end of the file is missing");
        if (step == record_walk::step::bad) {
            end_ = walk.at();
            return stop(walk.reason());
        }
        if (step == record_walk::step::end) {
            end_ = walk.at();
            return;
        }
        end_ = walk.at();
        const record_header& header = walk.header();
        if (header.type == record_type::frame) {
            frames_[walk.at().value()] = walk.payload_is_right();
        } else {
            if (!walk.payload_is_right()) return stop("the data of a commit record is damaged");
            if (header.commit != last + 1) corrupt(end_, "commit " + std::to_string(last + 1) + " is missing");
            last = header.commit;
            read_commit(walk);
        }
        end_ = walk.behind();
    }
}

void log_survey::read_commit(record_walk& walk) {
    const std::string payload = walk.read_payload();
    operation_reader operations(payload);
    operation_view one;
    while (operations.next(one)) {
        if (one.what == operation::live) covers_.push_back({one.place, one.length, walk.behind()});
        if (one.what == operation::dead) dead_[one.place.value()] = walk.behind();
    }
    commits_.push_back({walk.behind(), walk.header().commit, walk.header().oldest_undecided});
}

bool log_survey::dropped_by(position place, position end) const {
    const auto found = dead_.find(place.value());
    return found != dead_.end() && found->second <= end;
}

// A frame with bad data that is live at the end cannot stay: the log ends before it. That may bring back
// frames that were dropped behind the new end, so it goes on until nothing changes.
position log_survey::end_with_whole_frames() const {
    position end = end_;
    for (bool changed = true; changed;) {
        changed = false;
        for (const cover& one : covers_) {
            if (one.commit_end > end || one.place < state_.applied || dropped_by(one.place, end)) continue;
            const auto found = frames_.find(one.place.value());
            if (found == frames_.end()) corrupt(one.place, "a commit refers to a frame that is not there");
            if (found->second || one.place >= end) continue;
            end = one.place;
            changed = true;
        }
    }
    return end;
}

recovery_plan log_survey::plan(const std::optional<mark>& noted, const std::string& boot_id) {
    recovery_plan plan;
    plan.from = state_.applied;
    plan.end = end_with_whole_frames();
    if (plan.end < end_) reason_ = "the data of a frame is damaged";
    plan.last_commit = state_.commit;
    plan.last_commit_end = state_.applied;
    plan.oldest_undecided = state_.commit == 0 ? no_file : state_.oldest_undecided;
    for (const commit_end& one : commits_) {
        if (one.end > plan.end) break;
        plan.last_commit = one.number;
        plan.last_commit_end = one.end;
        plan.oldest_undecided = one.oldest_undecided;
    }
    // Of a file without a valid header nothing stays.
    const bool whole_file = plan.end.offset < header_bytes;
    for (const std::uint32_t number : numbers_) {
        const bool removed = number > plan.end.file || (whole_file && number == plan.end.file);
        (removed ? plan.removed : plan.numbers).push_back(number);
        if (number < plan.end.file) continue;
        const std::uint64_t size = files_.open(paths_.log_file(number), disk::mode::read)->size();
        plan.cut_bytes += number == plan.end.file ? size - std::min<std::uint64_t>(size, plan.end.offset) : size;
    }
    check_evidence(plan, noted, noted && !boot_id.empty() && noted->boot_id == boot_id);
    if (whole_file && !plan.numbers.empty()) {
        plan.end.file = plan.numbers.back();
        plan.end.offset =
            static_cast<std::uint32_t>(files_.open(paths_.log_file(plan.end.file), disk::mode::read)->size());
    }
    return plan;
}

void log_survey::check_evidence(const recovery_plan& plan, const std::optional<mark>& noted, bool same_boot) const {
    const position end = plan.end;
    if (noted) {
        if (noted->clean && (end != noted->written || plan.cut_bytes != 0))
            corrupt(end, reason_ + ", but the store was closed cleanly at " + to_string(noted->written));
        if (end < noted->synced) corrupt(end, reason_ + ", but the log was synced up to " + to_string(noted->synced));
        if (same_boot && end < noted->written)
            corrupt(end, reason_ + ", but the log was written up to " + to_string(noted->written));
    }
    if (plan.cut_bytes != 0) check_behind(end, same_boot);
}

// A commit record behind a bad place shows what was synced before it was written. And a killed process cannot
// have lost what is in front of a valid record.
void log_survey::check_behind(position end, bool same_boot) const {
    for (auto at = std::lower_bound(numbers_.begin(), numbers_.end(), end.file); at != numbers_.end(); ++at) {
        record_walk walk(files_.open(paths_.log_file(*at), disk::mode::read), *at, header_bytes);
        std::uint64_t offset =
            *at == end.file ? std::max<std::uint64_t>(end.offset, header_bytes - 8) + 8 : std::uint64_t{header_bytes};
        while (const auto found = walk.find_valid(offset)) {
            if (same_boot) corrupt(end, reason_ + ", but valid records follow at " + to_string(walk.at()));
            if (found->type == record_type::commit && found->synced > end)
                corrupt(end, reason_ + ", but a commit that follows says that it was synced");
            offset = walk.behind().offset;
        }
    }
}

}  // namespace

record_walk::record_walk(std::shared_ptr<file> from, std::uint32_t number, std::uint64_t offset)
    : file_(std::move(from)), number_(number), size_(file_->size()), at_(offset), next_(offset) {}

std::string_view record_walk::window(std::uint64_t offset, std::size_t bytes) {
    const bool inside = offset >= buffer_at_ && offset + bytes <= buffer_at_ + buffer_.size();
    if (!inside) {
        buffer_.resize(std::max(bytes, window_bytes));
        buffer_.resize(file_->read(buffer_.data(), buffer_.size(), offset));
        buffer_at_ = offset;
    }
    return std::string_view(buffer_).substr(offset - buffer_at_, bytes);
}

record_walk::step record_walk::bad(std::string reason) {
    reason_ = std::move(reason);
    return step::bad;
}

record_walk::step record_walk::next() {
    at_ = next_;
    if (at_ == 0) {
        const auto header = decode_file_header(window(0, header_bytes), number_);
        if (!header) return bad("the header of the file is damaged");
        before_ = *header;
        at_ = next_ = header_bytes;
    }
    if (at_ == size_) return step::end;
    const std::string_view block = window(at_, header_bytes);
    if (block.size() < header_bytes) return bad("a record is not whole");
    const auto header = decode_record_header(block, at());
    if (!header) return bad("the header of a record is damaged");
    if (at_ + header->record_bytes() > size_) return bad("a record is not whole");
    header_ = *header;
    next_ = at_ + header_.record_bytes();
    return step::record;
}

std::string record_walk::read_payload() {
    return std::string(window(at_ + header_bytes, header_.length));
}

bool record_walk::payload_is_right() {
    return checksum(window(at_ + header_bytes, header_.length)) == header_.crc32c;
}

bool record_walk::payload_is_punched() {
    const hole inner = hole_of(static_cast<std::uint32_t>(at_), header_.length);
    const std::string_view bytes = window(inner.offset, inner.bytes);
    return inner.bytes != 0 && bytes.size() == inner.bytes && bytes.find_first_not_of('\0') == bytes.npos;
}

std::optional<record_header> record_walk::find_valid(std::uint64_t offset) {
    for (; offset + header_bytes <= size_; offset += 8) {
        const std::string_view block = window(offset, header_bytes);
        if (block.size() < header_bytes) break;
        at_ = offset;
        if (const auto header = decode_record_header(block, at())) {
            next_ = at_ + 8;
            return header;
        }
    }
    return std::nullopt;
}

hole hole_of(std::uint32_t record_offset, std::uint32_t length) noexcept {
    const std::uint64_t start = record_offset + header_bytes;
    const std::uint64_t first = (start + page_bytes - 1) / page_bytes * page_bytes;
    const std::uint64_t last = (start + length) / page_bytes * page_bytes;
    if (last <= first) return {};
    return {first, last - first};
}

recovery_plan plan_recovery(const disk& files, const store_paths& paths, const index_state& state,
                            const std::optional<mark>& noted, const std::string& boot_id) {
    log_survey survey(files, paths, state);
    survey.read();
    return survey.plan(noted, boot_id);
}

void cut(const disk& files, const store_paths& paths, const recovery_plan& plan) {
    if (plan.cut_bytes == 0 && plan.removed.empty()) return;
    // From behind, so that being interrupted leaves a torn end again.
    for (auto at = plan.removed.rbegin(); at != plan.removed.rend(); ++at) files.unlink(paths.log_file(*at));
    files.sync_directory(paths.log());
    if (plan.numbers.empty()) return;
    const auto last = files.open(paths.log_file(plan.end.file), disk::mode::write);
    if (last->size() > plan.end.offset) last->truncate(plan.end.offset);
    last->sync();
}

void replay(const disk& files, const store_paths& paths, const recovery_plan& plan, const index_state& state,
            index& into) {
    for (const std::uint32_t number : plan.numbers) {
        if (number < plan.from.file) continue;
        record_walk walk(files.open(paths.log_file(number), disk::mode::read), number,
                         number == plan.from.file ? plan.from.offset : 0);
        while (walk.next() == record_walk::step::record) {
            const record_header& header = walk.header();
            if (header.type != record_type::commit || header.commit <= state.commit) continue;
            into.apply(walk.read_payload(), {walk.behind(), header.commit, header.oldest_undecided});
        }
    }
}

}  // namespace tstreams::local
