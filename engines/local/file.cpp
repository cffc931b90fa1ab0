#include "engines/local/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tstreams::local {
namespace {

// Takes `done` bytes off the front.
std::span<iovec> advance(std::span<iovec> parts, std::size_t done) noexcept {
    while (!parts.empty() && done >= parts.front().iov_len) {
        done -= parts.front().iov_len;
        parts = parts.subspan(1);
    }
    if (done != 0) {
        parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + done;
        parts.front().iov_len -= done;
    }
    return parts;
}

std::size_t total(std::span<const iovec> parts) noexcept {
    std::size_t sum = 0;
    for (const iovec& part : parts) sum += part.iov_len;
    return sum;
}

}  // namespace

disk_error::disk_error(const char* what, const std::string& path, int number)
    : std::runtime_error("cannot " + std::string(what) + " " + path + ": " + std::generic_category().message(number)),
      number_(number) {}

bool disk_error::no_space() const noexcept {
    return number_ == ENOSPC || number_ == EDQUOT;
}

error to_error(const disk_error& failure, outcome result) {
    const std::string text = failure.what();
    if (failure.no_space()) return {errc::no_space, text + "; free some space and try again", result};
    if (failure.number() == EROFS) return {errc::read_only, text + "; open the store where it can be written", result};
    return {errc::storage_failed, text, result};
}

file::file(int descriptor, std::string path, disk_faults* faults) noexcept
    : descriptor_(descriptor), path_(std::move(path)), faults_(faults) {}

file::~file() {
    ::close(descriptor_);
}

int file::ask(disk_operation what, std::size_t& bytes) const noexcept {
    return faults_ ? faults_->before(what, path_, bytes) : 0;
}

void file::demand(disk_operation what, const char* text) const {
    std::size_t bytes = 0;
    if (const int number = ask(what, bytes)) throw disk_error(text, path_, number);
}

std::uint64_t file::size() const {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) throw disk_error("look at", path_, errno);
    return static_cast<std::uint64_t>(status.st_size);
}

void file::write(std::span<iovec> parts, std::uint64_t offset) {
    while (!parts.empty()) {
        const std::size_t whole = total(parts);
        std::size_t bytes = whole;
        if (const int number = ask(disk_operation::write, bytes)) {
            if (number == EINTR) continue;
            throw disk_error("write", path_, number);
        }
        ssize_t done = 0;
        if (bytes == whole) {
            done = ::pwritev(descriptor_, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset));
        } else {
            const std::size_t part = std::min(bytes, parts.front().iov_len);
            done = ::pwrite(descriptor_, parts.front().iov_base, part, static_cast<off_t>(offset));
        }
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) throw disk_error("write", path_, errno);
        if (done == 0 && whole != 0 && bytes != 0) throw disk_error("write", path_, EIO);
        offset += static_cast<std::uint64_t>(done);
        parts = advance(parts, static_cast<std::size_t>(done));
    }
}

void file::write(std::string_view bytes, std::uint64_t offset) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    write({&part, 1}, offset);
}

std::size_t file::read(std::span<iovec> parts, std::uint64_t offset) const {
    demand(disk_operation::read, "read");
    std::size_t sum = 0;
    while (!parts.empty()) {
        const ssize_t done =
            ::preadv(descriptor_, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset + sum));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) throw disk_error("read", path_, errno);
        if (done == 0) break;
        sum += static_cast<std::size_t>(done);
        parts = advance(parts, static_cast<std::size_t>(done));
    }
    return sum;
}

std::size_t file::read(char* out, std::size_t bytes, std::uint64_t offset) const {
    iovec part{out, bytes};
    return read({&part, 1}, offset);
}

std::size_t file::read_cached(std::span<iovec> parts, std::uint64_t offset) const noexcept {
    std::size_t bytes = 0;
    if (ask(disk_operation::read, bytes) != 0) return 0;
    const ssize_t done =
        ::preadv2(descriptor_, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset), RWF_NOWAIT);
    return done < 0 ? 0 : static_cast<std::size_t>(done);
}

