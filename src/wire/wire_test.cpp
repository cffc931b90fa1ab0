#include "wire/envelope.hpp"

#include <gtest/gtest.h>

namespace tstreams::wire {
namespace {

TEST(envelope, a_request_and_its_answer) {
    request_head head;
    head.session = 7;
    head.sequence = 3;
    head.answered_below = 2;
    const std::string sent = encode_request(head, find_stream_call{"orders"});
    ASSERT_EQ(sent.size(), request_head_bytes + 4 + 6);
    decoder from(sent);
    const request_head came = decode_head(from);
    EXPECT_EQ(came.session, 7U);
    EXPECT_EQ(came.sequence, 3U);
    EXPECT_EQ(came.answered_below, 2U);
    find_stream_call call;
    from.fields_of(call);
    EXPECT_EQ(call.name, "orders");

    std::optional<stream_info> info(std::in_place);
    info->name = "orders";
    info->partitions = 4;
    const auto answer = decode_reply<std::optional<stream_info>>(encode_reply(info));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->name, "orders");
    EXPECT_EQ(answer->partitions, 4U);
}

// A frame is sent behind what is written in front of it: together they are the request.
TEST(envelope, a_write_in_two_pieces) {
    request_head head;
    head.session = 7;
    head.sequence = 3;
    const std::string frame("\4item");
    write_call call;
    call.transaction.stream = 5;
    call.crc32c = 6;
    call.data = as_bytes(frame);
    EXPECT_EQ(encode_write_front(head, call) + frame, encode_request(head, call));
}

}  // namespace
}  // namespace tstreams::wire
