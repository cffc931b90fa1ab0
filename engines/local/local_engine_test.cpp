// What the local engine promises beyond the conformance suite: group commit, levels, space that comes back,
// the lock, and directories that are no store.
#include "engines/local/directory.hpp"
#include "engines/local/key_filter.hpp"
#include "engines/local/space.hpp"
#include "engines/local/test_support.hpp"
#include "engines/local/verify.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;
using local::failure;
using local::failure_of;
using local::running_engine;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::uint64_t disk_bytes(const std::string& directory) {
    std::uint64_t bytes = 0;
    for (const auto& one : std::filesystem::recursive_directory_iterator(directory)) {
        struct stat status{};
        if (::stat(one.path().c_str(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
    return bytes;
}

void wait_for_background(running_engine& target) {
    target.loop().run_until([&target] { return !target.store().counters().background_busy; });
}

// Commits `count` rows at once and returns when the last one is acknowledged.
void commit_together(running_engine& target, int count, durability level, const std::string& prefix = "key ") {
    int done = 0;
    for (int i = 0; i < count; ++i) {
        weave::spawn(target.loop(),
                     target.rows().commit(running_engine::batch(prefix + std::to_string(i), "value"), level),
                     [&done](weave::outcome_of<ports::commit_result> result) {
                         EXPECT_EQ(result.get().status, ports::commit_status::applied);
                         ++done;
                     });
    }
    target.loop().run_until([&] { return done == count; });
}

// So much log, and a little more.
void write_bytes(running_engine& target, std::uint64_t bytes) {
    const std::string value(10'000, 'v');
    const std::uint64_t end = target.store().counters().log_bytes_written + bytes;
    for (int i = 0; target.store().counters().log_bytes_written < end; ++i)
        target.put(std::to_string(i % 100), value, durability::process());
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
}

TEST(local_engine, frames_are_found_by_place_and_taken_in_any_order) {
    local::frame_set frames;
    constexpr std::uint32_t each = 5000;
    for (std::uint32_t file = 1; file <= 2; ++file)
        for (std::uint32_t i = 0; i < each; ++i) frames.add({{file, 64 + 8 * i}, i});
    EXPECT_EQ(frames.size(), 2 * each);
    EXPECT_FALSE(frames.take({1, 65}));
    EXPECT_FALSE(frames.take({3, 64}));
    // All but every tenth, the last first.
    for (std::uint32_t i = each; i-- > 0;) {
        if (i % 10 == 0) continue;
        EXPECT_EQ(frames.length_of({1, 64 + 8 * i}), i);
        EXPECT_TRUE(frames.take({1, 64 + 8 * i}));
        EXPECT_FALSE(frames.take({1, 64 + 8 * i}));
        EXPECT_FALSE(frames.length_of({1, 64 + 8 * i}));
    }
    for (std::uint32_t i = 0; i < each; i += 10) EXPECT_EQ(frames.length_of({1, 64 + 8 * i}), i);
    frames.add({{1, 64 + 8 * each}, 7});
    EXPECT_TRUE(frames.take({1, 64 + 8 * each}));
    for (std::uint32_t i = 0; i < each; i += 10) EXPECT_TRUE(frames.take({1, 64 + 8 * i}));
    EXPECT_EQ(frames.size(), each);
    EXPECT_EQ(frames.length_of({2, 64}), 0U);
}

}  // namespace

TEST(local_engine, commits_of_one_pass_share_a_record_and_a_sync) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    const auto before = target.store().counters();
    commit_together(target, 500, durability::sync());
    const auto after = target.store().counters();
    EXPECT_EQ(after.commits - before.commits, 500U);
    EXPECT_LE(after.groups - before.groups, 3U);
    EXPECT_LE(after.fsyncs - before.fsyncs, 3U);
    EXPECT_GE(after.fsyncs - before.fsyncs, 1U);
    target.close();
}

TEST(local_engine, a_lone_sync_commit_costs_one_sync) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    const auto before = target.store().counters().fsyncs;
    for (int i = 0; i < 10; ++i) target.put("key", "value");
    EXPECT_EQ(target.store().counters().fsyncs - before, 10U);
    target.close();
}

TEST(local_engine, process_does_not_sync_and_interval_syncs_in_time) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    const auto before = target.store().counters().fsyncs;
    for (int i = 0; i < 100; ++i) target.put(std::to_string(i), "value", durability::process());
    EXPECT_EQ(target.store().counters().fsyncs, before);
    target.put("key", "value", durability::every(20ms));
    target.put("key", "value", durability::every(1h));
    EXPECT_EQ(target.store().counters().fsyncs, before);
    target.loop().run_until([&] { return target.store().counters().fsyncs != before; });
    EXPECT_EQ(target.store().counters().fsyncs, before + 1);
    target.close();
}

TEST(local_engine, conditions_see_what_the_same_pass_committed) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    int applied = 0;
    int refused = 0;
    for (int i = 0; i < 50; ++i) {
        ports::batch change = running_engine::batch("one", std::to_string(i));
        change.conditions.push_back({"one", ports::condition::test::absent, ""});
        weave::spawn(target.loop(), target.rows().commit(std::move(change), durability::process()),
                     [&](weave::outcome_of<ports::commit_result> result) {
                         ++(result.get().status == ports::commit_status::applied ? applied : refused);
                     });
    }
    target.loop().run_until([&] { return applied + refused == 50; });
    EXPECT_EQ(applied, 1);
    EXPECT_EQ(target.get("one"), "0");
    target.close();
}

