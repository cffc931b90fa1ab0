#include "engines/local/space.hpp"

#include "engines/local/recovery.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <utility>

namespace tstreams::local {
namespace {

// Then it is looked again which holes are still worth making.
constexpr std::size_t holes_at_a_time = 64;

// Frames of the log between two positions that are not among `live`, which is sorted.
std::vector<frame_place> find_orphans(const disk& files, const store_paths& paths, position from, position end,
                                      const std::vector<std::uint64_t>& live) {
    std::vector<frame_place> orphans;
    for (const std::uint32_t number : list_log_files(files, paths)) {
        if (number < from.file || number > end.file) continue;
        record_walk walk(files.open(paths.log_file(number), disk::mode::read), number,
                         number == from.file ? from.offset : 0);
        while (walk.next() == record_walk::step::record && walk.at() < end) {
            if (walk.header().type != record_type::frame) continue;
            if (std::binary_search(live.begin(), live.end(), walk.at().value())) continue;
            orphans.push_back({walk.at(), walk.header().length});
        }
    }
    return orphans;
}

}  // namespace

void frame_set::add(const frame_place& frame) {
    file_frames& file = files_[frame.at.file];
    file.entries.push_back({frame.at.offset, frame.length});
    ++file.left;
    ++size_;
}

const frame_set::entry* frame_set::find(const file_frames& frames, std::uint32_t offset) {
    const auto found = std::lower_bound(frames.entries.begin(), frames.entries.end(), offset,
                                        [](const entry& one, std::uint32_t wanted) { return one.offset < wanted; });
    if (found == frames.entries.end() || found->offset != offset || found->length == taken) return nullptr;
    return &*found;
}

std::optional<std::uint32_t> frame_set::length_of(position place) const {
    const auto file = files_.find(place.file);
    if (file == files_.end()) return std::nullopt;
    const entry* const found = find(file->second, place.offset);
    if (!found) return std::nullopt;
    return found->length;
}

bool frame_set::take(position place) {
    const auto file = files_.find(place.file);
    if (file == files_.end()) return false;
    file_frames& frames = file->second;
    const entry* const found = find(frames, place.offset);
    if (!found) return false;
    frames.entries[static_cast<std::size_t>(found - frames.entries.data())].length = taken;
    --size_;
    if (--frames.left == 0) {
        files_.erase(file);
        return true;
    }
    constexpr std::size_t few = 1024;
    if (frames.entries.size() > few && frames.left < frames.entries.size() / 4)
        std::erase_if(frames.entries, [](const entry& one) { return one.length == taken; });
    return true;
}

struct space::survey {
    position from;
    position end;
    std::unique_ptr<index::live_frames> live;
    std::map<std::uint32_t, totals> counted;
    std::vector<frame_place> orphans;

