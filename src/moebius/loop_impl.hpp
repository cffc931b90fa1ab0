// The inside of a loop: jobs, timers, and what the sockets of one loop share.
#pragma once

#include "moebius/timer_heap.hpp"
#include "moebius/zmq_socket.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <moebius/loop.hpp>

#include <memory>
#include <mutex>
#include <optional>

namespace moebius {

namespace detail {

class thread_pool;
class zap_handler;

class job_list {
public:
    [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
    void push(weave::job& work) noexcept;
    weave::job& pop() noexcept;
    bool remove(const weave::job& work) noexcept;  // O(n): for frames that are destroyed while they are posted
    void take(job_list& other) noexcept;           // appends it; it is empty afterwards

private:
    weave::job* head_ = nullptr;
    weave::job* tail_ = nullptr;
};

}  // namespace detail

struct loop::impl {
    impl(std::unique_ptr<boost::asio::io_context> own, boost::asio::io_context* other, loop_options with);
    ~impl();

    void post(weave::job& work) noexcept;
    void post_next(weave::job& work) noexcept;
    void forget(const weave::job& work) noexcept;
    void arm(detail::timer& one, detail::steady_time when);
    void disarm(detail::timer& one) noexcept { timers.remove(one); }
    detail::thread_pool& pool();

    std::unique_ptr<boost::asio::io_context> owned;
    boost::asio::io_context& io;
    loop_options options;
    std::shared_ptr<detail::zmq_context> zmq;
    std::weak_ptr<detail::zap_handler> zap;  // of the servers that have keys
    bool running = false;

private:
    void schedule() noexcept;
    void run_ready() noexcept;
    void set_alarm(detail::steady_time when);
    void ring() noexcept;

    detail::job_list ready;
    detail::job_list batch;  // what this turn runs
    detail::job_list next;   // what comes before the rest of it: the ends of coroutines
    bool in_job = false;
    bool scheduled = false;

    std::mutex mutex;
    detail::job_list inbox;  // guarded by mutex: what other threads posted

    detail::timer_heap timers;
    boost::asio::steady_timer alarm;
    detail::steady_time alarm_at = detail::steady_time::max();

    std::unique_ptr<detail::thread_pool> threads;

    friend class loop;
    std::optional<boost::asio::signal_set> signals;
    std::function<void(int)> on_signal;
    void wait_for_signal();
};

}  // namespace moebius
