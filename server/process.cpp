#include "server/process.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace tstreams::server {

namespace {

std::uint64_t count_descriptors() {
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return 0;
    std::uint64_t entries = 0;
    while (::readdir(folder) != nullptr) ++entries;
    ::closedir(folder);
    return entries < 3 ? 0 : entries - 3;  // ".", "..", and the one that reads
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

process_figures process_figures_now() {
    process_figures now;
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    now.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::ifstream statm("/proc/self/statm");
    if (statm >> now.virtual_bytes >> now.resident_bytes) {
        now.virtual_bytes *= page;
        now.resident_bytes *= page;
    }
    now.descriptors = count_descriptors();
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    now.descriptors_max = limit.rlim_cur;
    return now;
}

std::uint64_t raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    rlimit more{limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &more) == 0) return more.rlim_cur;
    return limit.rlim_cur;
}

void notify_manager(std::string_view state) noexcept {
    const char* const place = std::getenv("NOTIFY_SOCKET");
    if (place == nullptr) return;
    const std::size_t length = std::strlen(place);
    sockaddr_un address{};
    if ((place[0] != '/' && place[0] != '@') || length >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, place, length);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract one
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return;
    ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&address),
             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
    ::close(descriptor);
}

bool manager_watches() noexcept {
    const char* const interval = std::getenv("WATCHDOG_USEC");
    if (interval == nullptr) return false;
    const char* const process = std::getenv("WATCHDOG_PID");
    return process == nullptr || std::to_string(::getpid()) == process;
}

}  // namespace tstreams::server
