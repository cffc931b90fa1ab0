// Calls that act are numbered by their client: known again until it says that it has the answer, and counted. What a
// client does to make one of them expensive costs the broker's thread little.
#include "server/sessions.hpp"
#include "server/loop_clock.hpp"

#include <gtest/gtest.h>
#include <tstreams/error.hpp>

#include <ctime>

namespace tstreams::server {
namespace {

class numbering : public testing::Test {
protected:
    sessions::numbered ask(std::uint64_t sequence, std::uint64_t answered_below = 1) {
        wire::request_head head;
        head.sequence = sequence;
        head.answered_below = answered_below;
        return all_.number(one_, head);
    }
    // Seconds of this thread for as many calls as may be kept, and as many again, each of which says that the client
    // has the answer to one more.
    double seconds_for(std::uint64_t apart) {
        one_ = session();
        const std::uint64_t most = limits_.answers;
        const std::clock_t start = std::clock();
        for (std::uint64_t i = 1; i <= most; ++i) ask(i * apart);
        for (std::uint64_t i = 1; i <= most; ++i) ask((most + i) * apart, i * apart + 1);
        EXPECT_EQ(one_.answers.size(), most);
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }

    moebius::loop home_;
    loop_clock clock_{home_};
    const session_limits limits_;
    sessions all_{home_, clock_, limits_};
    session one_;
};

TEST_F(numbering, a_call_is_known_again_until_the_client_has_the_answer) {
    const sessions::numbered first = ask(5);
    EXPECT_TRUE(first.first);
    EXPECT_TRUE(first.in_order);
    const sessions::numbered late = ask(3);
    EXPECT_TRUE(late.first);
    EXPECT_FALSE(late.in_order);
    EXPECT_EQ(ask(5).answer, first.answer);
    EXPECT_FALSE(ask(3).first);
    sessions::keep(one_, *first.answer, std::string(100, 'x'));
    sessions::keep(one_, *late.answer, std::string(10, 'x'));
    EXPECT_EQ(one_.answer_bytes, 110U);
    ask(6, 4);
    EXPECT_EQ(one_.answer_bytes, 100U);
    EXPECT_THROW(ask(3), error);
    EXPECT_EQ(ask(5, 5).answer, first.answer);
    ask(9, 6);
    EXPECT_EQ(one_.answer_bytes, 0U);
    EXPECT_EQ(one_.answers.size(), 2U);
}

TEST_F(numbering, no_choice_of_numbers_makes_it_slow) {
    const double honest = seconds_for(1);
    for (const std::uint64_t apart : {10'273ULL, 20'753ULL, 42'043ULL, 1ULL << 32U}) {
        const double took = seconds_for(apart);
        std::printf("%llu apart: %.1f ms, one apart: %.1f ms\n", static_cast<unsigned long long>(apart), took * 1e3,
                    honest * 1e3);
        EXPECT_LT(took, 8 * honest + 0.02) << apart;
    }
}

}  // namespace
}  // namespace tstreams::server
