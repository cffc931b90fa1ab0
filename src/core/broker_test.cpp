// The broker through its service interface, on an exclusive memory engine: order, isolation, groups, offsets,
// deadlines, named producers, retention and deletion.
#include "core/test_world.hpp"

namespace tstreams::core {
namespace {

using strings = std::vector<std::string>;

TEST(broker, reads_what_was_checkpointed) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    world.send(stream, "one");
    const transaction_ref two = world.open(stream);
    world.checkpoint(two, {"two", ""});
    const read_reply reply = world.read(stream);
    EXPECT_EQ(world.texts(reply), (strings{"one", "two", ""}));
    EXPECT_TRUE(reply.end);
    EXPECT_EQ(reply.transactions.back().items, 2u);
    EXPECT_EQ(reply.transactions.back().id, two.id);
}

TEST(broker, an_open_transaction_holds_back_later_ones) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    world.send(stream, "a");
    const transaction_ref held = world.open(stream);
    world.send(stream, "c");
    read_reply reply = world.read(stream);
    EXPECT_EQ(world.texts(reply), strings{"a"});
    ASSERT_TRUE(reply.blocked);
    EXPECT_EQ(reply.blocked->id, held.id);
    EXPECT_EQ(reply.blocked->client, "tester");
    world.checkpoint(held, {"b"});
    reply = world.read(stream);
    EXPECT_EQ(world.texts(reply), (strings{"a", "b", "c"}));
}

TEST(broker, skipping_names_what_it_passes) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref held = world.open(stream);
    world.send(stream, "later");
    const read_reply reply = world.read(stream, {}, 0, true);
    EXPECT_EQ(world.texts(reply), strings{"later"});
    EXPECT_EQ(reply.skipped, std::vector<transaction_id>{held.id});
}

TEST(broker, a_cancelled_one_is_never_seen) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref cancelled = world.open(stream);
    world.send(stream, "b");
    world.run(world.service->cancel(world.session, {cancelled}));
    EXPECT_EQ(world.texts(world.read(stream)), strings{"b"});
    EXPECT_EQ(code_of([&] { world.checkpoint(cancelled, {"a"}); }), errc::transaction_closed);
    EXPECT_EQ(world.run(world.service->find_transaction(stream.id, 0, cancelled.id)).info.state,
              transaction_state::not_checkpointed);
}

TEST(broker, the_same_request_gets_the_same_answer) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    commit_request single = world.empty_commit();
    single.transactions.push_back(world.decide(world.open(stream), {"x"}));
    EXPECT_EQ(world.run(world.service->commit(single)).transactions,
              world.run(world.service->commit(single)).transactions);
    commit_request group = world.empty_commit();
    group.request = world.next_request(true);
    group.transactions.push_back(world.decide(world.open(stream, 0), {"y"}));
    group.transactions.push_back(world.decide(world.open(stream, 1), {"z"}));
    EXPECT_EQ(world.run(world.service->commit(group)).transactions,
              world.run(world.service->commit(group)).transactions);
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::checkpointed);
    EXPECT_EQ(world.texts(world.read(stream)), (strings{"x", "y"}));
    commit_request other = world.empty_commit();
    other.transactions = single.transactions;
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(other)); }), errc::transaction_closed);
}

TEST(broker, a_request_that_never_came_is_settled_by_asking_for_it) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    for (const bool alone : {true, false}) {
        commit_request group = world.empty_commit();
        group.request = world.next_request(true);
        group.transactions.push_back(world.decide(world.open(stream, 0), {"y"}));
        if (!alone) group.transactions.push_back(world.decide(world.open(stream, 1), {"z"}));
        for (int asked = 0; asked < 2; ++asked)
            EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::not_checkpointed);
        EXPECT_EQ(code_of([&] { world.run(world.service->commit(group)); }), errc::transaction_closed);
        world.simulation.run_for(30min);
        EXPECT_EQ(code_of([&] { world.run(world.service->commit(group)); }), errc::transaction_closed);
        EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::not_checkpointed);
    }
    EXPECT_TRUE(world.read(stream).transactions.empty());
    // The transactions of a request that was given up can be committed by another one.
    commit_request group = world.empty_commit();
    group.request = world.next_request(true);
    group.transactions.push_back(world.decide(world.open(stream), {"y"}));
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::not_checkpointed);
    group.request = world.next_request(true);
    world.run(world.service->commit(group));
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::checkpointed);
    world.restart();
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::checkpointed);
    // Ids that keep no answer cannot be asked for: a single transaction's row is its answer.
    EXPECT_EQ(code_of([&] { world.run(world.service->find_commit(world.next_request())); }), errc::invalid_argument);
}

