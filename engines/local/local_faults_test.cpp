// Every system call of the engine is made to fail in turn: what was acknowledged must be there after
// reopening, what was reported as not applied must not be, and the engine must say so or go on.
#include "engines/local/noted_rows.hpp"
#include "engines/local/test_support.hpp"
#include "engines/local/verify.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;
using local::disk_operation;
using local::failure;
using local::failure_of;
using local::running_engine;

// Fails one call, or all from one on, of the operations of one kind.
class failing_disk final : public local::disk_faults {
public:
    failing_disk(disk_operation what, int number, bool for_good) : what_(what), number_(number), for_good_(for_good) {}

    void arm(std::uint64_t call) {
        calls_ = 0;
        fail_at_ = call;
        armed_ = true;
    }
    void disarm() { armed_ = false; }
    void shorten_writes() { shorten_ = true; }
    void only(std::string part) { part_ = std::move(part); }
    [[nodiscard]] bool struck() const { return struck_; }

    int before(disk_operation what, const std::string& path, std::size_t& bytes) noexcept override {
        if (!armed_ || what != what_ || path.find(part_) == std::string::npos) return 0;
        const std::uint64_t call = ++calls_;
        if (call < fail_at_ || (call > fail_at_ + 1 && !for_good_)) return 0;
        struck_ = true;
        if (shorten_ && call == fail_at_) {
            bytes = bytes / 2;
            return 0;
        }
        if (call > fail_at_ && !for_good_ && !shorten_) return 0;
        return number_;
    }

private:
    const disk_operation what_;
    const int number_;
    const bool for_good_;
    std::string part_;
    std::atomic<bool> shorten_ = false;
    std::atomic<bool> armed_ = false;
    std::atomic<bool> struck_ = false;
    std::atomic<std::uint64_t> calls_ = 0;
    std::atomic<std::uint64_t> fail_at_ = 0;
};

std::string blob_of(int number) {
    return std::string(20'000 + static_cast<std::size_t>(number), 'b');
}

// What a run was told of each of its rows.
struct history {
    std::set<std::string> applied;
    std::set<std::string> not_applied;
    std::set<std::string> unknown;
    std::vector<ports::blob_ref> blobs;  // of the applied ones, in any order

    void note(const std::string& key, const failure& told) {
        if (!told.code) {
            applied.insert(key);
        } else if (told.result == outcome::unknown) {
            unknown.insert(key);
        } else {
            not_applied.insert(key);
        }
    }
};

void work(running_engine& target, history& told) {
    const std::vector<durability> levels{durability::sync(), durability::process(), durability::every(5ms)};
    for (int i = 0; i < 9; ++i) {
        const std::string key = std::to_string(i);
        ports::batch change = running_engine::batch(key, "value " + key);
        std::optional<ports::blob_ref> ref;
        if (i % 3 == 0) {
            const failure written = failure_of([&] { ref = target.write(blob_of(i)); });
            if (written.code) {
                EXPECT_EQ(written.result, outcome::not_applied);
                told.not_applied.insert(key);
                continue;
            }
            change.covers.push_back(*ref);
        }
        const failure result =
            failure_of([&] { target.commit(std::move(change), levels[static_cast<std::size_t>(i) % 3]); });
        told.note(key, result);
        if (ref && !result.code) told.blobs.push_back(*ref);
    }
}

void check(running_engine& target, const history& told) {
    for (const std::string& key : told.applied) EXPECT_EQ(target.get(key), "value " + key) << key;
    for (const std::string& key : told.not_applied) EXPECT_EQ(target.get(key), std::nullopt) << key;
    for (const std::string& key : told.unknown) {
        const auto found = target.get(key);
        EXPECT_TRUE(!found || found == "value " + key) << key;
    }
    for (const ports::blob_ref& ref : told.blobs) EXPECT_EQ(target.read(ref).size(), ref.length);
}

struct scenario {
    const char* name;
    disk_operation what;
    int number;
    bool for_good;
    bool shorten = false;
};

class every_call : public ::testing::TestWithParam<scenario> {};

// Whether the fault struck in this run.
bool run_with_fault_at(const scenario& chosen, std::uint64_t call) {
    const local::temporary_directory directory;
    failing_disk faults(chosen.what, chosen.number, chosen.for_good);
    if (chosen.shorten) faults.shorten_writes();
    local::options options = running_engine::at(directory.path() + "/store");
    options.faults = &faults;
    options.log_file_bytes = 30'000;
    history told;
    faults.arm(call);
    const failure opened = failure_of([&] {
        running_engine target(options);
        work(target, told);
        const failure closed = failure_of([&] { target.close(); });
        EXPECT_NE(closed.code, errc::corrupt) << closed.text;
    });
    if (opened.code) {
        EXPECT_TRUE(opened.code == errc::storage_failed || opened.code == errc::no_space ||
                    opened.code == errc::read_only)
            << opened.text;
    }
    faults.disarm();
    running_engine again(options);
    check(again, told);
    EXPECT_EQ(again.put("after", "value").status, ports::commit_status::applied);
    again.close();
    return faults.struck();
}

}  // namespace

