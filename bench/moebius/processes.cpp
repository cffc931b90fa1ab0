#include "processes.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace bench {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

[[noreturn]] void execute(const std::vector<std::string>& command, int out) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::dup2(out, STDOUT_FILENO);
    ::execvp(words.front(), words.data());
    fail("execvp");
}

}  // namespace

process::process(const std::function<void(int)>& work) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) fail("pipe");
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ < 0) fail("fork");
    if (id_ > 0) {
        ::close(ends[1]);
        lines_ = ends[0];
        return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::_Exit(EXIT_FAILURE);
    ::close(ends[0]);
    try {
        work(ends[1]);
        std::_Exit(EXIT_SUCCESS);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "process %d: %s\n", ::getpid(), failure.what());
        std::_Exit(EXIT_FAILURE);
    }
}

process::process(const std::vector<std::string>& command) : process([&](int out) { execute(command, out); }) {}

process::process(process&& other) noexcept
    : id_(std::exchange(other.id_, 0)), lines_(std::exchange(other.lines_, -1)) {}

process::~process() {
    end();
}

std::string process::line() {
    std::string found;
    for (char next = 0;;) {
        pollfd readable{lines_, POLLIN, 0};
        if (::poll(&readable, 1, 20'000) <= 0 || ::read(lines_, &next, 1) != 1)
            throw std::runtime_error("a process told nothing");
        if (next == '\n') return found;
        found += next;
    }
}

int process::wait(double& cpu_seconds) noexcept {
    int status = 0;
    rusage used{};
    while (::wait4(id_, &status, 0, &used) < 0 && errno == EINTR) continue;
    id_ = 0;
    ::close(lines_);
    cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
    return status;
}

void process::join() {
    double ignored = 0;
    if (wait(ignored) != 0) throw std::runtime_error("a process failed");
}

double process::end() noexcept {
    double used = 0;
    if (id_ == 0) return used;
    ::kill(id_, SIGKILL);
    wait(used);
    return used;
}

void write_line(int out, std::string text) {
    text += '\n';
    if (::write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail("write");
}

double resident_bytes(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/statm");
    double whole = 0;
    double resident = 0;
    if (!(file >> whole >> resident)) throw std::runtime_error("the memory of a process is not known");
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds(pid_t process) {
    double nanoseconds = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        double used = 0;
        if (!(std::ifstream(thread.path() / "schedstat") >> used))
            throw std::runtime_error("the CPU time of a thread is not known");
        nanoseconds += used;
    }
    return nanoseconds / 1e9;
}

}  // namespace bench
