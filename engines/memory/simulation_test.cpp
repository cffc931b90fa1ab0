// The simulation itself: order, virtual time, pauses, and that one seed gives one run.
#include "engines/memory/simulation.hpp"

#include <weave/sync.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;
using memory::job_order;
using memory::simulated_node;
using memory::simulation;

weave::task<void> hop(simulated_node& home, std::string& trace, char name, int times) {
    for (int i = 0; i < times; ++i) {
        trace += name;
        co_await weave::yield(home.executor());
    }
}

weave::task<void> sleep(simulated_node& home, std::chrono::microseconds time) {
    weave::event over(home.executor());
    home.clock().call_at(home.clock().now() + time, [&over] { over.set(); });
    co_await over.wait();
}

weave::task<std::int64_t> timed(simulated_node& home, std::chrono::microseconds time) {
    const ports::steady_time before = home.clock().now();
    co_await sleep(home, time);
    co_return (home.clock().now() - before).count();
}

void start(simulated_node& node, weave::task<void> work, int& done) {
    weave::spawn(node.executor(), std::move(work), [&done](weave::outcome_of<void> result) {
        result.get();
        ++done;
    });
}

// Three nodes at random work; returns the trace hash.
std::uint64_t random_work(std::uint64_t seed, job_order order, std::string* trace = nullptr) {
    simulation world({.seed = seed, .order = order});
    std::string seen;
    int done = 0;
    for (char name = 'a'; name < 'd'; ++name) {
        simulated_node& node = world.add_node();
        for (int i = 0; i < 3; ++i) start(node, hop(node, seen, static_cast<char>(name + 3 * i), 20), done);
        const auto nap = std::chrono::microseconds(static_cast<std::int64_t>(node.clock().random() % 1000));
        start(node, sleep(node, nap), done);
    }
    world.run_for(1s);
    EXPECT_EQ(done, 12);
    if (trace != nullptr) *trace = seen;
    return world.trace_hash();
}

TEST(simulation, the_same_seed_gives_the_same_run) {
    for (const job_order order : {job_order::fifo, job_order::shuffle_nodes, job_order::shuffle_jobs}) {
        std::set<std::uint64_t> hashes;
        std::set<std::string> traces;
        for (std::uint64_t seed = 1; seed <= 50; ++seed) {
            std::string first;
            std::string second;
            const std::uint64_t hash = random_work(seed, order, &first);
            EXPECT_EQ(random_work(seed, order, &second), hash) << "seed " << seed;
            EXPECT_EQ(first, second) << "seed " << seed;
            hashes.insert(hash);
            traces.insert(first);
        }
        EXPECT_EQ(hashes.size(), 50U) << "each seed has a run of its own";
        EXPECT_EQ(traces.size() == 1, order == job_order::fifo) << "only fifo leaves nothing to chance";
    }
}

TEST(simulation, the_hash_is_the_same_on_every_machine) {
    memory::random_source random(42);
    EXPECT_EQ(random.next(), 1546998764402558742U);
    EXPECT_EQ(random.next(), 6990951692964543102U);
    simulation world({.seed = 42});
    world.trace("event");
    const std::uint64_t hash = world.trace_hash();
    simulation other({.seed = 42});
    other.trace("event");
    EXPECT_EQ(other.trace_hash(), hash);
    other.trace("event");
    EXPECT_NE(other.trace_hash(), hash);
}

TEST(simulation, fifo_runs_as_posted_over_all_nodes) {
    simulation world({.order = job_order::fifo});
    simulated_node& one = world.add_node();
    simulated_node& other = world.add_node();
    std::string trace;
    int done = 0;
    start(one, hop(one, trace, 'a', 3), done);
    start(other, hop(other, trace, 'b', 3), done);
    start(one, hop(one, trace, 'c', 3), done);
    world.run_until_idle();
    EXPECT_EQ(trace, "abcabcabc");
    EXPECT_EQ(done, 3);
}

