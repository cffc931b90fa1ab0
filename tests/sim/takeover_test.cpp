// Cases of two brokers that are too rare for random histories: each is played step by step.
#include "sim/cluster.hpp"

#include "core/frames.hpp"

#include <gtest/gtest.h>

namespace tstreams::sim {
namespace {

class takeover : public testing::Test {
protected:
    takeover() {
        world.simulation.run_for(1ms);
        core::create_request request;
        request.options.name = "orders";
        request.options.partitions = 2;
        request.request = {1, 1};
        stream = run(a, a->broker->create_stream(request));
        at_a = run(a, a->broker->open_session("tester", 10s));
        at_b = run(b, b->broker->open_session("tester", 10s));
    }
    ~takeover() override {
        for (const host_ptr& one : {a, b}) EXPECT_TRUE(world.stop(one)) << one->name << " does not stop";
    }

    template <class T>
    T run(const host_ptr& where, weave::task<T> work) {
        return world.simulation.run(where->node, std::move(work));
    }
    core::transaction_ref open(const host_ptr& where, core::session_id session, partition_number partition = 0) {
        core::open_request request;
        request.session = session;
        request.stream = stream.id;
        request.partition = partition;
        return run(where, where->broker->open(request)).transaction;
    }
    core::decision decide(const core::transaction_ref& transaction) {
        core::decision made;
        made.transaction = transaction;
        core::pack_item(made.inline_items, as_bytes("item"));
        made.items = 1;
        return made;
    }
    core::commit_request commit_of(core::session_id session) {
        core::commit_request request;
        request.session = session;
        request.request = {2, ++requests};
        return request;
    }
    void attach() {
        core::attach_consumer_request request;
        request.session = at_a;
        request.stream = stream.id;
        request.consumer = "reader";
        request.partitions.push_back(0);
        request.starts.emplace_back();
        instance = run(a, a->broker->attach_consumer(request)).front().instance;
    }
    core::offset_update move_to(transaction_id position) {
        core::offset_update made;
        made.stream = stream.id;
        made.consumer = "reader";
        made.instance = instance;
        made.position = position;
        return made;
    }
    // The owner of the partition's slot does not hear of it.
    void lose_lease(partition_number partition) {
        const partition_key key{stream.id, partition};
        world.store.lose_lease("slot/" + std::to_string(core::slot_of(key)));
    }
    std::vector<transaction_id> read(const host_ptr& where) {
        core::read_request request;
        request.stream = stream.id;
        std::vector<transaction_id> ids;
        for (const core::stored_transaction& one : run(where, where->broker->read(request)).transactions)
            ids.push_back(one.id);
        return ids;
    }
    transaction_id stored_offset() { return run(a, a->broker->list_offsets(stream.id, "reader")).front().position; }

