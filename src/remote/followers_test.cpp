// Pushes that do not come as they were made: left out, repeated, in another order. A server on the test's own loop
// sends what a script says over a real link; a reader waits and reads as service.cpp does, with the truth as the store.
#include "remote/followers.hpp"

#include "engines/memory/random.hpp"
#include "engines/memory/simulation.hpp"
#include "wire/envelope.hpp"

#include <moebius/moebius.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace tstreams::remote {
namespace {

using namespace std::chrono_literals;

constexpr core::stream_id stream = 7;
constexpr partition_number read_one = 0;
constexpr partition_number last_one = 1;  // what comes for it shows that everything before it has come

using ids = std::vector<std::uint64_t>;

struct push {
    std::uint64_t previous = 0;
    ids transactions;
};
using script = std::vector<push>;

core::read_reply reply_of(const ids& all) {
    core::read_reply made;
    for (const std::uint64_t id : all) {
        core::stored_transaction& one = made.transactions.emplace_back();
        one.id = transaction_id(id);
        one.items = 1;
        one.inline_items = std::to_string(id);
    }
    return made;
}

class followers_of_a_link : public testing::Test {
protected:
    followers_of_a_link() {
        routes_.on(
            std::string(wire::follow_call::command),
            [this](moebius::request asked) { return send(this, std::move(asked)); }, moebius::strategy::concurrent);
        node_.bind("tcp://127.0.0.1:*");
        over_.emplace(node_.endpoint(), moebius::requester_options{}, home_, clock_);
    }
    ~followers_of_a_link() override {
        home_.run(stop(this));
        over_.reset();
    }

    // One script for each time that following begins.
    static moebius::task<> send(followers_of_a_link* self, moebius::request asked) {
        wire::decoder from(asked.body().text());
        (void)wire::decode_head(from);
        wire::follow_call call;
        from.fields_of(call);
        EXPECT_EQ(call.stream, stream);
        script pushes;
        for (const partition_position& one : call.positions) {
            if (one.partition != read_one) continue;
            if (self->begun_.size() < self->scripts_.size()) pushes = self->scripts_[self->begun_.size()];
            self->begun_.push_back(one.after.value());
        }
        for (const push& one : pushes) {
            moebius::message item = message_of(read_one, one);
            co_await asked.write(std::move(item));
        }
        push nothing_more{0, {1}};
        moebius::message end = message_of(last_one, nothing_more);
        co_await asked.write(std::move(end));
        co_await moebius::sleep_for(1h);  // until the feed is given up
    }
    static moebius::message message_of(partition_number partition, const push& one) {
        wire::followed item;
        item.partition = partition;
        item.previous = transaction_id(one.previous);
        item.read = reply_of(one.transactions);
        return moebius::message::adopt(wire::encode_reply(item));
    }

    struct found {
        ids delivered;
        int store_reads = 0;
    };
    // Everything up to `last`, by a reader that begins at the beginning. What is pushed to one feed is read when all of
    // it has come; ends early when that was nothing.
    static moebius::task<found> read_all(followers_of_a_link* self, std::uint64_t last) {
        found all;
        std::uint64_t at = 0;
        for (bool moved = true; moved && at < last;) {
            moved = false;
            co_await everything_came(self, at);
            while (self->readable(at)) {
                at = self->read(at, last, all);
                moved = true;
            }
            (void)self->under_.take(self->behind(last_one, 0));
        }
        co_return all;
    }
    static moebius::task<> everything_came(followers_of_a_link* self, std::uint64_t at) {
        weave::event wake(self->home_);
        const core::wait_request both = self->wait_at(at);
        const auto until = std::chrono::steady_clock::now() + 10s;
        for (std::vector<partition_number> some; some.empty() || some.back() != last_one;) {
            if (std::chrono::steady_clock::now() > until) throw std::runtime_error("nothing is pushed");
            some = self->under_.ready(both, wake);
            co_await moebius::sleep_for(1ms);
        }
        self->under_.forget_waiter(wake);
    }
    // Only when everything has come: then this does not begin to follow.
    [[nodiscard]] bool readable(std::uint64_t at) {
        weave::event wake(home_);
        const std::vector<partition_number> some = under_.ready(wait_at(at), wake);
        under_.forget_waiter(wake);
        return !some.empty() && some.front() == read_one;
    }
    // As service::read does. Returns the new position.
    std::uint64_t read(std::uint64_t at, std::uint64_t last, found& all) {
        const core::read_request wanted = behind(read_one, at);
        std::optional<core::read_reply> here = under_.take(wanted);
        if (!here) {
            ++all.store_reads;
            ids rest;
            for (std::uint64_t id = at + 1; id <= last && rest.size() < store_page_; ++id) rest.push_back(id);
            here = reply_of(rest);
            under_.note_read(wanted, *here);
        }
        for (const core::stored_transaction& one : here->transactions) {
            EXPECT_EQ(one.inline_items, std::to_string(one.id.value()));
            all.delivered.push_back(one.id.value());
        }
        return here->transactions.empty() ? at : here->transactions.back().id.value();
    }
    [[nodiscard]] static core::read_request behind(partition_number partition, std::uint64_t at) {
        core::read_request wanted;
        wanted.stream = stream;
        wanted.partition = partition;
        wanted.after = transaction_id(at);
        return wanted;
    }
    [[nodiscard]] static core::wait_request wait_at(std::uint64_t at) {
        core::wait_request both;
        both.stream = stream;
        both.positions.push_back({read_one, transaction_id(at), false, {}});
        both.positions.push_back({last_one, transaction_id(0), false, {}});
        return both;
    }
    static moebius::task<> forget(followers_of_a_link* self) {
        self->under_.clear();
        co_return;
    }
    static moebius::task<> stop(followers_of_a_link* self) {
        self->under_.clear();
        co_await self->over_->stop();
    }

