// What key_value promises of fences and of settle: several owners of one shard, of which only the newest
// writes.
#include "engines/conformance/suite.hpp"

#include <tstreams/error.hpp>
#include <weave/sync.hpp>

#include <algorithm>
#include <limits>

namespace tstreams::conformance {

using ports::commit_status;
using mode = ports::fence::mode;
using test = ports::condition::test;

bool fences_suite::link() noexcept {
    return true;
}
bool exclusive_suite::link() noexcept {
    return true;
}

namespace {

ports::batch fenced(ports::batch change, mode check, std::uint64_t epoch) {
    change.fence.check = check;
    change.fence.epoch = epoch;
    return change;
}

weave::task<void> hold_expiry(ports::key_value& rows, std::optional<wall_time> at) {
    rows.hold_expiry(at);
    co_return;
}

// Begins them in this order, each before an earlier one has ended, by both calls and at different levels.
weave::task<std::vector<commit_status>> commit_at_once(connection at, std::vector<ports::batch> changes) {
    std::vector<weave::task<ports::commit_result>> begun;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const durability level = i % 2 == 0 ? durability::sync() : durability::process();
        std::vector<ports::batch> alone(1, std::move(changes[i]));
        begun.push_back(i % 3 == 0 && at.rows->caps().atomic_shards ? at.rows->commit_all(std::move(alone), level)
                                                                    : at.rows->commit(std::move(alone.front()), level));
    }
    std::vector<weave::outcome_of<ports::commit_result>> ended =
        co_await weave::when_all(*at.executor, std::move(begun));
    std::vector<commit_status> answers;
    for (weave::outcome_of<ports::commit_result>& one : ended) answers.push_back(one.get().status);
    co_return answers;
}

}  // namespace

TEST_P(exclusive_suite, fences_are_taken_as_met_and_not_kept) {
    ASSERT_TRUE(rows().caps().exclusive);
    struct one_case {
        mode check;
        std::uint64_t epoch;
    };
    const std::vector<one_case> cases{{mode::equal, 5}, {mode::raise, 9}, {mode::equal, 4}, {mode::raise, 1}};
    for (const one_case& one : cases) {
        const std::string value = std::to_string(one.epoch);
        const ports::commit_result result = commit(fenced(put_batch("shard", "key", value), one.check, one.epoch));
        EXPECT_EQ(result.status, commit_status::applied);
        EXPECT_EQ(result.fence, 0U);
        EXPECT_EQ(get("shard", "key"), value);
    }
    // A claim writes nothing: the shard that it names stays empty.
    EXPECT_EQ(commit(fenced(new_batch("claimed"), mode::raise, 7)).status, commit_status::applied);
    ports::scan_range range;
    range.shard = "claimed";
    EXPECT_TRUE(scan(std::move(range)).empty());
}

// The broker builds a change on an earlier one as soon as that is handed over.
TEST_P(exclusive_suite, commits_take_effect_in_the_order_in_which_they_began) {
    constexpr std::size_t links = 60;
    put("shard", "key", "0");
    std::vector<ports::batch> chain;
    for (std::size_t i = 1; i <= links; ++i) {
        ports::batch& change = chain.emplace_back(put_batch("shard", "key", std::to_string(i)));
        change.conditions.push_back({"key", test::equals, std::to_string(i - 1)});
    }
    EXPECT_EQ(engine().run(commit_at_once(engine().node(0), std::move(chain))),
              std::vector<commit_status>(links, commit_status::applied));
    EXPECT_EQ(get("shard", "key"), std::to_string(links));
}

TEST_P(exclusive_suite, of_racing_commits_the_first_wins) {
    for (int round = 0; round < 20; ++round) {
        const std::string key = std::to_string(round);
        std::vector<ports::batch> racing;
        for (const char* value : {"first", "second", "third"}) {
            ports::batch& change = racing.emplace_back(put_batch("shard", key, value));
            change.conditions.push_back({key, test::absent, ""});
        }
        std::rotate(racing.begin(), racing.begin() + round % 3, racing.end());
        const std::string winner = *racing.front().mutations.front().value;
        const std::vector<commit_status> answers = engine().run(commit_at_once(engine().node(0), std::move(racing)));
        EXPECT_EQ(answers, (std::vector{commit_status::applied, commit_status::condition_failed,
                                        commit_status::condition_failed}));
        EXPECT_EQ(get("shard", key), winner);
    }
}

