// A persistent engine after an orderly close: everything that was committed, at whatever level, is there.
#include "engines/conformance/suite.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <string>

namespace tstreams::conformance {

using namespace std::chrono_literals;
using ports::commit_status;
using test = ports::condition::test;

bool reopen_suite::link() noexcept {
    return true;
}

namespace {

const std::vector<durability> levels{durability::sync(), durability::every(50ms), durability::process()};

ports::scan_range all_of(std::string shard) {
    ports::scan_range range;
    range.shard = std::move(shard);
    range.limit = 65'536;
    return range;
}

}  // namespace

TEST_P(reopen_suite, rows_of_every_level_survive) {
    ASSERT_TRUE(engine().persistent());
    for (const durability& level : levels) {
        for (int i = 0; i < 20; ++i) {
            ports::batch change = put_batch(to_string(level), std::to_string(i), "value " + std::to_string(i));
            ASSERT_EQ(engine().run(rows().commit(std::move(change), level)).status, commit_status::applied);
        }
    }
    for (int again = 0; again < 3; ++again) {
        engine().reopen();
        for (const durability& level : levels) {
            EXPECT_EQ(scan(all_of(to_string(level))).size(), 20U);
            EXPECT_EQ(get(to_string(level), "7"), "value 7");
        }
    }
}

TEST_P(reopen_suite, deletions_and_conditions_survive) {
    put("shard", "kept", "one");
    put("shard", "removed", "one");
    ports::batch change = put_batch("shard", "kept", "two");
    change.mutations.push_back({"removed", std::nullopt, std::nullopt});
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    ports::batch refused = put_batch("shard", "kept", "three");
    refused.conditions.push_back({"removed", test::exists, ""});
    ASSERT_EQ(commit(std::move(refused)).status, commit_status::condition_failed);

    engine().reopen();
    EXPECT_EQ(get("shard", "kept"), "two");
    EXPECT_EQ(get("shard", "removed"), std::nullopt);
    ports::batch replace = put_batch("shard", "kept", "three");
    replace.conditions.push_back({"kept", test::equals, "two"});
    replace.conditions.push_back({"removed", test::absent, ""});
    EXPECT_EQ(commit(std::move(replace)).status, commit_status::applied);
    engine().reopen();
    EXPECT_EQ(get("shard", "kept"), "three");
}

TEST_P(reopen_suite, writing_goes_on_after_each_of_many_reopenings) {
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < 10; ++i) {
            put("shard", std::to_string(round * 10 + i), std::string(static_cast<std::size_t>(i) * 100, 'x'));
        }
        engine().reopen();
        ASSERT_EQ(scan(all_of("shard")).size(), static_cast<std::size_t>(round + 1) * 10);
    }
}

TEST_P(reopen_suite, many_shards_and_odd_bytes_survive) {
    const std::string odd = std::string("\0\xff\n\0", 4);
    for (int i = 0; i < 1000; ++i) put(odd + std::to_string(i), odd, odd + std::to_string(i));
    engine().reopen();
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(get(odd + std::to_string(i), odd), odd + std::to_string(i));
}

TEST_P(reopen_suite, expiry_survives) {
    const wall_time soon = wall_now() + 2s;
    ports::batch change = new_batch("shard");
    change.mutations.push_back({"mortal", "value", soon});
    change.mutations.push_back({"later", "value", soon + 1h});
    change.mutations.push_back({"for ever", "value", std::nullopt});
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    engine().reopen();
    const bool seen = get("shard", "mortal").has_value();
    EXPECT_TRUE(seen || wall_now() >= soon);
    while (wall_now() < soon) engine().advance(500ms);
    EXPECT_EQ(get("shard", "mortal"), std::nullopt);
    engine().reopen();
    EXPECT_EQ(get("shard", "mortal"), std::nullopt);
    EXPECT_EQ(get("shard", "later"), "value");
    EXPECT_EQ(get("shard", "for ever"), "value");
}

TEST_P(reopen_suite, large_values_survive) {
    const std::size_t most = rows().caps().value_bytes_max;
    std::size_t size = (std::size_t{2} << 20) + 1;
    if (most != 0) size = std::min(size, most);
    put("shard", "large", std::string(size, 'v'));
    engine().reopen();
    EXPECT_TRUE(get("shard", "large") == std::string(size, 'v'));
}

TEST_P(reopen_suite, blobs_that_a_commit_names_survive_and_dropped_ones_stay_dropped) {
    std::vector<ports::blob_ref> refs;
    std::vector<std::string> contents;
    for (std::size_t i = 0; i < 30; ++i) {
        contents.push_back(std::string(i * 10'007, static_cast<char>('a' + i % 26)));
        ports::blob_name name;
        name.stream = 1;
        name.transaction = i;
        const bytes_view data = as_bytes(contents.back());
        refs.push_back(engine().run(blobs().write(name, data, core::crc32c(data), wall_time::max())));
        const durability level = levels[i % levels.size()];
        if (!blobs().caps().commit_covers) engine().run(blobs().sync({refs.back()}, level));
        ports::batch change = put_batch("shard", std::to_string(i), "row");
        change.covers.push_back(refs.back());
        ASSERT_EQ(engine().run(rows().commit(std::move(change), level)).status, commit_status::applied);
    }
    engine().run(blobs().drop({refs[0], refs[29]}));
    for (int again = 0; again < 2; ++again) {
        engine().reopen();
        for (std::size_t i = 1; i < 29; ++i) {
            EXPECT_TRUE(engine().run(blobs().read(refs[i])) == contents[i]) << i;
        }
        engine().run(blobs().drop({refs[0], refs[29]}));
    }
    // What is written now takes nobody's place.
    ports::blob_name name;
    name.stream = 2;
    const std::string fresh(100'000, 'z');
    const ports::blob_ref ref =
        engine().run(blobs().write(name, as_bytes(fresh), core::crc32c(as_bytes(fresh)), wall_time::max()));
    EXPECT_TRUE(engine().run(blobs().read(ref)) == fresh);
    for (std::size_t i = 1; i < 29; ++i) {
        EXPECT_TRUE(engine().run(blobs().read(refs[i])) == contents[i]) << i;
    }
}

}  // namespace tstreams::conformance