TEST_P(every_call, fails_in_turn) {
    std::uint64_t call = 1;
    for (; call < 200; ++call) {
        SCOPED_TRACE(std::string(GetParam().name) + ": call " + std::to_string(call));
        if (!run_with_fault_at(GetParam(), call) || HasFailure()) break;
    }
    EXPECT_GT(call, 1U) << "the fault must strike at least once";
    EXPECT_LT(call, 200U);
}

INSTANTIATE_TEST_SUITE_P(faults, every_call,
                         ::testing::Values(scenario{"full_disk_once", disk_operation::write, ENOSPC, false},
                                           scenario{"full_disk", disk_operation::write, ENOSPC, true},
                                           scenario{"write_error", disk_operation::write, EIO, false},
                                           scenario{"short_write_then_full", disk_operation::write, ENOSPC, false,
                                                    true},
                                           scenario{"short_write_then_error", disk_operation::write, EIO, true, true},
                                           scenario{"sync_error_once", disk_operation::sync, EIO, false},
                                           scenario{"directory_sync_error", disk_operation::sync_directory, EIO, false},
                                           scenario{"open_error", disk_operation::open, EIO, false},
                                           scenario{"index_files_full", disk_operation::index_file, ENOSPC, true},
                                           scenario{"index_file_error", disk_operation::index_file, EIO, false},
                                           scenario{"rename_error", disk_operation::rename, EIO, false}),
                         [](const auto& one) { return std::string(one.param.name); });

// Whoever wrote them may have been killed before their names were on the disk.
TEST(local_faults, names_of_log_files_are_synced_when_a_store_is_opened) {
    const local::temporary_directory directory;
    local::options options = running_engine::at(directory.path());
    {
        running_engine first(options);
        first.put("row", "value");
        first.close();
    }
    failing_disk faults(disk_operation::sync_directory, EIO, false);
    faults.only("/log");
    faults.arm(1);
    options.faults = &faults;
    EXPECT_TRUE(failure_of([&] { running_engine again(options); }).code);
    EXPECT_TRUE(faults.struck());
    options.faults = nullptr;
    running_engine again(options);
    EXPECT_EQ(again.get("row"), "value");
    again.close();
}

TEST(local_faults, a_full_disk_refuses_writes_and_goes_on_when_there_is_space) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::write, ENOSPC, true);
    faults.only("/log/");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    running_engine target(options);
    target.put("before", "value");
    const ports::blob_ref blob = target.write("blob");
    faults.arm(1);
    for (int i = 0; i < 3; ++i) {
        const failure refused = failure_of([&] { target.put("refused", "value"); });
        EXPECT_EQ(refused.code, errc::no_space);
        EXPECT_EQ(refused.result, outcome::not_applied);
        EXPECT_EQ(failure_of([&] { (void)target.write("refused"); }).code, errc::no_space);
        EXPECT_EQ(target.get("before"), "value");
        EXPECT_EQ(target.get("refused"), std::nullopt);
        EXPECT_EQ(target.read(blob), "blob");
    }
    EXPECT_FALSE(target.store().failed());
    faults.disarm();
    target.put("after", "value");
    target.close();
    running_engine again(options);
    EXPECT_EQ(again.get("before"), "value");
    EXPECT_EQ(again.get("refused"), std::nullopt);
    EXPECT_EQ(again.get("after"), "value");
    again.close();
}