TEST(broker, a_request_older_than_its_answer_is_gone_and_never_done_twice) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    const attached_partition reader = world.attach(stream, "billing");
    const transaction_id position = world.send(stream, "x");
    commit_request group = world.empty_commit();
    group.request = world.next_request(true);
    offset_update move;
    move.stream = stream.id;
    move.consumer = "billing";
    move.instance = reader.instance;
    move.position = position;
    group.offsets.push_back(move);
    world.run(world.service->commit(group));
    world.simulation.run_for(59min);
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::checkpointed);
    world.simulation.run_for(2min);
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::gone);
    commit_request next = world.empty_commit();
    next.offsets = group.offsets;
    next.offsets.front().position = transaction_id(position.value() + 1);
    world.run(world.service->commit(next));
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(group)); }), errc::outcome_unknown);
    EXPECT_EQ(world.run(world.service->list_offsets(stream.id, "billing")).front().position.value(),
              position.value() + 1);
}

TEST(broker, asking_for_a_request_that_is_under_way_waits_for_it) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    commit_request group = world.empty_commit();
    group.request = world.next_request(true);
    group.transactions.push_back(world.decide(world.open(stream), {"y"}));
    memory::fault_rates slow;
    slow.delay = 1;
    world.store.faults().set_rates(slow);
    bool done = false;
    weave::spawn(world.node.executor(), world.service->commit(group), [&](weave::outcome_of<commit_reply> result) {
        EXPECT_FALSE(result.failure());
        done = true;
    });
    EXPECT_EQ(world.run(world.service->find_commit(group.request)), transaction_state::checkpointed);
    EXPECT_TRUE(done);
}

TEST(broker, a_group_with_one_bad_member_changes_nothing) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    const transaction_ref good = world.open(stream, 0);
    const transaction_ref bad = world.open(stream, 1);
    world.run(world.service->cancel(world.session, {bad}));
    commit_request group = world.empty_commit();
    group.transactions.push_back(world.decide(good, {"good"}));
    group.transactions.push_back(world.decide(bad, {"bad"}));
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(group)); }), errc::transaction_closed);
    EXPECT_TRUE(world.read(stream).transactions.empty());
    world.checkpoint(good, {"again"});
    EXPECT_EQ(world.texts(world.read(stream)), strings{"again"});
}

TEST(broker, offsets_are_stored_with_transactions_and_fence_older_instances) {
    test_world world;
    const stream_info in = world.make_stream("in");
    const stream_info out = world.make_stream("out");
    const transaction_id first = world.send(in, "a");
    const attached_partition old_one = world.attach(in, "billing");
    EXPECT_EQ(old_one.position, transaction_id(0));
    commit_request group = world.empty_commit();
    group.transactions.push_back(world.decide(world.open(out), {"A"}));
    offset_update offset;
    offset.stream = in.id;
    offset.consumer = "billing";
    offset.instance = old_one.instance;
    offset.position = first;
    group.offsets.push_back(offset);
    world.run(world.service->commit(group));
    const attached_partition new_one = world.attach(in, "billing");
    EXPECT_EQ(new_one.position, first);
    EXPECT_GT(new_one.instance, old_one.instance);
    commit_request late = world.empty_commit();
    offset.position = transaction_id(0);
    late.offsets.push_back(offset);
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(late)); }), errc::fenced);
    world.restart();
    EXPECT_EQ(world.attach(in, "billing").position, first);
    EXPECT_EQ(world.texts(world.read(out)), strings{"A"});
}

