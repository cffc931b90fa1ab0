// The power is cut in front of every call that reaches the log, in particular between the roll of a file and the sync
// of its name: what a disk may show then is opened. Every row acknowledged at level sync has to be there, what is there
// is a prefix of the order of commits, and the notes that are there are those of its rows. Seed: TSTREAMS_TEST_SEED.
#include "engines/local/log.hpp"
#include "engines/local/noted_rows.hpp"
#include "engines/local/test_support.hpp"
#include "engines/local/verify.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace tstreams;
using local::disk_operation;
using local::failure;
using local::failure_of;
using local::running_engine;
namespace fs = std::filesystem;

constexpr int rows = 60;
constexpr int blob_every = 5;
constexpr int note_pages = 2;

std::string value_of(int row) {
    return "value " + std::to_string(row) + std::string(static_cast<std::size_t>(row % 7) * 30, 'v');
}
std::string blob_of(int row) {
    return std::string(150 + static_cast<std::size_t>(row), 'b');
}

// What a disk shows after a power cut, and what had been promised by then.
struct image {
    std::string path;
    std::string when;
    int acknowledged = 0;  // rows that have to be there
    int begun = 0;         // rows that may be there
};

// Knows what is on the disk for good: of each log file what it had at its last sync, and the names at the last sync of
// the directory. Of everything else a disk may show any part. For an engine without threads, so that each call has
// ended when the next one is asked for.
class cut_power final : public local::disk_faults {
public:
    cut_power(std::string store, std::string images, std::uint64_t seed)
        : paths_{std::move(store)}, images_(std::move(images)), random_(seed) {}

    // The index is the one of this moment in all images: it may lag behind the log.
    void arm() {
        index_ = images_ + "/index";
        fs::copy(paths_.index(), index_, fs::copy_options::recursive);
        armed_ = true;
    }
    void disarm() { armed_ = false; }

    int acknowledged = 0;
    int begun = 0;
    std::vector<image> taken;
    int waits = 0;  // calls while the name of a file was not on the disk
    std::size_t most_unnamed = 0;

    int before(disk_operation what, const std::string& path, std::size_t&) noexcept override {
        if (!path.starts_with(paths_.log())) return 0;
        const std::lock_guard lock(mutex_);
        // The call before this one is done.
        if (!synced_path_.empty()) synced_[synced_path_] = synced_bytes_;
        synced_path_.clear();
        if (names_synced_) names_ = std::exchange(names_next_, {});
        names_synced_ = false;
        if (armed_) take(what);
        if (what == disk_operation::sync) {
            synced_path_ = path;
            synced_bytes_ = fs::file_size(path);
        }
        if (what == disk_operation::sync_directory) {
            names_synced_ = true;
            for (const auto& one : fs::directory_iterator(path)) names_next_.insert(one.path().string());
        }
        return 0;
    }

private:
    void take(disk_operation before_what) {
        std::size_t unnamed = 0;
        for (const auto& one : fs::directory_iterator(paths_.log()))
            unnamed += names_.contains(one.path().string()) ? 0 : 1;
        most_unnamed = std::max(most_unnamed, unnamed);
        waits += unnamed != 0 ? 1 : 0;
        for (const bool least : {true, false}) {
            image made;
            made.path = images_ + "/" + std::to_string(taken.size());
            made.when = std::string(least ? "least" : "some") + " before operation " +
                        std::to_string(static_cast<int>(before_what)) + ", row " + std::to_string(begun);
            made.acknowledged = acknowledged;
            made.begun = begun;
            const local::store_paths to{made.path};
            fs::create_directories(to.log());
            fs::copy(index_, to.index(), fs::copy_options::recursive);
            fs::copy_file(paths_.format(), to.format());
            fs::copy_file(paths_.mark(), to.mark());
            for (const auto& one : fs::directory_iterator(paths_.log())) {
                const std::string from = one.path().string();
                const bool named = names_.contains(from);
                if (!named && (least || random_() % 2 == 0)) continue;
                copy_part(from, to.log() + "/" + one.path().filename().string(), least);
            }
            taken.push_back(std::move(made));
        }
    }
    // What was synced; of the rest nothing, a part, or zeros in its place.
    void copy_part(const std::string& from, const std::string& to, bool least) {
        const std::uint64_t whole = fs::file_size(from);
        const auto found = synced_.find(from);
        const std::uint64_t synced = found == synced_.end() ? 0 : found->second;
        std::uint64_t bytes = synced;
        if (!least) bytes += random_() % (whole - synced + 1);
        fs::copy_file(from, to);
        fs::resize_file(to, bytes);
        if (!least && random_() % 3 == 0) fs::resize_file(to, whole);
    }