TEST(local_engine, what_was_acknowledged_survives_without_a_close) {
    const local::temporary_directory directory;
    ports::blob_ref ref;
    const std::string data(100'000, 'd');
    {
        running_engine target(directory.path());
        target.put("sync", "value");
        target.put("interval", "value", durability::every(1h));
        ref = target.write(data);
        ports::batch change = running_engine::batch("process", "value");
        change.covers.push_back(ref);
        target.commit(std::move(change), durability::process());
    }
    running_engine again(directory.path());
    for (const char* key : {"sync", "interval", "process"}) EXPECT_EQ(again.get(key), "value") << key;
    EXPECT_EQ(again.read(ref), data);
    wait_for_background(again);
    EXPECT_EQ(again.store().counters().live_bytes, data.size());
    again.close();
}

TEST(local_engine, cancelled_blobs_give_their_space_back) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 32 * mebibyte;
    options.replay_bytes_max = 64 * mebibyte;
    running_engine target(options);
    const std::string data(mebibyte, 'c');
    for (int transaction = 0; transaction < 40; ++transaction) {
        std::vector<ports::blob_ref> refs;
        for (int i = 0; i < 10; ++i) refs.push_back(target.write(data));
        target.drop(std::move(refs));
    }
    wait_for_background(target);
    EXPECT_LT(disk_bytes(directory.path()), 20 * mebibyte);
    // Dead files go while the store runs: at the latest when it has been idle for a moment.
    target.loop().run_until([&] { return target.store().counters().log_files <= 2; });
    EXPECT_EQ(target.store().counters().undecided_blobs, 0U);
    target.close();
    EXPECT_LT(disk_bytes(directory.path()), 2 * mebibyte);
}

// Counts the holes that are made.
class hole_counter final : public local::disk_faults {
public:
    int before(local::disk_operation what, const std::string&, std::size_t&) noexcept override {
        if (what == local::disk_operation::punch) ++holes;
        return 0;
    }
    std::atomic<int> holes = 0;
};

TEST(local_engine, a_dead_file_that_the_index_is_past_is_unlinked_without_holes) {
    const local::temporary_directory directory;
    hole_counter counter;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 8 * mebibyte;
    options.replay_bytes_max = mebibyte;
    options.faults = &counter;
    running_engine target(options);
    const std::string data(mebibyte / 4, 'u');
    std::vector<ports::blob_ref> refs;
    for (int i = 0; i < 400; ++i) refs.push_back(target.write(data));
    wait_for_background(target);  // the index has come near the end
    target.drop(refs);
    target.loop().run_until([&] { return target.store().counters().log_files <= 3; });
    EXPECT_LT(counter.holes, 320);  // 400 where every blob is punched; how many depends on the machine's load
    target.close();
    EXPECT_TRUE(local::verify(directory.path()).problems.empty());
}