    void run(const disk& files, const store_paths& paths, failure_latch& failure) noexcept {
        try {
            std::vector<std::uint64_t> near;
            position place;
            std::uint32_t length = 0;
            while (live->next(place, length)) {
                totals& file = counted[place.file];
                ++file.frames;
                file.bytes += length;
                if (place.file >= from.file) near.push_back(place.value());
            }
            if (from < end) orphans = find_orphans(files, paths, from, end, near);
        } catch (const disk_error&) {
            // A part of the log cannot be read: its orphans stay until the next open.
        } catch (const std::exception& problem) {
            failure.set(problem.what());
        }
        live.reset();
    }
};

space::space(const disk& files, store_paths paths, log_writer& log, index& rows, worker_pool& maintenance,
             mailbox& letters, failure_latch& failure)
    : files_(files),
      paths_(std::move(paths)),
      log_(log),
      rows_(rows),
      maintenance_(maintenance),
      letters_(letters),
      failure_(failure) {}

void space::begin(position from, position end) {
    auto found = std::make_shared<survey>();
    found->from = from;
    found->end = end;
    found->live = rows_.all_live_frames();
    surveying_ = true;
    hold(from.file);  // until its orphans are known
    maintenance_.run([this, found] {
        found->run(files_, paths_, failure_);
        letters_.send([this, found] { finish_survey(*found); });
    });
}

void space::finish_survey(survey& found) {
    if (!failure_.failed()) {
        for (const auto& [file, sums] : found.counted) {
            live_[file].frames += sums.frames;
            live_[file].bytes += sums.bytes;
        }
        counted_ = true;
        for (const frame_place& orphan : found.orphans) {
            hold(orphan.at.file);
            punch(orphan);
        }
    }
    surveying_ = false;
    release(found.from.file);
    start_punching();
    unlink_dead_files();
}

void space::release(std::uint32_t file) {
    const auto held = held_.find(file);
    if (--held->second == 0) held_.erase(held);
}

// Until all are counted every file may have some.
bool space::has_live(std::uint32_t number) const {
    const auto found = live_.find(number);
    return !counted_ || (found != live_.end() && found->second.frames != 0);
}

void space::count(const frame_place& frame, int direction) {
    totals& file = live_[frame.at.file];
    file.frames += direction;
    file.bytes += std::int64_t{direction} * frame.length;
    if (file.frames == 0 && counted_) live_.erase(frame.at.file);
}

void space::covered(const frame_place& frame) {
    if (!undecided_.take(frame.at)) return;  // it was live already
    release(frame.at.file);
    count(frame, 1);
}

bool space::drop_undecided(position place) {
    const std::optional<std::uint32_t> length = undecided_.length_of(place);
    if (!length) return false;
    undecided_.take(place);
    punch({place, *length});
    start_punching();
    return true;
}

void space::dropped(const frame_place& frame, position until) {
    count(frame, -1);
    waiting_.push_back({frame, until});
}

// The data of a frame may only go when the record that drops it cannot be lost any more.
void space::synced(position reached) {
    while (!waiting_.empty() && waiting_.front().until <= reached) {
        punch(waiting_.front().frame);
        waiting_.pop_front();
    }
    start_punching();
}

void space::persisted(position reached) {
    persisted_ = reached;
    start_punching();
    unlink_dead_files();
}

void space::punch(const frame_place& frame) {
    holes_[frame.at.file].push_back(frame);
}

// A file that can be unlinked as soon as its holes are made is better unlinked without them. One that the index on
// the disk does not know of yet gets them: on a full disk that may be what lets the index go on.
void space::skip_needless_holes() {
    std::erase_if(holes_, [this](const auto& one) {
        const auto& [number, frames] = one;
        const auto size = log_.sizes().find(number);
        if (size == log_.sizes().end() || persisted_ < position{number, size->second}) return false;
        if (has_live(number) || held_.at(number) != frames.size()) return false;
        held_.erase(number);
        return true;
    });
}

void space::make_holes(const std::vector<frame_place>& frames) const noexcept {
    std::shared_ptr<file> opened;
    std::uint32_t number = 0;
    for (const frame_place& frame : frames) {
        const hole inner = hole_of(frame.at.offset, frame.length);
        if (inner.bytes == 0) continue;
        try {
            if (!opened || number != frame.at.file)
                opened = files_.open(paths_.log_file(number = frame.at.file), disk::mode::write);
            opened->punch(inner.offset, inner.bytes);
        } catch (const disk_error&) {
            opened.reset();  // the space is not given back; nothing else is wrong
        }
    }
}

void space::start_punching() {
    if (punching_) return;
    skip_needless_holes();
    if (holes_.empty()) return;
    punching_ = true;
    std::vector<frame_place>& oldest = holes_.begin()->second;
    const std::size_t left = oldest.size() - std::min(oldest.size(), holes_at_a_time);
    auto batch =
        std::make_shared<std::vector<frame_place>>(oldest.begin() + static_cast<std::ptrdiff_t>(left), oldest.end());
    oldest.resize(left);
    if (oldest.empty()) holes_.erase(holes_.begin());
    maintenance_.run([this, batch] {
        make_holes(*batch);
        letters_.send([this, batch] {
            punching_ = false;
            for (const frame_place& frame : *batch) release(frame.at.file);
            start_punching();
            unlink_dead_files();
        });
    });
}

// A file can go when nothing in it is needed: no live or undecided frame, and no record that a replay would
// read.
void space::unlink_dead_files() {
    if (!counted_ || failure_.failed()) return;
    std::vector<std::uint32_t> dead;
    for (const auto& [number, size] : log_.sizes()) {
        if (persisted_ < position{number, size}) break;
        if (has_live(number) || held_.contains(number)) continue;
        dead.push_back(number);
    }
    for (const std::uint32_t number : dead) {
        log_.forget(number);
        live_.erase(number);
        if (on_unlink) on_unlink(number);
        ++unlinking_;
        maintenance_.run([this, number] {
            try {
                files_.unlink(paths_.log_file(number));
            } catch (const disk_error&) {
                // It stays until the next open, which looks at it again.
            }
            letters_.send([this] { --unlinking_; });
        });
    }
}

std::uint64_t space::live_bytes() const noexcept {
    std::int64_t bytes = 0;
    for (const auto& [file, sums] : live_) bytes += sums.bytes;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
}

}  // namespace tstreams::local
