// Names with instances: whoever had one before stays fenced, and what a write has failed to change was never so. Writes
// are held on their way to the engine, and then fail or not, in their order.
#include "core/test_world.hpp"

#include <deque>
#include <set>

namespace tstreams::core {
namespace {

// Holds writes until they are let go.
class held_rows final : public ports::key_value {
public:
    held_rows(test_world& world) : world_(world) {}

    void hold() { holding_ = true; }
    // Lets those go that are held, the first of them with failures.
    void let_go(std::size_t failing) {
        holding_ = false;
        std::deque<held*> all = std::exchange(held_, {});
        for (held* one : all) {
            one->fails = failing != 0;
            failing -= failing == 0 ? 0 : 1;
            one->over.set();
        }
    }
    [[nodiscard]] std::size_t waiting() const { return held_.size(); }

    [[nodiscard]] ports::key_value_caps caps() const noexcept override { return world_.rows.caps(); }
    weave::task<std::optional<ports::bytes>> get(ports::bytes shard, ports::bytes key) override {
        return world_.rows.get(std::move(shard), std::move(key));
    }
    weave::task<std::vector<ports::row>> scan(ports::scan_range range) override {
        return world_.rows.scan(std::move(range));
    }
    weave::task<ports::commit_result> commit(ports::batch change, durability level) override {
        std::vector<ports::batch> changes;
        changes.push_back(std::move(change));
        return commit_all(std::move(changes), level);
    }
    weave::task<ports::commit_result> commit_all(std::vector<ports::batch> changes, durability level) override {
        if (holding_) {
            held mine(world_.node.executor());
            held_.push_back(&mine);
            co_await mine.over.wait();
            if (mine.fails) throw error(errc::no_space, "no space on purpose");
        }
        co_return co_await world_.rows.commit_all(std::move(changes), level);
    }
    weave::task<ports::commit_result> settle(ports::bytes shard, ports::operation_id operation) override {
        return world_.rows.settle(std::move(shard), operation);
    }

private:
    struct held {
        explicit held(weave::executor& home) : over(home) {}
        weave::event over;
        bool fails = false;
    };
    test_world& world_;
    bool holding_ = false;
    std::deque<held*> held_;
};

struct names : testing::Test {
    explicit names(broker_options chosen = {}) : world(std::move(chosen)) { world.restart_on(rows); }
    ~names() override { world.stop(); }

    // Starts `work`; its outcome stands in the answer once it is there.
    template <class T>
    std::shared_ptr<std::optional<weave::outcome_of<T>>> start(weave::task<T> work) {
        auto result = std::make_shared<std::optional<weave::outcome_of<T>>>();
        weave::spawn(world.node.executor(), std::move(work),
                     [result](weave::outcome_of<T> outcome) { result->emplace(std::move(outcome)); });
        world.simulation.run_for(10ms);
        return result;
    }
    attached_producer attach_producer(const stream_info& stream) {
        return world.run(world.service->attach_producer(attaching(stream)));
    }
    attach_producer_request attaching(const stream_info& stream) {
        attach_producer_request request;
        request.session = world.session;
        request.stream = stream.id;
        request.producer = "feeder";
        return request;
    }
    // Behind the positions, one for each partition.
    attach_consumer_request attaching_at(const stream_info& stream, const std::string& consumer,
                                         const std::vector<transaction_id>& positions) {
        attach_consumer_request request;
        request.session = world.session;
        request.stream = stream.id;
        request.consumer = consumer;
        for (const transaction_id position : positions) {
            request.partitions.push_back(static_cast<partition_number>(request.partitions.size()));
            request.starts.push_back({start_kind::after, position});
        }
        return request;
    }
    commit_request at_source(const stream_info& stream, std::uint64_t instance, const std::string& position) {
        commit_request request = world.empty_commit();
        request.sources.push_back({stream.id, "feeder", instance, position});
        return request;
    }
    commit_request at_offset(const stream_info& stream, std::uint64_t instance, transaction_id position) {
        commit_request request = world.empty_commit();
        offset_update& update = request.offsets.emplace_back();
        update.stream = stream.id;
        update.consumer = "billing";
        update.instance = instance;
        update.position = position;
        return request;
    }

