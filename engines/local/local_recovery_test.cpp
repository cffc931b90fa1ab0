// Logs that are cut and damaged at every byte: what was acknowledged is there, or opening says loudly what is
// wrong.
#include "engines/local/directory.hpp"
#include "engines/local/recovery.hpp"
#include "engines/local/test_support.hpp"
#include "engines/local/verify.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace tstreams;
using local::failure;
using local::failure_of;
using local::running_engine;

constexpr int rows = 12;
const std::string this_boot = "this boot";
const std::string next_boot = "next boot";

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
void write_file(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

void write_byte(const std::string& path, std::size_t at, char byte) {
    std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(at));
    out.put(byte);
}

local::options options_of(const std::string& path, const std::string& boot) {
    local::options chosen = running_engine::at(path);
    chosen.boot_id = boot;
    return chosen;
}

// A store that crashed after `rows` commits at a level: rows "0" on, every third one with a blob.
struct crashed_store {
    local::temporary_directory directory;
    local::store_paths paths{directory.path() + "/store"};
    std::vector<ports::blob_ref> refs;
    std::string log;  // of the one file
    std::string mark;
    std::vector<std::uint64_t> ends;  // of the commit records

    explicit crashed_store(durability level) {
        {
            running_engine target(options_of(paths.root, this_boot));
            for (int i = 0; i < rows; ++i) {
                ports::batch change = running_engine::batch(std::to_string(i), "value " + std::to_string(i));
                if (i % 3 == 0) {
                    refs.push_back(target.write(std::string(200 + static_cast<std::size_t>(i), 'b')));
                    change.covers.push_back(refs.back());
                }
                target.commit(std::move(change), level);
            }
        }
        log = read_file(paths.log_file(1));
        mark = read_file(paths.mark());
        local::record_walk walk(local::disk().open(paths.log_file(1), local::disk::mode::read), 1, 0);
        while (walk.next() == local::record_walk::step::record) {
            if (walk.header().type == local::record_type::commit) ends.push_back(walk.behind().offset);
        }
        EXPECT_EQ(ends.size(), static_cast<std::size_t>(rows));
        EXPECT_EQ(ends.back(), log.size());
    }

    [[nodiscard]] local::recovery_plan plan(const std::string& boot) const {
        const local::disk files;
        return local::plan_recovery(files, paths, {}, local::read_mark(files, paths), boot);
    }
    [[nodiscard]] failure plan_failure(const std::string& boot) const {
        return failure_of([&] { (void)plan(boot); });
    }
    [[nodiscard]] std::uint64_t commits_within(std::uint64_t bytes) const {
        return static_cast<std::uint64_t>(
            std::count_if(ends.begin(), ends.end(), [bytes](std::uint64_t end) { return end <= bytes; }));
    }
};

// Opens, and expects exactly the first `count` rows, whole.
void expect_prefix(const crashed_store& store, const std::string& boot, std::uint64_t count) {
    running_engine target(options_of(store.paths.root, boot));
    for (int i = 0; i < rows; ++i) {
        const auto found = target.get(std::to_string(i));
        if (static_cast<std::uint64_t>(i) < count) {
            EXPECT_EQ(found, "value " + std::to_string(i));
            if (i % 3 != 0) continue;
            const ports::blob_ref& ref = store.refs[static_cast<std::size_t>(i / 3)];
            EXPECT_EQ(target.read(ref), std::string(200 + static_cast<std::size_t>(i), 'b'));
        } else {
            EXPECT_EQ(found, std::nullopt) << i;
        }
    }
    target.put("after", "value");
    target.close();
}

}  // namespace

TEST(local_recovery, a_log_torn_at_any_byte_gives_a_prefix_after_a_power_cut) {
    const crashed_store store(durability::process());
    for (std::size_t size = store.log.size(); size-- > 0;) {
        std::filesystem::resize_file(store.paths.log_file(1), size);
        const local::mark noted = *local::read_mark(local::disk(), store.paths);
        if (size < noted.synced.offset) {
            EXPECT_EQ(store.plan_failure(next_boot).code, errc::corrupt) << size;
            continue;
        }
        const local::recovery_plan plan = store.plan(next_boot);
        EXPECT_EQ(plan.last_commit, store.commits_within(size)) << size;
        EXPECT_LE(plan.end.offset, size);
        EXPECT_EQ(plan.end.offset + plan.cut_bytes, size);
    }
}

