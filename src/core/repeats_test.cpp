// Requests that come twice, and ids that come once: what was done is not done again, nor denied, nor left half open;
// and an id names one transaction, although partitions are given up and loaded again.
#include "core/test_world.hpp"

#include <ctime>
#include <functional>

namespace tstreams::core {
namespace {

struct repeats : testing::Test {
    attached_producer attach_producer() {
        attach_producer_request request;
        request.session = world.session;
        request.stream = stream.id;
        request.producer = "feeder";
        return world.run(world.service->attach_producer(request));
    }
    decision one_step() {
        decision made = world.decide({}, {"item"});
        made.open.stream = stream.id;
        return made;
    }
    commit_request fed_by(const attached_producer& feeder) {
        commit_request request = world.empty_commit();
        decision wanted = one_step();
        wanted.open.producer = "feeder";
        wanted.open.producer_instance = feeder.instance;
        request.transactions.push_back(wanted);
        request.sources.push_back({stream.id, "feeder", feeder.instance, "line 1"});
        return request;
    }
    commit_reply ask(commit_request request) { return world.run(world.service->commit(std::move(request))); }

    test_world world;
    stream_info stream = world.make_stream("orders");
};

TEST_F(repeats, a_checkpoint_in_one_step_leaves_nothing_open) {
    commit_request request = world.empty_commit();
    request.request = world.next_request(true);
    request.transactions.push_back(one_step());
    const commit_reply first = ask(request);
    EXPECT_EQ(ask(request).transactions, first.transactions);
    const read_reply read = world.read(stream);
    EXPECT_EQ(read.transactions.size(), 1u);
    EXPECT_FALSE(read.blocked.has_value());
}

// As a client does whose broker was killed before it could answer.
TEST_F(repeats, a_checkpoint_in_one_step_is_known_over_a_restart) {
    commit_request request = world.empty_commit();
    request.request = world.next_request(true);
    request.transactions.push_back(one_step());
    const commit_reply first = ask(request);
    world.restart();
    request.session = world.session;
    EXPECT_EQ(ask(request).transactions, first.transactions);
    const transaction_id behind = world.send(stream, "behind");
    const read_reply read = world.read(stream);
    ASSERT_EQ(read.transactions.size(), 2U) << "something is open";
    EXPECT_EQ(read.transactions.back().id, behind);
}

TEST_F(repeats, a_group_is_not_denied_when_a_newer_instance_or_a_deletion_has_come) {
    const attached_producer mine = attach_producer();
    commit_request request = fed_by(mine);
    const commit_reply first = ask(request);
    attach_producer();
    EXPECT_EQ(ask(request).transactions, first.transactions);
    EXPECT_FALSE(world.read(stream).blocked.has_value());
    world.restart();
    request.session = world.session;
    EXPECT_EQ(ask(request).transactions, first.transactions);
    world.run(world.service->delete_stream("orders"));
    EXPECT_EQ(ask(request).transactions, first.transactions);
    // One that never was is refused as before.
    request.request = world.next_request();
    EXPECT_EQ(code_of([&] { ask(request); }), errc::stream_deleted);
}

TEST_F(repeats, what_is_unknown_stays_unknown_until_the_store_is_opened_again) {
    commit_request request = world.empty_commit();
    request.transactions.push_back(world.decide(world.open(stream), {"item"}));
    world.store.faults().next_commit(memory::commit_fault::unknown_applied);
    for (int tries = 0; tries < 3; ++tries) {
        try {
            ask(request);
            ADD_FAILURE() << "acknowledged";
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::storage_failed);
            EXPECT_EQ(failure.outcome(), outcome::unknown);
        }
    }
    world.store.reopen();
    world.restart();
    request.session = world.session;
    EXPECT_EQ(ask(request).transactions.size(), 1u);
    EXPECT_EQ(world.read(stream).transactions.size(), 1u);
}

// It was done, and is refused by now; whether it was cannot be read.
TEST_F(repeats, a_refusal_is_in_doubt_when_the_answer_cannot_be_read) {
    const attached_producer mine = attach_producer();
    commit_request request = fed_by(mine);
    const commit_reply first = ask(request);
    attach_producer();
    world.store.faults().fail_next(memory::call::read);
    try {
        ask(request);
        ADD_FAILURE() << "acknowledged";
    } catch (const error& failure) {
        EXPECT_EQ(failure.outcome(), outcome::unknown) << failure.what();
    }
    EXPECT_EQ(ask(request).transactions, first.transactions);
}

// It is not looked for, so whoever says so of what was asked before has it done twice.
TEST_F(repeats, a_fresh_request_is_not_looked_for) {
    commit_request request = world.empty_commit();
    request.request = world.next_request(true);
    request.transactions.push_back(one_step());
    request.fresh = true;
    const commit_reply first = ask(request);
    request.fresh = false;
    EXPECT_EQ(ask(request).transactions, first.transactions);
    request.fresh = true;
    EXPECT_NE(ask(request).transactions, first.transactions);
}

TEST_F(repeats, a_fresh_request_that_was_given_up_before_it_came_is_refused) {
    commit_request request = world.empty_commit();
    request.request = world.next_request(true);
    request.transactions.push_back(one_step());
    request.fresh = true;
    EXPECT_EQ(world.run(world.service->find_commit(request.request)), transaction_state::not_checkpointed);
    EXPECT_EQ(code_of([&] { ask(request); }), errc::transaction_closed);
    EXPECT_TRUE(world.read(stream).transactions.empty());
}

struct noted_answers : repeats {
    commit_request asked_as(session_id session, std::uint64_t sequence) {
        commit_request request = world.empty_commit();
        request.transactions.push_back(one_step());
        request.fresh = true;
        request.first_asked = {session, sequence};
        return request;
    }
    commit_reply ask_again(commit_request request) {
        request.session = world.session;
        request.fresh = false;
        return ask(std::move(request));
    }
};

TEST_F(noted_answers, are_found_over_restarts_among_those_of_neighbours) {
    std::vector<std::pair<commit_request, commit_reply>> done;
    for (std::uint64_t sequence = 200; sequence < 320; ++sequence) {
        commit_request request = asked_as(7, sequence);
        const commit_reply reply = ask(request);
        done.emplace_back(std::move(request), reply);
    }
    world.restart();
    for (const auto& [request, reply] : done) EXPECT_EQ(ask_again(request).transactions, reply.transactions);
    const read_reply read = world.read(stream);
    EXPECT_EQ(read.transactions.size(), done.size());
    EXPECT_FALSE(read.blocked.has_value());
}

TEST_F(noted_answers, are_of_their_request_and_their_call) {
    const commit_request request = asked_as(7, 1);
    const commit_reply reply = ask(request);
    commit_request another = asked_as(7, 1);
    EXPECT_NE(ask_again(another).transactions, reply.transactions) << "another request under the same number";
    commit_request elsewhere = request;
    elsewhere.first_asked = {8, 1};
    EXPECT_NE(ask_again(elsewhere).transactions, reply.transactions) << "the same request, said to be of another call";
    EXPECT_EQ(ask_again(request).transactions, reply.transactions);
    EXPECT_EQ(world.read(stream).transactions.size(), 3U);
}

TEST_F(noted_answers, are_kept_for_an_hour_and_then_nothing_is_done) {
    const commit_request request = asked_as(7, 1);
    ask(request);
    world.clock.shift += 50min;
    EXPECT_NO_THROW(ask_again(request));
    world.clock.shift += 20min;
    EXPECT_EQ(code_of([&] { ask_again(request); }), errc::outcome_unknown);
    EXPECT_EQ(world.read(stream).transactions.size(), 1U);
}

TEST_F(noted_answers, are_not_there_for_what_was_refused) {
    const commit_request request = asked_as(7, 1);
    world.store.faults().fail_next(memory::call::commit);
    EXPECT_THROW(ask(request), error);
    world.restart();
    const commit_reply reply = ask_again(request);
    EXPECT_EQ(ask_again(request).transactions, reply.transactions);
    EXPECT_EQ(world.read(stream).transactions.size(), 1U);
}

// The earlier call was done, and this one, which could not look, says nothing of it.
TEST_F(noted_answers, that_cannot_be_read_are_not_denied) {
    for (const auto age : {0min, 61min}) {
        const commit_request request = asked_as(7, 1);
        ask(request);
        world.restart();
        world.clock.shift += age;
        world.store.faults().fail_next(memory::call::read);
        try {
            ask_again(request);
            ADD_FAILURE() << "answered";
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::unavailable);
            EXPECT_EQ(failure.outcome(), outcome::unknown);
        }
    }
    EXPECT_EQ(world.read(stream).transactions.size(), 2U);
}