// A signal interrupts it; then it has not failed, and is asked for again.
template <class Call>
int file::uninterrupted(disk_operation what, Call call) const noexcept {
    for (;;) {
        std::size_t bytes = 0;
        int number = ask(what, bytes);
        if (number == 0 && call() != 0) number = errno;
        if (number != EINTR) return number;
    }
}

void file::sync() {
    const int number = uninterrupted(disk_operation::sync, [this] { return ::fdatasync(descriptor_); });
    if (number != 0) throw disk_error("sync", path_, number);
}

void file::truncate(std::uint64_t size) {
    const int number =
        uninterrupted(disk_operation::truncate, [&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); });
    if (number != 0) throw disk_error("truncate", path_, number);
}

bool file::punch(std::uint64_t offset, std::uint64_t bytes) noexcept {
    const auto make_hole = [&] {
        return ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                           static_cast<off_t>(bytes));
    };
    return uninterrupted(disk_operation::punch, make_hole) == 0;
}

void disk::demand(disk_operation what, const char* text, const std::string& path) const {
    std::size_t bytes = 0;
    if (!faults_) return;
    if (const int number = faults_->before(what, path, bytes)) throw disk_error(text, path, number);
}

std::shared_ptr<file> disk::open(const std::string& path, mode how) const {
    demand(disk_operation::open, "open", path);
    int flags = O_CLOEXEC;
    if (how == mode::read) flags |= O_RDONLY;
    if (how == mode::write) flags |= O_RDWR;
    if (how == mode::make) flags |= O_RDWR | O_CREAT;
    if (how == mode::create) flags |= O_RDWR | O_CREAT | O_EXCL;
    const int descriptor = ::open(path.c_str(), flags, 0640);
    if (descriptor < 0) throw disk_error("open", path, errno);
    return std::make_shared<file>(descriptor, path, faults_);
}

bool disk::exists(const std::string& path) const {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw disk_error("look at", path, errno);
}

std::vector<std::string> disk::list(const std::string& directory) const {
    std::vector<std::string> names;
    std::error_code failure;
    for (std::filesystem::directory_iterator at(directory, failure), end; !failure && at != end;
         at.increment(failure)) {
        names.push_back(at->path().filename().string());
    }
    if (failure) throw disk_error("list", directory, failure.value());
    return names;
}

std::string disk::read_whole(const std::string& path, std::size_t bytes_max) const {
    const auto opened = open(path, mode::read);
    std::string bytes(bytes_max, '\0');
    bytes.resize(opened->read(bytes.data(), bytes.size(), 0));
    return bytes;
}

void disk::write_whole(const std::string& path, std::string_view bytes) const {
    const std::string temporary = path + ".new";
    {
        const auto opened = open(temporary, mode::make);
        opened->truncate(0);
        opened->write(bytes, 0);
        opened->sync();
    }
    demand(disk_operation::rename, "rename", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) throw disk_error("rename", temporary, errno);
    sync_directory(std::filesystem::path(path).parent_path().string());
}

bool disk::make_directory(const std::string& path) const {
    demand(disk_operation::make_directory, "make the directory", path);
    if (::mkdir(path.c_str(), 0750) == 0) return true;
    if (errno == EEXIST) return false;
    throw disk_error("make the directory", path, errno);
}

void disk::unlink(const std::string& path) const {
    demand(disk_operation::unlink, "remove", path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw disk_error("remove", path, errno);
}

void disk::sync_directory(const std::string& path) const {
    demand(disk_operation::sync_directory, "sync the directory", path);
    const std::string name = path.empty() ? "." : path;
    const int descriptor = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) throw disk_error("open the directory", name, errno);
    const int failed = ::fsync(descriptor) != 0 ? errno : 0;
    ::close(descriptor);
    if (failed) throw disk_error("sync the directory", name, failed);
}

}  // namespace tstreams::local
