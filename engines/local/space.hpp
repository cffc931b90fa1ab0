// Which frames of the log are live, undecided or dead; giving back the space of the dead ones.
#pragma once

#include "engines/local/file.hpp"
#include "engines/local/format.hpp"
#include "engines/local/index.hpp"
#include "engines/local/log.hpp"
#include "engines/local/worker.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace tstreams::local {

struct frame_place {
    position at;
    std::uint32_t length = 0;
};

// Frames by their place, 8 bytes each: put in as the log grows, taken out in any order.
class frame_set {
public:
    void add(const frame_place& frame);
    [[nodiscard]] std::optional<std::uint32_t> length_of(position place) const;
    // False: it was not there.
    bool take(position place);
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    struct entry {
        std::uint32_t offset;
        std::uint32_t length;  // `taken`, or of the frame
    };
    struct file_frames {
        std::vector<entry> entries;  // by offset
        std::size_t left = 0;
    };
    static constexpr std::uint32_t taken = ~std::uint32_t{0};
    [[nodiscard]] static const entry* find(const file_frames& frames, std::uint32_t offset);

    std::map<std::uint32_t, file_frames> files_;
    std::size_t size_ = 0;
};

// Belongs to the executor; holes and unlinking are made by `maintenance`.
class space {
public:
    space(const disk& files, store_paths paths, log_writer& log, index& rows, worker_pool& maintenance,
          mailbox& letters, failure_latch& failure);

    // Called once, before anything else: counts the live frames, and punches the ones between `from` and
    // `end` that nobody committed.
    void begin(position from, position end);

    void written(const frame_place& frame) {
        undecided_.add(frame);
        hold(frame.at.file);
    }
    [[nodiscard]] bool undecided(position place) const { return undecided_.length_of(place).has_value(); }
    // A commit record that makes the frame live has been written.
    void covered(const frame_place& frame);
    // The frame is not undecided any more; its space goes at once. False: it was not undecided.
    bool drop_undecided(position place);
    // A record that drops the live frame is going to be written; then it has been, up to `until`, or has not.
    void dropping(const frame_place& frame) { hold(frame.at.file); }
    void dropped(const frame_place& frame, position until);
    void not_dropped(const frame_place& frame) { release(frame.at.file); }

    void synced(position reached);
    void persisted(position reached);

    // Whether dead frames wait for a sync.
    [[nodiscard]] bool waits_for_sync() const noexcept { return !waiting_.empty(); }
    [[nodiscard]] std::uint32_t oldest_undecided() const { return held_.empty() ? no_file : held_.begin()->first; }
    [[nodiscard]] std::uint64_t live_bytes() const noexcept;
    [[nodiscard]] std::size_t undecided_frames() const noexcept { return undecided_.size(); }
    // Whether the maintenance thread counts, punches or unlinks, or is about to.
    [[nodiscard]] bool busy() const noexcept { return surveying_ || punching_ || unlinking_ != 0 || !holes_.empty(); }

    // Called after a file has been unlinked.
    std::function<void(std::uint32_t)> on_unlink;

private:
    struct totals {
        std::int64_t frames = 0;
        std::int64_t bytes = 0;
    };
    struct dead_frame {
        frame_place frame;
        position until;
    };
    struct survey;

    void count(const frame_place& frame, int direction);
    void hold(std::uint32_t file) { ++held_[file]; }
    void release(std::uint32_t file);
    void finish_survey(survey& found);
    void punch(const frame_place& frame);
    void start_punching();
    void skip_needless_holes();
    void make_holes(const std::vector<frame_place>& frames) const noexcept;  // on the maintenance thread
    [[nodiscard]] bool has_live(std::uint32_t number) const;
    void unlink_dead_files();

    const disk& files_;
    const store_paths paths_;
    log_writer& log_;
    index& rows_;
    worker_pool& maintenance_;
    mailbox& letters_;
    failure_latch& failure_;

    frame_set undecided_;
    std::map<std::uint32_t, totals> live_;
    bool counted_ = false;                                     // until then live_ is only what changed since the start
    std::map<std::uint32_t, std::uint32_t> held_;              // file -> frames undecided, or dead and not punched
    std::deque<dead_frame> waiting_;                           // by `until`
    std::map<std::uint32_t, std::vector<frame_place>> holes_;  // by file, for the maintenance thread
    bool surveying_ = false;
    bool punching_ = false;
    std::uint32_t unlinking_ = 0;
    position persisted_;
};

}  // namespace tstreams::local
