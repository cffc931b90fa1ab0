// RFC 3339 in and out.
#include "cli/timestamp.hpp"

#include <gtest/gtest.h>

namespace tstreams::cli {
namespace {

wall_time micros(std::int64_t count) {
    return wall_time(std::chrono::microseconds(count));
}

TEST(timestamp, understands_rfc_3339) {
    EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00Z"), micros(0));
    EXPECT_EQ(parse_timestamp("2026-01-31T12:00:00Z"), micros(1'769'860'800'000'000));
    EXPECT_EQ(parse_timestamp("2026-01-31T13:00:00.25+01:00"), micros(1'769'860'800'250'000));
    EXPECT_EQ(parse_timestamp("2026-01-31T06:30:00-05:30"), micros(1'769'860'800'000'000));
    EXPECT_EQ(parse_timestamp("2026-01-31t12:00:00.1234567z"), micros(1'769'860'800'123'456));
    EXPECT_EQ(parse_timestamp("2016-12-31T23:59:60Z"), parse_timestamp("2017-01-01T00:00:00Z"));
    EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z"), micros(1'709'164'800'000'000));
}

TEST(timestamp, refuses_everything_else) {
    for (const char* text :
         {"", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z", "2026-13-01T00:00:00Z",
          "2026-02-29T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:00.Z",
          "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00Z ", "26-01-31T12:00:00Z", "+026-01-31T12:00:00Z"})
        EXPECT_FALSE(parse_timestamp(text).has_value()) << text;
}

TEST(timestamp, what_is_printed_is_understood) {
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1'769'860'800'250'007}})
        EXPECT_EQ(parse_timestamp(format_timestamp(micros(count))), micros(count));
    EXPECT_EQ(format_timestamp(micros(1'769'860'800'250'007)), "2026-01-31T12:00:00.250007Z");
}

}  // namespace
}  // namespace tstreams::cli