TEST(local_recovery, torn_stores_open_and_go_on) {
    for (const std::size_t back : {1U, 40U, 64U, 100U, 300U, 700U}) {
        const crashed_store store(durability::process());
        const std::size_t size = store.log.size() - back;
        write_file(store.paths.log_file(1), store.log.substr(0, size));
        expect_prefix(store, next_boot, store.commits_within(size));
        expect_prefix(store, next_boot, store.commits_within(size));
        EXPECT_TRUE(local::verify(store.paths.root).problems.empty());
    }
}

TEST(local_recovery, a_log_that_is_shorter_than_what_was_written_is_corrupt_without_a_restart) {
    const crashed_store store(durability::process());
    for (std::size_t size = store.log.size(); size-- > 0;) {
        std::filesystem::resize_file(store.paths.log_file(1), size);
        const failure told = store.plan_failure(this_boot);
        ASSERT_EQ(told.code, errc::corrupt) << size;
        ASSERT_NE(told.text.find("0000000001.log at offset "), std::string::npos) << told.text;
    }
}

TEST(local_recovery, a_log_that_is_shorter_than_what_was_synced_is_corrupt_always) {
    const crashed_store store(durability::sync());
    for (std::size_t size = store.log.size(); size-- > 0;) {
        std::filesystem::resize_file(store.paths.log_file(1), size);
        ASSERT_EQ(store.plan_failure(next_boot).code, errc::corrupt) << size;
    }
    // The commit records say it too, for all but the last one.
    std::filesystem::remove(store.paths.mark());
    std::string hole = store.log;
    hole[store.ends[4] + 3] ^= 1;
    write_file(store.paths.log_file(1), hole);
    EXPECT_EQ(store.plan_failure(next_boot).code, errc::corrupt);
}

TEST(local_recovery, a_flipped_bit_is_corrupt_or_harmless) {
    const crashed_store store(durability::process());
    std::size_t harmless = 0;
    for (std::size_t at = 0; at < store.log.size(); ++at) {
        const char damaged = static_cast<char>(store.log[at] ^ (1 << at % 8));
        write_byte(store.paths.log_file(1), at, damaged);
        const failure told = store.plan_failure(this_boot);
        const std::uint64_t last = told.code ? 0 : store.plan(this_boot).last_commit;
        write_byte(store.paths.log_file(1), at, store.log[at]);
        if (told.code) {
            ASSERT_EQ(told.code, errc::corrupt) << told.text;
            continue;
        }
        // Only the padding between records is not covered by a checksum.
        ++harmless;
        ASSERT_EQ(store.log[at], '\0') << at;
        ASSERT_EQ(last, static_cast<std::uint64_t>(rows));
        ASSERT_LT(harmless, 8U * 16) << at;
    }
}

TEST(local_recovery, damage_in_front_of_valid_records_is_corrupt_and_changes_nothing) {
    const crashed_store store(durability::process());
    std::string damaged = store.log;
    damaged[store.ends[2] + 70] ^= 1;
    write_file(store.paths.log_file(1), damaged);
    const failure told = failure_of([&] { running_engine target(options_of(store.paths.root, this_boot)); });
    EXPECT_EQ(told.code, errc::corrupt);
    EXPECT_NE(told.text.find("0000000001.log at offset " + std::to_string(store.ends[2])), std::string::npos)
        << told.text;
    EXPECT_TRUE(read_file(store.paths.log_file(1)) == damaged);
    EXPECT_TRUE(read_file(store.paths.mark()) == store.mark);
    EXPECT_FALSE(local::verify(store.paths.root).problems.empty());
    // What a power cut lost has no evidence against it: the prefix in front of it stays.
    expect_prefix(store, next_boot, 3);
}

TEST(local_recovery, lost_data_of_a_frame_cuts_in_front_of_it) {
    const crashed_store store(durability::process());
    const std::size_t frame = store.ends[5];  // row 6 has a blob
    std::string damaged = store.log;
    for (std::size_t i = 0; i < 100; ++i) damaged[frame + 64 + i] = '\0';
    write_file(store.paths.log_file(1), damaged);
    EXPECT_EQ(store.plan_failure(this_boot).code, errc::corrupt);
    expect_prefix(store, next_boot, 6);
}

TEST(local_recovery, bytes_behind_a_clean_end_are_corrupt) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    target.put("key", "value");
    target.close();
    const local::store_paths paths{directory.path()};
    const std::string log = read_file(paths.log_file(1));
    write_file(paths.log_file(1), log + "x");
    EXPECT_EQ(failure_of([&] { running_engine again(directory.path()); }).code, errc::corrupt);
    write_file(paths.log_file(1), log.substr(0, log.size() - 1));
    EXPECT_EQ(failure_of([&] { running_engine again(directory.path()); }).code, errc::corrupt);
    std::filesystem::remove(paths.log_file(1));
    EXPECT_EQ(failure_of([&] { running_engine again(directory.path()); }).code, errc::corrupt);
    EXPECT_FALSE(local::verify(directory.path()).problems.empty());
    write_file(paths.log_file(1), log);
    running_engine again(directory.path());
    EXPECT_EQ(again.get("key"), "value");
    again.close();
}

