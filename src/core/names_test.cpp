// Names with instances: whoever had one before stays fenced, and what a write has failed to change was never so. Writes
// are held on their way to the engine, and then fail or not, in their order.
#include "core/test_world.hpp"

#include <deque>

namespace tstreams::core {
namespace {

// Holds writes to several shards until they are let go.
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
        return world_.rows.commit(std::move(change), level);
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
    names() { world.restart_on(rows); }
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
              errc::fenced);
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
              errc::fenced);
    rows.let_go(1);
    world.simulation.run_for(10ms);
    EXPECT_EQ(code_of([&] { (*moved)->get(); }), errc::no_space);
    EXPECT_EQ((*fresh)->get().front().position, first);
    world.restart_on(rows);
    EXPECT_EQ(world.attach(stream, "billing").position, first);
}

}  // namespace
}  // namespace tstreams::core