TEST(local_engine, dropped_live_blobs_give_their_space_back) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 8 * mebibyte;
    running_engine target(options);
    const std::string data(mebibyte, 'l');
    std::vector<ports::blob_ref> refs;
    for (int i = 0; i < 40; ++i) {
        refs.push_back(target.write(data));
        ports::batch change = running_engine::batch(std::to_string(i), "row");
        change.covers.push_back(refs.back());
        target.commit(std::move(change));
    }
    EXPECT_EQ(target.store().counters().live_bytes, 40 * mebibyte);
    EXPECT_GT(disk_bytes(directory.path()), 40 * mebibyte);
    std::vector<ports::blob_ref> odd;
    for (std::size_t i = 1; i < refs.size(); i += 2) odd.push_back(refs[i]);
    target.drop(odd);
    target.drop(odd);
    EXPECT_EQ(target.store().counters().live_bytes, 20 * mebibyte);
    target.loop().run_until([&] { return disk_bytes(directory.path()) < 22 * mebibyte; });
    for (std::size_t i = 0; i < refs.size(); i += 2) EXPECT_EQ(target.read(refs[i]), data);
    EXPECT_EQ(failure_of([&] { (void)target.read(refs[1]); }).code, errc::corrupt);
    target.drop(refs);
    target.close();
    EXPECT_LT(disk_bytes(directory.path()), 2 * mebibyte);
    const auto report = local::verify(directory.path());
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
}

TEST(local_engine, blobs_that_nobody_committed_before_a_crash_are_punched) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = 8 * mebibyte;
    const std::string data(mebibyte, 'o');
    ports::blob_ref kept;
    {
        running_engine target(options);
        for (int i = 0; i < 30; ++i) {
            const ports::blob_ref ref = target.write(data);
            if (i != 11) continue;
            kept = ref;
            ports::batch change = running_engine::batch("kept", "row");
            change.covers.push_back(ref);
            target.commit(std::move(change));
        }
    }
    running_engine again(options);
    again.loop().run_until([&] { return disk_bytes(directory.path()) < 3 * mebibyte; });
    EXPECT_EQ(again.read(kept), data);
    again.close();
    EXPECT_TRUE(local::verify(directory.path()).problems.empty());
}

TEST(local_engine, the_log_does_not_grow_with_the_number_of_commits) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = mebibyte;
    options.replay_bytes_max = 2 * mebibyte;
    running_engine target(options);
    const std::string value(1000, 'v');
    for (int i = 0; i < 20'000; ++i) target.put(std::to_string(i % 100), value, durability::process());
    target.loop().run_until([&] { return target.store().counters().log_files <= 4; });
    target.close();
    EXPECT_LT(disk_bytes(directory.path() + "/log"), 3 * mebibyte);
}

TEST(local_engine, what_comes_while_the_index_is_flushed_is_flushed_after_it) {
    const local::temporary_directory directory;
    local::held_tables tables;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = mebibyte;
    options.replay_bytes_max = 2 * mebibyte;
    options.faults = &tables;
    running_engine target(options);
    write_bytes(target, 3 * mebibyte);
    tables.wait_for_one();
    // More than is to be behind the index, and less than makes an idle store flush.
    write_bytes(target, 10 * mebibyte);
    EXPECT_GT(target.store().counters().log_files, 10U);
    tables.let_go();
    target.loop().run_until([&] { return target.store().counters().log_files <= 4; });
    target.close();
}

TEST(local_engine, an_idle_store_is_flushed_also_if_the_flush_before_took_long) {
    const local::temporary_directory directory;
    local::held_tables tables;
    local::options options = running_engine::at(directory.path());
    options.log_file_bytes = mebibyte;
    options.replay_bytes_max = 20 * mebibyte;
    options.faults = &tables;
    running_engine target(options);
    write_bytes(target, 21 * mebibyte);
    tables.wait_for_one();
    // Less than makes another flush, and more than an idle store leaves.
    write_bytes(target, 18 * mebibyte);
    for (int i = 0; i < 3; ++i) {
        target.loop().skip(1s);
        target.loop().run_for(0ms);
    }
    tables.let_go();
    target.loop().run_until([&] { return target.store().counters().log_files <= 2; });
    target.close();
}

TEST(local_engine, inline_mode_has_no_threads_of_its_own_and_does_the_same) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    options.inline_mode = true;
    options.log_file_bytes = mebibyte;
    options.replay_bytes_max = 2 * mebibyte;
    running_engine target(options);
    const std::string data(100'000, 'i');
    std::vector<ports::blob_ref> refs;
    for (int i = 0; i < 100; ++i) {
        refs.push_back(target.write(data));
        if (i % 2 == 0) continue;
        ports::batch change = running_engine::batch(std::to_string(i), "row");
        change.covers.push_back(refs.back());
        target.commit(std::move(change));
    }
    target.drop(refs);
    wait_for_background(target);
    EXPECT_EQ(target.store().counters().live_bytes, 0U);
    target.close();
    EXPECT_LT(disk_bytes(directory.path() + "/log"), mebibyte);
}

