// Commands against a store in which somebody else has transactions open: the same code as in the tool, with a
// client that this process shares with the holder.
#include "cli/consume.hpp"
#include "cli/input.hpp"
#include "cli/produce.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <string>
#include <thread>

namespace tstreams::cli {
namespace {

class open_transactions : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(::pipe(ends_.data()), 0);
        store_.create_stream({.name = "s"});
        request_.stream = "s";
    }
    void TearDown() override {
        ::close(ends_[0]);
        if (ends_[1] >= 0) ::close(ends_[1]);
    }
    std::string printed() {
        ::close(ends_[1]);
        ends_[1] = -1;
        std::string text;
        std::array<char, 4096> chunk{};
        for (::ssize_t got = 0; (got = ::read(ends_[0], chunk.data(), chunk.size())) > 0;)
            text.append(chunk.data(), static_cast<std::size_t>(got));
        return text;
    }

    client store_ = client::open("memory:", {.name = "the holder"});
    consume_request request_;
    std::array<int, 2> ends_{};
};

TEST_F(open_transactions, reading_ends_before_one_and_says_whose_it_is) {
    producer writer = store_.make_producer("s");
    writer.send("before");
    transaction open = writer.begin();
    open.put("undecided");
    writer.send("after");
    request_.name = "n";
    output out(ends_[1]);
    const interruption stop;
    const consumed result = consume(store_, request_, out, stop);
    EXPECT_EQ(result.items, 1U);
    ASSERT_EQ(result.blocked_by.size(), 1U);
    EXPECT_EQ(result.blocked_by[0].id, open.id());
    const auto lines = notes(result, request_, {});
    ASSERT_EQ(lines.size(), 1U);
    for (const std::string& part :
         {std::to_string(open.id().value()), result.blocked_by[0].client, std::string("tstreams txn abort s 0 ")})
        EXPECT_NE(lines[0].find(part), std::string::npos) << lines[0];
    EXPECT_EQ(lines[0].find('\n'), std::string::npos);

    open.checkpoint();
    EXPECT_EQ(consume(store_, request_, out, stop).items, 2U);
    EXPECT_EQ(printed(), "before\nundecided\nafter\n");
}

TEST_F(open_transactions, a_look_without_checkpoint_does_not_fence_the_one_at_work) {
    producer writer = store_.make_producer("s");
    writer.send("one");
    consumer at_work = store_.make_consumer("s", {.name = "n"});
    ASSERT_TRUE(at_work.next(std::chrono::milliseconds(0)).has_value());
    request_.name = "n";
    request_.checkpoint = false;
    output out(ends_[1]);
    const interruption stop;
    EXPECT_EQ(consume(store_, request_, out, stop).items, 1U);
    EXPECT_NO_THROW(at_work.checkpoint());
    EXPECT_EQ(consume(store_, request_, out, stop).items, 0U);
    EXPECT_EQ(printed(), "one\n");
}

TEST_F(open_transactions, a_running_name_is_fenced_by_a_new_run) {
    producer writer = store_.make_producer("s");
    writer.send("one");
    consumer at_work = store_.make_consumer("s", {.name = "n"});
    ASSERT_TRUE(at_work.next(std::chrono::milliseconds(0)).has_value());
    request_.name = "n";
    output out(ends_[1]);
    const interruption stop;
    EXPECT_EQ(consume(store_, request_, out, stop).items, 1U);
    try {
        at_work.checkpoint();
        ADD_FAILURE() << "the older instance was not fenced";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::fenced);
        EXPECT_EQ(exit_code_of(failure.code()), exit_code::refused);
    }
}

TEST_F(open_transactions, a_failing_input_leaves_no_transaction_open) {
    const std::string text = "1\n2\n3\nfar too long\n";
    ASSERT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<::ssize_t>(text.size()));
    const interruption stop;
    input in(ends_[0], 4, stop);
    produce_request request;
    request.stream = "s";
    request.batch = 2;
    request.linger = std::chrono::minutes(1);
    try {
        produce(store_, request, in);
        ADD_FAILURE() << "an item over the limit was accepted";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::too_large);
        const std::string what = failure.what();
        EXPECT_NE(what.find("line 4"), std::string::npos) << what;
        EXPECT_NE(what.find("checkpointed 2 items in 1 transaction"), std::string::npos) << what;
    }
    for (const transaction_info& one : store_.scan("s", 0, transaction_id(), transaction_id(~std::uint64_t{0})))
        EXPECT_EQ(one.state, transaction_state::checkpointed);
}

TEST_F(open_transactions, a_signal_while_following_ends_after_the_transaction_in_print) {
    // More than a pipe holds, so that the signal comes while the first one is being printed.
    const std::string large(std::size_t{1} << 20, 'x');
    producer writer = store_.make_producer("s");
    const transaction_id first = writer.send(large);
    writer.send("second");
    request_.name = "n";
    request_.follow = true;
    const interruption stop;
    std::string text;
    std::thread reader([&] {
        ::pollfd arrived{ends_[0], POLLIN, 0};
        ::poll(&arrived, 1, -1);
        ::kill(::getpid(), SIGTERM);
        std::array<char, 4096> chunk{};
        while (text.size() < large.size() + 1) {
            const ::ssize_t got = ::read(ends_[0], chunk.data(), chunk.size());
            if (got <= 0) break;
            text.append(chunk.data(), static_cast<std::size_t>(got));
        }
    });
    output out(ends_[1]);
    EXPECT_EQ(consume(store_, request_, out, stop).items, 1U);
    reader.join();
    EXPECT_EQ(text, large + "\n");
    const auto offsets = store_.offsets("s", "n");
    ASSERT_EQ(offsets.size(), 1U);
    EXPECT_EQ(offsets[0].position, first);
}

}  // namespace
}  // namespace tstreams::cli
