#include "engines/local/lock.hpp"

#include "engines/local/file.hpp"

#include <tstreams/error.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace tstreams::local {
namespace {

std::string holder(int descriptor) {
    char text[200];
    const ssize_t bytes = ::pread(descriptor, text, sizeof text, 0);
    std::string who(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    while (!who.empty() && who.back() == '\n') who.pop_back();
    return who.empty() ? "another process" : who;
}

}  // namespace

store_lock::store_lock(const store_paths& paths, bool note)
    : descriptor_(::open(paths.lock().c_str(), (note ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0640)) {
    if (descriptor_ < 0) throw disk_error("open", paths.lock(), errno);
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        const int number = errno;
        const std::string who = holder(descriptor_);
        ::close(descriptor_);
        if (number != EWOULDBLOCK) throw disk_error("lock", paths.lock(), number);
        throw error(errc::locked, "the store in " + paths.root + " is open in " + who +
                                      ", and one process at a time can have it open: end that one first");
    }
    if (!note) return;
    const std::string self = std::string(program_invocation_short_name) + " (pid " + std::to_string(::getpid()) + ")\n";
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
        const int number = errno;
        // On a full disk the lock holds all the same; the next one is told of "another process".
        if (number == ENOSPC || number == EDQUOT) return;
        ::close(descriptor_);
        throw disk_error("write", paths.lock(), number);
    }
}

store_lock::~store_lock() {
    ::close(descriptor_);
}

}  // namespace tstreams::local
