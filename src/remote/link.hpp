// The thread on which a remote client's socket lives, and how coroutines of another executor ask over it.
#pragma once

#include <moebius/loop.hpp>
#include <moebius/message.hpp>
#include <moebius/requester.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/sync.hpp>

#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace tstreams::remote {

class link;

// One question and its answer. Made and awaited on the executor of its link; give_up() is for there, too.
class exchange {
public:
    exchange(link& over, std::string_view command, moebius::message body, std::chrono::milliseconds timeout);
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
    // `home` outlives the link. Throws moebius::error for an endpoint that makes no sense.
    link(const std::string& endpoint, moebius::requester_options options, weave::executor& home);
    ~link();
    link(const link&) = delete;
    link& operator=(const link&) = delete;

    // Fails what is in flight, and returns when all of it has heard of that. Once; nothing may be asked afterwards.
    weave::task<void> stop();

private:
    friend class exchange;
    friend class feed;
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
    std::size_t in_flight_ = 0;                    // on the executor
    weave::event idle_;
    close_job closing_;
    end_job ending_;
    std::thread thread_;
};

}  // namespace tstreams::remote
