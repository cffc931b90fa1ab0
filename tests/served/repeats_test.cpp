// Sends that are asked again and again: over two connections at once, in sessions that were left without an answer, in
// two sessions at once, and at servers that are killed meanwhile. Each is done once, and all answers to it are the
// same. Seed: TSTREAMS_TEST_SEED.
#include "core/frames.hpp"
#include "tests/served/raw_client.hpp"

#include <moebius/loop.hpp>
#include <moebius/requester.hpp>
#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace tstreams::served {
namespace {

constexpr std::size_t sends = 600;  // of one session: over three pages of its calls

class repeated : public testing::Test {
protected:
    // A session over connections of its own.
    struct line {
        core::session_id session = 0;
        std::vector<std::unique_ptr<moebius::requester>> connections;
        core::session_id first_session = 0;  // zero: this one, and what it asks is fresh
    };

    repeated() : daemon_(directory_.path()) {
        const char* given = std::getenv("TSTREAMS_TEST_SEED");
        const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
        std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
        random_.seed(seed);
        store_ = client::open(endpoint());
        stream_ = store_.create_stream({.name = "s", .partitions = 4, .durability = durability::process()}).id;
        const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
        for (std::size_t i = 0; i < sends; ++i) ids_.push_back(core::make_request_id(now, false, random_(), random_()));
    }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + directory_.path() + "/socket"; }

    line begin(std::size_t connections) {
        line made;
        for (std::size_t i = 0; i < connections; ++i)
            made.connections.push_back(std::make_unique<moebius::requester>(loop_, endpoint()));
        wire::open_session_call call;
        call.timeout = 30s;
        const moebius::message opened =
            loop_.run(moebius::ask(*made.connections.front(), "tstreams.open_session",
                                   moebius::message(wire::encode_request(wire::request_head{}, call)), 10s));
        made.session = wire::decode_reply<wire::opened_session>(opened.text()).session;
        return made;
    }
    // In the session after those before it: what is asked in it was asked in the first one first.
    line begin_next() {
        line made = begin(2);
        if (first_ == 0)
            first_ = made.session;
        else
            made.first_session = first_;
        return made;
    }
    // Over another connection, so that it overtakes what is under way.
    void end(const line& by) {
        raw_client other(endpoint());
        other.session = by.session;
        EXPECT_TRUE(other.ask(wire::close_session_call{}).done());
    }
    // The call with which the send is asked in this session.
    std::string encode(const line& by, std::size_t send, std::uint64_t sequence) const {
        wire::commit_call call;
        call.request.request = ids_[send];
        call.request.fresh = by.first_session == 0;
        if (by.first_session != 0) call.request.first_asked = {by.first_session, send + 1};
        core::decision& one = call.request.transactions.emplace_back();
        one.open.stream = stream_;
        one.open.partition = static_cast<partition_number>(send % 4);
        const std::string item = std::to_string(send);
        core::pack_item(one.inline_items, as_bytes(item));
        one.items = 1;
        one.bytes = item.size();
        wire::request_head head;
        head.session = by.session;
        head.sequence = sequence;
        head.answered_below = 1;
        return wire::encode_request(head, call);
    }
    // Asks for all in their order over the first connection, and in any order over the others.
    void ask_all(line& by) {
        std::vector<std::size_t> order(sends);
        for (std::size_t i = 0; i < sends; ++i) order[i] = i;
        for (const auto& over : by.connections) {
            for (const std::size_t send : order) {
                ++asked_;
                over->call("tstreams.commit", moebius::message(encode(by, send, send + 1)), 5s,
                           [this, send](weave::outcome_of<moebius::message> came) { heard(send, std::move(came)); });
            }
            std::shuffle(order.begin(), order.end(), random_);
        }
    }
    void heard(std::size_t send, weave::outcome_of<moebius::message> came) {
        ++back_;
        if (back_ >= enough_) loop_.stop();
        try {
            const moebius::message body = came.get();
            answers_[send].insert(wire::decode_reply<core::commit_reply>(body.text()).transactions.at(0));
        } catch (const moebius::error&) {
            ++lost_;
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::session_ended) << failure.what();
            ++lost_;
        }
    }
    void await(std::size_t answers) {
        enough_ = answers;
        while (back_ < enough_) loop_.run();
    }
    void check_all() {
        std::map<std::string, int> stored;
        consumer from = store_.make_consumer("s", {.start = oldest});
        while (const std::optional<received_transaction> one = from.next(500ms))
            for (const item& each : *one) ++stored[std::string(each.text())];
        EXPECT_EQ(stored.size(), sends);
        for (const auto& [item, times] : stored) EXPECT_EQ(times, 1) << item;
        EXPECT_EQ(answers_.size(), sends);
        for (const auto& [send, ids] : answers_) EXPECT_EQ(ids.size(), 1U) << send;
    }

    temporary_directory directory_;
    std::mt19937_64 random_;
    daemon daemon_;
    client store_;
    core::stream_id stream_ = 0;
    core::session_id first_ = 0;  // in which all was asked first
    std::vector<request_id> ids_;
    moebius::loop loop_;
    std::map<std::size_t, std::set<transaction_id>> answers_;
    std::size_t asked_ = 0, back_ = 0, lost_ = 0;
    std::size_t enough_ = 0;
};

TEST_F(repeated, over_two_connections_at_once) {
    line by = begin(3);
    ask_all(by);
    await(asked_);
    EXPECT_EQ(lost_, 0U);
    check_all();
}

TEST_F(repeated, in_sessions_that_are_left_and_end) {
    for (int round = 0; round < 5; ++round) {
        line left = begin_next();
        ask_all(left);
        await(back_ + 1 + random_() % sends);  // and the others are never heard of
        end(left);
    }
    line one = begin_next(), other = begin_next();
    const std::size_t before = lost_;
    ask_all(one);
    ask_all(other);
    await(asked_);
    EXPECT_EQ(lost_, before);
    check_all();
}

TEST_F(repeated, at_servers_that_are_killed) {
    for (int round = 0; round < 6; ++round) {
        line left = begin_next();
        ask_all(left);
        await(back_ + 1 + random_() % (round < 3 ? 50 : sends));
        daemon_.restart();
    }
    line last = begin_next();
    const std::size_t before = lost_;
    ask_all(last);
    await(asked_);
    EXPECT_EQ(lost_, before);
    check_all();
}

}  // namespace
}  // namespace tstreams::served