TEST(local_engine, limits_are_typed_errors) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    ports::batch change = running_engine::batch("key", "value");
    change.shard = std::string(65'536, 's');
    EXPECT_EQ(failure_of([&] { target.commit(change); }).code, errc::invalid_argument);
    EXPECT_EQ(failure_of([&] { target.put("key", std::string(target.rows().caps().value_bytes_max + 1, 'v')); }).code,
              errc::too_large);
    // All batches of a commit are one record.
    std::vector<ports::batch> many(9, running_engine::batch("key", std::string(std::size_t{60} << 20, 'v')));
    EXPECT_EQ(
        failure_of([&] { target.loop().run(target.rows().commit_all(std::move(many), durability::process())); }).code,
        errc::too_large);
    const std::string large(target.blobs().caps().blob_bytes_max + 1, 'b');
    EXPECT_EQ(failure_of([&] { (void)target.write(large); }).code, errc::too_large);
    ports::batch covering = running_engine::batch("key", "value");
    covering.covers.push_back({std::string(8, '\1'), 5, 5});
    EXPECT_EQ(failure_of([&] { target.commit(covering); }).code, errc::invalid_argument);
    EXPECT_EQ(target.get("key"), std::nullopt);
    EXPECT_EQ(failure_of([&] { target.loop().run(target.rows().settle("shard", {})); }).code, errc::unsupported);
    target.close();
    EXPECT_EQ(failure_of([&] { (void)target.get("key"); }).code, errc::shutting_down);
}

TEST(local_engine, a_second_opening_is_refused_and_names_the_first) {
    const local::temporary_directory directory;
    running_engine first(directory.path());
    first.put("key", "value");
    const failure told = failure_of([&] { running_engine second(directory.path()); });
    EXPECT_EQ(told.code, errc::locked);
    EXPECT_NE(told.text.find("pid " + std::to_string(::getpid())), std::string::npos) << told.text;
    EXPECT_NE(told.text.find(directory.path()), std::string::npos) << told.text;
    EXPECT_EQ(failure_of([&] { (void)local::verify(directory.path()); }).code, errc::locked);
    first.put("key", "again");
    first.close();
    running_engine second(directory.path());
    EXPECT_EQ(second.get("key"), "again");
    second.close();
}

TEST(local_engine, a_second_process_is_refused) {
    const local::temporary_directory directory;
    running_engine first(directory.path());
    const std::string command = std::string(TSTREAMS_CRASH_WRITER) + " " + directory.path() + " 1 2>&1";
    FILE* second = ::popen(command.c_str(), "r");
    ASSERT_NE(second, nullptr);
    std::string said(4096, '\0');
    said.resize(::fread(said.data(), 1, said.size(), second));
    const int status = ::pclose(second);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    EXPECT_NE(said.find("pid " + std::to_string(::getpid())), std::string::npos) << said;
    first.close();
}

TEST(local_engine, directories_that_are_no_store_are_left_alone) {
    const local::temporary_directory directory;
    write_file(directory.path() + "/notes.txt", "mine");
    EXPECT_EQ(failure_of([&] { running_engine target(directory.path()); }).code, errc::not_a_store);
    EXPECT_EQ(failure_of([&] { running_engine target(directory.path() + "/notes.txt"); }).code, errc::not_a_store);
    EXPECT_EQ(failure_of([&] { (void)local::verify(directory.path()); }).code, errc::not_a_store);
    EXPECT_EQ(local::disk().list(directory.path()), std::vector<std::string>{"notes.txt"});

    local::options missing = running_engine::at(directory.path() + "/missing");
    missing.create = false;
    EXPECT_EQ(failure_of([&] { running_engine target(missing); }).code, errc::store_not_found);
    EXPECT_EQ(failure_of([&] { (void)local::verify(missing.path); }).code, errc::store_not_found);
    EXPECT_FALSE(std::filesystem::exists(missing.path));
}