    test_world world;
    held_rows rows{world};
    ports::steady_time began = world.simulation.now();
};

TEST_F(names, one_that_is_deleted_and_made_again_fences_who_had_it) {
    const stream_info stream = world.make_stream("orders");
    const transaction_id first = world.send(stream, "a");
    const transaction_id second = world.send(stream, "b");
    const attached_partition old = world.attach(stream, "billing");
    world.run(world.service->delete_offset(stream.id, "billing", true));
    const attached_partition fresh = world.attach(stream, "billing");
    world.run(world.service->commit(at_offset(stream, fresh.instance, second)));
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_offset(stream, old.instance, first))); }), errc::fenced);
    EXPECT_EQ(world.attach(stream, "billing").position, second);
}

TEST_F(names, source_positions_that_failed_one_behind_the_other_were_never_there) {
    const stream_info stream = world.make_stream("orders");
    attached_producer mine = attach_producer(stream);
    world.run(world.service->commit(at_source(stream, mine.instance, "line 1")));
    for (const std::size_t failing : {2U, 1U}) {
        rows.hold();
        const auto one = start(world.service->commit(at_source(stream, mine.instance, "line 2")));
        const auto two = start(world.service->commit(at_source(stream, mine.instance, "line 3")));
        ASSERT_EQ(rows.waiting(), 2U);
        rows.let_go(failing);
        world.simulation.run_for(10ms);
        EXPECT_EQ(code_of([&] { (*one)->get(); }), errc::no_space);
        EXPECT_EQ((*two)->failure() != nullptr, failing == 2);
        mine = attach_producer(stream);
        EXPECT_EQ(mine.source_position, failing == 2 ? "line 1" : "line 3");
    }
}

TEST(named_row, what_is_stored_stays_whatever_becomes_known_of_earlier_changes_later) {
    const auto position = [](std::uint64_t value) {
        offset_row row;
        row.position = transaction_id(value);
        return row;
    };
    const request_id first{1, 1};
    const request_id second{1, 2};
    const request_id third{1, 3};
    named_row<offset_row> known;
    known.hand_over(first, position(1));
    known.hand_over(second, position(2));
    known.settle(second);
    known.hand_over(third, position(3));
    known.take_back(first);
    EXPECT_EQ(known.row.position, transaction_id(3));
    known.take_back(third);
    EXPECT_EQ(known.row.position, transaction_id(2));
    EXPECT_TRUE(known.under_way.empty());
}

TEST_F(names, a_new_producer_is_told_no_position_that_fails_later) {
    const stream_info stream = world.make_stream("orders");
    const attached_producer old = attach_producer(stream);
    world.run(world.service->commit(at_source(stream, old.instance, "line 1")));
    rows.hold();
    const auto one = start(world.service->commit(at_source(stream, old.instance, "line 2")));
    const auto two = start(world.service->commit(at_source(stream, old.instance, "line 3")));
    const auto fresh = start(world.service->attach_producer(attaching(stream)));
    EXPECT_FALSE(fresh->has_value());
    // It counts already.
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_source(stream, old.instance, "line 4"))); }),
              errc::unavailable);
    rows.let_go(2);
    world.simulation.run_for(10ms);
    EXPECT_EQ(code_of([&] { (*one)->get(); }), errc::no_space);
    EXPECT_EQ(code_of([&] { (*two)->get(); }), errc::no_space);
    EXPECT_EQ((*fresh)->get().source_position, "line 1");
    world.restart_on(rows);
    EXPECT_EQ(attach_producer(stream).source_position, "line 1");
}

TEST_F(names, a_new_consumer_begins_at_no_position_that_fails_later) {
    const stream_info stream = world.make_stream("orders");
    const transaction_id first = world.send(stream, "a");
    const transaction_id second = world.send(stream, "b");
    const attached_partition old = world.attach(stream, "billing");
    world.run(world.service->commit(at_offset(stream, old.instance, first)));
    rows.hold();
    const auto moved = start(world.service->commit(at_offset(stream, old.instance, second)));
    attach_consumer_request request;
    request.session = world.session;
    request.stream = stream.id;
    request.consumer = "billing";
    request.partitions.push_back(0);
    request.starts.emplace_back();
    const auto fresh = start(world.service->attach_consumer(request));
    EXPECT_FALSE(fresh->has_value());
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_offset(stream, old.instance, second))); }),
              errc::unavailable);
    rows.let_go(1);
    world.simulation.run_for(10ms);
    EXPECT_EQ(code_of([&] { (*moved)->get(); }), errc::no_space);
    EXPECT_EQ((*fresh)->get().front().position, first);
    world.restart_on(rows);
    EXPECT_EQ(world.attach(stream, "billing").position, first);
}

