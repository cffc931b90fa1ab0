// What the benchmark programs share: clock, medians, floors, space in memory and on disk, result tables.
//
// A floor is the plain system call that does the least a store could do with the same bytes. Rounds of floor
// and product alternate, so that a machine that changes its speed changes both.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

template <class Work>
double seconds_of(Work&& work) {
    const auto begin = clock::now();
    work();
    return std::chrono::duration<double>(clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
    if (values.empty()) throw std::logic_error("median of nothing");
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Bytes that do not compress, the same in every run.
inline std::string noise(std::size_t size) {
    std::mt19937_64 random(20240229);
    std::string bytes(size, '\0');
    for (char& one : bytes) one = static_cast<char>(random());
    return bytes;
}

// A directory of its own that goes away with the object.
class scratch {
public:
    explicit scratch(const std::string& parent) {
        std::string path = (std::filesystem::absolute(parent) / "tstreams-bench-XXXXXX").string();
        if (::mkdtemp(path.data()) == nullptr) {
            throw std::system_error(errno, std::generic_category(), "no directory can be made in '" + parent + "'");
        }
        path_ = path;
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string store_uri() const { return "file:" + (path_ / "store").string(); }
    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    // Writes back what earlier rounds left dirty, so that no round pays for another one.
    void settle() const {
        const int directory = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) return;
        ::syncfs(directory);
        ::close(directory);
    }

private:
    std::filesystem::path path_;
};

// The floor of all writing: one file that grows.
class append_file {
public:
    explicit append_file(const std::string& path)
        : file_(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)) {
        if (file_ < 0) throw std::system_error(errno, std::generic_category(), path);
    }
    append_file(const append_file&) = delete;
    append_file& operator=(const append_file&) = delete;
    ~append_file() { ::close(file_); }

    void append(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t written = ::write(file_, bytes.data(), bytes.size());
            if (written < 0) throw std::system_error(errno, std::generic_category(), "write");
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    void sync() const {
        if (::fdatasync(file_) != 0) throw std::system_error(errno, std::generic_category(), "fdatasync");
    }

private:
    int file_;
};

// The floor of all reading: the whole file through one buffer. Returns the bytes read.
inline std::uint64_t read_file(const std::string& path, std::string& buffer) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw std::system_error(errno, std::generic_category(), path);
    std::uint64_t total = 0;
    ssize_t got = 0;
    while ((got = ::read(file, buffer.data(), buffer.size())) > 0) total += static_cast<std::uint64_t>(got);
    ::close(file);
    if (got < 0) throw std::system_error(errno, std::generic_category(), path);
    return total;
}

// Median seconds of a round of each.
struct comparison {
    double floor = 0;
    double product = 0;
};

// One round of each unmeasured, then `rounds` of each in turn. Both do the same amount of work in a round.
template <class Floor, class Product>
comparison compare(const scratch& place, std::uint32_t rounds, Floor&& floor, Product&& product) {
    floor();
    product();
    std::vector<double> floors;
    std::vector<double> products;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        place.settle();
        floors.push_back(seconds_of(floor));
        place.settle();
        products.push_back(seconds_of(product));
    }
    return {median(std::move(floors)), median(std::move(products))};
}

// A field of /proc/self/status in bytes: "VmRSS" is the memory now, "VmHWM" its peak.
inline std::uint64_t process_memory(const std::string& field) {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        if (line.rfind(field + ":", 0) == 0) return std::stoull(line.substr(field.size() + 1)) * 1024;
    }
    throw std::runtime_error("/proc/self/status has no " + field);
}

