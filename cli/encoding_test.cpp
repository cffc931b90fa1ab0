// What may be printed, and how bytes become text.
#include "cli/encoding.hpp"

#include <gtest/gtest.h>

namespace tstreams::cli {
namespace {

TEST(encoding, utf8_is_checked_to_the_letter) {
    const std::string_view good[] = {"",
                                     "plain",
                                     "\xc2\x80",
                                     "\xdf\xbf",
                                     "\xe0\xa0\x80",
                                     "\xed\x9f\xbf",
                                     "\xee\x80\x80",
                                     "\xf0\x90\x80\x80",
                                     "\xf4\x8f\xbf\xbf",
                                     std::string_view("a\0b", 3)};
    for (const std::string_view text : good) EXPECT_TRUE(valid_utf8(text)) << base64(text);
    const std::string_view bad[] = {"\x80",
                                    "\xff",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xe0\x9f\xbf",
                                    "\xed\xa0\x80",
                                    "\xf0\x8f\xbf\xbf",
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xc2",
                                    "\xe2\x82",
                                    "\xf0\x9f\x98",
                                    "a\xc2z",
                                    "\xe2\x28\xa1"};
    for (const std::string_view text : bad) EXPECT_FALSE(valid_utf8(text)) << base64(text);
}

TEST(encoding, base64_as_rfc_4648_shows_it) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foo"), "Zm9v");
    EXPECT_EQ(base64("foob"), "Zm9vYg==");
    EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
    EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
    EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(encoding, printable_text_cannot_steer_a_terminal) {
    EXPECT_EQ(printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
    EXPECT_EQ(printable("a\nb\tc"), "a\\x0ab\\x09c");
    EXPECT_EQ(printable("\x1b[31m"), "\\x1b[31m");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
    EXPECT_EQ(printable("\xff"), "\\xff");
}

TEST(encoding, shell_words_are_quoted_where_needed) {
    EXPECT_EQ(shell_word("file:/var/lib/x"), "file:/var/lib/x");
    EXPECT_EQ(shell_word("file:/my store"), "'file:/my store'");
    EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_word(""), "''");
}

TEST(encoding, decimal_numbers_only) {
    EXPECT_EQ(decimal("18446744073709551615"), 18446744073709551615ULL);
    for (const char* text : {"", "-1", "+1", "0x10", "1 ", "18446744073709551616"})
        EXPECT_FALSE(decimal(text).has_value()) << text;
    EXPECT_EQ(counted(1, "item"), "1 item");
    EXPECT_EQ(counted(0, "item"), "0 items");
}

}  // namespace
}  // namespace tstreams::cli
