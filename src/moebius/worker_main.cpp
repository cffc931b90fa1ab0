// The worker's side: a server core whose socket is a DEALER that connects to the front.
#include "moebius/server_core.hpp"
#include "moebius/worker_pool_core.hpp"
#include "moebius/worker_process.hpp"

#include <moebius/worker_pool.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

namespace moebius {
namespace {

// Ends this process when the front has ended: a thread, because the loop may be in a handler that blocks.
class front_watch {
public:
    explicit front_watch(std::string endpoint) : stop_(eventfd(0, EFD_CLOEXEC)) {
        // Signals are for the program's own threads.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this, where = std::move(endpoint)] { watch(where); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    ~front_watch() {
        const std::uint64_t one = 1;
        while (write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) continue;
        thread_.join();
    }
    front_watch(const front_watch&) = delete;
    front_watch& operator=(const front_watch&) = delete;

private:
    // Nothing is ever written into the pipe at standard input: it becomes readable when its other end is gone.
    void watch(const std::string& endpoint) const noexcept {
        std::array<pollfd, 2> items{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
        while (poll(items.data(), items.size(), -1) < 0 && errno == EINTR) continue;
        if (items[1].revents != 0) return;
        detail::private_directory::remove(endpoint);  // a front that was killed could not
        std::_Exit(EXIT_FAILURE);
    }

    detail::owned_descriptor stop_;
    std::thread thread_;
};

std::optional<detail::worker_setting> setting_of_this_process() noexcept {
    const char* text = std::getenv(detail::worker_setting::variable);
    return text ? detail::worker_setting::parse(text) : std::nullopt;
}

}  // namespace

bool is_worker() noexcept {
    return setting_of_this_process().has_value();
}

int run_worker(loop& home, router& rules) {
    const std::optional<detail::worker_setting> setting = setting_of_this_process();
    if (!setting) throw error(errc::invalid_state, "no worker_pool started this process");
    unsetenv(detail::worker_setting::variable);  // the processes that this one starts are no workers of that pool
    const front_watch watch(setting->endpoint);
    home.on_signal([](int) {});
    server_options options;
    options.limits.message_bytes = SIZE_MAX >> 1;  // the front has checked it
    options.limits.queued_requests = SIZE_MAX;
    // Whether the front lives is seen at standard input; a front that is only stopped for a while keeps its workers.
    options.heartbeat = options.dead_after = options.idle_expiry = std::chrono::milliseconds(0);
    options.blocked_expiry = std::chrono::hours(24 * 365);
    const auto core = std::make_shared<detail::server_core>(home, rules, options, detail::server_core::role::worker);
    core->stops_loop = true;
    core->join(setting->endpoint, setting->id, setting->heartbeat);
    while (!core->closed()) home.run();
    return 0;
}

}  // namespace moebius
