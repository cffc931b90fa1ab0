// A real tstreamsd of a test's own: a process that serves a directory over a socket in it.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifndef TSTREAMSD
#define TSTREAMSD ""
#endif

namespace tstreams::served {

// Serves DIRECTORY/store at ipc://DIRECTORY/socket and at `extra`. Ready when the constructor returns; killed by the
// destructor, if it still runs.
class daemon {
public:
    explicit daemon(const std::string& directory, std::vector<std::string> extra = {}) : log_(directory + "/log") {
        const char* const other = std::getenv("TSTREAMSD");  // a build of another version, for example
        arguments_ = {other ? other : TSTREAMSD, "--store", "file:" + directory + "/store", "--listen",
                      "ipc://" + directory + "/socket"};
        for (std::string& one : extra) arguments_.push_back(std::move(one));
        start();
    }
    ~daemon() {
        if (process_ > 0) end(SIGKILL);
    }
    daemon(const daemon&) = delete;
    daemon& operator=(const daemon&) = delete;

    [[nodiscard]] pid_t process() const noexcept { return process_; }
    // What it has said since it was started.
    [[nodiscard]] std::string output() const {
        std::ifstream log(log_);
        return {std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
    }

    // Where it was told to listen at a port of TCP that is free.
    [[nodiscard]] std::string tcp_endpoint() const {
        const std::string said = output();
        const std::string field = "listening endpoint=";
        const std::size_t found = said.find(field + "tcp://");
        if (found == std::string::npos) throw std::runtime_error("tstreamsd listens at no port: " + said);
        const std::size_t at = found + field.size();
        return said.substr(at, said.find_first_of(" \n", at) - at);
    }

    void start() {
        const int log = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (log < 0) throw std::runtime_error("no log of tstreamsd");
        process_ = ::fork();
        if (process_ == 0) {
            ::dup2(log, STDOUT_FILENO);
            ::dup2(log, STDERR_FILENO);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nothing behind
            std::vector<char*> words;
            for (std::string& one : arguments_) words.push_back(one.data());
            words.push_back(nullptr);
            ::execv(words[0], words.data());
            ::_exit(127);
        }
        ::close(log);
        await("ready\n");
    }
    // The exit status as waitpid gives it.
    int end(int signal) {
        ::kill(process_, signal);
        int status = 0;
        ::waitpid(std::exchange(process_, -1), &status, 0);
        return status;
    }
    void restart(int signal = SIGKILL) {
        end(signal);
        start();
    }

private:
    void await(const std::string& word) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (output().find(word) == std::string::npos) {
            if (::waitpid(process_, nullptr, WNOHANG) != 0) {
                process_ = -1;
                throw std::runtime_error("tstreamsd ended at once: " + output());
            }
            if (std::chrono::steady_clock::now() > until)
                throw std::runtime_error("tstreamsd is not ready in time: " + output());
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::vector<std::string> arguments_;
    pid_t process_ = -1;
    const std::string log_;
};

}  // namespace tstreams::served
