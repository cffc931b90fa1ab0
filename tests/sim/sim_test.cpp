// Many simulated histories of a cluster, each from a seed, and the checker over each of them.
//
//     sim_test                     1,000 seeds and the tests of the checker's eyes
//     TSTREAMS_SIM_SEEDS=10000     more seeds
//     sim_test --seed=N            one seed of a shared store, with a log of what happened (or TSTREAMS_SIM_SEED=N)
//     sim_test --exclusive=N       the same of an exclusive store
#include "sim/run.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

namespace tstreams::sim {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct some {
    const char* what;
    std::uint64_t totals::* counted;
    std::uint64_t per_hundred;
};

// Runs in which little happened say little.
void run_many(kind of, const std::vector<some>& wanted) {
    const std::uint64_t count = number_from("TSTREAMS_SIM_SEEDS", 1000);
    const std::uint64_t first = number_from("TSTREAMS_SIM_FIRST", 1);
    totals all;
    std::uint64_t bad = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const result one = run(seed, of);
        all += one.counted;
        if (one.violations.empty()) continue;
        ++bad;
        for (const std::string& what : one.violations) std::printf("seed %lu: %s\n", seed, what.c_str());
        if (bad >= number_from("TSTREAMS_SIM_BAD_MAX", 5)) break;
    }
    std::printf("%lu wrong in %lu seeds; %s\n", bad, count, all.text().c_str());
    EXPECT_EQ(bad, 0u) << "replay one with sim_test " << (of == kind::exclusive ? "--exclusive" : "--seed") << "=N";
    for (const some& one : wanted)
        EXPECT_GE(all.*one.counted * 100, one.per_hundred * count) << "too few: " << one.what;
}

TEST(simulation, every_history_is_one_that_a_correct_store_could_have_shown) {
    run_many(kind::shared, {
                               {"commits", &totals::commits, 2000},
                               {"groups", &totals::groups, 500},
                               {"groups over two owners", &totals::spread_groups, 100},
                               {"slots that moved", &totals::slots_moved, 300},
                               {"partitions claimed", &totals::partitions_claimed, 500},
                               {"rolls", &totals::rolls, 500},
                               {"unavailable writes", &totals::unavailable, 50},
                               {"unknown writes that were applied", &totals::settled_applied, 100},
                               {"unknown writes that were not applied", &totals::settled_not_applied, 100},
                               {"failed reads", &totals::failed_reads, 50},
                               {"writes of an older owner", &totals::fenced, 3},
                               {"lost calls", &totals::calls_lost, 500},
                               {"repeated calls", &totals::calls_repeated, 500},
                               {"pauses", &totals::pauses, 100},
                               {"crashes", &totals::crashes, 50},
                               {"silent sessions", &totals::silences, 20},
                               {"passed open transactions", &totals::skipped, 50},
                               {"waiting readers that were woken", &totals::woken, 500},
                           });
}

TEST(simulation, every_history_of_an_exclusive_store_is_one_that_a_correct_one_could_have_shown) {
    run_many(kind::exclusive, {
                                  {"commits", &totals::commits, 2000},
                                  {"groups", &totals::groups, 500},
                                  {"rolls", &totals::rolls, 500},
                                  {"unavailable writes", &totals::unavailable, 100},
                                  {"writes of unknown outcome", &totals::unknown, 20},
                                  {"failures of the storage", &totals::storage_failures, 20},
                                  {"failed reads", &totals::failed_reads, 50},
                                  {"lost calls", &totals::calls_lost, 500},
                                  {"repeated calls", &totals::calls_repeated, 500},
                                  {"pauses", &totals::pauses, 50},
                                  {"killed brokers", &totals::crashes, 100},
                                  {"brokers that were stopped", &totals::restarts, 50},
                                  {"silent sessions", &totals::silences, 20},
                                  {"clocks that were set", &totals::clocks_set, 50},
                                  {"clocks that were accepted", &totals::clocks_accepted, 20},
                                  {"holds of retention", &totals::held, 50},
                                  {"named producers", &totals::named, 500},
                                  {"source positions", &totals::sources, 1000},
                                  {"tools", &totals::tools, 200},
                                  {"expired positions", &totals::expired, 50},
                                  {"removed segments", &totals::removed_segments, 200},
                                  {"streams made", &totals::created, 100},
                                  {"streams deleted", &totals::deleted, 30},
                                  {"waiting readers that were woken", &totals::woken, 500},
                              });
}

