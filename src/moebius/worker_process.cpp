#include "moebius/worker_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

// The header of glibc 2.36 does not say that these are C.
extern "C" {
#include <sys/pidfd.h>
}

namespace moebius::detail {
namespace {

[[noreturn]] void throw_system(const std::string& what, int number) {
    throw error(errc::transport, what + ": " + std::strerror(number));
}

// What posix_spawn wants beside the arguments: a clean signal mask, and the lifeline as standard input.
class spawn_settings {
public:
    explicit spawn_settings(int lifeline) {
        posix_spawn_file_actions_init(&actions_);
        posix_spawnattr_init(&attributes_);
        posix_spawn_file_actions_adddup2(&actions_, lifeline, STDIN_FILENO);
        sigset_t none, child;
        sigemptyset(&none);
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        posix_spawnattr_setsigmask(&attributes_, &none);
        posix_spawnattr_setsigdefault(&attributes_, &child);
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~spawn_settings() {
        posix_spawn_file_actions_destroy(&actions_);
        posix_spawnattr_destroy(&attributes_);
    }
    spawn_settings(const spawn_settings&) = delete;
    spawn_settings& operator=(const spawn_settings&) = delete;

    // The pid.
    int start(const char* program, std::vector<std::string>& arguments, std::vector<std::string>& environment) {
        std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
        pid_t pid = 0;
        const int failure = posix_spawnp(&pid, program, &actions_, &attributes_, argv.data(), envp.data());
        if (failure != 0) throw_system(std::string("a worker process of ") + program, failure);
        return pid;
    }

private:
    static std::vector<char*> pointers(std::vector<std::string>& texts) {
        std::vector<char*> found;
        found.reserve(texts.size() + 1);
        for (std::string& text : texts) found.push_back(text.data());
        found.push_back(nullptr);
        return found;
    }
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

std::vector<std::string> environment_with(const worker_setting& setting) {
    const std::string name = std::string(worker_setting::variable) + "=";
    std::vector<std::string> all;
    for (char** one = environ; *one; ++one)
        if (std::strncmp(*one, name.c_str(), name.size()) != 0) all.emplace_back(*one);
    all.push_back(name + setting.text());
    return all;
}

}  // namespace

void owned_descriptor::close() noexcept {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
}

private_directory::private_directory() {
    path_ = (std::filesystem::temp_directory_path() / "moebius-XXXXXX").string();
    if (!mkdtemp(path_.data())) throw_system("a directory for the workers' socket", errno);
}

private_directory::~private_directory() {
    remove(endpoint());
}

void private_directory::remove(const std::string& endpoint) noexcept {
    const std::size_t scheme = std::strlen("ipc://");
    const std::size_t slash = endpoint.rfind('/');
    if (slash == std::string::npos || slash < scheme) return;
    (void)unlink(endpoint.c_str() + scheme);
    (void)rmdir(endpoint.substr(scheme, slash - scheme).c_str());
}

std::string worker_setting::text() const {
    return std::to_string(heartbeat.count()) + ' ' + id + ' ' + endpoint;
}

std::optional<worker_setting> worker_setting::parse(const std::string& text) {
    const std::size_t first = text.find(' ');
    const std::size_t second = first == std::string::npos ? first : text.find(' ', first + 1);
    if (second == std::string::npos) return {};
    worker_setting found;
    std::int64_t count = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + first, count);
    if (failure != std::errc() || end != text.data() + first || count <= 0) return {};
    found.heartbeat = std::chrono::milliseconds(count);
    found.id = text.substr(first + 1, second - first - 1);
    found.endpoint = text.substr(second + 1);
    return found;
}

worker_process::worker_process(const std::vector<std::string>& command, const worker_setting& setting, int lifeline) {
    std::vector<std::string> arguments = command;
    // The file that runs, even if another one has its name by now.
    const std::string program = command.empty() ? "/proc/self/exe" : command.front();
    if (command.empty()) arguments.emplace_back(program_invocation_name);
    std::vector<std::string> environment = environment_with(setting);
    pid_ = spawn_settings(lifeline).start(program.c_str(), arguments, environment);
    descriptor_.reset(pidfd_open(pid_, 0));
    if (descriptor_.get() >= 0) return;
    const int failure = errno;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    throw_system("a descriptor of a worker process", failure);
}

worker_process::~worker_process() {
    if (reaped_) return;
    kill();
    wait(std::chrono::milliseconds(-1));
}

void worker_process::kill() noexcept {
    if (!reaped_) pidfd_send_signal(descriptor_.get(), SIGKILL, nullptr, 0);
}

bool worker_process::wait(std::chrono::milliseconds limit) noexcept {
    using clock = std::chrono::steady_clock;
    const clock::time_point until = clock::now() + limit;
    while (!reaped_) {
        pollfd item{descriptor_.get(), POLLIN, 0};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
        const int ready = poll(&item, 1, limit.count() < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) return false;
        siginfo_t how{};
        while (waitid(P_PIDFD, static_cast<id_t>(descriptor_.get()), &how, WEXITED) != 0 && errno == EINTR) continue;
        reaped_ = true;
        const bool exited = how.si_code == CLD_EXITED;
        end_ = (exited ? "exited with status " : "was killed by signal ") + std::to_string(how.si_status);
    }
    return true;
}

}  // namespace moebius::detail
