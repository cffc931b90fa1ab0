// The memory engine beyond the conformance suite: completing at once, faults on demand, pauses, space, and
// that a faulty cluster is the same run for the same seed.
#include "engines/memory/engine.hpp"
#include "engines/memory/simulation.hpp"

#include "core/frames.hpp"

#include <weave/sync.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;
using memory::call;
using memory::commit_fault;
using ports::commit_status;

ports::batch put_batch(std::string shard, std::string key, std::string value, std::uint64_t operation = 1) {
    ports::batch change;
    change.shard = std::move(shard);
    change.operation = {1, operation};
    change.mutations.push_back({std::move(key), std::move(value), std::nullopt});
    return change;
}

memory::store_options shared_options(memory::fault_plan faults = {}) {
    memory::store_options options;
    options.exclusive = false;
    options.faults = std::move(faults);
    return options;
}

// A storage service and one node that uses it.
struct cluster {
    explicit cluster(memory::store_options options, memory::simulation_options world_options = {})
        : world(world_options),
          storage(world.add_node()),
          node(world.add_node()),
          store(storage.clock(), std::move(options)),
          rows(store, node.clock()),
          blobs(store, node.clock()),
          coordination(store, node.clock()) {}

    template <class T>
    T run(weave::task<T> work) {
        return world.run(node, std::move(work));
    }
    commit_status commit(ports::batch change) { return run(rows.commit(std::move(change), durability::sync())).status; }
    template <class T>
    std::optional<errc> failure_of(weave::task<T> work) {
        try {
            run(std::move(work));
        } catch (const error& failure) {
            return failure.code();
        }
        return std::nullopt;
    }
    ports::blob_ref write(std::uint32_t chunk, std::string data) {
        ports::blob_name name;
        name.chunk = chunk;
        const bytes_view view = as_bytes(data);
        return run(blobs.write(name, view, core::crc32c(view), wall_time::max()));
    }

    memory::simulation world;
    memory::simulated_node& storage;
    memory::simulated_node& node;
    memory::store store;
    memory::key_value rows;
    memory::blob_store blobs;
    memory::coordinator coordination;
};

weave::task<int> many_calls(memory::key_value& rows, int count) {
    int applied = 0;
    for (int i = 0; i < count; ++i) {
        ports::batch change = put_batch("shard", std::to_string(i % 100), "value");
        const ports::commit_result result = co_await rows.commit(std::move(change), durability::sync());
        const std::optional<std::string> value = co_await rows.get("shard", std::to_string(i % 100));
        if (result.status == commit_status::applied && value == "value") ++applied;
    }
    co_return applied;
}