TEST(simulation, the_same_seed_gives_the_same_history) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        for (const kind of : {kind::shared, kind::exclusive}) {
            const result one = run(seed, of);
            const result again = run(seed, of);
            EXPECT_EQ(one.trace_hash, again.trace_hash) << "seed " << seed;
            EXPECT_EQ(one.counted.text(), again.counted.text()) << "seed " << seed;
        }
    }
}

// A mistake made on purpose has to be found within so many seeds, or the checks are blind.
struct mistake {
    const char* name;
    kind of;
    bool planted::* made;
};

class planted_mistake : public testing::TestWithParam<mistake> {};

TEST_P(planted_mistake, is_found) {
    constexpr std::uint64_t seeds_max = 300;
    planted mistakes;
    mistakes.*GetParam().made = true;
    for (std::uint64_t seed = 1; seed <= seeds_max; ++seed) {
        const result one = run(seed, GetParam().of, mistakes);
        if (one.violations.empty()) continue;
        std::printf("found with seed %lu: %s\n", seed, one.violations.front().c_str());
        return;
    }
    ADD_FAILURE() << GetParam().name << " was not found within " << seeds_max << " seeds";
}

std::string name_of(const testing::TestParamInfo<mistake>& one) {
    return one.param.name;
}

INSTANTIATE_TEST_SUITE_P(simulation, planted_mistake,
                         testing::Values(mistake{"no_fences", kind::shared, &planted::no_fences},
                                         mistake{"unknown_is_applied", kind::shared, &planted::unknown_is_applied},
                                         mistake{"reused_ids", kind::shared, &planted::reused_ids},
                                         mistake{"readers_pass_open", kind::shared, &planted::readers_pass_open},
                                         mistake{"lost_member", kind::shared, &planted::lost_member},
                                         mistake{"any_instance", kind::shared, &planted::any_instance},
                                         mistake{"new_request_ids", kind::shared, &planted::new_request_ids}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(exclusive, planted_mistake,
                         testing::Values(mistake{"reused_ids", kind::exclusive, &planted::reused_ids},
                                         mistake{"readers_pass_open", kind::exclusive, &planted::readers_pass_open},
                                         mistake{"any_instance", kind::exclusive, &planted::any_instance},
                                         mistake{"new_request_ids", kind::exclusive, &planted::new_request_ids},
                                         mistake{"always_fresh", kind::exclusive, &planted::always_fresh},
                                         mistake{"other_numbers", kind::exclusive, &planted::other_numbers},
                                         mistake{"torn_batches", kind::exclusive, &planted::torn_batches},
                                         mistake{"lying_failure", kind::exclusive, &planted::lying_failure},
                                         mistake{"any_producer", kind::exclusive, &planted::any_producer},
                                         mistake{"believed_clock", kind::exclusive, &planted::believed_clock}),
                         name_of);

int replay(std::uint64_t seed, kind of) {
    const result one = run(seed, of, {}, true);
    std::printf("seed %lu, trace %016lx: %s\n", seed, one.trace_hash, one.counted.text().c_str());
    for (const std::string& what : one.violations) std::printf("WRONG: %s\n", what.c_str());
    return one.violations.empty() ? 0 : 1;
}

}  // namespace
}  // namespace tstreams::sim

int main(int count, char** arguments) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    testing::InitGoogleTest(&count, arguments);
    for (int i = 1; i < count; ++i) {
        for (const auto& [option, of] : {std::pair("--seed=", tstreams::sim::kind::shared),
                                         std::pair("--exclusive=", tstreams::sim::kind::exclusive)}) {
            const std::string_view given = arguments[i];
            const std::string_view wanted = option;
            if (given.starts_with(wanted))
                return tstreams::sim::replay(std::strtoull(arguments[i] + wanted.size(), nullptr, 10), of);
        }
    }
    if (std::getenv("TSTREAMS_SIM_SEED") != nullptr)
        return tstreams::sim::replay(tstreams::sim::number_from("TSTREAMS_SIM_SEED", 1), tstreams::sim::kind::shared);
    return RUN_ALL_TESTS();
}