TEST(local_faults, an_index_without_space_refuses_commits_and_goes_on_when_there_is_some) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::index_file, ENOSPC, true);
    faults.only(".sst");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    options.replay_bytes_max = 50'000;
    running_engine target(options);
    const std::string value(5000, 'v');
    faults.arm(1);
    // Commits until one is refused, or waits because it was in the log before the index was found to be full.
    failure told;
    int applied = 0;
    bool answered = true;
    for (; applied < 1000 && answered && !told.code; ++applied) {
        answered = false;
        weave::spawn(target.loop(),
                     target.rows().commit(running_engine::batch("row " + std::to_string(applied), value), {}),
                     [&](weave::outcome_of<ports::commit_result> result) {
                         told = failure_of([&] { result.get(); });
                         answered = true;
                     });
        const auto patience = target.loop().now() + 500ms;
        target.loop().run_until([&] {
            if (!answered) target.loop().call_at(target.loop().now() + 20ms, [] {});
            return answered || target.loop().now() > patience;
        });
    }
    const failure refused = failure_of([&] { target.put("refused", value); });
    EXPECT_EQ(refused.code, errc::no_space);
    EXPECT_EQ(refused.result, outcome::not_applied);
    EXPECT_GT(applied, 5);
    EXPECT_EQ(target.get("row 0"), value);
    EXPECT_EQ(target.get("refused"), std::nullopt);
    EXPECT_FALSE(target.store().failed());
    faults.disarm();
    target.loop().run_until([&] { return answered; });
    if (told.code) {
        EXPECT_EQ(told.code, errc::no_space);
        EXPECT_EQ(told.result, outcome::not_applied);
        --applied;
    }
    failure again_told = refused;
    for (int i = 0; i < 200 && again_told.code == errc::no_space; ++i) {
        again_told = failure_of([&] { target.put("after", value); });
        if (again_told.code) target.loop().run_for(50ms);
    }
    ASSERT_EQ(again_told.code, std::nullopt) << again_told.text;
    target.close();
    running_engine again(options);
    for (int i = 0; i < applied; ++i) EXPECT_EQ(again.get("row " + std::to_string(i)), value) << i;
    EXPECT_EQ(again.get("after"), value);
    again.close();
}

TEST(local_faults, a_full_disk_refuses_the_whole_group) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::write, ENOSPC, true);
    faults.only("/log/");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    running_engine target(options);
    faults.arm(1);
    int refused = 0;
    for (int i = 0; i < 10; ++i) {
        weave::spawn(target.loop(),
                     target.rows().commit(running_engine::batch(std::to_string(i), "value"), durability::sync()),
                     [&refused](weave::outcome_of<ports::commit_result> result) {
                         const failure told = failure_of([&] { result.get(); });
                         EXPECT_EQ(told.code, errc::no_space);
                         EXPECT_EQ(told.result, outcome::not_applied);
                         ++refused;
                     });
    }
    target.loop().run_until([&] { return refused == 10; });
    faults.disarm();
    ports::batch change = running_engine::batch("0", "value");
    change.conditions.push_back({"0", ports::condition::test::absent, ""});
    EXPECT_EQ(target.commit(std::move(change)).status, ports::commit_status::applied);
    target.close();
}

// Groups of any size, over many pages, some of them refused by a full disk, with crashes between.
TEST(local_faults, notes_are_there_exactly_if_their_commits_are) {
    const char* given = std::getenv("TSTREAMS_TEST_SEED");
    const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
    std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random(seed);
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::write, ENOSPC, false);
    faults.only("/log/");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    constexpr int pages = 40;
    std::set<int> applied;
    int next = 0;
    int refused = 0;
    for (int life = 0; life < 6; ++life) {
        running_engine target(options);
        for (int group = 0; group < 20; ++group) {
            if (random() % 3 == 0) faults.arm(1 + random() % 2);
            const int commits = 1 + static_cast<int>(random() % 100);
            int told = 0;
            for (int i = 0; i < commits; ++i) {
                const int number = next++;
                // Some are so large that a few of them are a group that is written at once.
                ports::batch change =
                    local::noted_row(number, pages, std::string(random() % 25 == 0 ? 2'000'000 : 10, 'v'));
                weave::spawn(target.loop(), target.rows().commit(std::move(change), durability::process()),
                             [&, number](weave::outcome_of<ports::commit_result> result) {
                                 ++told;
                                 const failure met = failure_of([&] { result.get(); });
                                 if (!met.code) applied.insert(number);
                                 if (met.code) {
                                     EXPECT_EQ(met.result, outcome::not_applied);
                                 }
                                 refused += met.code ? 1 : 0;
                             });
            }
            target.loop().run_until([&] { return told == commits; });
            faults.disarm();
        }
        EXPECT_EQ(local::notes_in(target), local::notes_of(applied, pages));
        for (int number = 0; number < next; ++number)
            EXPECT_EQ(target.get(std::to_string(number)).has_value(), applied.contains(number)) << number;
        if (life % 2 == 1) target.close();
    }
    EXPECT_GT(refused, 0);
    EXPECT_GT(applied.size(), 0U);
}