// What the files of a directory take on disk: blocks, not lengths. Files that vanish meanwhile count as
// nothing.
inline std::uint64_t disk_bytes(const std::filesystem::path& directory) {
    std::uint64_t total = 0;
    std::error_code failure;
    std::filesystem::recursive_directory_iterator one(directory, failure);
    while (!failure && one != std::filesystem::recursive_directory_iterator()) {
        struct stat status{};
        if (::lstat(one->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
            total += static_cast<std::uint64_t>(status.st_blocks) * 512;
        }
        one.increment(failure);
    }
    return total;
}

constexpr double mebibyte = 1024.0 * 1024.0;
inline double mib(std::uint64_t bytes) {
    return static_cast<double>(bytes) / mebibyte;
}

// The rows of a result: what was measured, and against which limit.
class report {
public:
    void value(const std::string& name, double measured, const std::string& unit) {
        rows_.push_back({name, measured, unit, "", 0});
    }
    void at_least(const std::string& name, double measured, const std::string& unit, double limit) {
        rows_.push_back({name, measured, unit, ">=", limit});
    }
    void at_most(const std::string& name, double measured, const std::string& unit, double limit) {
        rows_.push_back({name, measured, unit, "<=", limit});
    }
    // `work` units in each round: two speeds and their ratio.
    void ratio(const std::string& name, const comparison& seconds, double work, const std::string& unit, double limit) {
        value(name + ", floor", work / seconds.floor, unit);
        value(name + ", T-streams", work / seconds.product, unit);
        at_least(name + ", ratio", seconds.floor / seconds.product, "", limit);
    }

    [[nodiscard]] bool all_met() const {
        return std::all_of(rows_.begin(), rows_.end(), [](const row& one) { return one.met(); });
    }

    void print(bool json) const { json ? print_json() : print_table(); }

private:
    struct row {
        std::string name;
        double measured;
        std::string unit;
        std::string relation;  // empty: no limit
        double limit;
        [[nodiscard]] bool met() const {
            return relation.empty() || (relation == ">=" ? measured >= limit : measured <= limit);
        }
    };

    static std::string number(double value) {
        std::ostringstream out;
        out << std::fixed << std::setprecision(value < 100 ? 2 : 0) << value;
        return out.str();
    }

    void print_table() const {
        std::size_t width = 0;
        for (const row& one : rows_) width = std::max(width, one.name.size());
        for (const row& one : rows_) {
            std::cout << std::left << std::setw(static_cast<int>(width)) << one.name << "  " << std::right
                      << std::setw(12) << number(one.measured) << " " << std::left << std::setw(8) << one.unit;
            if (!one.relation.empty()) {
                std::cout << " " << one.relation << " " << std::setw(8) << number(one.limit)
                          << (one.met() ? " pass" : " FAIL");
            }
            std::cout << "\n";
        }
        std::cout << std::flush;
    }

    void print_json() const {
        nlohmann::ordered_json out = nlohmann::ordered_json::array();
        for (const row& one : rows_) {
            nlohmann::ordered_json line{{"name", one.name}, {"value", one.measured}, {"unit", one.unit}};
            if (!one.relation.empty()) {
                line["relation"] = one.relation;
                line["limit"] = one.limit;
                line["pass"] = one.met();
            }
            out.push_back(std::move(line));
        }
        std::cout << out.dump(2) << std::endl;
    }

    std::vector<row> rows_;
};

// What every program takes.
struct common_options {
    std::string directory = ".";
    std::uint32_t rounds = 5;
    bool json = false;
    bool check = false;

    void add_to(CLI::App& app) {
        app.add_option("--directory", directory,
                       "Where a scratch directory is made, and removed at the end; on a disk, not in RAM")
            ->capture_default_str();
        app.add_option("--rounds", rounds, "Rounds of floor and product of which the medians are quoted")
            ->check(CLI::Range(1, 1000))
            ->capture_default_str();
        app.add_flag("--json", json, "Print the results as JSON");
        app.add_flag("--check", check, "Exit with 1 when a limit is missed");
    }

    // Prints the result and gives the exit code of the program.
    [[nodiscard]] int finish(const report& result) const {
        result.print(json);
        return check && !result.all_met() ? EXIT_FAILURE : EXIT_SUCCESS;
    }
};

// The frame of main: usage errors exit 2, failures are one line and exit 1.
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, Run&& run) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& wrong) {
        return app.exit(wrong) == 0 ? EXIT_SUCCESS : 2;
    }
    try {
        return run();
    } catch (const std::exception& failure) {
        std::cerr << app.get_name() << ": " << failure.what() << std::endl;
        return EXIT_FAILURE;
    }
}

}  // namespace bench