TEST(memory_engine, without_faults_nothing_suspends) {
    cluster one({});
    const std::uint64_t before = one.world.steps();
    EXPECT_EQ(one.run(many_calls(one.rows, 10'000)), 10'000);
    EXPECT_EQ(one.world.steps() - before, 1U) << "one job for all of it";
}

TEST(memory_engine, settle_needs_a_shared_store) {
    cluster one({});
    EXPECT_EQ(one.failure_of(one.rows.settle("shard", {1, 1})), errc::unsupported);
    one.store.faults().next_commit(commit_fault::unknown_applied);
    EXPECT_EQ(one.failure_of(one.rows.commit(put_batch("shard", "key", "x"), durability::sync())),
              errc::storage_failed);
    EXPECT_TRUE(one.store.failed());
    EXPECT_EQ(one.run(one.rows.get("shard", "key")), "x");
}

TEST(memory_engine, scripted_failures_count_once) {
    cluster one(shared_options());
    one.store.faults().next_commit(commit_fault::unavailable);
    EXPECT_EQ(one.commit(put_batch("shard", "key", "x")), commit_status::unavailable);
    EXPECT_EQ(one.commit(put_batch("shard", "key", "x")), commit_status::applied);

    one.store.faults().fail_next(call::read);
    one.store.faults().fail_next(call::read, errc::corrupt);
    EXPECT_EQ(one.failure_of(one.rows.get("shard", "key")), errc::unavailable);
    ports::scan_range range;
    range.shard = "shard";
    EXPECT_EQ(one.failure_of(one.rows.scan(range)), errc::corrupt);
    EXPECT_EQ(one.run(one.rows.get("shard", "key")), "x");

    one.store.faults().fail_next(call::settle);
    EXPECT_EQ(one.run(one.rows.settle("shard", {1, 1})).status, commit_status::unavailable);
    EXPECT_EQ(one.run(one.rows.settle("shard", {1, 1})).status, commit_status::applied);

    one.store.faults().fail_next(call::coordination);
    EXPECT_EQ(one.failure_of(one.coordination.members()), errc::unavailable);
    EXPECT_EQ(one.failure_of(one.coordination.members()), std::nullopt);
}

TEST(memory_engine, blob_failures) {
    cluster one(shared_options());
    const ports::blob_name name;
    const bytes_view data = as_bytes("data");
    one.store.faults().fail_next(call::blob_write, errc::no_space);
    EXPECT_EQ(one.failure_of(one.blobs.write(name, data, core::crc32c(data), wall_time::max())), errc::no_space);
    EXPECT_EQ(one.store.live_blobs(), 0U);
    const ports::blob_ref ref = one.write(0, "data");
    one.store.faults().fail_next(call::blob_sync);
    one.store.faults().fail_next(call::blob_read);
    EXPECT_EQ(one.failure_of(one.blobs.sync({ref}, durability::sync())), errc::unavailable);
    EXPECT_EQ(one.failure_of(one.blobs.read(ref)), errc::unavailable);
    EXPECT_EQ(one.run(one.blobs.read(ref)), "data");
    one.store.faults().fail_next(call::blob_drop);
    EXPECT_EQ(one.failure_of(one.blobs.drop({ref})), errc::unavailable);
    EXPECT_EQ(one.store.live_blobs(), 1U);
    EXPECT_EQ(one.failure_of(one.blobs.write(name, data, 0, wall_time::max())), errc::invalid_state)
        << "a name is written once";
}

TEST(memory_engine, a_storage_that_failed_stays_failed) {
    cluster one(shared_options());
    one.store.faults().fail_next(call::commit, errc::no_space);
    try {
        one.commit(put_batch("shard", "key", "x"));
        FAIL() << "no error";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::no_space);
        EXPECT_EQ(failure.outcome(), outcome::not_applied);
    }
    one.store.faults().fail_next(call::commit, errc::storage_failed);
    for (const outcome expected : {outcome::unknown, outcome::not_applied, outcome::not_applied}) {
        try {
            one.commit(put_batch("shard", "key", "x"));
            FAIL() << "no error";
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::storage_failed);
            EXPECT_EQ(failure.outcome(), expected);
        }
    }
    EXPECT_EQ(one.failure_of(one.blobs.write({}, {}, 0, wall_time::max())), errc::storage_failed);
}

memory::store_options exclusive_options(const memory::fault_rates& rates, std::uint64_t seed) {
    memory::store_options options;
    options.faults = memory::fault_plan(rates, seed);
    return options;
}

// Hands over writes of 0 to 19 to one row, then waits for all. Empty: applied.
std::vector<std::optional<outcome>> write_twenty(cluster& one) {
    std::vector<std::optional<outcome>> ends(20);
    std::size_t left = ends.size();
    for (std::size_t i = 0; i < ends.size(); ++i) {
        ports::batch change = put_batch("shard", std::to_string(100 + i), std::to_string(i));
        change.mutations.push_back({"last", std::to_string(i), std::nullopt});
        weave::spawn(one.node.executor(), one.rows.commit(std::move(change), durability::sync()),
                     [&ends, &left, i](weave::outcome_of<ports::commit_result> end) {
                         --left;
                         try {
                             EXPECT_EQ(end.get().status, commit_status::applied);
                         } catch (const error& failure) {
                             EXPECT_EQ(failure.code(), errc::storage_failed);
                             ends[i] = failure.outcome();
                         }
                     });
    }
    EXPECT_TRUE(one.world.run_until([&left] { return left == 0; }, 1s));
    return ends;
}

std::size_t rows_of(cluster& one) {
    ports::scan_range range;
    range.shard = "shard";
    range.to = "2";
    range.limit = 100;
    return one.run(one.rows.scan(range)).size();
}

TEST(memory_engine, an_exclusive_store_takes_writes_in_their_order) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        memory::fault_rates slow;
        slow.delay = 0.5;
        memory::simulation_options shuffled;
        shuffled.seed = seed;
        shuffled.order = memory::job_order::shuffle_nodes;
        cluster one(exclusive_options(slow, seed), shuffled);
        write_twenty(one);
        EXPECT_EQ(one.run(one.rows.get("shard", "last")), "19") << "seed " << seed;
    }
}

