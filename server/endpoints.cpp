#include "server/endpoints.hpp"

#include <tstreams/error.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace tstreams::server {

namespace {

constexpr std::size_t socket_path_max = 107;

[[noreturn]] void refuse(const std::string& endpoint, const std::string& why) {
    throw error(errc::invalid_argument, "listen " + endpoint + ": " + why);
}

std::string absolute(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value == '/' ? value : "";
}

std::string default_directory() {
    // systemd gives the directory its mode; several of them stand between colons.
    if (const std::string given = absolute("RUNTIME_DIRECTORY"); !given.empty())
        return given.substr(0, given.find(':'));
    const std::string user = absolute("XDG_RUNTIME_DIR");
    return user.empty() ? "/run/tstreams" : user + "/tstreams";
}

bool is_loopback(const std::string& host) {
    return host == "[::1]" || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

}  // namespace

reach reach_of(const std::string& endpoint) {
    if (endpoint.starts_with("ipc://")) {
        if (!endpoint.starts_with("ipc:///")) refuse(endpoint, "write ipc:///PATH, with a whole path");
        if (endpoint.size() - 6 > socket_path_max) refuse(endpoint, "a socket's path has at most 107 bytes");
        return reach::owner;
    }
    if (!endpoint.starts_with("tcp://")) refuse(endpoint, "write tcp://ADDRESS:PORT or ipc:///PATH");
    const std::size_t colon = endpoint.rfind(':');
    const std::string host = endpoint.substr(6, colon < 6 ? 0 : colon - 6);
    const std::string port = endpoint.substr(colon + 1);
    const bool number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
    if (host.empty() || !number || std::stoul(port) > 65'535) refuse(endpoint, "write tcp://ADDRESS:PORT");
    return is_loopback(host) ? reach::machine : reach::network;
}

void check_places(const std::vector<std::string>& endpoints) {
    for (auto one = endpoints.begin(); one != endpoints.end(); ++one) {
        const bool any_port = one->ends_with(":0");
        if (!any_port && std::find(endpoints.begin(), one, *one) != one) refuse(*one, "given twice");
        if (reach_of(*one) != reach::owner || *one == default_endpoint()) continue;
        const std::string directory = std::filesystem::path(one->substr(6)).parent_path();
        if (::access(directory.c_str(), W_OK | X_OK) != 0) refuse(*one, directory + ": " + std::strerror(errno));
    }
}

std::string default_endpoint() {
    return "ipc://" + default_directory() + "/socket";
}

void make_default_directory() {
    const std::string directory = default_directory();
    const bool systemd = !absolute("RUNTIME_DIRECTORY").empty();
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        refuse(default_endpoint(), directory + ": " + std::strerror(errno) + "; say where with --listen");
    struct stat found{};
    if (::lstat(directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
        refuse(default_endpoint(), directory + " is no directory");
    if (!systemd && (found.st_uid != ::geteuid() || (found.st_mode & 077) != 0))
        refuse(default_endpoint(), directory + " has to be yours alone (chmod 700)");
}

}  // namespace tstreams::server
