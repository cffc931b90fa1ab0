// A writing process is killed at random moments: every acknowledged row must be there whole, what is there
// must be a prefix of the order of commits, and the store must stay sound and of bounded size.
#include "engines/local/crash_rows.hpp"
#include "engines/local/test_support.hpp"
#include "engines/local/verify.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <set>
#include <string>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;
using local::running_engine;

constexpr int rounds = 25;

class child {
public:
    child(const std::string& directory, std::uint64_t seed) {
        int ends[2];
        if (::pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_addclose(&actions, ends[0]);
        std::string program = TSTREAMS_CRASH_WRITER;
        std::string place = directory;
        std::string number = std::to_string(seed);
        char* arguments[] = {program.data(), place.data(), number.data(), nullptr};
        const int failed = ::posix_spawn(&process_, program.c_str(), &actions, nullptr, arguments, environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        output_ = ends[0];
        if (failed) throw std::runtime_error("cannot start " + program);
    }
    ~child() {
        kill();
        ::close(output_);
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    // The first that it writes.
    std::string read_some(std::chrono::milliseconds time) {
        pollfd ready{output_, POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(time.count())) <= 0) return {};
        return read_part();
    }
    // What it has written within the time, or up to its end.
    std::string read_for(std::chrono::milliseconds time) {
        const auto until = std::chrono::steady_clock::now() + time;
        std::string text;
        for (;;) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
            pollfd ready{output_, POLLIN, 0};
            if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return text;
            const std::string part = read_part();
            if (part.empty()) return text;
            text += part;
        }
    }
    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        int status = 0;
        ::waitpid(process_, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
        process_ = -1;
    }

private:
    std::string read_part() const {
        std::string part(65'536, '\0');
        const ssize_t bytes = ::read(output_, part.data(), part.size());
        part.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
        return part;
    }

    pid_t process_ = -1;
    int output_ = -1;
};

void note_acknowledged(const std::string& text, std::set<std::uint64_t>& acknowledged) {
    std::size_t at = 0;
    for (std::size_t end = text.find('\n'); end != text.npos; at = end + 1, end = text.find('\n', at)) {
        acknowledged.insert(std::stoull(text.substr(at, end - at)));
    }
}

// Returns the number of the last commit that is there.
std::uint64_t check_rows(running_engine& target, const std::set<std::uint64_t>& acknowledged) {
    std::set<std::uint64_t> present;
    ports::scan_range range;
    range.shard = "shard";
    range.limit = 1000;
    for (;;) {
        const auto rows = target.loop().run(target.rows().scan(range));
        for (const ports::row& row : rows) {
            const std::uint64_t number = local::crash_number(row.key);
            present.insert(number);
            const auto ref = local::crash_ref(row.value);
            if (ref) {
                EXPECT_EQ(target.read(*ref).size(), ref->length) << number;
            } else {
                EXPECT_EQ(row.value, local::crash_value(number, std::nullopt));
            }
        }
        if (rows.size() < range.limit) break;
        range.from = rows.back().key + '\0';
    }
    const std::uint64_t last = present.empty() ? 0 : *present.rbegin();
    for (std::uint64_t number = 1; number <= last; ++number) {
        EXPECT_EQ(present.contains(number), !local::crash_removed(number, last)) << number << " of " << last;
    }
    EXPECT_LE(acknowledged.empty() ? 0 : *acknowledged.rbegin(), last);
    return last;
}

std::uint64_t disk_bytes(const std::string& directory) {
    std::uint64_t bytes = 0;
    for (const auto& one : std::filesystem::recursive_directory_iterator(directory)) {
        struct stat status{};
        if (::stat(one.path().c_str(), &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
    return bytes;
}

std::string text_of(const std::vector<std::string>& problems) {
    std::string text;
    for (const std::string& one : problems) text += one + "\n";
    return text;
}

}  // namespace

TEST(local_crash, killed_at_random_moments) {
    const char* chosen = std::getenv("TSTREAMS_SEED");
    const std::uint64_t seed = chosen ? std::stoull(chosen) : std::random_device{}();
    std::cout << "seed " << seed << " (set TSTREAMS_SEED to run it again)\n";
    std::mt19937_64 random(seed);
    const local::temporary_directory directory;
    const std::string place = directory.path() + "/store";
    std::set<std::uint64_t> acknowledged;
    std::uint64_t torn = 0;
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        SCOPED_TRACE("round " + std::to_string(round));
        child writer(place, random());
        // Mostly while it writes, sometimes while it opens.
        std::string said;
        if (random() % 5 != 0) said = writer.read_some(30s);
        said += writer.read_for(std::chrono::milliseconds(random() % 120));
        writer.kill();
        said += writer.read_for(10s);
        note_acknowledged(said, acknowledged);
        // The first rounds may end before there is a store to verify.
        if (!acknowledged.empty() && random() % 2 == 0) {
            const auto report = local::verify(place);
            EXPECT_TRUE(report.problems.empty()) << text_of(report.problems);
        }
        running_engine target(local::crash_options(place));
        torn += target.store().counters().torn_bytes;
        check_rows(target, acknowledged);
        // Sometimes the next process finds a store that was closed, sometimes one that crashed twice.
        if (random() % 2 == 0) target.close();
    }
    std::cout << acknowledged.size() << " rows acknowledged, " << torn << " torn bytes cut\n";
    EXPECT_FALSE(acknowledged.empty());

    running_engine target(local::crash_options(place));
    check_rows(target, acknowledged);
    target.close();
    const auto report = local::verify(place);
    EXPECT_TRUE(report.problems.empty()) << text_of(report.problems);
    running_engine again(local::crash_options(place));
    again.loop().run_until([&again] { return !again.store().counters().background_busy; });
    const std::uint64_t live = again.store().counters().live_bytes;
    again.close();
    // Pages at the ends of frames stay, and commits in files with live frames; the rest comes back.
    const std::uint64_t used = disk_bytes(place + "/log");
    std::cout << live << " live bytes take " << used << " bytes of disk\n";
    EXPECT_LT(used, 2 * live + (std::uint64_t{8} << 20));
}