TEST_P(exclusive_suite, nothing_expires_by_a_clock_that_is_not_believed) {
    const wall_time believed = wall_now();
    const wall_time soon = believed + std::chrono::seconds(1);
    ports::batch change = new_batch("shard");
    change.mutations.push_back({"over", "", believed});
    change.mutations.push_back({"mortal", "value", soon});
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    engine().run(hold_expiry(rows(), believed));
    while (wall_now() <= soon) engine().advance(std::chrono::milliseconds(500));
    EXPECT_EQ(get("shard", "over"), std::nullopt);
    EXPECT_EQ(get("shard", "mortal"), "value");
    ports::batch absent = put_batch("shard", "mortal", "again");
    absent.conditions.push_back({"mortal", test::absent, ""});
    EXPECT_EQ(commit(std::move(absent)).status, commit_status::condition_failed);
    ports::scan_range range;
    range.shard = "shard";
    range.limit = 10;
    EXPECT_EQ(scan(range).size(), 1U);
    // It holds nothing longer than the clock itself says.
    engine().run(hold_expiry(rows(), soon + std::chrono::hours(1)));
    EXPECT_EQ(get("shard", "mortal"), std::nullopt);
    engine().run(hold_expiry(rows(), believed));
    EXPECT_EQ(get("shard", "mortal"), "value");
    engine().run(hold_expiry(rows(), std::nullopt));
    EXPECT_EQ(get("shard", "mortal"), std::nullopt);
    EXPECT_TRUE(scan(range).empty());
}

TEST_P(fences_suite, a_shard_without_a_fence_is_below_everything) {
    ASSERT_FALSE(rows().caps().exclusive);
    ports::commit_result result = commit(fenced(put_batch("shard", "key", "x"), mode::equal, 0));
    EXPECT_EQ(result.status, commit_status::fenced);
    EXPECT_EQ(result.fence, 0U);
    result = commit(put_batch("shard", "unfenced", "x"));
    EXPECT_EQ(result.status, commit_status::applied);
    EXPECT_EQ(result.fence, 0U);
    result = commit(fenced(put_batch("shard", "key", "x"), mode::equal, 1));
    EXPECT_EQ(result.status, commit_status::fenced);
    EXPECT_EQ(get("shard", "key"), std::nullopt);
    result = commit(fenced(put_batch("shard", "key", "x"), mode::raise, 0));
    EXPECT_EQ(result.status, commit_status::applied);
    result = commit(fenced(put_batch("shard", "key", "y"), mode::equal, 0));
    EXPECT_EQ(result.status, commit_status::applied);
    EXPECT_EQ(get("shard", "key"), "y");
}

TEST_P(fences_suite, equal_passes_only_the_stored_fence) {
    ASSERT_EQ(commit(fenced(new_batch("shard"), mode::raise, 5)).fence, 5U);
    for (const std::uint64_t epoch : {0U, 4U, 5U, 6U}) {
        ports::batch change = fenced(put_batch("shard", std::to_string(epoch), ""), mode::equal, epoch);
        const ports::commit_result result = commit(std::move(change));
        EXPECT_EQ(result.status, epoch == 5 ? commit_status::applied : commit_status::fenced) << epoch;
        EXPECT_EQ(result.fence, 5U);
        EXPECT_EQ(get("shard", std::to_string(epoch)).has_value(), epoch == 5);
    }
}

TEST_P(fences_suite, raise_never_lowers) {
    const std::vector<std::uint64_t> epochs{5, 4, 5, 7, 6, 7, 1};
    std::uint64_t highest = 0;
    for (std::size_t i = 0; i < epochs.size(); ++i) {
        ports::batch change = fenced(put_batch("shard", std::to_string(i), ""), mode::raise, epochs[i]);
        const ports::commit_result result = commit(std::move(change));
        const bool passes = epochs[i] >= highest;
        highest = std::max(highest, epochs[i]);
        EXPECT_EQ(result.status, passes ? commit_status::applied : commit_status::fenced) << i;
        EXPECT_EQ(result.fence, highest) << i;
        EXPECT_EQ(get("shard", std::to_string(i)).has_value(), passes) << i;
    }
}

