// What `unknown` and `unavailable` mean: settle decides for good, and so does a later batch on the shard.
// Each test tries many shards, because the engine may choose differently each time.
#include "engines/conformance/suite.hpp"

#include <vector>

namespace tstreams::conformance {

using namespace std::chrono_literals;
using ports::commit_status;
using mode = ports::fence::mode;

bool unknown_suite::link() noexcept {
    return true;
}

namespace {

constexpr int trials = 60;
constexpr std::chrono::milliseconds long_after = 60s;

const std::vector<commit_fault> unknown_faults{commit_fault::unknown_applied, commit_fault::unknown_not_applied,
                                               commit_fault::unknown_applied_later};

std::string shard_name(commit_fault fault, int trial) {
    return std::to_string(static_cast<int>(fault)) + "." + std::to_string(trial);
}

}  // namespace

TEST_P(unknown_suite, unavailable_is_never_applied) {
    for (int trial = 0; trial < trials; ++trial) {
        const std::string shard = shard_name(commit_fault::unavailable, trial);
        engine().fail_next_commit(commit_fault::unavailable);
        EXPECT_EQ(commit(put_batch(shard, "key", "x")).status, commit_status::unavailable);
        EXPECT_EQ(get(shard, "key"), std::nullopt);
    }
    engine().advance(long_after);
    for (int trial = 0; trial < trials; ++trial) {
        EXPECT_EQ(get(shard_name(commit_fault::unavailable, trial), "key"), std::nullopt);
    }
}

TEST_P(unknown_suite, settle_is_final) {
    for (const commit_fault fault : unknown_faults) {
        for (int trial = 0; trial < trials; ++trial) {
            const std::string shard = shard_name(fault, trial);
            SCOPED_TRACE(shard);
            ports::batch change = put_batch(shard, "key", "x");
            const ports::operation_id operation = change.operation;
            engine().fail_next_commit(fault);
            const ports::commit_result unsure = commit(std::move(change));
            ASSERT_EQ(unsure.status, commit_status::unknown);
            EXPECT_EQ(unsure.fence, 0U);
            const commit_status answer = settle(shard, operation, engine().nodes() - 1).status;
            ASSERT_TRUE(answer == commit_status::applied || answer == commit_status::condition_failed);
            const bool applied = answer == commit_status::applied;
            EXPECT_TRUE(applied || fault != commit_fault::unknown_applied);
            EXPECT_FALSE(applied && fault == commit_fault::unknown_not_applied);
            EXPECT_EQ(get(shard, "key").has_value(), applied);
            if (trial % 10 == 0) engine().advance(long_after);
            EXPECT_EQ(get(shard, "key").has_value(), applied);
            EXPECT_EQ(settle(shard, operation).status, answer);
        }
    }
}

TEST_P(unknown_suite, what_is_applied_later_is_seen_in_the_end) {
    std::vector<std::string> shards;
    for (int trial = 0; trial < trials; ++trial) {
        shards.push_back(shard_name(commit_fault::unknown_applied_later, trial));
        engine().fail_next_commit(commit_fault::unknown_applied_later);
        ASSERT_EQ(commit(put_batch(shards.back(), "key", "x")).status, commit_status::unknown);
    }
    engine().advance(long_after);
    for (const std::string& shard : shards) EXPECT_EQ(get(shard, "key"), "x") << shard;
}

TEST_P(unknown_suite, after_a_later_batch_nothing_is_open) {
    for (const commit_fault fault : unknown_faults) {
        for (int trial = 0; trial < trials; ++trial) {
            const std::string shard = shard_name(fault, trial);
            SCOPED_TRACE(shard);
            engine().fail_next_commit(fault);
            ASSERT_EQ(commit(put_batch(shard, "key", "x")).status, commit_status::unknown);
            ASSERT_EQ(commit(put_batch(shard, "later", "y")).status, commit_status::applied);
            const std::optional<std::string> decided = get(shard, "key");
            EXPECT_EQ(get(shard, "later"), "y");
            if (trial % 10 == 0) engine().advance(long_after);
            EXPECT_EQ(get(shard, "key"), decided);
        }
    }
}

TEST_P(unknown_suite, a_raised_fence_keeps_out_what_an_older_owner_left_behind) {
    for (int trial = 0; trial < trials; ++trial) {
        const std::string shard = shard_name(commit_fault::unknown_applied_later, trial);
        ports::batch claim = new_batch(shard);
        claim.fence = {mode::raise, 1};
        ASSERT_EQ(commit(std::move(claim)).status, commit_status::applied);
        ports::batch lost = put_batch(shard, "key", "old owner");
        lost.fence = {mode::equal, 1};
        engine().fail_next_commit(commit_fault::unknown_applied_later);
        ASSERT_EQ(commit(std::move(lost)).status, commit_status::unknown);

        ports::batch takeover = new_batch(shard);
        takeover.fence = {mode::raise, 2};
        const std::size_t other = engine().nodes() - 1;
        const ports::commit_result taken = commit(std::move(takeover), other);
        ASSERT_EQ(taken.status, commit_status::applied);
        EXPECT_EQ(taken.fence, 2U);
        const std::optional<std::string> read_by_new_owner = get(shard, "key", other);
        if (trial % 10 == 0) engine().advance(long_after);
        EXPECT_EQ(get(shard, "key", other), read_by_new_owner);
    }
}

TEST_P(unknown_suite, a_late_batch_still_has_to_meet_its_fence_and_conditions) {
    ports::batch late = put_batch("shard", "key", "late");
    late.conditions.push_back({"key", ports::condition::test::absent, ""});
    const ports::operation_id operation = late.operation;
    engine().fail_next_commit(commit_fault::unknown_applied_later);
    ASSERT_EQ(commit(std::move(late)).status, commit_status::unknown);
    ASSERT_EQ(commit(put_batch("shard", "key", "other")).status, commit_status::applied);
    engine().advance(long_after);
    EXPECT_EQ(get("shard", "key"), "other");
    EXPECT_EQ(settle("shard", operation).status, commit_status::condition_failed);
}

}  // namespace tstreams::conformance
