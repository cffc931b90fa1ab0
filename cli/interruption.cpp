#include "cli/interruption.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace tstreams::cli {

namespace {

constexpr std::array<int, 2> signals = {SIGINT, SIGTERM};
std::atomic<bool> noted = false;
std::array<int, 2> wake_pipe = {-1, -1};
std::array<struct sigaction, 2> former{};

static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");

void note(int) {
    const int saved = errno;
    noted.store(true);
    [[maybe_unused]] const auto written = ::write(wake_pipe[1], "!", 1);
    errno = saved;
}

}  // namespace

interruption::interruption() {
    if (::pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        throw std::system_error(errno, std::generic_category(), "pipe for signals");
    noted.store(false);
    struct sigaction action{};
    action.sa_handler = note;
    // The default comes back after the first one: the second ends a command that cannot finish.
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &action, &former[i]);
}

interruption::~interruption() {
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &former[i], nullptr);
    for (int& end : wake_pipe) {
        ::close(end);
        end = -1;
    }
}

bool interruption::requested() const noexcept {
    return noted.load();
}

int interruption::descriptor() const noexcept {
    return wake_pipe[0];
}

}  // namespace tstreams::cli