TEST(broker, newest_begins_before_the_oldest_open_one) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    world.send(stream, "old");
    const transaction_ref held = world.open(stream);
    start_point newest;
    newest.kind = start_kind::newest;
    const attached_partition attached = world.attach(stream, "c", newest);
    world.checkpoint(held, {"new"});
    EXPECT_EQ(world.texts(world.read(stream, attached.position)), strings{"new"});
}

TEST(broker, a_silent_session_loses_its_open_transactions) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref lost = world.open(stream);
    world.simulation.run_for(20s);
    world.run(world.service->heartbeat(world.session));
    world.simulation.run_for(25s);
    EXPECT_TRUE(world.read(stream).blocked);
    world.simulation.run_for(10s);
    EXPECT_FALSE(world.read(stream).blocked);
    EXPECT_EQ(code_of([&] { world.checkpoint(lost, {"late"}); }), errc::transaction_expired);
    EXPECT_TRUE(world.read(stream).transactions.empty());
}

TEST(broker, keepalive_ends_at_the_deadline) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 1, 60s);
    EXPECT_EQ(stream.max_open, 30s);
    const transaction_ref held = world.open(stream);
    for (int i = 0; i < 4; ++i) {
        world.simulation.run_for(8s);
        world.run(world.service->heartbeat(world.session));
    }
    EXPECT_EQ(code_of([&] { world.checkpoint(held, {"late"}); }), errc::transaction_expired);
}

TEST(broker, a_waiting_reader_wakes_when_something_becomes_readable) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    const transaction_ref held = world.open(stream, 1);
    wait_request wait;
    wait.wait = 1;
    wait.session = world.session;
    wait.stream = stream.id;
    wait.positions.resize(2);
    wait.positions[1].partition = 1;
    wait.until = world.simulation.now() + 5s;
    EXPECT_TRUE(world.run(world.service->wait_readable(wait)).empty());
    std::vector<partition_number> woken;
    wait.until = world.simulation.now() + 1h;
    weave::spawn(world.node.executor(), world.service->wait_readable(wait),
                 [&](weave::outcome_of<std::vector<partition_number>> result) { woken = result.get(); });
    world.simulation.run_until_idle();
    world.send(stream, "behind", 1);
    EXPECT_TRUE(woken.empty());
    world.checkpoint(held, {"first"});
    world.simulation.run_until_idle();
    EXPECT_EQ(woken, std::vector<partition_number>{1});
}

TEST(broker, a_waiting_reader_wakes_for_what_stands_behind_an_open_one_or_for_its_end) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref held = world.open(stream);
    const transaction_ref also_held = world.open(stream);
    int woken = 0;
    const auto wait_for = [&](wait_position wanted) {
        wait_request wait;
        wait.wait = wanted.held_by.value() + 1;
        wait.session = world.session;
        wait.stream = stream.id;
        wait.positions.push_back(wanted);
        wait.until = world.simulation.now() + 1h;
        weave::spawn(world.node.executor(), world.service->wait_readable(wait),
                     [&woken](weave::outcome_of<std::vector<partition_number>> result) {
                         EXPECT_EQ(result.get(), std::vector<partition_number>{0});
                         ++woken;
                     });
        world.simulation.run_until_idle();
    };
    wait_position behind;
    behind.skip_open = true;
    wait_for(behind);
    EXPECT_EQ(woken, 0);
    world.send(stream, "behind");
    world.simulation.run_until_idle();
    EXPECT_EQ(woken, 1);
    wait_position standing = behind;
    standing.held_by = held.id;
    wait_for(standing);
    EXPECT_EQ(woken, 1) << "what stands behind it is known";
    // Its end makes nothing readable, but the time of the next open one begins.
    world.run(world.service->cancel(world.session, {held}));
    world.simulation.run_until_idle();
    EXPECT_EQ(woken, 2);
    standing.held_by = also_held.id;
    wait_for(standing);
    world.run(world.service->cancel(world.session, {also_held}));
    world.simulation.run_until_idle();
    EXPECT_EQ(woken, 3);
}