TEST(local_recovery, a_lost_index_is_made_again_from_a_whole_log) {
    const crashed_store store(durability::sync());
    std::filesystem::remove_all(store.paths.index());
    expect_prefix(store, this_boot, rows);
}

TEST(local_recovery, an_index_ahead_of_the_log_is_corrupt) {
    const local::temporary_directory directory;
    const local::store_paths paths{directory.path()};
    running_engine target(directory.path());
    target.put("one", "value");
    const std::string early = read_file(paths.log_file(1));
    target.put("two", "value");
    target.close();
    write_file(paths.log_file(1), early);
    std::filesystem::remove(paths.mark());
    const failure told = failure_of([&] { running_engine again(directory.path()); });
    EXPECT_EQ(told.code, errc::corrupt);
    EXPECT_NE(told.text.find("index"), std::string::npos) << told.text;
}

TEST(local_recovery, one_damaged_slot_of_the_mark_is_no_loss_and_two_are_corrupt) {
    const crashed_store store(durability::sync());
    for (const std::size_t slot : {0U, 1U}) {
        std::string damaged = store.mark;
        damaged[slot * local::mark::bytes + 20] ^= 1;
        write_file(store.paths.mark(), damaged);
        EXPECT_EQ(store.plan(this_boot).last_commit, static_cast<std::uint64_t>(rows));
    }
    write_file(store.paths.mark(), std::string(2 * local::mark::bytes, '\0'));
    const failure told = store.plan_failure(this_boot);
    EXPECT_EQ(told.code, errc::corrupt);
    EXPECT_NE(told.text.find("SYNCED"), std::string::npos) << told.text;
}

TEST(local_recovery, files_missing_in_the_middle_are_corrupt) {
    const local::temporary_directory directory;
    const local::store_paths paths{directory.path()};
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 2000;
    {
        running_engine target(options);
        for (int i = 0; i < 40; ++i) target.put(std::to_string(i), std::string(200, 'v'), durability::process());
        ASSERT_GT(target.store().counters().log_files, 3U);
    }
    std::filesystem::rename(paths.log_file(2), directory.path() + "/aside");
    for (const std::string& boot : {local::kernel_boot_id(), next_boot}) {
        local::options other = options;
        other.boot_id = boot;
        const failure told = failure_of([&] { running_engine again(other); });
        EXPECT_EQ(told.code, errc::corrupt);
        EXPECT_NE(told.text.find("0000000002.log"), std::string::npos) << told.text;
    }
    std::filesystem::rename(directory.path() + "/aside", paths.log_file(2));
    running_engine again(options);
    EXPECT_EQ(again.get("39"), std::string(200, 'v'));
    again.close();
}

TEST(local_recovery, a_lost_end_of_an_earlier_file_is_noticed) {
    const local::temporary_directory directory;
    const local::store_paths paths{directory.path()};
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 2000;
    options.boot_id = this_boot;
    {
        running_engine target(options);
        for (int i = 0; i < 40; ++i) target.put(std::to_string(i), std::string(200, 'v'), durability::process());
    }
    // Whole records are lost at the end of the second file, so that each file by itself looks right.
    std::vector<std::uint64_t> ends;
    local::record_walk walk(local::disk().open(paths.log_file(2), local::disk::mode::read), 2, 0);
    while (walk.next() == local::record_walk::step::record) ends.push_back(walk.behind().offset);
    ASSERT_GT(ends.size(), 2U);
    std::filesystem::resize_file(paths.log_file(2), ends[ends.size() - 2]);
    EXPECT_EQ(failure_of([&] { running_engine again(options); }).code, errc::corrupt);
    options.boot_id = next_boot;
    running_engine again(options);
    int last = 0;
    while (again.get(std::to_string(last))) ++last;
    EXPECT_GT(last, 5);
    EXPECT_LT(last, 20);
    for (int i = last; i < 40; ++i) EXPECT_EQ(again.get(std::to_string(i)), std::nullopt) << "no hole";
    again.put("after", "value");
    again.close();
    EXPECT_TRUE(local::verify(directory.path()).problems.empty());
}