TEST_P(fences_suite, a_batch_without_a_fence_passes_and_leaves_it) {
    commit(fenced(new_batch("shard"), mode::raise, 5));
    const ports::commit_result result = commit(put_batch("shard", "key", "x"));
    EXPECT_EQ(result.status, commit_status::applied);
    EXPECT_EQ(result.fence, 5U);
}

TEST_P(fences_suite, a_failed_condition_does_not_raise) {
    commit(fenced(new_batch("shard"), mode::raise, 5));
    ports::batch change = fenced(put_batch("shard", "key", "x"), mode::raise, 9);
    change.conditions.push_back({"missing", test::exists, ""});
    const ports::commit_result result = commit(std::move(change));
    EXPECT_EQ(result.status, commit_status::condition_failed);
    EXPECT_EQ(result.fence, 5U);
    EXPECT_EQ(commit(fenced(new_batch("shard"), mode::equal, 5)).status, commit_status::applied);
}

TEST_P(fences_suite, fences_are_64_bits_without_sign) {
    const std::vector<std::uint64_t> epochs{1, (std::uint64_t{1} << 53) + 1, (std::uint64_t{1} << 63) - 1,
                                            std::uint64_t{1} << 63, std::numeric_limits<std::uint64_t>::max()};
    for (std::size_t i = 0; i < epochs.size(); ++i) {
        const ports::commit_result result = commit(fenced(new_batch("shard"), mode::raise, epochs[i]));
        EXPECT_EQ(result.status, commit_status::applied);
        EXPECT_EQ(result.fence, epochs[i]);
        EXPECT_EQ(commit(fenced(new_batch("shard"), mode::equal, epochs[i] - 1)).status, commit_status::fenced);
        EXPECT_EQ(commit(fenced(new_batch("shard"), mode::equal, epochs[i])).status, commit_status::applied);
    }
}

TEST_P(fences_suite, each_shard_has_its_own_and_keeps_it_without_rows) {
    commit(fenced(put_batch("a", "key", "x"), mode::raise, 5));
    commit(fenced(put_batch("ab", "key", "x"), mode::raise, 3));
    EXPECT_EQ(commit(fenced(new_batch("ab"), mode::equal, 5)).status, commit_status::fenced);
    EXPECT_EQ(commit(fenced(new_batch("ab"), mode::equal, 3)).status, commit_status::applied);
    ports::batch remove = fenced(new_batch("a"), mode::equal, 5);
    remove.mutations.push_back({"key", std::nullopt, std::nullopt});
    EXPECT_EQ(commit(std::move(remove)).status, commit_status::applied);
    EXPECT_EQ(commit(fenced(new_batch("a"), mode::raise, 4)).status, commit_status::fenced);
    ports::scan_range range;
    range.shard = "a";
    EXPECT_TRUE(scan(std::move(range)).empty()) << "a fence is not a row";
}

TEST_P(fences_suite, connections_see_each_other_at_once) {
    ASSERT_GE(engine().nodes(), 2U);
    for (std::uint32_t i = 0; i < 50; ++i) {
        const std::size_t writer = i % 2;
        const std::string value = std::to_string(i);
        EXPECT_EQ(commit(put_batch("shard", "key", value), writer).status, commit_status::applied);
        EXPECT_EQ(get("shard", "key", 1 - writer), value);
        ports::scan_range range;
        range.shard = "shard";
        const std::vector<ports::row> found = scan(std::move(range), 1 - writer);
        ASSERT_EQ(found.size(), 1U);
        EXPECT_EQ(found[0].value, value);
    }
}