TEST_F(names, one_that_is_being_deleted_is_not_brought_back_by_who_had_it) {
    for (const std::size_t failing : {0U, 1U}) {
        const stream_info stream = world.make_stream("orders" + std::to_string(failing));
        const transaction_id first = world.send(stream, "a");
        const attached_partition old = world.attach(stream, "billing");
        rows.hold();
        const auto deleted = start(world.service->delete_offset(stream.id, "billing", true));
        const auto moved = start(world.service->commit(at_offset(stream, old.instance, first)));
        ASSERT_TRUE(moved->has_value());
        EXPECT_EQ(code_of([&] { (*moved)->get(); }), errc::unavailable);
        rows.let_go(failing);
        world.simulation.run_for(10ms);
        EXPECT_EQ((*deleted)->failure() != nullptr, failing == 1);
        const std::vector<offset_info> left = world.run(world.service->list_offsets(stream.id, "billing"));
        EXPECT_EQ(left.size(), failing);
        // Not deleted, its reader goes on.
        if (failing == 1) world.run(world.service->commit(at_offset(stream, old.instance, first)));
    }
}

TEST_F(names, a_takeover_that_fails_fences_nobody) {
    const stream_info stream = world.make_stream("orders");
    const transaction_id first = world.send(stream, "a");
    const attached_partition mine = world.attach(stream, "billing");
    const attached_producer feeder = attach_producer(stream);
    attach_consumer_request request;
    request.session = world.session;
    request.stream = stream.id;
    request.consumer = "billing";
    request.partitions.push_back(0);
    request.starts.emplace_back();
    for (const std::size_t failing : {1U, 0U}) {
        rows.hold();
        const auto consumer = start(world.service->attach_consumer(request));
        EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_offset(stream, mine.instance, first))); }),
                  errc::unavailable);
        rows.let_go(failing);
        world.simulation.run_for(10ms);
        rows.hold();
        const auto producer = start(world.service->attach_producer(attaching(stream)));
        EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_source(stream, feeder.instance, "line 1"))); }),
                  errc::unavailable);
        rows.let_go(failing);
        world.simulation.run_for(10ms);
        EXPECT_EQ((*consumer)->failure() != nullptr, failing == 1);
        EXPECT_EQ((*producer)->failure() != nullptr, failing == 1);
        if (failing == 1) {
            world.run(world.service->commit(at_offset(stream, mine.instance, first)));
            world.run(world.service->commit(at_source(stream, feeder.instance, "line 1")));
        }
    }
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_offset(stream, mine.instance, first))); }),
              errc::fenced);
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_source(stream, feeder.instance, "line 2"))); }),
              errc::fenced);
}

// What is stored before the failure stays: the outcome says so, and who asks again goes on from there.
TEST_F(names, an_attachment_that_fails_midway_is_in_doubt_and_asked_again) {
    const stream_info stream = world.make_stream("orders", 3);
    std::vector<transaction_id> first, second;
    for (partition_number number = 0; number < 3; ++number) {
        first.push_back(world.send(stream, "a", number));
        second.push_back(world.send(stream, "b", number));
    }
    for (partition_number failing = 0; failing < 3; ++failing) {
        SCOPED_TRACE(failing);
        const auto old = world.run(world.service->attach_consumer(attaching_at(stream, "billing", first)));
        const std::string fresh = "fresh" + std::to_string(failing);
        for (const std::string& consumer : {std::string("billing"), fresh}) {
            for (partition_number before = 0; before < failing; ++before)
                world.store.faults().next_commit(memory::commit_fault::none);
            world.store.faults().next_commit(memory::commit_fault::unavailable);
            try {
                world.run(world.service->attach_consumer(attaching_at(stream, consumer, first)));
                ADD_FAILURE() << "attached";
            } catch (const error& failure) {
                EXPECT_EQ(failure.code(), errc::unavailable);
                EXPECT_EQ(failure.outcome(), failing == 0 ? outcome::not_applied : outcome::unknown);
            }
        }
        world.restart_on(rows);
        for (partition_number number = 0; number < 3; ++number) {
            commit_request request = at_offset(stream, old[number].instance, first[number]);
            request.offsets.front().partition = number;
            if (number < failing) {
                EXPECT_EQ(code_of([&] { world.run(world.service->commit(request)); }), errc::fenced) << number;
            } else {
                world.run(world.service->commit(request));
            }
        }
        EXPECT_EQ(world.run(world.service->list_offsets(stream.id, fresh)).size(), failing);
        const auto again = world.run(world.service->attach_consumer(attaching_at(stream, fresh, second)));
        ASSERT_EQ(again.size(), 3U);
        for (partition_number number = 0; number < 3; ++number)
            EXPECT_EQ(again[number].position, number < failing ? first[number] : second[number]) << number;
    }
}

