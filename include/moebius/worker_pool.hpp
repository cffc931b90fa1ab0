// Whole handlers in worker processes behind one server: for what blocks, computes for long, or may crash.
//
//     int main() {
//         moebius::loop loop;
//         moebius::command_router work;
//         work.on("resize", resize);                            // runs in the workers
//         if (moebius::is_worker()) return moebius::run_worker(loop, work);
//
//         moebius::worker_pool pool(loop, {.workers = 4});
//         moebius::command_router routes;
//         routes.on("resize", pool.handler(), moebius::strategy::concurrent);
//         moebius::server server(loop, routes);
//         server.stop_on_signals();
//         server.bind("tcp://127.0.0.1:5560").run();
//     }
//
// A worker is a program of its own, usually this one started again, so that threads and sockets of the front do not
// matter to it. It costs two more hops per request: functions that answer at once are faster in the front.
#pragma once

#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/request.hpp>
#include <moebius/router.hpp>
#include <moebius/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace moebius {

struct worker_pool_options {
    unsigned workers = 2;          // 1 to 1024
    unsigned in_flight_max = 4;    // requests that one worker has at a time; a stream counts until its end
    std::size_t queue_max = 1024;  // requests that wait for a worker; one more is answered error(overloaded)
    std::size_t queue_bytes = std::size_t{64} << 20;  // and their bodies
    // Program (found by PATH) and arguments of a worker. Empty: this program, without arguments.
    std::vector<std::string> command{};
    // A worker whose loop shows no life for so long is killed: one that hangs, and also one that is in a function for
    // so long. Zero: never.
    std::chrono::milliseconds silent_max{60'000};
    // How long a lost worker's place stays empty; doubled with every loss, until a worker has lived for restart_most.
    std::chrono::milliseconds restart_first{100};
    std::chrono::milliseconds restart_most{10'000};
    // What the pool's end leaves to workers that still do something; then they are killed.
    std::chrono::milliseconds stop_grace{2'000};
};

struct worker_pool_metrics {
    std::uint64_t dispatched = 0;  // given to a worker
    std::uint64_t answered = 0;    // ended by a worker, with an answer or an error
    std::uint64_t refused = 0;     // the queue was full
    std::uint64_t abandoned = 0;   // the front's handler was cancelled: the client's wish, a strategy, a time limit
    std::uint64_t lost = 0;        // were with a worker that died: answered error(peer_gone)
    std::uint64_t workers_lost = 0, workers_silent = 0;  // the second are among the first
    std::size_t ready = 0, in_flight = 0, queued = 0;    // now
};

struct worker_status {
    unsigned number = 0;
    int pid = 0;  // 0: its place is empty until it is restarted
    bool ready = false;
    std::size_t in_flight = 0;
};

namespace detail {
class worker_pool_core;
}

// For the loop's thread, or for the time before the loop runs; the loop outlives it. Requests go to the worker that
// has the fewest, and wait in the front while all have in_flight_max. Lost workers are seen within milliseconds; a
// request that such a one had is answered error(peer_gone), and whether it was done is not known.
//
// Strategies, time limits and cancellation are those of the front's rule. A request that is cancelled in the front is
// over for its client at once, and the worker is told; until the worker has stopped it still counts as in flight.
class worker_pool {
public:
    // Starts the workers. Throws error(transport) when that is not possible, and error(invalid_state) in a process
    // that is a worker itself but did not call run_worker().
    explicit worker_pool(loop& home, worker_pool_options options = {});
    // What is queued or in flight is answered error(stopping). Blocks until no worker is left, at most for stop_grace
    // and the time that a kill takes. Stop the server first: that waits for the requests.
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    // A handler for rules of the front. One answer, a stream with its credit, or none: the worker's handler decides.
    // The worker gets the command that the client asked for, so this is good for otherwise(), too.
    [[nodiscard]] coroutine_handler handler();
    // The same inside a handler of one's own, which may look at the client first, and change what the worker gets.
    task<> forward(request asked);
    task<> forward(request asked, std::string command, message body);

    [[nodiscard]] worker_pool_metrics metrics() const noexcept;
    [[nodiscard]] std::vector<worker_status> workers() const;

private:
    std::shared_ptr<detail::worker_pool_core> core_;
};

// Whether a worker_pool started this process, and run_worker() was not called yet.
[[nodiscard]] bool is_worker() noexcept;

// Serves the pool's requests by `rules` until the pool ends it; returns 0 then, for main(). To be called before other
// threads exist. SIGINT and SIGTERM do nothing (by the loop's on_signal), because the front hears them, too, and
// decides; when the front dies this process exits at once, whatever it does. Standard input is the pool's.
//
// All handlers run as `concurrent`, functions one after the other. Their requests are binary ones whatever the client
// speaks; peer() is the front, which cannot be sent to. Throws error(invalid_state) if this is no worker.
int run_worker(loop& home, router& rules);

}  // namespace moebius
