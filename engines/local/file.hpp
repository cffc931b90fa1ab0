// System calls on files: whole writes, typed failures, and one place where tests can make any of them fail.
#pragma once

#include <tstreams/error.hpp>
#include <tstreams/types.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::local {

enum class disk_operation : std::uint8_t {
    open,
    read,
    write,
    sync,
    truncate,
    punch,
    unlink,
    rename,
    sync_directory,
    make_directory,
    index_file,
};

// Asked before each operation; threads call it at the same time.
class disk_faults {
public:
    virtual ~disk_faults() = default;
    // Zero: go on. Otherwise the operation fails with this errno. A write, of `bytes`, may be made shorter;
    // what is left of it is asked for again.
    virtual int before(disk_operation what, const std::string& path, std::size_t& bytes) noexcept = 0;
};

// A system call failed. The text names the operation, the path and the reason.
class disk_error : public std::runtime_error {
public:
    disk_error(const char* what, const std::string& path, int number);
    [[nodiscard]] int number() const noexcept { return number_; }
    [[nodiscard]] bool no_space() const noexcept;

private:
    int number_;
};

// As a failure of T-streams: read_only, no_space, or storage_failed for everything else.
[[nodiscard]] error to_error(const disk_error& failure, outcome result);

// One open file. Reads, syncs and punches may run on several threads at once.
class file {
public:
    file(int descriptor, std::string path, disk_faults* faults) noexcept;
    ~file();
    file(const file&) = delete;
    file& operator=(const file&) = delete;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
    [[nodiscard]] std::uint64_t size() const;

    // All of it. The parts are used up.
    void write(std::span<iovec> parts, std::uint64_t offset);
    void write(std::string_view bytes, std::uint64_t offset);
    // What there is, up to the whole of the parts.
    std::size_t read(std::span<iovec> parts, std::uint64_t offset) const;
    std::size_t read(char* out, std::size_t bytes, std::uint64_t offset) const;
    // Only what is in memory: returns less than the whole, or nothing, where a read would have to wait.
    std::size_t read_cached(std::span<iovec> parts, std::uint64_t offset) const noexcept;
    void sync();
    void truncate(std::uint64_t size);
    // Gives the space back; the range reads as zeros. False where the file system cannot.
    bool punch(std::uint64_t offset, std::uint64_t bytes) noexcept;

private:
    int ask(disk_operation what, std::size_t& bytes) const noexcept;
    void demand(disk_operation what, const char* text) const;
    template <class Call>
    int uninterrupted(disk_operation what, Call call) const noexcept;

    int descriptor_;
    std::string path_;
    disk_faults* faults_;
};

// Operations on names.
class disk {
public:
    explicit disk(disk_faults* faults = nullptr) noexcept : faults_(faults) {}

    enum class mode : std::uint8_t {
        read,
        write,   // must be there
        create,  // must not be there
        make,    // whether it is there or not
    };
    [[nodiscard]] std::shared_ptr<file> open(const std::string& path, mode how) const;
    [[nodiscard]] bool exists(const std::string& path) const;
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const;
    [[nodiscard]] std::string read_whole(const std::string& path, std::size_t bytes_max) const;
    // Through a temporary name, synced, then renamed: all or nothing.
    void write_whole(const std::string& path, std::string_view bytes) const;
    // False: it is there already.
    bool make_directory(const std::string& path) const;
    void unlink(const std::string& path) const;
    void sync_directory(const std::string& path) const;
    // For what is written by others: throws what the tests want to happen here.
    void demand(disk_operation what, const char* text, const std::string& path) const;
    [[nodiscard]] disk_faults* faults() const noexcept { return faults_; }

private:
    disk_faults* faults_;
};

}  // namespace tstreams::local
