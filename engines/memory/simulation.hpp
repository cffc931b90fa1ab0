// A cluster in one thread: nodes with executors and clocks over one virtual time, all from one seed.
//
//     memory::simulation world({.seed = 7});
//     memory::simulated_node& node = world.add_node();
//     ... construct things over node.executor() and node.clock() ...
//     int answer = world.run(node, ask());
//
// Time moves only when no job is ready. The same seed and the same program give the same run, which
// trace_hash proves.
#pragma once

#include "engines/memory/random.hpp"

#include <tstreams/ports/clock.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace tstreams::memory {

class simulation;
class simulated_node;

// What is ready runs in this order.
enum class job_order : std::uint8_t {
    fifo,           // as posted, over all nodes
    shuffle_nodes,  // a random node next; as posted on each node
    shuffle_jobs,   // a random job of a random node next
};

struct simulation_options {
    std::uint64_t seed = 1;
    job_order order = job_order::shuffle_nodes;
    wall_time start = wall_time(std::chrono::seconds(1'700'000'000));
    std::uint64_t steps_max = 100'000'000;  // jobs and timers; going over throws std::runtime_error
};

class simulated_executor final : public weave::executor {
public:
    explicit simulated_executor(simulated_node& node) noexcept : node_(node) {}
    void post(weave::job& work) noexcept override;
    [[nodiscard]] bool running_here() const noexcept override;

private:
    simulated_node& node_;
};

class simulated_clock final : public ports::clock {
public:
    simulated_clock(simulated_node& node, std::chrono::microseconds skew, std::uint64_t seed) noexcept
        : node_(node), skew_(skew), random_(seed) {}
    [[nodiscard]] ports::steady_time now() const noexcept override;
    [[nodiscard]] wall_time wall_now() const noexcept override;
    timer call_at(ports::steady_time when, std::function<void()> callback) override;
    void cancel(timer which) noexcept override;
    [[nodiscard]] std::uint64_t random() noexcept override { return random_.next(); }

private:
    simulated_node& node_;
    std::chrono::microseconds skew_;
    random_source random_;
};

// One machine of the cluster. Lives as long as its simulation.
class simulated_node {
public:
    simulated_node(simulation& world, std::size_t index, std::chrono::microseconds skew, std::uint64_t seed)
        : world_(world), index_(index), executor_(*this), clock_(*this, skew, seed) {}
    simulated_node(const simulated_node&) = delete;
    simulated_node& operator=(const simulated_node&) = delete;

    [[nodiscard]] simulated_executor& executor() noexcept { return executor_; }
    [[nodiscard]] simulated_clock& clock() noexcept { return clock_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

    // While paused none of its jobs and timers runs; resume() lets those run that have become due meanwhile.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }

private:
    friend class simulation;
    friend class simulated_executor;
    friend class simulated_clock;

    // Either a job or a timer that is due.
    struct ready_entry {
        weave::job* work = nullptr;
        ports::clock::timer due = 0;
        std::uint64_t sequence = 0;
    };

    simulation& world_;
    std::size_t index_;
    simulated_executor executor_;
    simulated_clock clock_;
    bool paused_ = false;
    std::deque<ready_entry> ready_;
};

// Not thread-safe. What is still posted or armed at the end of a simulation never runs: let tasks end first.
class simulation {
public:
    explicit simulation(simulation_options options = {});
    simulation(const simulation&) = delete;
    simulation& operator=(const simulation&) = delete;

    // Its wall clock is off by `skew`.
    simulated_node& add_node(std::chrono::microseconds skew = {});

    // Runs what is ready until nothing is; time stands still.
    void run_until_idle();
    // Runs jobs and timers until `time` has passed.
    void run_for(std::chrono::microseconds time);
    // Runs until `done`, which is asked between steps, or until `at_most` has passed; returns done().
    bool run_until(const std::function<bool()>& done, std::chrono::microseconds at_most);

    // Runs `work` on `node` to its end. Throws what it throws, and std::runtime_error when it is not done in
    // time.
    template <class T>
    T run(simulated_node& node, weave::task<T> work, std::chrono::microseconds at_most = std::chrono::hours(24)) {
        auto result = std::make_shared<std::optional<weave::outcome_of<T>>>();
        weave::spawn(node.executor(), std::move(work),
                     [result](weave::outcome_of<T> outcome) { result->emplace(std::move(outcome)); });
        const bool done = run_until([&result] { return result->has_value(); }, at_most);
        if (!done) throw std::runtime_error("a simulated task is not done in time");
        return (*result)->get();
    }

    [[nodiscard]] ports::steady_time now() const noexcept { return now_; }
    [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
    // For the choices of a test; also the source of all others.
    [[nodiscard]] random_source& random() noexcept { return random_; }

    // Notes that something happened. The hash covers this and every choice of what runs next.
    void trace(std::string_view what) noexcept;
    [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_; }
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

private:
    friend class simulated_executor;
    friend class simulated_clock;

    struct armed_timer {
        ports::steady_time when;
        simulated_node* node = nullptr;
        std::function<void()> callback;
    };

    bool step();
    simulated_node* choose_node();
    bool advance(ports::steady_time deadline);
    void mix(std::uint64_t value) noexcept;

    simulation_options options_;
    random_source random_;
    ports::steady_time now_ = ports::steady_time(std::chrono::seconds(1000));
    ports::steady_time started_ = now_;
    std::vector<std::unique_ptr<simulated_node>> nodes_;
    simulated_node* running_ = nullptr;
    std::uint64_t sequence_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t trace_ = 0xcbf29ce484222325U;
    ports::clock::timer last_timer_ = 0;
    std::map<ports::clock::timer, armed_timer> armed_;
    std::set<std::pair<ports::steady_time, ports::clock::timer>> by_time_;
};

}  // namespace tstreams::memory