// The same of an operator's hand: asked again it is finished.
TEST_F(names, positions_that_are_set_or_deleted_in_part_are_in_doubt) {
    const stream_info stream = world.make_stream("orders", 3);
    std::vector<partition_position> positions;
    for (partition_number number = 0; number < 3; ++number)
        positions.push_back({number, world.send(stream, "a", number)});
    const auto set = [&] { world.run(world.service->set_offset(stream.id, "billing", positions, false)); };
    const auto remove = [&] { world.run(world.service->delete_offset(stream.id, "billing", false)); };
    const auto stored = [&] { return world.run(world.service->list_offsets(stream.id, "billing")).size(); };
    const auto expect_fails = [&](const std::function<void()>& call, partition_number at) {
        for (partition_number before = 0; before < at; ++before)
            world.store.faults().next_commit(memory::commit_fault::none);
        world.store.faults().next_commit(memory::commit_fault::unavailable);
        try {
            call();
            ADD_FAILURE() << "done";
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::unavailable);
            EXPECT_EQ(failure.outcome(), at == 0 ? outcome::not_applied : outcome::unknown);
        }
    };
    for (partition_number failing = 0; failing < 3; ++failing) {
        SCOPED_TRACE(failing);
        expect_fails(set, failing);
        EXPECT_EQ(stored(), failing);
        set();
        EXPECT_EQ(stored(), 3U);
        expect_fails(remove, failing);
        EXPECT_EQ(stored(), 3U - failing);
        remove();
        EXPECT_EQ(stored(), 0U);
    }
}

TEST_F(names, an_instance_is_given_once_although_the_clock_is_set_back) {
    const stream_info stream = world.make_stream("orders");
    std::set<std::uint64_t> given;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 50; ++i) {
            EXPECT_TRUE(given.insert(world.attach(stream, "billing").instance).second);
            world.run(world.service->delete_offset(stream.id, "billing", true));
        }
        world.clock.shift -= world.simulation.now() - std::exchange(began, world.simulation.now());
        world.restart_on(rows);
    }
}

// Who looks a name up may read its row just before it is deleted, and hear of it afterwards.
TEST_F(names, one_that_is_deleted_does_not_come_back_with_who_looked_it_up_before) {
    const stream_info stream = world.make_stream("orders");
    attach_consumer_request known;
    known.stream = stream.id;
    known.consumer = "billing";
    known.must_exist = true;
    known.partitions.push_back(0);
    known.starts.emplace_back();
    memory::fault_rates slow;
    slow.delay = 1;
    int found = 0;
    for (int round = 0; round < 100; ++round) {
        world.attach(stream, "billing");
        world.restart_on(rows);
        world.read(stream);  // the partition is in memory, the name is not
        world.store.faults().set_rates(slow);
        const auto deleted = start(world.service->delete_offset(stream.id, "billing", true));
        known.session = world.session;
        const auto attached = start(world.service->attach_consumer(known));
        world.simulation.run_for(1s);
        world.store.faults().set_rates({});
        EXPECT_FALSE((*deleted)->failure());
        found += (*attached)->failure() ? 0 : 1;
        EXPECT_TRUE(world.run(world.service->list_offsets(stream.id, "billing")).empty()) << "in round " << round;
    }
    EXPECT_GT(found, 0) << "it never came before the deletion";
    EXPECT_LT(found, 100) << "it always came before the deletion";
}

