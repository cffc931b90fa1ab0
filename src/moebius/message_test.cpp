// Messages and their frames, the header, and the search for the command in a text.
#include "moebius/frames.hpp"
#include "moebius/json_scan.hpp"

#include <moebius/moebius.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>

namespace {

using namespace moebius;
using namespace moebius::detail;

TEST(message, moves_and_shares_without_copying) {
    message one(std::string(1000, 'x'));
    const std::byte* place = one.data();
    message two = std::move(one);
    EXPECT_EQ(two.data(), place);
    EXPECT_TRUE(one.empty());  // NOLINT: that is the promise
    const message three = two.share();
    EXPECT_EQ(three.data(), place);
    EXPECT_EQ(three.text(), two.text());
    one = std::move(two);
    EXPECT_EQ(one.size(), 1000U);
    EXPECT_TRUE(message().empty());
    EXPECT_EQ(message(std::string_view("short")).share().text(), "short");
}

TEST(message, adopts_memory_and_releases_it_once) {
    std::string memory(100, 'x');
    std::atomic<int> released{0};
    {
        message one = message::adopt(std::as_writable_bytes(std::span(memory)), [&] { ++released; });
        EXPECT_EQ(static_cast<void*>(one.data()), static_cast<void*>(memory.data()));
        const message two = one.share();
        one = message();
        EXPECT_EQ(released, 0);
        EXPECT_EQ(two.size(), 100U);
    }
    EXPECT_EQ(released, 1);
}

TEST(header, is_what_the_document_says) {
    header top;
    top.kind = kind::request;
    top.flags = flag_stream;
    top.name_bytes = 0x0102;
    top.code = 0x0304;
    top.correlation = 0x1112131415161718;
    top.credit_messages = 0x21222324;
    top.credit_bytes = 0x31323334;
    std::string frame(header_bytes + 0x0102, '\0');
    encode(top, reinterpret_cast<std::byte*>(frame.data()));
    EXPECT_EQ(frame.substr(0, header_bytes),
              std::string("\xB5\x01\x02\x01\x02\x01\x04\x03\x18\x17\x16\x15\x14\x13\x12\x11"
                          "\x24\x23\x22\x21\x34\x33\x32\x31",
                          header_bytes));
    const auto back = decode(std::as_bytes(std::span(frame)));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->kind, top.kind);
    EXPECT_EQ(back->flags, top.flags);
    EXPECT_EQ(back->name_bytes, top.name_bytes);
    EXPECT_EQ(back->code, top.code);
    EXPECT_EQ(back->correlation, top.correlation);
    EXPECT_EQ(back->credit_messages, top.credit_messages);
    EXPECT_EQ(back->credit_bytes, top.credit_bytes);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, header_bytes - 1, frame.size() - 1})
        EXPECT_FALSE(decode(std::as_bytes(std::span(frame).subspan(0, size)))) << size;
    frame[1] = 2;
    EXPECT_FALSE(decode(std::as_bytes(std::span(frame)))) << "another version";
}

