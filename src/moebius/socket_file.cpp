#include "moebius/socket_file.hpp"

#include <moebius/error.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace moebius::detail {
namespace {

// Empty for what is no file: other transports, names of Linux' own ("@"), and where libzmq chooses.
std::string path_of(const std::string& endpoint) {
    constexpr std::string_view scheme = "ipc://";
    if (!endpoint.starts_with(scheme)) return {};
    std::string path = endpoint.substr(scheme.size());
    return path.starts_with('@') || path.starts_with('*') ? std::string() : path;
}

}  // namespace

void refuse_taken(const std::string& endpoint) {
    const std::string path = path_of(endpoint);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof to.sun_path) return;
    std::memcpy(to.sun_path, path.data(), path.size());
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return;
    // A full backlog (EAGAIN) is one of somebody, too.
    const bool taken = ::connect(probe, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 || errno == EAGAIN;
    ::close(probe);
    if (taken) throw error(errc::transport, "bind to " + endpoint + ": another process listens there");
}

socket_file::socket_file(const std::string& endpoint) : path_(path_of(endpoint)) {
    struct stat found{};
    if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) {
        path_.clear();
        return;
    }
    device_ = found.st_dev;
    number_ = found.st_ino;
}

socket_file::~socket_file() {
    struct stat found{};
    if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) return;
    if (found.st_dev == device_ && found.st_ino == number_) ::unlink(path_.c_str());
}

socket_file::socket_file(socket_file&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), number_(other.number_) {}

}  // namespace moebius::detail
