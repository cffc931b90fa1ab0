// Buffers of frames that are sent from where they were packed: what a message reads is not written to, also when the
// buffer is used again or gone before the message is.
#include "client/frame_buffer.hpp"

#include <gtest/gtest.h>

#include <string>

namespace tstreams::detail {
namespace {

std::string text_of(const core::frame_data::message& sent) {
    return {reinterpret_cast<const char*>(sent.bytes.data()), sent.bytes.size()};
}

frame_buffer packed(std::string_view item) {
    frame_buffer buffer;
    buffer.reserve(core::frame_bytes_target);
    buffer.pack(as_bytes(item));
    return buffer;
}

TEST(frame_buffer, holds_what_was_packed) {
    frame_buffer buffer;
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.capacity(), 0U);
    EXPECT_EQ(buffer.text(), "");
    buffer.pack(as_bytes(std::string_view("one")));
    buffer.append("\3two");
    EXPECT_EQ(buffer.text(), "\3one\3two");
    EXPECT_EQ(buffer.size(), 8U);
    buffer.reserve(1000);
    EXPECT_EQ(buffer.text(), "\3one\3two");
    EXPECT_GE(buffer.capacity(), 1000U);
    buffer.clear();
    EXPECT_TRUE(buffer.empty());
    EXPECT_GE(buffer.capacity(), 1000U);
}

TEST(frame_buffer, is_used_again_when_no_message_refers_to_it) {
    frame_buffer buffer = packed("item");
    const char* const place = buffer.text().data();
    const core::frame_data::message sent = buffer.data().in_one_piece("front");
    ASSERT_TRUE(sent.release);
    EXPECT_EQ(text_of(sent), "front\4item");
    sent.release();
    buffer.clear();
    buffer.pack(as_bytes(std::string_view("next")));
    EXPECT_EQ(buffer.text().data(), place);
}

TEST(frame_buffer, is_left_to_the_message_that_still_refers_to_it) {
    frame_buffer buffer = packed("item");
    const core::frame_data::message sent = buffer.data().in_one_piece("front");
    ASSERT_TRUE(sent.release);
    EXPECT_FALSE(buffer.data().in_one_piece("other").release);
    buffer.clear();
    EXPECT_EQ(buffer.capacity(), 0U);
    buffer.pack(as_bytes(std::string_view("next")));
    EXPECT_EQ(text_of(sent), "front\4item");
    buffer = {};
    EXPECT_EQ(text_of(sent), "front\4item");
    sent.release();
}

TEST(frame_buffer, what_is_the_callers_or_has_no_room_is_not_sent_in_one_piece) {
    const std::string frame("\4item");
    EXPECT_FALSE(core::frame_data(as_bytes(frame)).in_one_piece("front").release);
    const frame_buffer buffer = packed("item");
    EXPECT_FALSE(buffer.data().in_one_piece(std::string(core::frame_memory::headroom + 1, 'f')).release);
    EXPECT_TRUE(buffer.data().in_one_piece(std::string(core::frame_memory::headroom, 'f')).release);
}

}  // namespace
}  // namespace tstreams::detail
