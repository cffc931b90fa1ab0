#include "moebius/loop_impl.hpp"
#include "moebius/thread_pool.hpp"

#include <boost/asio/post.hpp>
#include <moebius/loop.hpp>

#include <csignal>
#include <cstdio>
#include <limits>
#include <utility>

namespace moebius {

namespace asio = boost::asio;

namespace detail {

void job_list::push(weave::job& work) noexcept {
    work.next = nullptr;
    (head_ ? tail_->next : head_) = &work;
    tail_ = &work;
}

weave::job& job_list::pop() noexcept {
    weave::job& first = *head_;
    head_ = first.next;
    return first;
}

bool job_list::remove(const weave::job& work) noexcept {
    weave::job* previous = nullptr;
    for (weave::job* one = head_; one; previous = one, one = one->next) {
        if (one != &work) continue;
        (previous ? previous->next : head_) = one->next;
        if (tail_ == one) tail_ = previous;
        return true;
    }
    return false;
}

void job_list::take(job_list& other) noexcept {
    if (other.empty()) return;
    (head_ ? tail_->next : head_) = other.head_;
    tail_ = other.tail_;
    other.head_ = nullptr;
}

}  // namespace detail

loop::impl::impl(std::unique_ptr<asio::io_context> own, asio::io_context* other, loop_options with)
    : owned(std::move(own)),
      io(owned ? *owned : *other),
      options(std::move(with)),
      zmq(std::make_shared<detail::zmq_context>(options.io_threads, options.sockets_max)),
      alarm(io) {}

loop::impl::~impl() = default;

void loop::impl::post(weave::job& work) noexcept {
    if (io.get_executor().running_in_this_thread()) {
        ready.push(work);
        if (!std::exchange(scheduled, true)) schedule();
        return;
    }
    bool first = false;
    {
        const std::scoped_lock lock(mutex);
        first = inbox.empty();
        inbox.push(work);
    }
    if (first) schedule();
}

// Posting allocates when Asio's cache is empty; out of memory here ends the process, as everywhere in noexcept code.
void loop::impl::schedule() noexcept {
    asio::post(io, [this] { run_ready(); });
}

// Runs what was there at the beginning of the turn; what that posts has its turn after timers and sockets.
void loop::impl::run_ready() noexcept {
    scheduled = false;
    batch.take(ready);
    {
        const std::scoped_lock lock(mutex);
        batch.take(inbox);
    }
    in_job = true;
    while (!batch.empty()) {
        weave::job& first = batch.pop();
        first.run(first);
        // A client that has its answer may ask again at once: by then the handler must have ended.
        while (!next.empty()) {
            weave::job& end = next.pop();
            end.run(end);
        }
    }
    in_job = false;
}

void loop::impl::post_next(weave::job& work) noexcept {
    if (in_job && io.get_executor().running_in_this_thread())
        next.push(work);
    else
        post(work);
}

void loop::impl::forget(const weave::job& work) noexcept {
    if (next.remove(work) || batch.remove(work) || ready.remove(work)) return;
    const std::scoped_lock lock(mutex);
    inbox.remove(work);
}

void loop::impl::arm(detail::timer& one, detail::steady_time when) {
    timers.insert(one, when);
    if (when < alarm_at) set_alarm(when);
}

void loop::impl::set_alarm(detail::steady_time when) {
    alarm_at = when;
    alarm.expires_at(when);  // ends a wait that is pending
    alarm.async_wait([this](const boost::system::error_code& failure) {
        if (!failure) ring();
    });
}

void loop::impl::ring() noexcept {
    constexpr std::size_t timers_per_turn = 1024;
    alarm_at = detail::steady_time::max();
    timers.fire(std::chrono::steady_clock::now(), timers_per_turn);
    if (!timers.empty() && timers.earliest() < alarm_at) set_alarm(timers.earliest());
}

detail::thread_pool& loop::impl::pool() {
    if (!threads) threads = std::make_unique<detail::thread_pool>(options.offload_threads, options.offload_queue);
    return *threads;
}

void loop::impl::wait_for_signal() {
    signals->async_wait([this](const boost::system::error_code& failure, int number) {
        if (failure) return;
        wait_for_signal();
        on_signal(number);
    });
}

loop::loop(loop_options options)
    : impl_(std::make_unique<impl>(std::make_unique<asio::io_context>(1), nullptr, std::move(options))) {}

loop::loop(asio::io_context& io, loop_options options)
    : impl_(std::make_unique<impl>(nullptr, &io, std::move(options))) {}

loop::~loop() = default;

void loop::run() {
    if (running_here() || impl_->running) throw error(errc::would_deadlock, "run() inside the loop that it would run");
    const auto guard = asio::make_work_guard(impl_->io);
    struct mark {
        bool& running;
        explicit mark(bool& of) : running(of) { running = true; }
        ~mark() { running = false; }
    } const mark_running(impl_->running);
    if (impl_->io.stopped()) impl_->io.restart();
    impl_->io.run();
}

void loop::stop() noexcept {
    asio::post(impl_->io, [this] { impl_->io.stop(); });
}

void loop::on_signal(std::function<void(int)> heard) {
    if (impl_->signals) throw error(errc::invalid_state, "the loop handles signals already");
    impl_->on_signal = std::move(heard);
    impl_->signals.emplace(impl_->io, SIGINT, SIGTERM);
    impl_->wait_for_signal();
}

void loop::post(weave::job& work) noexcept {
    impl_->post(work);
}

void loop::post_next(weave::job& work) noexcept {
    impl_->post_next(work);
}

bool loop::running_here() const noexcept {
    return impl_->io.get_executor().running_in_this_thread();
}

asio::io_context& loop::io() noexcept {
    return impl_->io;
}

void* loop::zmq_context() noexcept {
    return impl_->zmq->get();
}

void loop::log(std::string_view line) noexcept {
    try {
        if (impl_->options.log) {
            impl_->options.log(line);
            return;
        }
    } catch (...) {
        // A logger that fails has nowhere to say so but here.
    }
    const int shown = static_cast<int>(std::min<std::size_t>(line.size(), std::numeric_limits<int>::max()));
    std::fprintf(stderr, "moebius: %.*s\n", shown, line.data());
}

void loop::log_failure(std::string_view what) noexcept {
    std::string line(what);
    try {
        throw;
    } catch (const std::exception& failure) {
        line += " failed: ";
        line += failure.what();
    } catch (...) {
        line += " failed";
    }
    log(line);
}

}  // namespace moebius