// Whoever gives the same number to everything makes a page that is not searched to its end.
TEST_F(noted_answers, of_too_many_calls_are_in_doubt) {
    commit_request request = asked_as(7, 1);
    for (std::uint32_t i = 0; i <= keys::answers_page_calls; ++i) ask(asked_as(7, 1));
    try {
        ask_again(request);
        ADD_FAILURE() << "answered";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::outcome_unknown);
        EXPECT_EQ(failure.outcome(), outcome::unknown);
    }
}

// An engine that counts what is read of it.
class counted_rows final : public ports::key_value {
public:
    explicit counted_rows(ports::key_value& behind) : behind_(behind) {}
    [[nodiscard]] std::size_t bytes_read() const { return bytes_read_; }

    [[nodiscard]] ports::key_value_caps caps() const noexcept override { return behind_.caps(); }
    weave::task<std::optional<ports::bytes>> get(ports::bytes shard, ports::bytes key) override {
        return behind_.get(std::move(shard), std::move(key));
    }
    weave::task<std::vector<ports::row>> scan(ports::scan_range range) override {
        std::vector<ports::row> rows = co_await behind_.scan(std::move(range));
        for (const ports::row& row : rows) bytes_read_ += row.value.size();
        co_return rows;
    }
    weave::task<ports::commit_result> commit(ports::batch change, durability level) override {
        return behind_.commit(std::move(change), level);
    }
    weave::task<ports::commit_result> commit_all(std::vector<ports::batch> changes, durability level) override {
        return behind_.commit_all(std::move(changes), level);
    }
    weave::task<ports::commit_result> settle(ports::bytes shard, ports::operation_id operation) override {
        return behind_.settle(std::move(shard), operation);
    }

private:
    ports::key_value& behind_;
    std::size_t bytes_read_ = 0;
};

