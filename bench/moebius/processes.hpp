// The processes of a benchmark, and the memory that they share with it.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <functional>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

namespace bench {

// A child process. It ends with this object at the latest, by its process id, and with its parent. Processes are
// started while the parent has one thread and no ZeroMQ context: they go on with what it had.
class process {
public:
    // Runs `work` in it, which may write lines to the descriptor that it is given. It ends with 1 when `work` throws.
    explicit process(const std::function<void(int out)>& work);
    // Another program; the lines are what it prints.
    explicit process(const std::vector<std::string>& command);
    process(process&& other) noexcept;
    process& operator=(process&&) = delete;
    ~process();

    // Waits for a line of it, up to 20 s. Throws when there is none.
    [[nodiscard]] std::string line();
    // Waits until it has ended by itself. Throws when it failed.
    void join();
    // Kills it. Returns the seconds of CPU that it has used.
    double end() noexcept;
    [[nodiscard]] pid_t id() const noexcept { return id_; }

private:
    int wait(double& cpu_seconds) noexcept;

    pid_t id_ = 0;
    int lines_ = -1;
};

// A T that this process shares with those that it starts later.
template <class T>
class shared {
public:
    shared() {
        void* place = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (place == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "shared memory");
        value_ = ::new (place) T;
    }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() {
        static_assert(std::is_trivially_destructible_v<T>);
        ::munmap(value_, sizeof(T));
    }
    T* operator->() const noexcept { return value_; }
    T& operator*() const noexcept { return *value_; }

private:
    T* value_;
};

void write_line(int out, std::string text);

// Of a process that runs, all its threads.
[[nodiscard]] double resident_bytes(pid_t process);
[[nodiscard]] double cpu_seconds(pid_t process);

}  // namespace bench