TEST(broker, a_cancelled_wait_ends_although_it_has_only_begun) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    world.restart();  // the partition has to be loaded, which takes its time
    memory::fault_rates slow;
    slow.delay = 1;
    world.store.faults().set_rates(slow);
    wait_request wait;
    wait.wait = 1;
    wait.session = world.session;
    wait.stream = stream.id;
    wait.positions.resize(1);
    wait.until = world.simulation.now() + 1h;
    bool over = false;
    weave::spawn(world.node.executor(), world.service->wait_readable(wait),
                 [&](weave::outcome_of<std::vector<partition_number>> result) {
                     EXPECT_TRUE(result.get().empty());
                     over = true;
                 });
    world.simulation.run_for(1us);
    world.service->cancel_wait(world.session, 1);
    world.simulation.run_for(1s);
    EXPECT_TRUE(over);
}

TEST(broker, ids_rise_over_restarts_and_over_segments) {
    broker_options options;
    options.segment_transactions_max = 4;
    test_world world(options);
    const stream_info stream = world.make_stream("orders");
    strings sent;
    transaction_id last;
    for (int i = 0; i < 30; ++i) {
        sent.push_back(std::to_string(i));
        const transaction_id id = world.send(stream, sent.back());
        EXPECT_GT(id, last);
        last = id;
        if (i % 7 == 6) world.restart();
    }
    strings found;
    transaction_id position;
    for (;;) {
        const read_reply reply = world.read(stream, position);
        if (reply.transactions.empty()) break;
        for (const std::string& text : world.texts(reply)) found.push_back(text);
        position = reply.transactions.back().id;
    }
    EXPECT_EQ(found, sent);
    EXPECT_EQ(position, last);
    EXPECT_EQ(world.run(world.service->last(stream.id, 0))->id, last);
}

TEST(broker, a_transaction_opened_before_a_roll_is_decided_after_it) {
    broker_options options;
    options.segment_transactions_max = 4;
    test_world world(options);
    const stream_info stream = world.make_stream("orders");
    const transaction_ref held = world.open(stream);
    for (int i = 0; i < 10; ++i) world.send(stream, std::to_string(i));
    EXPECT_TRUE(world.read(stream).transactions.empty());
    world.checkpoint(held, {"first"});
    world.restart();
    EXPECT_EQ(world.texts(world.read(stream)).front(), "first");
}

TEST(broker, too_many_segments_behind_an_open_transaction_are_refused_by_name) {
    broker_options options;
    options.segment_transactions_max = 2;
    options.live_segments_max = 3;
    test_world world(options);
    const stream_info stream = world.make_stream("orders");
    const transaction_ref held = world.open(stream);
    try {
        for (int i = 0; i < 100; ++i) world.send(stream, "x");
        FAIL();
    } catch (const error& refused) {
        EXPECT_EQ(refused.code(), errc::overloaded);
        EXPECT_NE(std::string(refused.what()).find(std::to_string(held.id.value())), std::string::npos);
    }
    world.run(world.service->abort(stream.id, 0, held.id));
    world.send(stream, "y");
}

TEST(broker, a_newer_instance_of_a_named_producer_fences_the_older_one) {
    test_world world;
    const stream_info stream = world.make_stream("orders", 2);
    attach_producer_request attach;
    attach.session = world.session;
    attach.stream = stream.id;
    attach.producer = "feeder";
    const attached_producer first = world.run(world.service->attach_producer(attach));
    EXPECT_FALSE(first.source_position);
    open_request open;
    open.session = world.session;
    open.stream = stream.id;
    open.partition = 1;
    open.producer = "feeder";
    open.producer_instance = first.instance;
    const transaction_ref kept = world.run(world.service->open(open)).transaction;
    const transaction_ref left = world.run(world.service->open(open)).transaction;
    commit_request commit = world.empty_commit();
    commit.transactions.push_back(world.decide(kept, {"x"}));
    source_update source;
    source.stream = stream.id;
    source.producer = "feeder";
    source.instance = first.instance;
    source.position = "line 17";
    commit.sources.push_back(source);
    world.run(world.service->commit(commit));
    const attached_producer second = world.run(world.service->attach_producer(attach));
    EXPECT_EQ(second.source_position, "line 17");
    EXPECT_EQ(code_of([&] { world.checkpoint(left, {"y"}); }), errc::fenced);
    EXPECT_EQ(code_of([&] { world.run(world.service->open(open)); }), errc::fenced);
    world.restart();
    attach.session = world.session;
    EXPECT_EQ(world.run(world.service->attach_producer(attach)).source_position, "line 17");
}

