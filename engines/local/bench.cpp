// What the local engine costs against plain writes of the same bytes to one file, in the same run.
//
//     local_bench [directory] [scale]
#include "engines/local/test_support.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace tstreams;
using local::running_engine;

// Processor time of the executor's thread: steadier than wall time where other programs run.
double cpu_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void print(const char* what, double rate, const char* unit, double floor) {
    std::printf("%-52s %12.0f %-10s floor %12.0f   ratio %6.2f\n", what, rate, unit, floor, rate / floor);
    std::fflush(stdout);
}

class plain_file {
public:
    explicit plain_file(const std::string& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0640)) {
        if (descriptor_ < 0) throw std::runtime_error("cannot open " + path);
    }
    ~plain_file() { ::close(descriptor_); }
    void append(const std::string& data, bool sync) {
        if (::write(descriptor_, data.data(), data.size()) != static_cast<ssize_t>(data.size()) ||
            (sync && ::fdatasync(descriptor_) != 0))
            throw std::runtime_error("cannot write");
    }
    void read(std::size_t offset, std::string& into) const {
        if (::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset)) !=
            static_cast<ssize_t>(into.size()))
            throw std::runtime_error("cannot read");
    }

private:
    int descriptor_;
};

std::string key_of(int number) {
    std::string key = "t00000000";
    for (std::size_t at = key.size() - 1; number != 0; number /= 10) key[at--] = static_cast<char>('0' + number % 10);
    return key;
}

// Keeps `in_flight` commits going until `all` are done.
class commit_load {
public:
    commit_load(running_engine& target, durability level, int all) : target_(target), level_(level), all_(all) {}
    double run(int in_flight) {
        return seconds_of([this, in_flight] {
            for (int i = 0; i < in_flight; ++i) {
                weave::spawn(target_.loop(), worker(), [this](weave::outcome_of<void> end) {
                    end.get();
                    ++ended_;
                });
            }
            target_.loop().run_until([this, in_flight] { return ended_ == in_flight; });
        });
    }

private:
    weave::task<void> worker() {
        while (next_ < all_) {
            ports::batch change = running_engine::batch(key_of(next_++), value_);
            co_await target_.rows().commit(std::move(change), level_);
        }
    }

    running_engine& target_;
    const durability level_;
    const int all_;
    const std::string value_ = std::string(100, 'v');
    int next_ = 0;
    int ended_ = 0;
};

void small_commits(const std::string& place, int scale) {
    const std::string record(200, 'x');
    const int synced = 2000 * scale;
    running_engine target(place + "/small");
    // Turn about, because the speed of the disk wanders.
    double floor_time = 0;
    double engine_time = 0;
    for (int round = 0; round < 5; ++round) {
        plain_file plain(place + "/plain");
        floor_time += seconds_of([&] {
            for (int i = 0; i < synced / 5; ++i) plain.append(record, true);
        });
        engine_time += commit_load(target, durability::sync(), synced / 5).run(1);
    }
    const double floor = synced / floor_time;
    print("sync, one at a time", synced / engine_time, "commits/s", floor);
    const auto before = target.store().counters().fsyncs;
    const double many = commit_load(target, durability::sync(), synced * 20).run(64);
    print("sync, 64 in flight", synced * 20 / many, "commits/s", floor);
    std::printf("    %.1f commits share a sync\n",
                synced * 20.0 / static_cast<double>(target.store().counters().fsyncs - before));
    const int unsynced = 400'000 * scale;
    for (const int in_flight : {1000, 1}) {
        const double cpu = cpu_seconds();
        const int all = in_flight == 1 ? unsynced / 4 : unsynced;
        const double time = commit_load(target, durability::process(), all).run(in_flight);
        std::printf("process, %4d in flight: %.0f commits/s, %.2f us of processor time each\n", in_flight, all / time,
                    (cpu_seconds() - cpu) * 1e6 / all);
    }
    target.close();
}

