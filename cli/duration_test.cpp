// Lengths of time: what is understood, what is refused, and that printing and reading agree.
#include "cli/duration.hpp"

#include "cli/failure.hpp"

#include <gtest/gtest.h>

namespace tstreams::cli {
namespace {

using namespace std::chrono_literals;

TEST(duration, understands_units_and_sums) {
    EXPECT_EQ(parse_duration("200ms", "--linger"), 200ms);
    EXPECT_EQ(parse_duration("90s", "--linger"), 90s);
    EXPECT_EQ(parse_duration("15m", "--linger"), 15min);
    EXPECT_EQ(parse_duration("24h", "--linger"), 24h);
    EXPECT_EQ(parse_duration("7d", "--linger"), 168h);
    EXPECT_EQ(parse_duration("1h30m", "--linger"), 90min);
    EXPECT_EQ(parse_duration("0", "--linger"), 0ms);
    EXPECT_EQ(parse_seconds("2m", "--ttl"), 120s);
}

TEST(duration, refuses_what_is_no_length_of_time) {
    for (const char* text : {"", "5", "-5s", "s", "1.5h", "5 s", "5x", "5s ", "99999999999h", "1h-1m"})
        EXPECT_THROW(static_cast<void>(parse_duration(text, "--linger")), usage_error) << text;
    EXPECT_THROW(static_cast<void>(parse_seconds("1500ms", "--ttl")), usage_error);
}

TEST(duration, what_is_printed_is_understood) {
    for (const auto length : {1ms, 999ms, 1000ms, 61001ms, 86400000ms, 172800000ms, 694861001ms})
        EXPECT_EQ(parse_duration(format_duration(length), "--ttl"), length) << format_duration(length);
    EXPECT_EQ(format_duration(24h), "24h");
    EXPECT_EQ(format_duration(168h), "7d");
    EXPECT_EQ(format_duration(0ms), "0s");
}

}  // namespace
}  // namespace tstreams::cli