TEST(broker, expired_transactions_are_reported_then_removed) {
    broker_options options;
    options.segment_transactions_max = 4;
    test_world world(options);
    const stream_info stream = world.make_stream("orders", 1, 100s);
    transaction_id last_old;
    for (int i = 0; i < 10; ++i) last_old = world.send(stream, "old");
    const std::size_t rows_before = world.store.stored_rows();
    world.simulation.run_for(60s);
    const transaction_id young = world.send(stream, "young");
    world.simulation.run_for(50s);
    try {
        world.read(stream);
        FAIL();
    } catch (const position_expired_error& expired) {
        EXPECT_EQ(expired.oldest_live_position(), last_old.value());
        EXPECT_EQ(world.texts(world.read(stream, transaction_id(expired.oldest_live_position()))), strings{"young"});
    }
    EXPECT_EQ(world.run(world.service->resolve(stream.id, 0, {})), last_old);
    world.simulation.run_for(120s);
    world.run(world.service->sweep());
    EXPECT_LT(world.store.stored_rows(), rows_before);
    EXPECT_EQ(world.run(world.service->find_transaction(stream.id, 0, last_old)).info.state, transaction_state::gone);
    world.restart();
    EXPECT_EQ(code_of([&] { world.read(stream, transaction_id(1)); }), errc::position_expired);
    EXPECT_TRUE(world.read(stream, young).transactions.empty());
}

// A process may end between the removal of frames and that of the rows that name them.
TEST(broker, removal_goes_on_where_it_was_interrupted) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref large = world.open(stream);
    std::string frame;
    pack_item(frame, as_bytes(std::string_view("item")));
    constexpr std::uint32_t frames = 65;
    for (std::uint32_t i = 0; i < frames; ++i)
        world.run(world.service->write(world.session, large, as_bytes(frame), crc32c(as_bytes(frame))));
    commit_request commit = world.empty_commit();
    decision made;
    made.transaction = large;
    made.frames = frames;
    made.items = frames;
    commit.transactions.push_back(made);
    world.run(world.service->commit(commit));
    std::vector<ports::blob_ref> gone;
    const read_reply reply = world.read(stream);
    for (const frame_ref& one : reply.transactions.front().frames)
        if (one.level == 1) gone.push_back(one.blob);
    ASSERT_EQ(gone.size(), 1U);
    world.run(world.blobs.drop(gone));
    const stream_info other = world.make_stream("other");
    world.send(other, "x");
    world.run(world.service->delete_stream("orders"));
    world.run(world.service->delete_stream("other"));
    world.simulation.run_for(1s);
    EXPECT_EQ(world.service->counters().background_failures, 0U);
    ports::scan_range rest;
    rest.shard = keys::segment_shard({stream.id, 0}, 0);
    EXPECT_TRUE(world.run(world.rows.scan(rest)).empty());
}

TEST(broker, ids_of_streams_are_not_given_again_when_the_clock_goes_back) {
    test_world world;
    const stream_info first = world.make_stream("first");
    world.stop();
    memory::simulated_node& earlier = world.simulation.add_node(-1h);
    broker_options options;
    options.executor = &earlier.executor();
    options.clock = &earlier.clock();
    options.rows = &world.rows;
    options.blobs = &world.blobs;
    const std::unique_ptr<broker> again = world.simulation.run(earlier, broker::start(options));
    create_request request;
    request.options.name = "second";
    const stream_info second = world.simulation.run(earlier, again->create_stream(request));
    world.simulation.run(earlier, again->stop());
    EXPECT_GT(second.id, first.id);
}