// One frame and one commit per transaction.
double blob_transactions(running_engine& target, const std::string& data, int count, durability level,
                         std::vector<ports::blob_ref>* refs) {
    return seconds_of([&] {
        for (int i = 0; i < count; ++i) {
            const ports::blob_ref ref = target.write(data);
            ports::batch change = running_engine::batch(key_of(i), ref.place);
            change.covers.push_back(ref);
            target.commit(std::move(change), level);
            if (refs) refs->push_back(ref);
        }
    });
}

void data(const std::string& place, std::size_t bytes, int count, durability level, const char* name) {
    const std::string block(bytes, 'd');
    double floor_time = 0;
    double engine_time = 0;
    double floor_cpu = 0;
    double engine_cpu = 0;
    const bool sync = level.level == durability::kind::sync;
    running_engine target(place + "/data");
    plain_file plain(place + "/plain");
    for (int round = 0; round < 4; ++round) {
        double cpu = cpu_seconds();
        floor_time += seconds_of([&] {
            for (int i = 0; i < count / 4; ++i) plain.append(block, sync);
        });
        floor_cpu += cpu_seconds() - cpu;
        cpu = cpu_seconds();
        engine_time += blob_transactions(target, block, count / 4, level, nullptr);
        engine_cpu += cpu_seconds() - cpu;
    }
    const double mebibytes = static_cast<double>(bytes) * count / (1 << 20);
    print(name, mebibytes / engine_time, "MiB/s", mebibytes / floor_time);
    std::printf("    processor time: %.2f of the floor's\n", engine_cpu / floor_cpu);
    target.close();
    std::filesystem::remove_all(place + "/data");
}

void reading(const std::string& place) {
    const std::string block(std::size_t{1} << 20, 'r');
    const int count = 400;
    running_engine target(place + "/reading");
    plain_file plain(place + "/plain");
    std::vector<ports::blob_ref> refs;
    blob_transactions(target, block, count, durability::process(), &refs);
    for (int i = 0; i < count; ++i) plain.append(block, false);
    std::string into(block.size(), '\0');
    const double floor = seconds_of([&] {
        for (std::size_t i = 0; i < count; ++i) plain.read(i * block.size(), into);
    });
    const double time = seconds_of([&] {
        for (const auto& ref : refs) (void)target.read(ref);
    });
    print("read warm, 1 MiB", count / time, "MiB/s", count / floor);
    target.close();
    std::filesystem::remove_all(place + "/reading");
}

double resident_mebibytes() {
    std::ifstream status("/proc/self/statm");
    double pages = 0;
    double resident = 0;
    status >> pages >> resident;
    return resident * 4096 / (1 << 20);
}

double disk_bytes(const std::string& place) {
    double bytes = 0;
    for (const auto& one : std::filesystem::recursive_directory_iterator(place)) {
        if (one.is_regular_file()) bytes += static_cast<double>(one.file_size());
    }
    return bytes;
}

void many_rows(const std::string& place, int scale) {
    const int rows = 1'000'000 * scale;
    {
        running_engine target(place + "/rows");
        const double time = commit_load(target, durability::process(), rows).run(1000);
        std::printf("%d rows of 100 bytes: %.0f/s, memory %.0f MiB\n", rows, rows / time, resident_mebibytes());
        target.close();
    }
    std::printf("    %.0f bytes of disk per row\n", disk_bytes(place + "/rows") / rows);
    const double reopen = seconds_of([&] {
        running_engine target(place + "/rows");
        if (!target.get("t00000007")) throw std::runtime_error("a row is lost");
        target.close();
    });
    std::printf("    opened, read and closed in %.0f ms\n", reopen * 1000);
}

}  // namespace

int main(int count, char** arguments) {
    const local::temporary_directory temporary;
    const std::string place = count > 1 ? arguments[1] : temporary.path();
    const int scale = count > 2 ? std::max(1, std::atoi(arguments[2])) : 1;
    small_commits(place, scale);
    data(place, std::size_t{1} << 20, 400, durability::process(), "process, 1 MiB transactions");
    data(place, std::size_t{1} << 20, 200, durability::sync(), "sync, 1 MiB transactions");
    data(place, std::size_t{32} << 10, 2000, durability::sync(), "sync, 32 KiB transactions");
    reading(place);
    many_rows(place, scale);
    return 0;
}
