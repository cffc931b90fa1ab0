// The loop on which servers, requesters and their coroutines live: a thin layer over an Asio io_context.
//
//     moebius::loop loop;                 // with an io_context of its own, or loop(io) on yours
//     moebius::server server(loop, routes);
//     server.bind("tcp://127.0.0.1:5560").run();
#pragma once

#include <moebius/task.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace boost::asio {
class io_context;
}

namespace moebius {

struct loop_options {
    int io_threads = 1;                // of libzmq; more than one pays with CURVE and with many large messages
    int sockets_max = 1023;            // of libzmq's context
    unsigned offload_threads = 2;      // started when the first work is offloaded
    std::size_t offload_queue = 1024;  // works that wait for a thread; over it offload() throws overloaded
    // Where lines about trouble go; the default writes them to the standard error stream. On the loop's thread.
    std::function<void(std::string_view)> log{};
};

// One thread runs it at a time. Unless a call says otherwise it is for that thread, or for the time before it runs.
// Servers, requesters and tasks on a loop must be gone before it.
class loop final : public weave::executor {
public:
    // Throw error(transport) when libzmq cannot be started.
    explicit loop(loop_options options = {});
    // On the caller's io_context, which outlives the loop and which one thread runs.
    explicit loop(boost::asio::io_context& io, loop_options options = {});
    ~loop() override;
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    // Runs until stop(), also when there is nothing to do. May be called again. Throws error(would_deadlock) inside
    // itself. What handlers and tasks throw does not come out here.
    void run();

    // Runs until `work` has ended and returns its result or throws what it threw: how an ordinary program waits. A
    // stop() meanwhile does not end it. Everything else on the loop runs, too.
    template <class T>
    T run(task<T> work) {
        std::optional<weave::outcome_of<T>> result;
        weave::spawn(*this, std::move(work), [this, &result](weave::outcome_of<T> outcome) {
            result.emplace(std::move(outcome));
            stop();
        });
        while (!result) run();
        return result->get();
    }

    // Makes run() return, soon. Safe from any thread and from on_signal(); not from a handler of sigaction().
    void stop() noexcept;

    // Calls `heard` on the loop at each SIGINT and SIGTERM instead of ending the process. Once per loop: throws
    // error(invalid_state) the second time.
    void on_signal(std::function<void(int signal)> heard);

    // executor; the first and the last are for any thread
    void post(weave::job& work) noexcept override;
    void post_next(weave::job& work) noexcept override;
    [[nodiscard]] bool running_here() const noexcept override;

    [[nodiscard]] boost::asio::io_context& io() noexcept;
    // libzmq's context: sockets of this loop, and others that are to reach its inproc endpoints, are made in it.
    [[nodiscard]] void* zmq_context() noexcept;

    // What Moebius itself writes its lines with.
    void log(std::string_view line) noexcept;
    // Inside a catch block: a line with what failed, and why.
    void log_failure(std::string_view what) noexcept;

    struct impl;  // for the other parts of Moebius
    [[nodiscard]] impl& parts() noexcept { return *impl_; }

private:
    std::unique_ptr<impl> impl_;
};

}  // namespace moebius