    moebius::loop home_;
    moebius::command_router routes_;
    moebius::server node_{home_, routes_};
    memory::simulation world_;
    ports::clock& clock_ = world_.add_node().clock();
    std::optional<link> over_;
    followers under_{clock_, [this](const wire::follow_call& call, feed::listener heard) {
                         return std::make_unique<feed>(*over_, call.command,
                                                       moebius::message::adopt(wire::encode_request({}, call)),
                                                       std::size_t{32}, std::move(heard));
                     }};
    std::vector<script> scripts_;
    std::vector<std::uint64_t> begun_;  // behind which transaction following began
    std::size_t store_page_ = 100;
};

ids up_to(std::uint64_t last) {
    ids all;
    for (std::uint64_t id = 1; id <= last; ++id) all.push_back(id);
    return all;
}

TEST_F(followers_of_a_link, what_comes_as_it_was_made_is_not_read_from_the_store) {
    scripts_ = {{{0, {1}}, {1, {2, 3}}, {3, {4}}}};
    const found all = home_.run(read_all(this, 4));
    EXPECT_EQ(all.delivered, up_to(4));
    EXPECT_EQ(all.store_reads, 0);
    EXPECT_EQ(begun_, ids{0});
}

TEST_F(followers_of_a_link, what_was_left_out_is_noticed_and_read_from_the_store) {
    scripts_ = {{{0, {1}}, {1, {2}}, {3, {4}}, {4, {5}}}, {{4, {5}}, {5, {6}}}};
    store_page_ = 2;
    const found all = home_.run(read_all(this, 6));
    EXPECT_EQ(all.delivered, up_to(6));
    EXPECT_EQ(all.store_reads, 1);
    EXPECT_EQ(begun_, (ids{0, 4})) << "behind what was read it is followed again";
}

TEST_F(followers_of_a_link, the_first_one_may_be_left_out_too) {
    scripts_ = {{{1, {2}}, {2, {3}}}};
    const found all = home_.run(read_all(this, 3));
    EXPECT_EQ(all.delivered, up_to(3));
    EXPECT_EQ(all.store_reads, 1);
}

TEST_F(followers_of_a_link, what_is_repeated_is_delivered_once) {
    for (const script& pushes : {script{{0, {1}}, {1, {2}}, {1, {2}}, {2, {3}}}, script{{0, {1, 2}}, {0, {1, 2}}},
                                 script{{0, {1}}, {1, {2}}, {2, {3}}, {0, {1}}}}) {
        scripts_.assign(begun_.size(), {});
        scripts_.push_back(pushes);
        const found all = home_.run(read_all(this, 3));
        EXPECT_EQ(all.delivered, up_to(3));
        EXPECT_LE(all.store_reads, 2);
        home_.run(forget(this));
    }
}

TEST_F(followers_of_a_link, what_comes_in_another_order_is_delivered_in_its_own) {
    scripts_ = {{{0, {1}}, {2, {3}}, {1, {2}}, {3, {4}}}};
    const found all = home_.run(read_all(this, 4));
    EXPECT_EQ(all.delivered, up_to(4));
    EXPECT_EQ(all.store_reads, 1);
}

TEST_F(followers_of_a_link, whatever_happens_to_pushes_each_is_delivered_once_and_in_order) {
    const char* const given = std::getenv("TSTREAMS_TEST_SEED");
    const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
    std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    memory::random_source random(seed);
    constexpr std::uint64_t last = 12;
    for (int round = 0; round < 50; ++round) {
        script pushes;
        for (std::uint64_t id = 1; id <= last; ++id) {
            if (random.chance(0.1)) continue;
            pushes.push_back({id - 1, {id}});
            if (random.chance(0.1)) pushes.push_back({id - 1, {id}});
        }
        if (pushes.size() > 1 && random.chance(0.3)) {
            const std::size_t one = random.below(pushes.size() - 1);
            std::swap(pushes[one], pushes[one + 1]);
        }
        scripts_.assign(begun_.size(), {});
        scripts_.push_back(pushes);
        std::uint64_t pushed = 0;
        for (const push& one : pushes) pushed = std::max(pushed, one.transactions.back());
        const found all = home_.run(read_all(this, last));
        EXPECT_EQ(all.delivered, up_to(all.delivered.size())) << "round " << round;
        // Of what is missing at the end nothing tells.
        EXPECT_GE(all.delivered.size(), pushed) << "round " << round;
        home_.run(forget(this));
    }
}

}  // namespace
}  // namespace tstreams::remote