TEST_P(fences_suite, a_replaced_owner_cannot_write) {
    ASSERT_GE(engine().nodes(), 2U);
    commit(fenced(put_batch("shard", "key", "first"), mode::raise, 1), 0);
    EXPECT_EQ(commit(fenced(put_batch("shard", "key", "second"), mode::equal, 1), 0).status, commit_status::applied);
    EXPECT_EQ(commit(fenced(new_batch("shard"), mode::raise, 2), 1).status, commit_status::applied);
    const ports::commit_result late = commit(fenced(put_batch("shard", "key", "late"), mode::equal, 1), 0);
    EXPECT_EQ(late.status, commit_status::fenced);
    EXPECT_EQ(late.fence, 2U);
    EXPECT_EQ(commit(fenced(new_batch("shard"), mode::raise, 1), 0).status, commit_status::fenced);
    EXPECT_EQ(get("shard", "key", 1), "second");
    EXPECT_EQ(commit(fenced(put_batch("shard", "key", "third"), mode::equal, 2), 1).status, commit_status::applied);
    EXPECT_EQ(get("shard", "key", 0), "third");
}

TEST_P(fences_suite, settle_knows_the_last_operation_on_the_shard) {
    ports::batch change = fenced(put_batch("shard", "key", "x"), mode::raise, 5);
    const ports::operation_id applied = change.operation;
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    for (std::size_t node = 0; node < engine().nodes(); ++node) {
        for (int again = 0; again < 2; ++again) {
            const ports::commit_result result = settle("shard", applied, node);
            EXPECT_EQ(result.status, commit_status::applied);
            EXPECT_EQ(result.fence, 5U);
        }
    }
    const ports::operation_id never_sent = new_batch("shard").operation;
    EXPECT_EQ(settle("shard", never_sent).status, commit_status::condition_failed);
    EXPECT_EQ(settle("untouched shard", never_sent).status, commit_status::condition_failed);
    EXPECT_EQ(settle("other shard", applied).status, commit_status::condition_failed);
}

TEST_P(fences_suite, settle_tells_both_halves_of_an_operation_id_apart) {
    ports::batch change = put_batch("shard", "key", "x");
    change.operation = {std::uint64_t{1} << 63, 1};
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    EXPECT_EQ(settle("shard", {std::uint64_t{1} << 63, 1}).status, commit_status::applied);
    EXPECT_EQ(settle("shard", {1, std::uint64_t{1} << 63}).status, commit_status::condition_failed);
    EXPECT_EQ(settle("shard", {0, 1}).status, commit_status::condition_failed);
    EXPECT_EQ(settle("shard", {std::uint64_t{1} << 63, 0}).status, commit_status::condition_failed);
}

TEST_P(fences_suite, settle_of_a_refused_operation_says_not_applied) {
    commit(fenced(new_batch("shard"), mode::raise, 5));
    ports::batch old_owner = fenced(put_batch("shard", "key", "x"), mode::equal, 4);
    const ports::operation_id fenced_operation = old_owner.operation;
    ASSERT_EQ(commit(std::move(old_owner)).status, commit_status::fenced);
    EXPECT_EQ(settle("shard", fenced_operation).status, commit_status::condition_failed);
    ports::batch failing = put_batch("shard", "key", "x");
    const ports::operation_id failed_operation = failing.operation;
    failing.conditions.push_back({"missing", test::exists, ""});
    ASSERT_EQ(commit(std::move(failing)).status, commit_status::condition_failed);
    EXPECT_EQ(settle("shard", failed_operation).status, commit_status::condition_failed);
    EXPECT_EQ(get("shard", "key"), std::nullopt);
}

TEST_P(fences_suite, commit_all_is_refused_without_atomic_shards) {
    if (rows().caps().atomic_shards) return;  // atomic_suite is about the others
    std::vector<ports::batch> changes;
    changes.push_back(put_batch("a", "key", "x"));
    changes.push_back(put_batch("b", "key", "x"));
    try {
        commit_all(std::move(changes));
        FAIL() << "commit_all did not throw";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::unsupported);
        EXPECT_EQ(failure.outcome(), outcome::not_applied);
    }
    EXPECT_EQ(get("a", "key"), std::nullopt);
}

}  // namespace tstreams::conformance
