// The thread on which a remote client's socket lives, and how coroutines of another executor ask over it.
#pragma once

#include "remote/crowd.hpp"

#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/requester.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/sync.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace tstreams::remote {

class link;

// Whether a question may wait a little for others that go with it.
enum class departure : std::uint8_t { at_once, in_company };

// One question and its answer. Made and awaited on the executor of its link; give_up() is for there, too.
class exchange {
public:
    exchange(link& over, std::string_view command, moebius::message body, std::chrono::milliseconds timeout,
             departure when = departure::at_once);
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    // Resumes the coroutine soon with error(cancelled). What becomes of the question is not known.
    void give_up() noexcept;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept;
    // Throws moebius::error: the server's, or what requester::call says.
    moebius::message await_resume();

private:
    friend class link;
    struct state;
    std::shared_ptr<state> state_;
};

class link {
public:
    // `home` and `clock` outlive the link. Throws moebius::error for an endpoint that makes no sense.
    link(const std::string& endpoint, moebius::requester_options options, weave::executor& home, ports::clock& clock);
    ~link();
    link(const link&) = delete;
    link& operator=(const link&) = delete;

    // Fails what is in flight, and returns when all of it has heard of that. Once; nothing may be asked afterwards.
    weave::task<void> stop();

private:
    friend class exchange;
    friend class feed;
    // From one thread to the other. What is given in one pass there goes over together, so that whoever sleeps is woken
    // once, and for all of it.
    class ferry {
    public:
        ferry(weave::executor& from, weave::executor& to) noexcept;
        void give(weave::job& work) noexcept;  // on `from`; it runs on `to`

    private:
        struct leg : weave::job {
            leg(ferry& of, run_function work) noexcept : job(work), on(of) {}
            ferry& on;
        };
        void leave() noexcept;
        void arrive() noexcept;
        weave::executor& from_;
        weave::executor& to_;
        weave::job* first_ = nullptr;  // on `from`
        weave::job* last_ = nullptr;
        leg leaving_;
        std::mutex mutex_;
        weave::job* first_under_way_ = nullptr;  // guarded by mutex_
        weave::job* last_under_way_ = nullptr;
        leg arriving_;
    };
    struct close_job : weave::job {
        explicit close_job(link& of) noexcept;
        link& owner;
    };
    struct end_job : weave::job {
        explicit end_job(link& of) noexcept;
        link& owner;
    };
    void ended() noexcept;

    weave::executor& home_;
    moebius::loop loop_;
    std::optional<moebius::requester> requester_;  // belongs to the loop's thread
    ferry there_;                                  // to the loop
    ferry back_;                                   // to the executor
    crowd crowd_;                                  // in front of the way there
    std::size_t in_flight_ = 0;                    // on the executor
    weave::event idle_;
    close_job closing_;
    end_job ending_;
    std::thread thread_;
};

}  // namespace tstreams::remote