// The table of the index that is being written finds the disk full while the log takes the next group.
void fill_disk_at_next_group(local::held_tables& tables, running_engine& target) {
    tables.wait_for_one();
    tables.at_next_log_write([&] {
        tables.let_go(ENOSPC);
        const auto patience = std::chrono::steady_clock::now() + 1min;
        while (!target.loop().has_jobs() && std::chrono::steady_clock::now() < patience)
            std::this_thread::sleep_for(1ms);
    });
}

// Commits as many rows with notes as one group; `told` gets what became of them.
void commit_noted(running_engine& target, int first, int commits, int pages, std::vector<failure>& told) {
    for (int number = first; number < first + commits; ++number) {
        weave::spawn(target.loop(),
                     target.rows().commit(local::noted_row(number, pages, "value"), durability::process()),
                     [&told](weave::outcome_of<ports::commit_result> result) {
                         told.push_back(failure_of([&] { result.get(); }));
                     });
    }
}

void expect_noted(running_engine& target, const std::set<int>& numbers, int pages, int end) {
    EXPECT_EQ(local::notes_in(target), local::notes_of(numbers, pages));
    for (int number = 0; number < end; ++number)
        EXPECT_EQ(target.get(std::to_string(number)).has_value(), numbers.contains(number)) << number;
}

// A group that the log has when the index closes for want of space, and one that comes then. False where the index took
// the first one in at the last moment.
bool close_index_behind_a_group(bool space_comes) {
    constexpr int pages = 30;
    constexpr int commits = 50;
    const int behind = space_comes ? 3 : 0;
    const local::temporary_directory directory;
    const std::string image = directory.path() + "/killed";
    local::held_tables tables;
    local::options options = running_engine::at(directory.path() + "/store");
    options.faults = &tables;
    options.replay_bytes_max = 50'000;
    std::set<int> numbers;
    int next = 0;
    {
        running_engine target(options);
        for (; next < 60; ++next) {
            target.commit(local::noted_row(next, pages, std::string(1000, 'v')), durability::process());
            numbers.insert(next);
        }
        fill_disk_at_next_group(tables, target);
        std::vector<failure> told;
        commit_noted(target, next, commits, pages, told);
        target.loop().run_until([&] { return !target.loop().has_jobs(); });
        if (!told.empty()) return false;
        expect_noted(target, numbers, pages, next + commits);
        for (int i = 0; i < commits; ++i) numbers.insert(next++);
        std::vector<failure> refused;
        commit_noted(target, next, commits, pages, refused);
        target.loop().run_until([&] { return refused.size() == commits; });
        for (const failure& one : refused) {
            EXPECT_EQ(one.code, errc::no_space);
            EXPECT_EQ(one.result, outcome::not_applied);
        }
        next += commits;
        std::filesystem::copy(options.path, image, std::filesystem::copy_options::recursive);
        if (space_comes) tables.let_go();
        target.loop().skip(2min);
        target.loop().run_until([&] { return told.size() == commits; });
        for (const failure& one : told) {
            EXPECT_EQ(one.code, space_comes ? std::nullopt : std::optional(errc::storage_failed)) << one.text;
            EXPECT_TRUE(space_comes || one.result == outcome::unknown);
        }
        EXPECT_EQ(target.store().failed(), !space_comes);
        for (int i = 0; i < behind; ++i) {
            target.commit(local::noted_row(next, pages, "value"));
            numbers.insert(next++);
        }
        if (space_comes) expect_noted(target, numbers, pages, next);
    }
    tables.let_go();
    running_engine again(options);
    expect_noted(again, numbers, pages, next);
    again.close();
    EXPECT_TRUE(local::verify(options.path).problems.empty());
    for (int i = 0; i < behind; ++i) numbers.erase(--next);
    running_engine killed(image);
    expect_noted(killed, numbers, pages, next);
    killed.close();
    return true;
}

TEST(local_faults, notes_of_a_group_that_the_index_has_no_space_for_come_with_it) {
    for (const bool space_comes : {true, false}) {
        SCOPED_TRACE(space_comes);
        int tries = 1;
        while (!close_index_behind_a_group(space_comes) && tries < 20) ++tries;
        EXPECT_LT(tries, 20);
    }
}