TEST(simulation, time_moves_only_when_nothing_is_ready) {
    simulation world;
    simulated_node& node = world.add_node();
    const ports::steady_time before = world.now();
    std::string trace;
    int done = 0;
    start(node, hop(node, trace, 'a', 1000), done);
    start(node, sleep(node, 1h), done);
    world.run_until_idle();
    EXPECT_EQ(done, 1);
    EXPECT_EQ(world.now(), before);
    world.run_for(59min);
    EXPECT_EQ(done, 1);
    EXPECT_EQ(world.now(), before + 59min);
    world.run_for(1min);
    EXPECT_EQ(done, 2);
    EXPECT_EQ(world.run(node, timed(node, 250ms)), 250'000);
}

TEST(simulation, wall_clocks_are_skewed_and_steady_ones_are_not) {
    const wall_time start_time = wall_time(1'000'000s);
    simulation world({.start = start_time});
    simulated_node& early = world.add_node(-3s);
    simulated_node& late = world.add_node(5s);
    world.run_for(10s);
    EXPECT_EQ(early.clock().wall_now(), start_time + 7s);
    EXPECT_EQ(late.clock().wall_now(), start_time + 15s);
    EXPECT_EQ(early.clock().now(), late.clock().now());
    EXPECT_NE(early.clock().random(), late.clock().random());
}

TEST(simulation, timers_fire_once_in_order_unless_cancelled) {
    simulation world({.order = job_order::fifo});
    simulated_node& node = world.add_node();
    std::string trace;
    ports::clock& clock = node.clock();
    const ports::steady_time now = clock.now();
    clock.call_at(now + 2s, [&trace] { trace += 'b'; });
    clock.call_at(now + 1s, [&trace] { trace += 'a'; });
    const ports::clock::timer cancelled = clock.call_at(now + 3s, [&trace] { trace += 'x'; });
    const ports::clock::timer second = clock.call_at(now + 4s, [&trace] { trace += 'y'; });
    clock.call_at(now + 4s - 1us, [&trace, &clock, second] {
        trace += 'c';
        clock.cancel(second);
    });
    clock.call_at(now - 1s, [&trace] { trace += '0'; });
    EXPECT_NE(cancelled, 0U);
    clock.cancel(cancelled);
    clock.cancel(cancelled);
    world.run_for(10s);
    EXPECT_EQ(trace, "0abc");
    clock.cancel(second);
}

TEST(simulation, a_due_timer_can_be_cancelled_by_an_earlier_one_of_the_same_moment) {
    simulation world({.order = job_order::fifo});
    simulated_node& node = world.add_node();
    ports::clock& clock = node.clock();
    std::string trace;
    ports::clock::timer second = 0;
    clock.call_at(clock.now() + 1s, [&] {
        trace += 'a';
        clock.cancel(second);
    });
    second = clock.call_at(clock.now() + 1s, [&trace] { trace += 'x'; });
    world.run_for(2s);
    EXPECT_EQ(trace, "a");
}

TEST(simulation, a_paused_node_stands_still_and_catches_up) {
    simulation world;
    simulated_node& paused = world.add_node();
    simulated_node& other = world.add_node();
    std::string trace;
    int done = 0;
    start(paused, hop(paused, trace, 'p', 2), done);
    start(paused, sleep(paused, 1s), done);
    start(other, sleep(other, 5s), done);
    paused.pause();
    world.run_for(10s);
    EXPECT_EQ(trace, "");
    EXPECT_EQ(done, 1);
    paused.resume();
    world.run_for(10s);
    EXPECT_EQ(trace, "pp");
    EXPECT_EQ(done, 3);
}

TEST(simulation, an_endless_run_is_stopped) {
    simulation world({.steps_max = 1000});
    simulated_node& node = world.add_node();
    std::function<void()> again = [&] { node.clock().call_at(node.clock().now(), again); };
    again();
    EXPECT_THROW(world.run_for(1s), std::runtime_error);
    EXPECT_EQ(world.steps(), 1001U);
}

TEST(simulation, what_does_not_end_is_reported) {
    simulation world;
    simulated_node& node = world.add_node();
    int done = 0;
    start(node, sleep(node, 2h), done);
    EXPECT_FALSE(world.run_until([&done] { return done == 1; }, 1h));
    EXPECT_TRUE(world.run_until([&done] { return done == 1; }, 1h));
}

TEST(simulation, running_here_knows_the_node) {
    simulation world;
    simulated_node& one = world.add_node();
    simulated_node& other = world.add_node();
    EXPECT_FALSE(one.executor().running_here());
    int right = 0;
    one.clock().call_at(world.now(),
                        [&] { right = one.executor().running_here() && !other.executor().running_here() ? 1 : -1; });
    world.run_until_idle();
    EXPECT_EQ(right, 1);
}

}  // namespace
