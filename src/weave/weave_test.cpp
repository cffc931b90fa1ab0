// task<T>, event, mutex and when_all on a queue that the test drives by hand; the hash of keys that a peer chooses.
#include <weave/seeded_hash.hpp>
#include <weave/spawn.hpp>
#include <weave/sync.hpp>
#include <weave/task.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

class manual_executor : public weave::executor {
public:
    void post(weave::job& work) noexcept override { queue_.push_back(&work); }
    bool running_here() const noexcept override { return running_; }
    void run() {
        running_ = true;
        while (!queue_.empty()) {
            weave::job* next = queue_.front();
            queue_.pop_front();
            next->run(*next);
        }
        running_ = false;
    }

private:
    std::deque<weave::job*> queue_;
    bool running_ = false;
};

weave::task<int> immediate(int value) {
    co_return value;
}

weave::task<std::int64_t> sum_of_many(int count) {
    std::int64_t sum = 0;
    for (int i = 0; i < count; ++i) sum += co_await immediate(i);
    co_return sum;
}

weave::task<int> failing() {
    throw std::runtime_error("no");
    co_return 0;
}

weave::task<std::string> hops(manual_executor& home, int count) {
    for (int i = 0; i < count; ++i) co_await weave::yield(home);
    co_return std::to_string(count);
}

weave::task<void> locked_step(manual_executor& home, weave::mutex& gate, std::string& trace, char name) {
    weave::mutex::guard held = co_await gate.lock();
    trace += name;
    co_await weave::yield(home);
    trace += name;
}

weave::task<void> wait_for(weave::event& event, int& woken) {
    co_await event.wait();
    ++woken;
}

TEST(task, a_million_tasks_that_do_not_suspend_use_constant_stack) {
    manual_executor home;
    std::int64_t sum = 0;
    weave::spawn(home, sum_of_many(1'000'000), [&](weave::outcome_of<std::int64_t> result) { sum = result.get(); });
    home.run();
    EXPECT_EQ(sum, 499'999'500'000);
}

TEST(task, an_exception_reaches_the_awaiter) {
    manual_executor home;
    bool thrown = false;
    weave::spawn(home, failing(), [&](weave::outcome_of<int> result) {
        try {
            result.get();
        } catch (const std::runtime_error& failure) {
            thrown = std::string(failure.what()) == "no";
        }
    });
    home.run();
    EXPECT_TRUE(thrown);
}

TEST(task, spawn_never_runs_inside_the_call) {
    manual_executor home;
    bool done = false;
    weave::spawn(home, immediate(1), [&](weave::outcome_of<int>) { done = true; });
    EXPECT_FALSE(done);
    home.run();
    EXPECT_TRUE(done);
}

TEST(task, one_that_is_never_started_is_destroyed) {
    auto held = std::make_shared<int>(1);
    const auto make = [](std::shared_ptr<int> kept) -> weave::task<int> { co_return *kept; };
    {
        weave::task<int> unstarted = make(held);
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST(mutex, gives_the_lock_in_order) {
    manual_executor home;
    weave::mutex gate(home);
    std::string trace;
    for (char name : {'a', 'b', 'c'})
        weave::spawn(home, locked_step(home, gate, trace, name), [](weave::outcome_of<void>) {});
    home.run();
    EXPECT_EQ(trace, "aabbcc");
    EXPECT_FALSE(gate.locked());
}

TEST(event, wakes_everybody_and_stays_set) {
    manual_executor home;
    weave::event event(home);
    int woken = 0;
    for (int i = 0; i < 3; ++i) weave::spawn(home, wait_for(event, woken), [](weave::outcome_of<void>) {});
    home.run();
    EXPECT_EQ(woken, 0);
    event.set();
    weave::spawn(home, wait_for(event, woken), [](weave::outcome_of<void>) {});
    home.run();
    EXPECT_EQ(woken, 4);
}

TEST(when_all, keeps_the_order_of_the_tasks) {
    manual_executor home;
    std::vector<weave::task<std::string>> works;
    works.push_back(hops(home, 5));
    works.push_back(hops(home, 1));
    works.push_back(hops(home, 0));
    std::string joined;
    weave::spawn(home, weave::when_all(home, std::move(works)),
                 [&](weave::outcome_of<std::vector<weave::outcome_of<std::string>>> all) {
                     for (auto& one : all.get()) joined += one.get();
                 });
    home.run();
    EXPECT_EQ(joined, "510");
}

// Keys that all meet in one bucket where a number is its own hash: multiples of the number of buckets. The chance that
// one bucket of 16,384 keys gets 40 by accident is below 1 in 10^40.
constexpr std::uint64_t chosen_keys = 16'384;

template <class Key, class Hash, class Make>
std::size_t longest_bucket(Make make) {
    std::unordered_set<Key, Hash> table;
    for (std::uint64_t i = 0; i < chosen_keys; ++i) table.insert(make(i));
    const std::uint64_t apart = table.bucket_count();
    table.clear();
    for (std::uint64_t i = 0; i < chosen_keys; ++i) table.insert(make(i * apart));
    EXPECT_EQ(table.bucket_count(), apart);
    std::size_t longest = 0;
    for (std::size_t at = 0; at < table.bucket_count(); ++at) longest = std::max(longest, table.bucket_size(at));
    return longest;
}

std::string as_bytes_of(std::uint64_t number, std::size_t in_front) {
    std::string made(in_front, 'x');
    made.resize(in_front + sizeof number);
    std::memcpy(made.data() + in_front, &number, sizeof number);
    return made;
}

TEST(seeded_hash, spreads_chosen_keys) {
    struct of_two {
        std::size_t operator()(std::uint64_t key) const noexcept { return weave::seeded_hash()(key, ~key); }
    };
    const auto number = [](std::uint64_t i) { return i; };
    EXPECT_EQ((longest_bucket<std::uint64_t, std::hash<std::uint64_t>>(number)), chosen_keys) << "not an attack";
    EXPECT_LT((longest_bucket<std::uint64_t, weave::seeded_hash>(number)), 40U);
    EXPECT_LT((longest_bucket<std::uint64_t, of_two>(number)), 40U);
    for (const std::size_t in_front : {0U, 5U, 8U, 40U}) {
        const auto text = [=](std::uint64_t i) { return as_bytes_of(i, in_front); };
        EXPECT_LT((longest_bucket<std::string, weave::seeded_hash>(text)), 40U) << in_front;
    }
}

TEST(seeded_hash, tells_texts_of_zeros_by_their_length) {
    std::set<std::size_t> all;
    for (std::size_t length = 0; length < 256; ++length) all.insert(weave::seeded_hash()(std::string(length, '\0')));
    EXPECT_EQ(all.size(), 256U);
    EXPECT_EQ(weave::seeded_hash()(std::string_view()), weave::seeded_hash()(std::string()));
}

}  // namespace
