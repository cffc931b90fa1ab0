// Calls that go over together, in virtual time.
#include "remote/crowd.hpp"

#include "engines/memory/simulation.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

namespace tstreams::remote {
namespace {

using namespace std::chrono_literals;

class crowds : public testing::Test {
protected:
    struct call : crowd::member {
        call(crowds& of, int number)
            : member([](weave::job& self) noexcept { static_cast<call&>(self).gone(); }), test(of), name(number) {}
        void gone() noexcept { test.over.push_back(name); }
        crowds& test;
        int name;
    };

    void make(int from, int to) {
        for (int name = from; name <= to; ++name) whole.join(calls.emplace_back(*this, name));
        EXPECT_TRUE(over.empty()) << "inside join()";
    }
    // Those that have gone over since it was asked before, when nothing is ready any more.
    std::vector<int> gone() {
        world.run_until_idle();
        return std::exchange(over, {});
    }
    void answer(int name) { whole.leave(calls.at(static_cast<std::size_t>(name) - 1)); }

    memory::simulation world;
    memory::simulated_node& node = world.add_node();
    crowd whole{node.executor(), node.clock()};
    std::deque<call> calls;
    std::vector<int> over;
};

using names = std::vector<int>;

TEST_F(crowds, few_calls_do_not_wait) {
    make(1, 1);
    EXPECT_EQ(gone(), names{1});
    make(2, 2);
    EXPECT_EQ(gone(), names{2});
    answer(1);
    make(3, 3);
    EXPECT_EQ(gone(), names{3});
}

TEST_F(crowds, many_go_in_two_lots) {
    make(1, 3);
    EXPECT_EQ(gone(), (names{1, 2, 3}));
    make(4, 4);
    EXPECT_EQ(gone(), names{4});
    make(5, 6);
    EXPECT_EQ(gone(), names{});
    answer(1);
    answer(2);
    EXPECT_EQ(gone(), names{}) << "not all of the lot are answered";
    make(7, 7);
    answer(3);
    EXPECT_EQ(gone(), (names{5, 6, 7}));
    answer(4);
    make(8, 8);
    EXPECT_EQ(gone(), names{8});
}

TEST_F(crowds, what_is_slow_holds_the_others_back_for_a_while_only) {
    make(1, 1);
    EXPECT_EQ(gone(), names{1});
    make(2, 2);
    EXPECT_EQ(gone(), names{2});
    make(3, 4);
    world.run_for(crowd::patience - 1ms);
    EXPECT_EQ(gone(), names{});
    world.run_for(2ms);
    EXPECT_EQ(gone(), (names{3, 4}));
    // These belong to no lot: their answers make room for nobody, and nobody waits for them.
    make(5, 5);
    answer(3);
    answer(4);
    EXPECT_EQ(gone(), names{});
    answer(2);
    EXPECT_EQ(gone(), names{5});
    world.run_for(1s);
    EXPECT_EQ(gone(), names{});
}

TEST_F(crowds, one_may_come_again_when_it_has_left) {
    make(1, 1);
    EXPECT_EQ(gone(), names{1});
    answer(1);
    answer(1);
    whole.join(calls.front());
    EXPECT_EQ(gone(), names{1});
}

}  // namespace
}  // namespace tstreams::remote