// As an engine makes them of many calls of one number, which it writes together.
TEST_F(noted_answers, in_rows_of_any_size_cost_what_a_page_can_have) {
    counted_rows rows(world.rows);
    world.restart_on(rows);
    std::string large;
    while (large.size() < 100'000) large += encode(answer_note{world.next_request(), transaction_id(1)});
    ports::batch many;
    many.shard = keys::answers_shard(7);
    for (char one = 0; one < 100; ++one) many.mutations.push_back({keys::answers_page(1) + one, large, {}});
    world.run(rows.commit(std::move(many), durability::process()));
    const std::size_t before = rows.bytes_read();
    EXPECT_EQ(code_of([&] { ask_again(asked_as(7, 1)); }), errc::outcome_unknown);
    EXPECT_LE(rows.bytes_read() - before, large.size());
    world.stop();
}

TEST_F(repeats, a_position_alone_is_known_again_while_it_is_the_last) {
    const transaction_id first = world.send(stream, "a");
    const transaction_id second = world.send(stream, "b");
    const attached_partition mine = world.attach(stream, "billing");
    const auto move = [&](transaction_id from, transaction_id to) {
        commit_request request = world.empty_commit();
        offset_update& update = request.offsets.emplace_back();
        update.stream = stream.id;
        update.consumer = "billing";
        update.instance = mine.instance;
        update.position = to;
        update.expected = from;
        return request;
    };
    commit_request request = move({}, first);
    ask(request);
    EXPECT_NO_THROW(ask(request));
    world.restart();
    request.session = world.session;
    EXPECT_NO_THROW(ask(request));
    ask(move(first, second));
    EXPECT_EQ(code_of([&] { ask(request); }), errc::invalid_state);
    EXPECT_EQ(world.attach(stream, "billing").position, second);
}

// Clients choose these ids. All of the halves give the same when they are combined bit by bit.
TEST_F(repeats, no_choice_of_request_ids_makes_many_checkpoints_under_way_slow) {
    memory::fault_rates slow;
    slow.delay = 1;
    world.store.faults().set_rates(slow);
    const auto seconds_for = [&](const std::function<request_id(std::uint64_t)>& id_of) {
        constexpr std::uint64_t many = 20'000;
        std::uint64_t done = 0;
        const std::clock_t start = std::clock();
        for (std::uint64_t i = 0; i < many; ++i) {
            commit_request request;
            request.session = world.session;
            request.request = id_of(i);
            request.transactions.push_back(one_step());
            weave::spawn(world.node.executor(), world.service->commit(std::move(request)),
                         [&done](const weave::outcome_of<commit_reply>& result) { done += !result.failure(); });
        }
        EXPECT_TRUE(world.simulation.run_until([&] { return done == many; }, 1min));
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    };
    const double honest = seconds_for([&](std::uint64_t) { return world.next_request(); });
    const std::uint64_t base = world.next_request().high;
    const double chosen = seconds_for([&](std::uint64_t i) {
        const std::uint64_t high = base + (i << 10);
        return request_id{high, ~high};
    });
    std::printf("20,000 checkpoints: %.0f ms, with chosen ids %.0f ms\n", honest * 1e3, chosen * 1e3);
    EXPECT_LT(chosen, 3 * honest);
}

TEST(ids, are_given_once_although_a_partition_is_given_up_while_they_run_ahead_of_the_time) {
    broker_options options;
    options.partitions_cached_max = 1;
    test_world world(options);
    const stream_info stream = world.make_stream("orders", 2);
    world.send(stream, "a");
    world.clock.shift -= 2h;
    world.restart();
    transaction_ref before = world.open(stream);
    for (int i = 0; i < 3; ++i) {
        std::vector<transaction_ref> cancelled;
        cancelled.push_back(before);
        world.run(world.service->cancel(world.session, std::move(cancelled)));
        world.read(stream, {}, 1);  // the first partition is given up for it
        const transaction_ref after = world.open(stream);
        EXPECT_GT(after.id, before.id);
        before = after;
    }
}

}  // namespace
}  // namespace tstreams::core