    cluster world{1, kind::shared, {}, false};
    const host_ptr a = world.at(0);
    const host_ptr b = world.at(1);
    tstreams::stream_info stream;
    core::session_id at_a = 0;
    core::session_id at_b = 0;
    std::uint64_t requests = 0;
    std::uint64_t instance = 0;  // of the reader
};

// The engine can only say which write on the shard was the last. That of a newer owner hides an older one.
TEST_F(takeover, a_write_that_a_newer_owner_hides_is_unknown_not_refused) {
    const core::transaction_ref transaction = open(a, at_a);
    core::commit_request request = commit_of(at_a);
    request.transactions.push_back(decide(transaction));
    world.store.faults().next_commit(memory::commit_fault::none);  // the note for retention
    world.store.faults().next_commit(memory::commit_fault::unknown_applied);
    for (int i = 0; i < 3; ++i) world.store.faults().fail_next(memory::call::settle);
    std::optional<error> failure;
    bool ended = false;
    weave::spawn(a->node.executor(), a->broker->commit(request), [&](weave::outcome_of<core::commit_reply> result) {
        try {
            result.get();
        } catch (const error& refused) {
            failure = refused;
        }
        ended = true;
    });
    world.simulation.run_for(10ms);
    ASSERT_FALSE(ended);
    lose_lease(0);
    EXPECT_EQ(read(b), std::vector<transaction_id>{transaction.id});
    ASSERT_TRUE(world.simulation.run_until([&] { return ended; }, 10s));
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->outcome(), outcome::unknown);
    request.session = at_b;
    EXPECT_EQ(run(b, b->broker->commit(request)).transactions, std::vector<transaction_id>{transaction.id});
}

TEST_F(takeover, a_request_that_opens_in_one_step_has_one_effect_at_two_brokers) {
    core::commit_request request = commit_of(at_a);
    request.transactions.emplace_back();
    request.transactions.front() = decide({});
    request.transactions.front().open.stream = stream.id;
    const core::commit_reply first = run(a, a->broker->commit(request));
    lose_lease(0);
    EXPECT_EQ(read(b), first.transactions);
    request.session = at_b;
    EXPECT_EQ(run(b, b->broker->commit(request)).transactions, first.transactions);
    EXPECT_EQ(read(b), first.transactions);
}

// Two tries of a request that opens in one step may both be prepared; one of them is the group.
TEST_F(takeover, only_what_the_decision_names_is_committed) {
    const core::transaction_ref one = open(a, at_a);
    const core::transaction_ref two = open(a, at_a);
    core::commit_request request = commit_of(at_a);
    request.request.high |= 1;  // the answer is kept
    for (const core::transaction_ref& each : {one, two}) {
        core::prepare_request part;
        part.session = at_a;
        part.group = request.request;
        part.transactions.push_back(decide(each));
        run(a, a->broker->prepare(part));
    }
    request.transactions.push_back(decide(one));
    EXPECT_EQ(run(a, a->broker->commit(request)).transactions, std::vector<transaction_id>{one.id});
    world.simulation.run_for(5s);
    EXPECT_EQ(read(a), std::vector<transaction_id>{one.id});
    // The other one is open again, as after any group that did not happen.
    std::vector<core::transaction_ref> rest;
    rest.push_back(two);
    run(a, a->broker->cancel(at_a, rest));
    EXPECT_EQ(read(a), std::vector<transaction_id>{one.id});
}

TEST_F(takeover, asking_for_a_group_that_never_came_keeps_it_from_coming) {
    const core::transaction_ref one = open(a, at_a);
    const core::transaction_ref two = open(a, at_a, 1);
    core::commit_request request = commit_of(at_a);
    request.request.high |= 1;  // the answer is kept
    request.transactions.push_back(decide(one));
    request.transactions.push_back(decide(two));
    EXPECT_EQ(run(b, b->broker->find_commit(request.request)), tstreams::transaction_state::not_checkpointed);
    try {
        run(a, a->broker->commit(request));
        ADD_FAILURE() << "it was committed";
    } catch (const error& refused) {
        EXPECT_EQ(refused.code(), errc::transaction_closed);
        EXPECT_EQ(refused.outcome(), outcome::not_applied);
    }
    EXPECT_EQ(run(a, a->broker->find_commit(request.request)), tstreams::transaction_state::not_checkpointed);
    EXPECT_TRUE(read(a).empty());
    request.request = commit_of(at_a).request;
    request.request.high |= 1;
    EXPECT_EQ(run(a, a->broker->commit(request)).transactions.size(), 2U);
    EXPECT_EQ(run(b, b->broker->find_commit(request.request)), tstreams::transaction_state::checkpointed);
}

TEST_F(takeover, preparing_a_group_that_is_over_changes_nothing) {
    attach();
    const core::transaction_ref one = open(a, at_a);
    const core::transaction_ref two = open(a, at_a, 1);
    core::commit_request request = commit_of(at_a);
    request.transactions.push_back(decide(one));
    request.transactions.push_back(decide(two));
    request.offsets.push_back(move_to(one.id));
    run(a, a->broker->commit(request));
    core::commit_request next = commit_of(at_a);
    next.offsets.push_back(move_to(transaction_id(one.id.value() + 1)));
    run(a, a->broker->commit(next));
    core::prepare_request late;
    late.session = at_a;
    late.group = request.request;
    late.offsets = request.offsets;
    run(a, a->broker->prepare(late));
    world.simulation.run_for(10s);
    EXPECT_EQ(stored_offset(), next.offsets.front().position);
}

TEST_F(takeover, a_late_move_of_an_offset_is_refused_where_it_is_expected_elsewhere) {
    attach();
    core::commit_request first = commit_of(at_a);
    first.offsets.push_back(move_to(transaction_id(10)));
    first.offsets.front().expected = transaction_id(0);
    core::commit_request second = commit_of(at_a);
    second.offsets.push_back(move_to(transaction_id(20)));
    second.offsets.front().expected = transaction_id(10);
    run(a, a->broker->commit(first));
    run(a, a->broker->commit(first));
    run(a, a->broker->commit(second));
    EXPECT_THROW(run(a, a->broker->commit(first)), error);
    EXPECT_EQ(stored_offset(), transaction_id(20));
}

// One whose lease is gone without its knowledge answers nothing for good about what a newer owner has opened.
TEST_F(takeover, an_owner_that_is_replaced_does_not_say_what_became_of_a_transaction) {
    open(a, at_a);
    lose_lease(0);
    const core::transaction_ref newer = open(b, at_b);
    std::vector<core::transaction_ref> refs;
    refs.push_back(newer);
    try {
        run(a, a->broker->cancel(at_a, refs));
        ADD_FAILURE() << "an owner that is replaced has cancelled nothing";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::not_owner);
    }
    core::commit_request request = commit_of(at_b);
    request.transactions.push_back(decide(newer));
    EXPECT_EQ(run(b, b->broker->commit(request)).transactions, std::vector<transaction_id>{newer.id});
}

}  // namespace
}  // namespace tstreams::sim
