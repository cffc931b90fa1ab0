// A child process, and what a worker and its pool have in common before they can talk.
#pragma once

#include <moebius/error.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace moebius::detail {

// A descriptor that is closed at the end.
class owned_descriptor {
public:
    owned_descriptor() noexcept = default;
    explicit owned_descriptor(int number) noexcept : number_(number) {}
    ~owned_descriptor() { close(); }
    owned_descriptor(const owned_descriptor&) = delete;
    owned_descriptor& operator=(const owned_descriptor&) = delete;
    [[nodiscard]] int get() const noexcept { return number_; }
    void reset(int number) noexcept {
        close();
        number_ = number;
    }
    void close() noexcept;

private:
    int number_ = -1;
};

// A directory that only this user can enter, removed with the one socket in it.
class private_directory {
public:
    private_directory();  // throws error(transport)
    ~private_directory();
    private_directory(const private_directory&) = delete;
    private_directory& operator=(const private_directory&) = delete;
    [[nodiscard]] std::string endpoint() const { return "ipc://" + path_ + socket_name; }
    // The same for an endpoint of another process that died.
    static void remove(const std::string& endpoint) noexcept;

private:
    static constexpr const char* socket_name = "/workers";
    std::string path_;
};

// What a pool tells its worker, in an environment variable.
struct worker_setting {
    std::string endpoint;
    std::string id;  // the routing id of the worker
    std::chrono::milliseconds heartbeat{0};

    static constexpr const char* variable = "MOEBIUS_WORKER";
    [[nodiscard]] std::string text() const;
    [[nodiscard]] static std::optional<worker_setting> parse(const std::string& text);
};

// A child that is killed and reaped at the end of this object.
class worker_process {
public:
    // Its standard input is `lifeline`. Throws error(transport).
    worker_process(const std::vector<std::string>& command, const worker_setting& setting, int lifeline);
    ~worker_process();
    worker_process(const worker_process&) = delete;
    worker_process& operator=(const worker_process&) = delete;

    [[nodiscard]] int pid() const noexcept { return pid_; }
    // Readable from the child's end on.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }
    void kill() noexcept;
    // Waits at most so long for the end. Whether it has ended.
    bool wait(std::chrono::milliseconds limit) noexcept;
    // After the end: "was killed by signal 9".
    [[nodiscard]] const std::string& end() const noexcept { return end_; }

private:
    int pid_ = 0;
    owned_descriptor descriptor_;
    bool reaped_ = false;
    std::string end_;
};

}  // namespace moebius::detail
