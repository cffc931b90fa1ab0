// Lets small calls that many make at once go over together.
//
// What it costs to send a call is mostly the waking of threads, one for each step of the way, however many calls take
// that step together. So while two lots of them are unanswered, further calls wait here and then go as one lot: whoever
// has many calls under way sends few messages, and whoever has few does not wait. Kafka's producers do the same with
// max.in.flight.requests.per.connection.
#pragma once

#include <tstreams/ports/clock.hpp>
#include <weave/executor.hpp>

#include <array>
#include <chrono>
#include <cstddef>

namespace tstreams::remote {

// On the executor, as everything here.
class crowd {
public:
    // A call. Its `run` is called when it goes over.
    struct member : weave::job {
        explicit member(run_function go_over) noexcept : job(go_over) {}

    private:
        friend class crowd;
        std::size_t lot_ = no_lot;
    };

    // A call that is slow at the server holds back those that come after it no longer than this.
    static constexpr std::chrono::milliseconds patience{10};

    // Both outlive it.
    crowd(weave::executor& home, ports::clock& clock) noexcept : home_(home), clock_(clock) {}
    ~crowd() { clock_.cancel(alarm_); }
    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;

    // It goes over soon, never inside this call. It stays alive until leave().
    void join(member& one) noexcept;
    // It has its answer, or will not get one. Only of what has gone over.
    void leave(member& one) noexcept;

private:
    // One is being answered while the next one is on its way.
    static constexpr std::size_t lots = 2;
    static constexpr std::size_t no_lot = lots;

    struct departure : weave::job {
        explicit departure(crowd& of) noexcept;
        crowd& whole;
        bool posted = false;
    };
    void depart_soon() noexcept;
    void depart() noexcept;
    void go_over(std::size_t lot) noexcept;

    weave::executor& home_;
    ports::clock& clock_;
    weave::job* first_ = nullptr;  // of those that wait
    weave::job* last_ = nullptr;
    std::array<std::size_t, lots> unanswered_{};
    departure departure_{*this};
    ports::clock::timer alarm_ = 0;
};

}  // namespace tstreams::remote