TEST(frames, copy_small_bodies_and_keep_large_ones) {
    header top;
    top.kind = kind::reply;
    const outgoing small = with_header(top, "name", message(std::string_view("body")));
    EXPECT_FALSE(small.two_frames);
    EXPECT_EQ(small.head.text().substr(header_bytes), "namebody");
    message body(std::string(100'000, 'x'));
    const std::byte* place = body.data();
    const outgoing large = with_header(top, {}, std::move(body));
    EXPECT_TRUE(large.two_frames);
    EXPECT_EQ(large.tail.data(), place);
}

TEST(frames, a_received_body_goes_back_in_its_own_frame) {
    for (const std::size_t size : {std::size_t{5}, std::size_t{1} << 20}) {
        message received(std::string(header_bytes + 4 + size, 'r'));
        frame_access::set_offset(received, header_bytes + 4);
        EXPECT_EQ(received.size(), size);
        const bool inside = size < 33;  // the bytes move with the message
        const std::byte* place = received.data();
        header top;
        top.kind = kind::reply;
        const outgoing back = with_header(top, {}, std::move(received));
        EXPECT_FALSE(back.two_frames);
        const auto found = decode(back.head.bytes());
        ASSERT_TRUE(found);
        EXPECT_EQ(found->name_bytes, 4U);
        EXPECT_EQ(back.head.size(), header_bytes + 4 + size);
        if (!inside) {
            EXPECT_EQ(back.head.data() + header_bytes + 4, place);
        }
    }
}

TEST(frames, a_shared_body_is_not_written_over) {
    message received(std::string(header_bytes + 100'000, 'r'));
    frame_access::set_offset(received, header_bytes);
    const message kept = received.share();
    header top;
    top.kind = kind::reply;
    const outgoing back = with_header(top, {}, std::move(received));
    EXPECT_TRUE(back.two_frames);
    EXPECT_EQ(back.tail.data(), kept.data()) << "and not copied";
    EXPECT_EQ(kept.text(), std::string(100'000, 'r'));
}

TEST(frames, a_bare_body_leaves_the_header_behind) {
    message received(std::string(header_bytes, 'h') + std::string(100'000, 'b'));
    frame_access::set_offset(received, header_bytes);
    const std::byte* place = received.data();
    const message bare = bare_frame(std::move(received));
    EXPECT_EQ(frame_access::offset(bare), 0U);
    EXPECT_EQ(bare.data(), place);
    EXPECT_EQ(bare.text(), std::string(100'000, 'b'));
}

// -- the command of a text ----------------------------------------------------------------------------------

std::string command_in(std::string_view text) {
    std::string scratch;
    const json_command found = find_command(text, scratch);
    if (found.failure != errc::none) return "(" + std::string(name_of(found.failure)) + ")";
    return std::string(found.name);
}

TEST(json, finds_the_command_wherever_it_stands) {
    EXPECT_EQ(command_in(R"({"command":"a"})"), "a");
    EXPECT_EQ(
        command_in(" {\t\"x\" : [1, -2.5e+3, true, false, null, {\"command\":\"no\"}] ,\r\n\"command\" : \"a\" } "),
        "a");
    EXPECT_EQ(command_in(R"({"command":"a","command":"b"})"), "b") << "the last one counts, as in other parsers";
    EXPECT_EQ(command_in(R"({"command":"a","command":7})"), "(unroutable)");
    EXPECT_EQ(command_in(R"({"\u0063ommand":"\u0061\n\"\\\/\u00e9\ud83d\ude00"})"), "a\n\"\\/\u00e9\U0001F600");
    EXPECT_EQ(command_in(R"({"command":"\ud800x"})"), "\uFFFDx");
    EXPECT_EQ(command_in("{\"command\":\"\u00e9\"}"), "\u00e9");
    EXPECT_EQ(command_in(R"({"command":""})"), "");
}

TEST(json, knows_what_is_no_command) {
    for (const char* text : {"{}", R"({"command":null})", R"({"x":{"command":"a"}})", R"({"Command":"a"})"})
        EXPECT_EQ(command_in(text), "(unroutable)") << text;
}

// Strings are read eight bytes at a time: what needs a look is found at every place.
TEST(json, finds_what_needs_a_look_at_every_place_of_a_string) {
    const auto outcome = [](const std::string& inside) {
        std::string scratch;
        return find_command(R"({"x":")" + inside + R"(","command":"c"})", scratch).failure;
    };
    for (std::size_t length = 0; length < 40; ++length) {
        EXPECT_EQ(outcome(std::string(length, 'a')), errc::none);
        for (std::size_t place = 0; place < length; ++place) {
            const auto with = [&](std::string_view what) {
                return outcome(std::string(place, 'a').append(what).append(length - place, '~'));
            };
            for (const std::string_view good : {" ", "!", "#", "[", "]", "\x7f", R"(\")", R"(\\)", "\u00e9"})
                EXPECT_EQ(with(good), errc::none) << length << " " << place << " " << good;
            for (const std::string_view bad : {"\"", R"(\x)", "\n", "\x1f", "\x80", "\xff"})
                EXPECT_EQ(with(bad), errc::malformed) << length << " " << place << " " << bad;
        }
    }
}

TEST(json, refuses_what_is_no_json_object) {
    for (const char* text : {"",
                             " ",
                             "[]",
                             "null",
                             "\"command\"",
                             "{",
                             "{\"command\":\"a\"",
                             R"({"command":"a"}})",
                             R"({"command":"a"} x)",
                             R"({"command":"a",})",
                             R"({,"command":"a"})",
                             R"({"command" "a"})",
                             R"({command:"a"})",
                             R"({'command':'a'})",
                             R"({"command":"a","x":01})",
                             R"({"x":1.})",
                             R"({"x":.5})",
                             R"({"x":1e})",
                             R"({"x":+1})",
                             R"({"x":tru})",
                             R"({"x":"\x"})",
                             R"({"x":"\u12g4"})",
                             R"({"x":"\u12)",
                             R"({"x":"\)",
                             "{\"x\":\"\n\"}",
                             "{\"x\":\"\xff\"}",
                             "{\"x\":\"\xc0\x80\"}",
                             "{\"x\":\"\xed\xa0\x80\"}",
                             "{\"x\":\"\xf4\x90\x80\x80\"}",
                             R"({"x":[1,2})",
                             R"({"x":[1 2]})",
                             R"({"x":[,]})",
                             R"({"x":{1:2}})",
                             R"({"x":NaN})"})
        EXPECT_EQ(command_in(text), "(malformed)") << text;
    EXPECT_EQ(command_in(std::string_view("{\"x\":1}\0", 8)), "(malformed)") << "a zero byte behind it";
}

TEST(json, is_bounded_in_depth) {
    const auto nested = [](std::size_t depth) {
        return R"({"command":"a","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    EXPECT_EQ(command_in(nested(128)), "a");
    EXPECT_EQ(command_in(nested(129)), "(malformed)");
    EXPECT_EQ(command_in(R"({"x":)" + std::string(1'000'000, '[')), "(malformed)");
}

TEST(json, survives_any_bytes) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::string seedling = R"({"command":"abc\u00e9\ud83d\ude00","x":[1,2.5e3,{"y":null}],"z":"é"})";
    for (int round = 0; round < 20'000; ++round) {
        std::string text = seedling.substr(0, random() % (seedling.size() + 1));
        for (unsigned change = random() % 4; change > 0 && !text.empty(); --change)
            text[random() % text.size()] = static_cast<char>(random());
        const std::string found = command_in(text);
        if (text == seedling) {
            EXPECT_EQ(found, "abc\u00e9\U0001F600");
        }
    }
}

TEST(json, escapes_any_bytes) {
    std::string escaped;
    append_escaped(escaped, std::string_view("a\"\\\n\0\xff\xc3\xa9", 8));
    EXPECT_EQ(escaped, "a\\\"\\\\\\u000a\\u0000?\xc3\xa9");
}

TEST(message, takes_texts_of_any_size) {
    for (const std::size_t size : {0UL, 1UL, 33UL, 4096UL, 4097UL, 1UL << 20}) {
        const std::string text(size, 't');
        const message taken = message::adopt(std::string(text));
        EXPECT_EQ(taken.text(), text);
    }
}

}  // namespace