// The thread that finds space is waited for by the clock: late, it makes the test say nothing, and not fail.
TEST(local_faults, a_commit_is_not_judged_without_the_group_that_waits_for_the_index) {
    const local::temporary_directory directory;
    local::held_tables tables;
    local::options options = running_engine::at(directory.path() + "/store");
    options.faults = &tables;
    options.replay_bytes_max = 50'000;
    running_engine target(options);
    for (int i = 0; i < 60; ++i) target.put(std::to_string(i), std::string(1000, 'v'), durability::process());
    fill_disk_at_next_group(tables, target);
    std::vector<failure> told;
    int applied = 0;
    const auto begin = [&] {
        ports::batch change = running_engine::batch("one", "value");
        change.conditions.push_back({"one", ports::condition::test::absent, ""});
        weave::spawn(target.loop(), target.rows().commit(std::move(change), durability::process()),
                     [&](weave::outcome_of<ports::commit_result> result) {
                         told.push_back(failure_of(
                             [&] { applied += result.get().status == ports::commit_status::applied ? 1 : 0; }));
                     });
    };
    begin();
    target.loop().run_until([&] { return !target.loop().has_jobs(); });
    tables.hold();
    target.loop().skip(1s);
    target.loop().run_for(1ms);
    tables.wait_for_one();
    begin();
    tables.let_go();
    std::this_thread::sleep_for(300ms);
    target.loop().run_until([&] { return told.size() == 2; });
    EXPECT_EQ(applied, 1);
    target.close();
}

TEST(local_faults, a_failed_sync_fails_the_engine_and_is_never_tried_again) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::sync, EIO, false);
    faults.only("/log/");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    {
        running_engine target(options);
        target.put("before", "value");
        faults.arm(1);
        const auto syncs = target.store().counters().fsyncs;
        const failure told = failure_of([&] { target.put("lost", "value"); });
        EXPECT_EQ(told.code, errc::storage_failed);
        EXPECT_EQ(told.result, outcome::unknown);
        EXPECT_TRUE(target.store().failed());
        faults.disarm();
        const failure later = failure_of([&] { target.put("later", "value"); });
        EXPECT_EQ(later.code, errc::storage_failed);
        EXPECT_EQ(later.result, outcome::not_applied);
        EXPECT_EQ(failure_of([&] { (void)target.get("before"); }).code, errc::storage_failed);
        EXPECT_EQ(failure_of([&] { (void)target.write("later"); }).code, errc::storage_failed);
        EXPECT_EQ(failure_of([&] { target.close(); }).code, errc::storage_failed);
        EXPECT_EQ(target.store().counters().fsyncs, syncs);
    }
    running_engine again(options);
    EXPECT_EQ(again.get("before"), "value");
    EXPECT_EQ(again.get("later"), std::nullopt);
    again.close();
}

TEST(local_faults, a_signal_is_no_failure) {
    const local::temporary_directory directory;
    for (const disk_operation what : {disk_operation::write, disk_operation::sync}) {
        failing_disk signals(what, EINTR, false);
        auto chosen = running_engine::at(directory.path());
        chosen.faults = &signals;
        running_engine target(chosen);
        signals.arm(1);
        EXPECT_EQ(target.put("key", "value").status, ports::commit_status::applied);
        EXPECT_TRUE(signals.struck());
        EXPECT_EQ(target.get("key"), "value");
        target.close();
    }
}

TEST(local_faults, a_read_only_file_system_is_named_as_such) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::make_directory, EROFS, true);
    local::options options = running_engine::at(directory.path() + "/store");
    options.faults = &faults;
    faults.arm(1);
    const failure told = failure_of([&] { running_engine target(options); });
    EXPECT_EQ(told.code, errc::read_only);
    EXPECT_NE(told.text.find("/store"), std::string::npos) << told.text;
}

TEST(local_faults, an_unreadable_blob_is_reported_and_nothing_else_fails) {
    const local::temporary_directory directory;
    failing_disk faults(disk_operation::read, EIO, true);
    faults.only("/log/");
    local::options options = running_engine::at(directory.path());
    options.faults = &faults;
    running_engine target(options);
    const ports::blob_ref ref = target.write("blob");
    faults.arm(1);
    EXPECT_EQ(failure_of([&] { (void)target.read(ref); }).code, errc::storage_failed);
    EXPECT_FALSE(target.store().failed());
    faults.disarm();
    EXPECT_EQ(target.read(ref), "blob");
    target.close();
}