// The row that a new instance looks up may be older than what a checkpoint has written meanwhile.
TEST_F(names, a_source_position_is_not_taken_back_by_who_looked_it_up_before) {
    const stream_info stream = world.make_stream("orders");
    memory::fault_rates slow;
    slow.delay = 1;
    int stored = 0;
    for (int round = 0; round < 100; ++round) {
        const std::uint64_t instance = attach_producer(stream).instance;
        world.run(world.service->commit(at_source(stream, instance, "before")));
        world.restart_on(rows);
        world.read(stream);
        world.store.faults().set_rates(slow);
        const auto moved = start(world.service->commit(at_source(stream, instance, "after")));
        const auto newer = start(world.service->attach_producer(attaching(stream)));
        world.simulation.run_for(1s);
        world.store.faults().set_rates({});
        const std::string position = (*moved)->failure() ? "before" : "after";
        stored += (*moved)->failure() ? 0 : 1;
        EXPECT_EQ((*newer)->get().source_position, position) << "in round " << round;
        EXPECT_EQ(attach_producer(stream).source_position, position) << "in round " << round;
    }
    EXPECT_GT(stored, 0) << "the new instance always came first";
    EXPECT_LT(stored, 100) << "the new instance never came first";
}

TEST_F(names, nothing_is_left_of_those_of_a_deleted_stream) {
    std::size_t left = 0;
    for (int round = 0; round < 2; ++round) {
        world.restart_on(rows);
        const stream_info stream = world.make_stream("orders", 3, 100s);
        for (partition_number partition = 0; partition < 3; ++partition) {
            world.send(stream, "a", partition);
            for (const char* consumer : {"billing", "shipping"}) world.attach(stream, consumer, {}, partition);
        }
        attach_producer(stream);
        const std::size_t rows_before = world.store.stored_rows();
        world.run(world.service->delete_stream("orders"));
        world.simulation.run_for(10min);
        const std::size_t before = std::exchange(left, world.store.stored_rows());
        EXPECT_LE(left + 3 + 6 + 1, rows_before) << "transactions, consumers, the producer";
        EXPECT_TRUE(round == 0 || left == before) << left << " rows, and after an earlier deletion " << before;
    }
}

// Each partition that is used drives out another one.
struct crowded_names : names {
    crowded_names() : names(one_partition()) {}
    static broker_options one_partition() {
        broker_options chosen;
        chosen.partitions_cached_max = 1;
        return chosen;
    }
};

// Its partition is not given up meanwhile: a new instance would read the position before, and write it again.
TEST_F(crowded_names, a_source_position_under_way_is_not_lost_to_a_new_instance) {
    const stream_info stream = world.make_stream("orders", 2);
    const attached_producer mine = attach_producer(stream);
    world.run(world.service->commit(at_source(stream, mine.instance, "line 1")));
    rows.hold();
    const auto next = start(world.service->commit(at_source(stream, mine.instance, "line 2")));
    ASSERT_EQ(rows.waiting(), 1U);
    world.read(stream, {}, 1);
    const auto newer = start(world.service->attach_producer(attaching(stream)));
    rows.let_go(0);
    world.simulation.run_for(1s);
    EXPECT_FALSE((*next)->failure());
    EXPECT_EQ((*newer)->get().source_position, "line 2");
    EXPECT_EQ(attach_producer(stream).source_position, "line 2");
}

TEST_F(crowded_names, a_consumer_at_work_keeps_its_partition) {
    const stream_info stream = world.make_stream("orders", 2);
    world.attach(stream, "billing");
    world.read(stream, {}, 1);
    EXPECT_EQ(code_of([&] { world.run(world.service->delete_offset(stream.id, "billing", false)); }),
              errc::consumer_live);
}

TEST_F(crowded_names, a_partition_that_was_given_up_comes_back_with_its_names) {
    const stream_info stream = world.make_stream("orders", 2);
    const attached_producer feeder = attach_producer(stream);
    world.run(world.service->commit(at_source(stream, feeder.instance, "line 1")));
    const transaction_id first = world.send(stream, "a");
    const attached_partition reader = world.attach(stream, "billing");
    world.run(world.service->detach_consumer(world.session, stream.id, "billing"));
    world.read(stream, {}, 1);
    world.run(world.service->commit(at_source(stream, feeder.instance, "line 2")));
    world.run(world.service->commit(at_offset(stream, reader.instance, first)));
    world.read(stream, {}, 1);
    EXPECT_EQ(world.attach(stream, "billing").position, first);
    const attached_producer newer = attach_producer(stream);
    EXPECT_EQ(newer.source_position, "line 2");
    world.read(stream, {}, 1);
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(at_source(stream, feeder.instance, "line 3"))); }),
              errc::fenced);
}

}  // namespace
}  // namespace tstreams::core