    const local::store_paths paths_;
    const std::string images_;
    std::string index_;
    std::mt19937_64 random_;
    std::mutex mutex_;
    bool armed_ = false;
    std::map<std::string, std::uint64_t> synced_;
    std::set<std::string> names_, names_next_;
    bool names_synced_ = false;
    std::string synced_path_;  // being synced
    std::uint64_t synced_bytes_ = 0;
};

void expect_prefix(const image& shown, const std::vector<ports::blob_ref>& blobs) {
    SCOPED_TRACE(shown.path + ", " + shown.when);
    local::options chosen = running_engine::at(shown.path);
    chosen.boot_id = "next boot";
    chosen.inline_mode = true;
    const failure opened = failure_of([&] {
        running_engine target(chosen);
        int found = 0;
        while (found < rows && target.get(std::to_string(found))) ++found;
        EXPECT_GE(found, shown.acknowledged);
        EXPECT_LE(found, shown.begun);
        std::set<int> there;
        for (int row = 0; row < found; ++row) there.insert(row);
        EXPECT_EQ(local::notes_in(target), local::notes_of(there, note_pages));
        for (int row = 0; row < rows; ++row) {
            EXPECT_EQ(target.get(std::to_string(row)), row < found ? std::optional(value_of(row)) : std::nullopt);
            if (row < found && row % blob_every == 0) {
                EXPECT_EQ(target.read(blobs[static_cast<std::size_t>(row / blob_every)]), blob_of(row));
            }
        }
        target.put("after", "value");
        target.close();
    });
    EXPECT_FALSE(opened.code) << opened.text;
    if (opened.code) return;
    for (const std::string& problem : local::verify(shown.path).problems) {
        // A frame without its commit may have lost its data.
        const bool orphan = problem.find("a frame that nobody needs any more") != problem.npos;
        EXPECT_TRUE(orphan) << problem;
    }
}

// Commits rows that share a record. Returns how many.
int commit_group(running_engine& target, cut_power& power, int first, int count, std::vector<ports::blob_ref>& blobs) {
    power.begun += count;
    std::vector<ports::batch> changes;
    for (int row = first; row < first + count; ++row) {
        changes.push_back(local::noted_row(row, note_pages, value_of(row)));
        if (row % blob_every != 0) continue;
        blobs.push_back(target.write(blob_of(row)));
        changes.back().covers.push_back(blobs.back());
    }
    int told = 0;
    int acknowledged = power.acknowledged;
    for (int row = first; row < first + count; ++row) {
        // Runs of commits that nothing syncs, some of them over several files.
        const bool safe = row % 10 == 9 || row % 10 == 3;
        if (safe) acknowledged = row + 1;
        ports::batch& change = changes[static_cast<std::size_t>(row - first)];
        weave::spawn(target.loop(),
                     target.rows().commit(std::move(change), safe ? durability::sync() : durability::process()),
                     [&told](weave::outcome_of<ports::commit_result> result) {
                         EXPECT_EQ(result.get().status, ports::commit_status::applied);
                         ++told;
                     });
    }
    target.loop().run_until([&] { return told == count; });
    power.acknowledged = acknowledged;
    return count;
}

}  // namespace

TEST(local_power, may_be_cut_at_any_call) {
    const char* given = std::getenv("TSTREAMS_TEST_SEED");
    const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
    std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    const local::temporary_directory directory;
    const std::string images = directory.path() + "/images";
    fs::create_directory(images);
    cut_power power(directory.path() + "/store", images, seed);
    local::options chosen = running_engine::at(directory.path() + "/store");
    chosen.boot_id = "this boot";
    chosen.inline_mode = true;
    chosen.log_file_bytes = 700;
    chosen.faults = &power;
    std::vector<ports::blob_ref> blobs;
    {
        running_engine target(chosen);
        power.arm();
        std::mt19937_64 random(seed);
        for (int row = 0; row < rows;)
            row += commit_group(target, power, row, std::min(rows - row, 1 + static_cast<int>(random() % 3)), blobs);
        power.disarm();
        target.close();
    }
    EXPECT_GT(power.waits, 10) << "no file waited for the sync of its name";
    EXPECT_EQ(power.most_unnamed, 1U) << "the later one may be there without the other: a gap looks like damage";
    for (const image& one : power.taken) expect_prefix(one, blobs);
    std::printf("%zu images, %d calls with a file whose name was not on the disk\n", power.taken.size(), power.waits);
}
