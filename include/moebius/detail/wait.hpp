// The base of Moebius' awaiters: a suspended end of a chain that its loop resumes, and that can be cancelled.
#pragma once

#include <weave/context.hpp>
#include <weave/executor.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace moebius {

class loop;

namespace detail {

using steady_time = std::chrono::steady_clock::time_point;

// The loop of a context. Throws error(invalid_state) when its executor is no moebius::loop.
[[nodiscard]] loop& loop_of(const weave::context& chain);

// A place in a loop's heap of timers. expired() is called on the loop, never inside arm(); the timer may be armed
// again then. Whoever owns it disarms it before its end.
class timer {
public:
    timer() noexcept = default;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    [[nodiscard]] bool armed() const noexcept { return place_ != not_armed; }

protected:
    virtual ~timer() = default;

private:
    friend class timer_heap;
    static constexpr std::size_t not_armed = SIZE_MAX;
    virtual void expired() noexcept = 0;

    steady_time when_;
    std::size_t place_ = not_armed;
};

// A derived class suspends in await_suspend with suspend(), and then hangs itself on what it waits for; that calls
// wake(), on the loop's thread, and takes it off. An interruption calls unhook() first. Its destructor unhooks what is
// still hung, because a frame that waits may be destroyed.
class wait : private weave::job, private weave::interruptible {
protected:
    enum class phase : std::uint8_t { idle, waiting, posted, done };

    wait() noexcept : job(&wait::run) {}
    ~wait();

    // False: the chain was told to stop; nothing may be hung, the coroutine goes on and await_resume throws.
    template <class Promise>
    bool suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(weave::context_of(waiting), waiting);
    }
    bool suspend(weave::context* chain, std::coroutine_handle<> waiting);

    // Resumes the coroutine soon, not inside this call.
    void wake() noexcept;
    // Takes suspend() back: the coroutine goes on at once after all.
    void stay() noexcept {
        chain_->end_wait();
        phase_ = phase::done;
    }

    // What request_stop() does to a wait that is suspended. The default unhooks it and wakes it.
    void interrupt() noexcept override;
    virtual void unhook() noexcept = 0;

    void throw_if_interrupted() const {
        if (interrupted_) throw_cancelled();
    }
    [[nodiscard]] bool interrupted() const noexcept { return interrupted_; }
    [[nodiscard]] phase now() const noexcept { return phase_; }
    [[nodiscard]] weave::context& chain() const noexcept { return *chain_; }
    // For a wait that is woken on another thread: the job to post there, in place of wake().
    [[nodiscard]] weave::job& resumption() noexcept { return *this; }

private:
    static void run(weave::job& self) noexcept;
    [[noreturn]] static void throw_cancelled();

    std::coroutine_handle<> coroutine_;
    weave::context* chain_ = nullptr;
    phase phase_ = phase::idle;
    bool interrupted_ = false;
};

// with_timeout() and shield(), without the type of the result.
class nested_wait : wait, timer {
protected:
    nested_wait(bool shielded, std::optional<std::chrono::steady_clock::duration> limit) noexcept
        : limit_(limit), ended_(*this), shielded_(shielded) {}
    ~nested_wait();

    bool prepare(weave::context* chain, std::coroutine_handle<> waiting);
    bool begin();                      // true
    bool finished_at_once() noexcept;  // false
    [[nodiscard]] weave::context& inner() noexcept { return *inner_; }
    [[nodiscard]] weave::job& ended() noexcept { return ended_; }
    [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }

private:
    struct ended_job : weave::job {
        explicit ended_job(nested_wait& of) noexcept : job(&ended_job::run_ended), owner(of) {}
        static void run_ended(weave::job& self) noexcept;
        nested_wait& owner;
    };

    void interrupt() noexcept override;
    void unhook() noexcept override {}
    void expired() noexcept override;

    std::optional<weave::context> inner_;
    std::optional<std::chrono::steady_clock::duration> limit_;
    ended_job ended_;
    bool shielded_;
    bool timed_out_ = false;
};

}  // namespace detail
}  // namespace moebius