TEST(broker, its_own_pause_is_held_against_no_client) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref open = world.open(stream);
    world.simulation.run_for(5s);
    world.node.pause();
    world.simulation.run_for(2min);
    world.node.resume();
    world.simulation.run_for(5s);
    world.checkpoint(open, {"x"});
    // Silence while it is awake counts.
    const transaction_ref forgotten = world.open(stream);
    world.simulation.run_for(32s);
    EXPECT_EQ(code_of([&] { world.checkpoint(forgotten, {"y"}); }), errc::transaction_expired);
}

TEST(broker, a_deleted_stream_is_gone_and_its_name_is_free) {
    test_world world;
    const stream_info first = world.make_stream("orders");
    world.send(first, "old");
    const transaction_ref open = world.open(first);
    world.run(world.service->delete_stream("orders"));
    EXPECT_EQ(code_of([&] { world.checkpoint(open, {"x"}); }), errc::stream_deleted);
    EXPECT_EQ(code_of([&] { world.read(first); }), errc::stream_deleted);
    EXPECT_EQ(code_of([&] { world.run(world.service->delete_stream("orders")); }), errc::stream_not_found);
    const stream_info second = world.make_stream("orders");
    EXPECT_NE(first.id, second.id);
    EXPECT_TRUE(world.read(second).transactions.empty());
    EXPECT_EQ(code_of([&] { world.make_stream("orders"); }), errc::stream_exists);
}

TEST(broker, names_and_settings_are_checked) {
    test_world world;
    for (const std::string name : {"", "a b", "a/b", "\xff"})
        EXPECT_EQ(code_of([&] { world.make_stream(name); }), errc::invalid_name);
    EXPECT_EQ(code_of([&] { world.make_stream(std::string(129, 'a')); }), errc::invalid_name);
    EXPECT_EQ(code_of([&] { world.make_stream("a", 0); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { world.make_stream("a", 1025); }), errc::too_large);
    EXPECT_EQ(code_of([&] { world.make_stream("a", 1, 0s); }), errc::invalid_argument);
    const stream_info stream = world.make_stream(std::string(128, 'a'), 1024);
    EXPECT_EQ(code_of([&] { world.open(stream, 1024); }), errc::partition_not_found);
}

TEST(broker, lists_streams_by_prefix_in_pages) {
    test_world world;
    for (const char* name : {"b1", "a", "b3", "b2", "c"}) world.make_stream(name);
    stream_page page = world.run(world.service->list_streams("b", "", 2));
    ASSERT_EQ(page.streams.size(), 2u);
    EXPECT_EQ(page.streams[1].name, "b2");
    EXPECT_EQ(page.next, "b2");
    page = world.run(world.service->list_streams("b", page.next, 2));
    ASSERT_EQ(page.streams.size(), 1u);
    EXPECT_EQ(page.streams[0].name, "b3");
    EXPECT_TRUE(page.next.empty());
}

TEST(broker, a_live_consumer_is_not_moved_unless_taken_over) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_id first = world.send(stream, "a");
    world.attach(stream, "billing");
    const std::vector<partition_position> to = {{0, first}};
    EXPECT_EQ(code_of([&] { world.run(world.service->set_offset(stream.id, "billing", to, false)); }),
              errc::consumer_live);
    world.run(world.service->set_offset(stream.id, "billing", to, true));
    const std::vector<offset_info> offsets = world.run(world.service->list_offsets(stream.id, ""));
    ASSERT_EQ(offsets.size(), 1u);
    EXPECT_EQ(offsets[0].consumer, "billing");
    EXPECT_EQ(offsets[0].position, first);
    EXPECT_FALSE(offsets[0].live);
    world.run(world.service->delete_offset(stream.id, "billing", false));
    EXPECT_TRUE(world.run(world.service->list_offsets(stream.id, "")).empty());
    EXPECT_EQ(code_of([&] { world.run(world.service->delete_offset(stream.id, "billing", false)); }),
              errc::offset_not_found);
}

}  // namespace
}  // namespace tstreams::core
