// Batches over several shards, and notes: only where caps().atomic_shards.
#include "engines/conformance/suite.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::conformance {

using ports::commit_status;
using test = ports::condition::test;

bool atomic_suite::link() noexcept {
    return true;
}

TEST_P(atomic_suite, batches_on_several_shards_are_applied_together) {
    ASSERT_TRUE(rows().caps().atomic_shards);
    std::vector<ports::batch> changes;
    for (std::uint32_t i = 0; i < 100; ++i) {
        changes.push_back(put_batch("shard " + std::to_string(i), "key", std::to_string(i)));
    }
    EXPECT_EQ(commit_all(std::move(changes)).status, commit_status::applied);
    for (std::uint32_t i = 0; i < 100; ++i) {
        EXPECT_EQ(get("shard " + std::to_string(i), "key"), std::to_string(i));
    }
}

TEST_P(atomic_suite, one_failed_condition_stops_all_of_them) {
    put("b", "key", "old");
    for (std::size_t failing = 0; failing < 3; ++failing) {
        std::vector<ports::batch> changes;
        for (const char* shard : {"a", "b", "c"}) changes.push_back(put_batch(shard, "key", "new"));
        changes[0].conditions.push_back({"key", test::absent, ""});
        changes[1].conditions.push_back({"key", test::equals, "old"});
        changes[2].conditions.push_back({"key", test::absent, ""});
        changes[failing].conditions.push_back({"missing", test::exists, ""});
        EXPECT_EQ(commit_all(std::move(changes)).status, commit_status::condition_failed);
        EXPECT_EQ(get("a", "key"), std::nullopt);
        EXPECT_EQ(get("b", "key"), "old");
        EXPECT_EQ(get("c", "key"), std::nullopt);
    }
}

TEST_P(atomic_suite, notes_of_a_page_are_in_its_rows_in_their_order) {
    constexpr std::uint32_t each = 20;
    const wall_time later = wall_now() + std::chrono::hours(1);
    const auto noted = [&](const std::string& page, const std::string& text) {
        ports::batch change = put_batch("rows", "row " + text, text);
        change.note.emplace(ports::note{"notes", page, text, later});
        return change;
    };
    // Some commits at a time, so that an engine can write them together.
    for (std::uint32_t i = 0; i < each; i += 4) {
        std::vector<ports::batch> together;
        for (std::uint32_t k = i; k < i + 4; ++k)
            together.push_back(noted(k % 2 == 0 ? "a" : "b", std::to_string(k) + ' '));
        commit_each(std::move(together));
    }
    for (const bool even : {true, false}) {
        const std::string page = even ? "a" : "b";
        std::string said, wanted;
        for (const ports::row& row : scan({.shard = "notes", .from = page, .to = even ? "b" : "c", .limit = 100})) {
            EXPECT_GT(row.key.size(), page.size());
            said += row.value;
        }
        for (std::uint32_t k = even ? 0 : 1; k < each; k += 2) wanted += std::to_string(k) + ' ';
        EXPECT_EQ(said, wanted);
    }
}

TEST_P(atomic_suite, a_note_is_there_exactly_if_its_commit_is) {
    const auto noted = [&](bool holds) {
        ports::batch change = put_batch("rows", "row", "value");
        change.conditions.push_back({"missing", holds ? test::absent : test::exists, ""});
        change.note.emplace(
            ports::note{"notes", "page", holds ? "kept" : "not kept", wall_now() + std::chrono::hours(1)});
        return change;
    };
    std::vector<ports::batch> together;
    together.push_back(noted(false));
    together.push_back(noted(true));
    commit_each(std::move(together));
    const std::vector<ports::row> rows = scan({.shard = "notes", .from = "", .to = "", .limit = 10});
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows.front().value, "kept");
}

TEST_P(atomic_suite, notes_expire_with_the_last_of_their_row) {
    std::vector<ports::batch> together;
    for (const auto time : {std::chrono::milliseconds(300), std::chrono::milliseconds(900)}) {
        together.push_back(put_batch("rows", "row", "value"));
        together.back().note.emplace(ports::note{"notes", "page", "note", wall_now() + time});
    }
    commit_each(std::move(together));
    EXPECT_FALSE(scan({.shard = "notes", .from = "", .to = "", .limit = 10}).empty());
    engine().advance(std::chrono::milliseconds(1000));
    EXPECT_TRUE(scan({.shard = "notes", .from = "", .to = "", .limit = 10}).empty());
}

TEST_P(atomic_suite, a_single_batch_is_allowed) {
    std::vector<ports::batch> changes;
    changes.push_back(put_batch("a", "key", "value"));
    EXPECT_EQ(commit_all(std::move(changes)).status, commit_status::applied);
    EXPECT_EQ(get("a", "key"), "value");
}

}  // namespace tstreams::conformance