TEST(memory_engine, an_exclusive_store_that_fails_has_a_prefix_when_it_is_reopened) {
    std::set<std::size_t> seen;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        memory::fault_rates rates;
        rates.delay = 0.5;
        rates.unknown_applied = rates.unknown_not_applied = rates.unknown_applied_later = 0.05;
        cluster one(exclusive_options(rates, seed));
        const std::vector<std::optional<outcome>> ends = write_twenty(one);
        const auto first_failed =
            std::find_if(ends.begin(), ends.end(), [](const auto& end) { return end.has_value(); });
        const auto acknowledged = static_cast<std::size_t>(first_failed - ends.begin());
        // Behind the first that fails no one is acknowledged; those that set out after the failure are not applied.
        EXPECT_TRUE(std::all_of(first_failed, ends.end(), [](const auto& end) { return end.has_value(); }));
        const auto under_way = std::count(ends.begin(), ends.end(), outcome::unknown);
        EXPECT_EQ(one.store.failed(), under_way != 0);
        one.store.faults().set_rates({});
        one.store.reopen();
        const std::size_t rows = rows_of(one);
        EXPECT_GE(rows, acknowledged) << "seed " << seed;
        EXPECT_LE(rows, acknowledged + static_cast<std::size_t>(under_way)) << "seed " << seed;
        if (rows != 0) {
            EXPECT_EQ(one.run(one.rows.get("shard", "last")), std::to_string(rows - 1)) << "seed " << seed;
        }
        if (one.commit(put_batch("shard", "a", "later")) != commit_status::applied) ADD_FAILURE() << "seed " << seed;
        seen.insert(rows - acknowledged);
    }
    EXPECT_GE(seen.size(), 4U) << "of those under way none, one, and several were there";
}

TEST(memory_engine, what_a_dead_process_had_on_its_way_does_not_arrive) {
    memory::fault_rates slow;
    slow.delay = 1;
    cluster one(exclusive_options(slow, 7));
    weave::task<ports::commit_result> write = one.rows.commit(put_batch("shard", "key", "x"), durability::sync());
    one.rows.sever();
    EXPECT_EQ(one.failure_of(std::move(write)), errc::storage_failed);
    EXPECT_EQ(one.failure_of(one.rows.get("shard", "key")), errc::storage_failed);
    memory::key_value next(one.store, one.node.clock());
    EXPECT_EQ(one.run(next.get("shard", "key")), std::nullopt);
}

