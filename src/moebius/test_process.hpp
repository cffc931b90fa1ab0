// What the tests of bad input need of the system: memory, descriptors, raw TCP, and processes of their own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moebius::test {

// 0 under a sanitizer, which keeps what was freed.
inline std::size_t resident_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#else
    std::size_t all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
#endif
}

// As many open files as this process may have. Returns the number.
inline std::size_t raise_open_files() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

inline std::uint16_t port_of(const std::string& endpoint) {
    return static_cast<std::uint16_t>(std::strtoul(endpoint.c_str() + endpoint.rfind(':') + 1, nullptr, 10));
}

// A connection to loopback that says what it is told to.
class raw_peer {
public:
    explicit raw_peer(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ = ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    }
    ~raw_peer() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    raw_peer(raw_peer&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}
    raw_peer& operator=(raw_peer&&) = delete;

    [[nodiscard]] bool connected() const noexcept { return connected_; }
    // False when the other side has cut the connection.
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    // What comes until the connection is cut, or nothing comes for the time.
    [[nodiscard]] std::string receive(int silence_ms) const {
        std::string found;
        char piece[4096];
        for (;;) {
            pollfd one{descriptor_, POLLIN, 0};
            if (::poll(&one, 1, silence_ms) <= 0) return found;
            const ssize_t got = ::recv(descriptor_, piece, sizeof piece, 0);
            if (got <= 0) return found;
            found.append(piece, static_cast<std::size_t>(got));
        }
    }
    [[nodiscard]] bool cut_within(int milliseconds) const {
        char byte = 0;
        for (pollfd one{descriptor_, POLLIN, 0}; ::poll(&one, 1, milliseconds) > 0;)
            if (::recv(descriptor_, &byte, 1, 0) <= 0) return true;
        return false;
    }

private:
    int descriptor_;
    bool connected_ = false;
};

// A child that runs a function of two pipes: one to hear from the test and one to tell it. It ends with the object.
// It must be made while the test has no other thread.
class child_process {
public:
    explicit child_process(const std::function<void(int hears, int tells)>& run) {
        int down[2], up[2];
        if (::pipe(down) != 0 || ::pipe(up) != 0) std::abort();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(down[1]);
            ::close(up[0]);
            run(down[0], up[1]);
            ::_exit(0);
        }
        ::close(down[0]);
        ::close(up[1]);
        tells_ = down[1];
        hears_ = up[0];
    }
    ~child_process() {
        ::close(tells_);
        ::close(hears_);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    void tell(std::uint32_t number) const { put(tells_, number); }
    [[nodiscard]] std::uint32_t hear() const { return get(hears_); }
    static void put(int to, std::uint32_t number) {
        if (::write(to, &number, sizeof number) != sizeof number) ::_exit(1);
    }
    // 0 when the other side is gone.
    static std::uint32_t get(int from) {
        std::uint32_t number = 0;
        return ::read(from, &number, sizeof number) == sizeof number ? number : 0;
    }

private:
    pid_t pid_;
    int tells_;
    int hears_;
};

// Run in a child: connects so often to the port that it is told, sends a part of a greeting on every other connection,
// and tells how many got through; then, when it is asked, how many were cut within 5 s each, plus one.
inline void hold_half_open_connections(int hears, int tells, std::uint32_t number, std::string_view greeting) {
    raise_open_files();
    const auto port = static_cast<std::uint16_t>(child_process::get(hears));
    std::vector<raw_peer> held;
    held.reserve(number);
    std::uint32_t connected = 0;
    for (std::uint32_t i = 0; i < number; ++i) {
        held.emplace_back(port);
        connected += held.back().connected();
        if (i % 2 == 0) held.back().send(greeting.substr(0, 1 + i % (greeting.size() - 1)));
    }
    child_process::put(tells, connected);
    child_process::get(hears);
    std::uint32_t cut = 0;
    for (const raw_peer& one : held) cut += one.cut_within(5000);
    child_process::put(tells, cut + 1);
    child_process::get(hears);
}

}  // namespace moebius::test
