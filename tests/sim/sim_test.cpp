// Many simulated histories of a cluster, each from a seed, and the checker over each of them.
//
//     sim_test                     1,000 seeds and the tests of the checker's eyes
//     TSTREAMS_SIM_SEEDS=10000     more seeds
//     sim_test --seed=N            one seed, with a log of what happened (or TSTREAMS_SIM_SEED=N)
#include "sim/run.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace tstreams::sim {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(simulation, every_history_is_one_that_a_correct_store_could_have_shown) {
    const std::uint64_t count = number_from("TSTREAMS_SIM_SEEDS", 1000);
    const std::uint64_t first = number_from("TSTREAMS_SIM_FIRST", 1);
    totals all;
    std::uint64_t bad = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const result one = run(seed);
        all += one.counted;
        if (one.violations.empty()) continue;
        ++bad;
        for (const std::string& what : one.violations) std::printf("seed %lu: %s\n", seed, what.c_str());
        if (bad >= number_from("TSTREAMS_SIM_BAD_MAX", 5)) break;
    }
    std::printf("%lu wrong in %lu seeds; %s\n", bad, count, all.text().c_str());
    EXPECT_EQ(bad, 0u) << "replay one with sim_test --seed=N";
    // Runs in which little happened say little.
    const auto expect_some = [count](const char* what, std::uint64_t seen, std::uint64_t per_hundred) {
        EXPECT_GE(seen * 100, per_hundred * count) << "too few: " << what;
    };
    expect_some("commits", all.commits, 2000);
    expect_some("groups", all.groups, 500);
    expect_some("groups over two owners", all.spread_groups, 100);
    expect_some("slots that moved", all.slots_moved, 300);
    expect_some("partitions claimed", all.partitions_claimed, 500);
    expect_some("rolls", all.rolls, 500);
    expect_some("unavailable writes", all.unavailable, 50);
    expect_some("unknown writes that were applied", all.settled_applied, 100);
    expect_some("unknown writes that were not applied", all.settled_not_applied, 100);
    expect_some("failed reads", all.failed_reads, 50);
    expect_some("writes of an older owner", all.fenced, 3);
    expect_some("lost calls", all.calls_lost, 500);
    expect_some("repeated calls", all.calls_repeated, 500);
    expect_some("pauses", all.pauses, 100);
    expect_some("crashes", all.crashes, 50);
    expect_some("silent sessions", all.silences, 20);
    expect_some("passed open transactions", all.skipped, 50);
    expect_some("waiting readers that were woken", all.woken, 500);
}

TEST(simulation, the_same_seed_gives_the_same_history) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const result one = run(seed);
        const result again = run(seed);
        EXPECT_EQ(one.trace_hash, again.trace_hash) << "seed " << seed;
        EXPECT_EQ(one.counted.text(), again.counted.text()) << "seed " << seed;
    }
}

// A mistake made on purpose has to be found within so many seeds, or the checks are blind.
struct mistake {
    const char* name;
    bool planted::* made;
};

class planted_mistake : public testing::TestWithParam<mistake> {};

TEST_P(planted_mistake, is_found) {
    constexpr std::uint64_t seeds_max = 300;
    planted mistakes;
    mistakes.*GetParam().made = true;
    for (std::uint64_t seed = 1; seed <= seeds_max; ++seed) {
        const result one = run(seed, mistakes);
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
                         testing::Values(mistake{"no_fences", &planted::no_fences},
                                         mistake{"unknown_is_applied", &planted::unknown_is_applied},
                                         mistake{"reused_ids", &planted::reused_ids},
                                         mistake{"readers_pass_open", &planted::readers_pass_open},
                                         mistake{"lost_member", &planted::lost_member},
                                         mistake{"any_instance", &planted::any_instance},
                                         mistake{"new_request_ids", &planted::new_request_ids}),
                         name_of);

int replay(std::uint64_t seed) {
    const result one = run(seed, {}, true);
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
        const std::string_view given = arguments[i];
        constexpr std::string_view option = "--seed=";
        if (given.starts_with(option))
            return tstreams::sim::replay(std::strtoull(arguments[i] + option.size(), nullptr, 10));
    }
    if (std::getenv("TSTREAMS_SIM_SEED") != nullptr)
        return tstreams::sim::replay(tstreams::sim::number_from("TSTREAMS_SIM_SEED", 1));
    return RUN_ALL_TESTS();
}