TEST(memory_engine, dropped_blobs_give_their_memory_back_and_are_gone) {
    for (const bool exclusive : {true, false}) {
        memory::store_options options;
        options.exclusive = exclusive;
        cluster one(std::move(options));
        std::vector<ports::blob_ref> refs;
        for (std::uint32_t i = 0; i < 10; ++i) refs.push_back(one.write(i, std::string(1000, 'x')));
        EXPECT_EQ(one.store.live_blob_bytes(), 10'000U);
        EXPECT_EQ(refs[0].place.size(), 8U);
        one.run(one.blobs.drop({refs[0], refs[1], refs[0]}));
        one.run(one.blobs.drop({refs[0]}));
        EXPECT_EQ(one.store.live_blobs(), 8U);
        EXPECT_EQ(one.store.live_blob_bytes(), 8'000U);
        EXPECT_EQ(one.failure_of(one.blobs.read(refs[0])), errc::corrupt);
        ports::blob_ref damaged = refs[5];
        damaged.place.pop_back();
        EXPECT_EQ(one.failure_of(one.blobs.read(damaged)), errc::corrupt);
    }
}

TEST(memory_engine, a_power_cut_takes_what_was_not_synced) {
    cluster one(shared_options());
    const ports::blob_ref kept = one.write(1, "kept");
    const ports::blob_ref lost = one.write(2, "lost");
    one.run(one.blobs.sync({kept}, durability::sync()));
    ports::batch change = put_batch("shard", "key", "x");
    change.covers = {kept, lost};
    EXPECT_EQ(one.commit(std::move(change)), commit_status::applied);
    EXPECT_EQ(one.store.unsynced_covers(), 1U);
    one.store.lose_unsynced_blobs();
    EXPECT_EQ(one.run(one.blobs.read(kept)), "kept");
    EXPECT_EQ(one.failure_of(one.blobs.read(lost)), errc::corrupt);
    EXPECT_EQ(one.failure_of(one.blobs.sync({lost}, durability::sync())), errc::storage_failed);
    EXPECT_EQ(one.store.live_blob_bytes(), 4U);
}

TEST(memory_engine, expired_rows_are_removed_as_work_goes_on) {
    cluster one({});
    const wall_time soon = one.storage.clock().wall_now() + 1s;
    for (int i = 0; i < 2000; ++i) {
        ports::batch change = put_batch("mortal " + std::to_string(i % 300), std::to_string(i), "x");
        change.mutations[0].expires = soon;
        one.commit(std::move(change));
    }
    one.commit(put_batch("kept", "key", "x"));
    EXPECT_EQ(one.store.stored_rows(), 2001U) << "never early";
    one.world.run_for(1s);
    for (int i = 0; i < 2000; ++i) one.commit(put_batch("busy", "key", "x"));
    EXPECT_EQ(one.store.stored_rows(), 2U);
    EXPECT_EQ(one.store.live_shards(), 2U) << "empty shards cost nothing";
}

TEST(memory_engine, a_shared_store_keeps_time_for_rows) {
    memory::simulation world;
    memory::simulated_node& storage = world.add_node();
    memory::simulated_node& ahead = world.add_node(1h);
    memory::store store(storage.clock(), shared_options());
    memory::key_value rows(store, ahead.clock());
    ports::batch change = put_batch("shard", "key", "x");
    change.mutations[0].expires = storage.clock().wall_now() + 10s;
    world.run(ahead, rows.commit(std::move(change), durability::sync()));
    EXPECT_EQ(world.run(ahead, rows.get("shard", "key")), "x") << "over by the node's clock only";
    world.run_for(10s);
    EXPECT_EQ(world.run(ahead, rows.get("shard", "key")), std::nullopt);
}

TEST(memory_engine, requests_of_a_paused_node_still_arrive) {
    memory::fault_rates rates;
    rates.delay = 1;
    rates.delay_max = 10ms;
    cluster one(shared_options(memory::fault_plan(rates, 1)));
    std::optional<commit_status> answer;
    weave::spawn(one.node.executor(), one.rows.commit(put_batch("shard", "key", "x"), durability::sync()),
                 [&answer](weave::outcome_of<ports::commit_result> result) { answer = result.get().status; });
    one.world.run_until_idle();
    one.node.pause();
    one.world.run_for(1min);
    EXPECT_EQ(one.store.get("shard", "key"), "x");
    EXPECT_EQ(answer, std::nullopt);
    one.node.resume();
    one.world.run_for(1min);
    EXPECT_EQ(answer, commit_status::applied);
}

TEST(memory_engine, a_later_batch_finds_an_unknown_one_applied_before_after_or_never) {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        cluster one(shared_options(memory::fault_plan({}, seed)));
        one.store.faults().next_commit(commit_fault::unknown_applied_later);
        EXPECT_EQ(one.commit(put_batch("shard", "key", "unknown", 1)), commit_status::unknown);
        EXPECT_EQ(one.run(one.rows.get("shard", "key")), std::nullopt);
        ports::batch later = put_batch("shard", "key", "later", 2);
        later.conditions.push_back({"key", ports::condition::test::absent, ""});
        const bool refused = one.commit(std::move(later)) == commit_status::condition_failed;
        const std::optional<std::string> value = one.run(one.rows.get("shard", "key"));
        outcomes.insert(refused ? "before" : value == "unknown" ? "after" : "never");
        one.world.run_for(1min);
        EXPECT_EQ(one.run(one.rows.get("shard", "key")), value) << "seed " << seed;
    }
    EXPECT_EQ(outcomes, (std::set<std::string>{"after", "before", "never"}));
}

TEST(memory_engine, an_unavailable_batch_decides_nothing) {
    cluster one(shared_options(memory::fault_plan({}, 1)));
    one.store.faults().next_commit(commit_fault::unknown_applied_later);
    one.store.faults().next_commit(commit_fault::unavailable);
    EXPECT_EQ(one.commit(put_batch("shard", "key", "unknown", 1)), commit_status::unknown);
    EXPECT_EQ(one.commit(put_batch("shard", "key", "unavailable", 2)), commit_status::unavailable);
    EXPECT_EQ(one.run(one.rows.get("shard", "key")), std::nullopt);
    one.world.run_for(1min);
    EXPECT_EQ(one.run(one.rows.get("shard", "key")), "unknown");
}

TEST(memory_engine, a_lost_lease_is_noticed_at_the_renewal) {
    cluster one(shared_options());
    const std::optional<ports::lease> held = one.run(one.coordination.acquire("slot", "me", 1h));
    ASSERT_TRUE(held);
    EXPECT_TRUE(one.run(one.coordination.renew(*held, 1h)));
    memory::fault_rates rates;
    rates.lease_lost = 1;
    one.store.faults().set_rates(rates);
    EXPECT_FALSE(one.run(one.coordination.renew(*held, 1h)));
}

TEST(memory_engine, publications_can_be_lost_and_repeated) {
    cluster one(shared_options());
    int heard = 0;
    one.coordination.subscribe("topic", [&heard](const std::string&) { ++heard; });
    const auto heard_with = [&](double lost, double repeated) {
        memory::fault_rates rates;
        rates.publication_lost = lost;
        rates.publication_repeated = repeated;
        one.store.faults().set_rates(rates);
        heard = 0;
        for (int i = 0; i < 10; ++i) one.run(one.coordination.publish("topic", "message"));
        one.world.run_for(1s);
        return heard;
    };
    EXPECT_EQ(heard_with(0, 0), 10);
    EXPECT_EQ(heard_with(1, 0), 0);
    EXPECT_EQ(heard_with(0, 1), 20);
}

// Writers on several nodes over a faulty store; each settles what is unknown. Afterwards exactly the
// operations that were reported as applied are there.
class faulty_writers {
public:
    explicit faulty_writers(std::uint64_t seed)
        : world_({.seed = seed, .order = memory::job_order::shuffle_jobs}),
          storage_(world_.add_node()),
          store_(storage_.clock(), options(seed)) {
        store_.faults().set_rates(rates());
        for (int i = 0; i < 3; ++i) {
            memory::simulated_node& node = world_.add_node(std::chrono::milliseconds(i));
            connections_.push_back(std::make_unique<memory::key_value>(store_, node.clock()));
            nodes_.push_back(&node);
        }
    }

    std::uint64_t run() {
        std::size_t ended = 0;
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            weave::spawn(nodes_[i]->executor(), write(i), [&ended](weave::outcome_of<void> result) {
                result.get();
                ++ended;
            });
        }
        while (!world_.run_until([&] { return ended == nodes_.size(); }, 100ms)) {
            memory::simulated_node& some = *nodes_[world_.random().below(nodes_.size())];
            some.paused() ? some.resume() : some.pause();
        }
        world_.run_for(1min);
        check();
        return world_.trace_hash();
    }

private:
    static constexpr std::uint64_t writes_each = 60;

    static memory::fault_rates rates() {
        memory::fault_rates result;
        result.delay = 0.5;
        result.commit_unavailable = 0.1;
        result.unknown_applied = 0.1;
        result.unknown_not_applied = 0.1;
        result.unknown_applied_later = 0.1;
        result.later_max = 500ms;
        result.settle = 0.2;
        return result;
    }
    memory::store_options options(std::uint64_t seed) {
        memory::store_options result = shared_options(memory::fault_plan({}, seed));
        result.trace = [this](std::string_view what) { world_.trace(what); };
        return result;
    }

    weave::task<void> write(std::size_t index) {
        memory::key_value& rows = *connections_[index];
        const std::string shard = "shard " + std::to_string(index);
        for (std::uint64_t number = 1; number <= writes_each; ++number) {
            ports::batch change = put_batch(shard, std::to_string(number), "x", number);
            const ports::operation_id operation = change.operation;
            ports::commit_result result = co_await rows.commit(std::move(change), durability::sync());
            bool unsure = result.status == commit_status::unknown;
            while (unsure) {
                result = co_await rows.settle(shard, operation);
                unsure = result.status == commit_status::unavailable;
            }
            if (result.status == commit_status::applied) reported_[shard].insert(std::to_string(number));
        }
    }

    void check() {
        std::size_t rows_in_all = 0;
        for (const auto& [shard, keys] : reported_) {
            rows_in_all += keys.size();
            for (const std::string& key : keys) EXPECT_EQ(store_.get(shard, key), "x") << shard << " " << key;
        }
        EXPECT_EQ(store_.stored_rows(), rows_in_all) << "something was applied that was reported as not applied";
        EXPECT_GT(rows_in_all, writes_each);
        EXPECT_LT(rows_in_all, writes_each * nodes_.size());
    }

    memory::simulation world_;
    memory::simulated_node& storage_;
    memory::store store_;
    std::vector<memory::simulated_node*> nodes_;
    std::vector<std::unique_ptr<memory::key_value>> connections_;
    std::map<std::string, std::set<std::string>> reported_;
};

TEST(memory_engine, a_faulty_cluster_is_right_and_the_same_for_the_same_seed) {
    std::set<std::uint64_t> hashes;
    constexpr std::uint64_t seeds = 100;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        faulty_writers first(seed);
        const std::uint64_t hash = first.run();
        faulty_writers second(seed);
        EXPECT_EQ(second.run(), hash);
        hashes.insert(hash);
    }
    EXPECT_EQ(hashes.size(), seeds);
}

}  // namespace