// The power was cut after the next file had got its name, and before the end of the file in front of it was written:
// however much of the next file is there, nothing of it may be gone on from.
TEST(local_recovery, a_file_behind_a_lost_end_is_removed_wherever_it_is_torn) {
    const local::temporary_directory directory;
    const local::store_paths whole{directory.path() + "/whole"};
    local::options options = running_engine::at(whole.root);
    options.log_file_bytes = 700;
    options.boot_id = this_boot;
    {
        running_engine target(options);
        for (int i = 0; i < 6; ++i) target.put(std::to_string(i), std::string(200, 'v'), durability::process());
    }
    ASSERT_EQ(local::list_log_files(local::disk(), whole).size(), 2U);
    std::vector<std::uint64_t> ends;
    local::record_walk walk(local::disk().open(whole.log_file(1), local::disk::mode::read), 1, 0);
    while (walk.next() == local::record_walk::step::record) ends.push_back(walk.behind().offset);
    ASSERT_GT(ends.size(), 1U);
    const std::uint64_t size = std::filesystem::file_size(whole.log_file(2));
    for (std::uint64_t left = 0; left <= size; left += 8) {
        const local::store_paths torn{directory.path() + "/torn"};
        std::filesystem::remove_all(torn.root);
        std::filesystem::copy(whole.root, torn.root, std::filesystem::copy_options::recursive);
        std::filesystem::resize_file(torn.log_file(1), ends[ends.size() - 2]);
        std::filesystem::resize_file(torn.log_file(2), left);
        options.path = torn.root;
        options.boot_id = next_boot;
        {
            running_engine again(options);
            EXPECT_EQ(again.get(std::to_string(ends.size() - 2)), std::string(200, 'v'));
            EXPECT_EQ(again.get(std::to_string(ends.size() - 1)), std::nullopt) << left;
            again.put("after", "value", durability::sync());
        }
        EXPECT_TRUE(local::verify(torn.root).problems.empty()) << left;
        options.boot_id = this_boot;
        EXPECT_EQ(running_engine(options).get("after"), "value") << left;
    }
}

TEST(local_recovery, random_damage_anywhere_gives_right_data_or_an_error) {
    const char* chosen = std::getenv("TSTREAMS_SEED");
    const std::uint64_t seed = chosen ? std::stoull(chosen) : std::random_device{}();
    std::cout << "seed " << seed << " (set TSTREAMS_SEED to run it again)\n";
    std::mt19937_64 random(seed);
    const local::temporary_directory directory;
    const std::string whole = directory.path() + "/whole";
    std::vector<ports::blob_ref> refs;
    const int count = 300;
    {
        running_engine target(whole);
        for (int i = 0; i < count; ++i) {
            ports::batch change = running_engine::batch(std::to_string(i), "value " + std::to_string(random()));
            change.mutations.push_back({"sum " + std::to_string(i), *change.mutations[0].value, std::nullopt});
            if (i % 10 == 0) {
                refs.push_back(target.write(std::string(2000, 'b')));
                change.covers.push_back(refs.back());
            }
            target.commit(std::move(change), durability::process());
        }
        target.close();
    }
    int loud = 0;
    const int trials = 60;
    for (int trial = 0; trial < trials; ++trial) {
        const std::string place = directory.path() + "/damaged";
        std::filesystem::remove_all(place);
        std::filesystem::copy(whole, place, std::filesystem::copy_options::recursive);
        std::vector<std::string> files;
        for (const auto& one : std::filesystem::recursive_directory_iterator(place)) {
            const std::string name = one.path().filename().string();
            if (one.is_regular_file() && one.file_size() > 0 && name != "LOCK" && name != "LOG")
                files.push_back(one.path());
        }
        std::sort(files.begin(), files.end());
        const std::string victim = files[random() % files.size()];
        std::string bytes = read_file(victim);
        const std::size_t at = random() % bytes.size();
        bytes[at] ^= static_cast<char>(1 << random() % 8);
        write_file(victim, bytes);
        SCOPED_TRACE(victim + " at " + std::to_string(at));
        const failure told = failure_of([&] {
            running_engine target(place);
            for (int i = 0; i < count; ++i) {
                const auto value = target.get(std::to_string(i));
                EXPECT_TRUE(value.has_value()) << i;
                EXPECT_EQ(value, target.get("sum " + std::to_string(i)));
            }
            for (const ports::blob_ref& ref : refs) EXPECT_EQ(target.read(ref), std::string(2000, 'b'));
            target.close();
        });
        loud += told.code ? 1 : 0;
        if (told.code) {
            EXPECT_TRUE(told.code == errc::corrupt || told.code == errc::not_a_store ||
                        told.code == errc::storage_failed || told.code == errc::format_newer)
                << told.text;
        }
    }
    std::cout << loud << " of " << trials << " damages were reported, the others did no harm\n";
    EXPECT_GT(loud, 0);
}