TEST(local_engine, formats_are_checked) {
    const local::temporary_directory directory;
    const std::string place = directory.path() + "/a/b/store";
    running_engine(place).close();
    write_file(place + "/FORMAT", "tstreams-local-store\nversion 2\n");
    const failure newer = failure_of([&] { running_engine target(place); });
    EXPECT_EQ(newer.code, errc::format_newer);
    EXPECT_NE(newer.text.find(place), std::string::npos);
    write_file(directory.path() + "/FORMAT", "something else\n");
    EXPECT_EQ(failure_of([&] { running_engine target(directory.path()); }).code, errc::not_a_store);
    write_file(place + "/FORMAT", "tstreams-local-store\nversion 1\n");
    running_engine(place).close();
}

TEST(local_engine, a_store_whose_format_file_is_lost_is_damaged_and_not_something_else) {
    const local::temporary_directory directory;
    const std::string place = directory.path() + "/store";
    running_engine first(place);
    first.put("key", "value");
    first.close();
    for (const std::string& text : {std::string(), std::string("something else\n"), std::string("missing")}) {
        write_file(place + "/FORMAT", text);
        if (text == "missing") std::filesystem::remove(place + "/FORMAT");
        const failure told = failure_of([&] { running_engine target(place); });
        EXPECT_EQ(told.code, errc::corrupt) << text;
        EXPECT_NE(told.text.find(place + "/FORMAT"), std::string::npos) << told.text;
        EXPECT_EQ(failure_of([&] { (void)local::verify(place); }).code, errc::corrupt) << text;
    }
    write_file(place + "/FORMAT", "tstreams-local-store\nversion 1\n");
    running_engine again(place);
    EXPECT_EQ(again.get("key"), "value");
    again.close();
}

TEST(local_engine, an_interrupted_making_is_done_again) {
    const local::temporary_directory directory;
    write_file(directory.path() + "/LOCK", "gone (pid 1)\n");
    std::filesystem::create_directory(directory.path() + "/log");
    write_file(directory.path() + "/FORMAT.new", "tstr");
    running_engine target(directory.path());
    target.put("key", "value");
    target.close();
    running_engine again(directory.path());
    EXPECT_EQ(again.get("key"), "value");
    again.close();
}

TEST(local_engine, verify_counts_what_there_is) {
    const local::temporary_directory directory;
    running_engine target(directory.path());
    commit_together(target, 100, durability::process());
    const ports::blob_ref ref = target.write(std::string(50'000, 'v'));
    ports::batch change = running_engine::batch("blob", "row");
    change.covers.push_back(ref);
    target.commit(std::move(change));
    target.close();
    std::uint64_t last = 0;
    std::uint64_t all = 0;
    const auto report = local::verify(directory.path(), [&](std::uint64_t done, std::uint64_t total) {
        EXPECT_LE(done, total);
        last = done;
        all = total;
    });
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
    EXPECT_EQ(report.rows, 101U);
    EXPECT_GE(report.records, 3U);
    EXPECT_GT(report.bytes, 50'000U);
    EXPECT_GT(report.files, 5U);
    EXPECT_EQ(last, all);
}

TEST(key_filter, knows_what_was_added_until_it_is_cleared) {
    local::key_filter filter;
    EXPECT_FALSE(filter.may_have("key"));
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 5000; ++i) filter.add("key " + std::to_string(i));
        int wrong = 0;
        for (int i = 0; i < 5000; ++i) {
            EXPECT_TRUE(filter.may_have("key " + std::to_string(i)));
            wrong += filter.may_have("other " + std::to_string(i)) ? 1 : 0;
        }
        EXPECT_LT(wrong, 5);
        filter.clear();
        for (int i = 0; i < 5000; ++i) EXPECT_FALSE(filter.may_have("key " + std::to_string(i)));
    }
}

// Keys have names and ids in them that clients choose: here so, that they would all want one slot of the filter, if its
// hash was the library's.
TEST(key_filter, is_not_slowed_by_chosen_keys) {
    constexpr std::size_t many = 4096;
    const auto seconds_for = [](bool chosen) {
        std::vector<std::string> keys;
        for (int i = 0; keys.size() < many; ++i) {
            std::string key = "key " + std::to_string(i);
            if (!chosen || (std::hash<std::string>()(key) >> 1) % (2 * many) == 1) keys.push_back(std::move(key));
        }
        local::key_filter filter;
        const std::clock_t start = std::clock();
        for (int round = 0; round < 10; ++round) {
            for (const std::string& key : keys) filter.add(key);
            filter.clear();
        }
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    EXPECT_LT(seconds_for(true), 5 * seconds_for(false) + 0.01);
}
