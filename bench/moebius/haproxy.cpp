#include "haproxy.hpp"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace bench {
namespace {

constexpr const char* program = "/usr/sbin/haproxy";

void check(int outcome, const char* what) {
    if (outcome < 0) throw std::system_error(errno, std::generic_category(), what);
}

// A socket that listens, so that nobody can take the port before HAProxy does.
int listen_on_free_port(std::string& endpoint) {
    const int made = ::socket(AF_INET, SOCK_STREAM, 0);
    check(made, "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    check(::bind(made, generic, size), "bind");
    check(::listen(made, SOMAXCONN), "listen");
    check(::getsockname(made, generic, &size), "getsockname");
    endpoint = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    return made;
}

}  // namespace

bool has_haproxy() {
    return ::access(program, X_OK) == 0;
}

process start_haproxy(const std::vector<std::string>& servers, std::string& endpoint) {
    const int listener = listen_on_free_port(endpoint);
    std::string text =
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n"
        "frontend front\n    bind fd@" +
        std::to_string(listener) + "\n    default_backend servers\nbackend servers\n    balance leastconn\n";
    for (std::size_t i = 0; i < servers.size(); ++i)
        text += "    server s" + std::to_string(i) + " " + servers[i].substr(std::string("tcp://").size()) + "\n";
    const int file = ::memfd_create("haproxy.cfg", 0);
    check(file, "memfd_create");
    check(static_cast<int>(::write(file, text.data(), text.size())), "write");
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    process made([&](int) {
        ::execl(program, program, "-q", "-db", "-f", path.c_str(), nullptr);
        check(-1, "execl");
    });
    ::close(file);
    ::close(listener);
    return made;
}

}  // namespace bench
