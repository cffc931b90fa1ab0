// A request that is asked again, of a broker that remembers nothing of the first time.
#include "core/test_world.hpp"

#include <gtest/gtest.h>

namespace tstreams::core {
namespace {

// As a client does whose broker was killed before it could answer.
TEST(repeated_requests, one_step_is_done_once_over_a_restart_and_leaves_nothing_open) {
    test_world world;
    const stream_info stream = world.make_stream("s");
    commit_request request;
    request.request = world.next_request(true);
    decision one = world.decide({}, {"once"});
    one.open.stream = stream.id;
    request.transactions.push_back(one);
    request.session = world.session;
    const commit_reply first = world.run(world.service->commit(request));
    world.restart();
    request.session = world.session;
    const commit_reply again = world.run(world.service->commit(request));
    EXPECT_EQ(again.transactions, first.transactions);
    const transaction_id behind = world.send(stream, "behind");
    read_request reading;
    reading.stream = stream.id;
    const read_reply read = world.run(world.service->read(reading));
    ASSERT_EQ(read.transactions.size(), 2U) << "something is open";
    EXPECT_EQ(read.transactions.back().id, behind);
}

// It was done, so its answer is not what would refuse it today.
TEST(repeated_requests, one_step_has_its_answer_after_its_stream_was_deleted) {
    test_world world;
    const stream_info stream = world.make_stream("s");
    commit_request request;
    request.request = world.next_request(true);
    decision one = world.decide({}, {"once"});
    one.open.stream = stream.id;
    request.transactions.push_back(one);
    request.session = world.session;
    const commit_reply first = world.run(world.service->commit(request));
    world.run(world.service->delete_stream("s"));
    const commit_reply again = world.run(world.service->commit(request));
    EXPECT_EQ(again.transactions, first.transactions);
    request.request = world.next_request(true);
    EXPECT_THROW(world.run(world.service->commit(request)), error);
}

}  // namespace
}  // namespace tstreams::core
