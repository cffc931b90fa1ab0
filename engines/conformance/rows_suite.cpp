// What key_value promises of rows: reads, ranges, conditions, atomic batches, expiry. Each test works on an
// empty engine; the last one compares a random history with a model.
#include "engines/conformance/suite.hpp"

#include <weave/sync.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

namespace tstreams::conformance {

using namespace std::chrono_literals;
using ports::commit_status;
using test = ports::condition::test;

bool rows_suite::link() noexcept {
    return true;
}

namespace {

std::vector<std::string> keys_of(const std::vector<ports::row>& rows) {
    std::vector<std::string> keys;
    for (const ports::row& row : rows) keys.push_back(row.key);
    return keys;
}

std::string text_of(const std::vector<ports::row>& rows) {
    std::string text;
    for (const ports::row& row : rows) text += row.key + "=" + row.value + " ";
    return text;
}

ports::scan_range range_of(std::string shard, std::string from, std::string to, std::uint32_t limit = 1000) {
    ports::scan_range range;
    range.shard = std::move(shard);
    range.from = std::move(from);
    range.to = std::move(to);
    range.limit = limit;
    return range;
}

std::string number_key(std::uint32_t number) {
    std::string text = std::to_string(number);
    return std::string(8 - text.size(), '0') + text;
}

}  // namespace

TEST_P(rows_suite, what_was_never_written_is_absent) {
    EXPECT_EQ(get("shard", "key"), std::nullopt);
    EXPECT_TRUE(scan(range_of("shard", "", "")).empty());
    put("shard", "key", "value");
    EXPECT_EQ(get("shard", "other"), std::nullopt);
    EXPECT_EQ(get("other", "key"), std::nullopt);
}

TEST_P(rows_suite, put_overwrite_delete) {
    put("shard", "key", "one");
    EXPECT_EQ(get("shard", "key"), "one");
    put("shard", "key", "two");
    EXPECT_EQ(get("shard", "key"), "two");
    put("shard", "key", "");
    EXPECT_EQ(get("shard", "key"), "");

    ports::batch remove = new_batch("shard");
    remove.mutations.push_back({"key", std::nullopt, std::nullopt});
    remove.mutations.push_back({"never written", std::nullopt, std::nullopt});
    EXPECT_EQ(commit(std::move(remove)).status, commit_status::applied);
    EXPECT_EQ(get("shard", "key"), std::nullopt);
    EXPECT_TRUE(scan(range_of("shard", "", "")).empty());
}

TEST_P(rows_suite, every_level_is_readable_at_once) {
    const std::vector<durability> levels{durability::sync(), durability::every(10ms), durability::process()};
    for (const durability& level : levels) {
        ports::batch change = put_batch("shard", to_string(level), "value");
        const ports::commit_result result = engine().run(rows().commit(std::move(change), level));
        EXPECT_EQ(result.status, commit_status::applied);
        EXPECT_EQ(get("shard", to_string(level)), "value");
    }
}

TEST_P(rows_suite, keys_and_values_are_bytes_in_bytewise_order) {
    const std::vector<std::string> ordered{
        std::string(1, '\0'), std::string(2, '\0'), std::string("\0a", 2),    std::string("\0\xff", 2),
        std::string("\x01"),  std::string("a"),     std::string("a\0", 2),    std::string("a\0b", 3),
        std::string("ab"),    std::string("a\xff"), std::string("b"),         std::string("\x7f"),
        std::string("\x80"),  std::string("\xff"),  std::string("\xff\0", 2), std::string("\xff\xff")};
    ASSERT_TRUE(std::is_sorted(ordered.begin(), ordered.end()));
    std::vector<std::string> shuffled = ordered;
    std::mt19937_64 random(1);
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    for (const std::string& key : shuffled) put("shard", key, "value of " + key);

    EXPECT_EQ(keys_of(scan(range_of("shard", "", ""))), ordered);
    for (std::size_t i = 0; i < ordered.size(); ++i) {
        EXPECT_EQ(get("shard", ordered[i]), "value of " + ordered[i]);
        const std::vector<std::string> rest(ordered.begin() + static_cast<std::ptrdiff_t>(i), ordered.end());
        EXPECT_EQ(keys_of(scan(range_of("shard", ordered[i], ""))), rest) << i;
        const std::vector<std::string> before(ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(keys_of(scan(range_of("shard", std::string(), ordered[i]))), before) << i;
    }
    std::string every_byte;
    for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
    put("shard", every_byte, every_byte);
    EXPECT_EQ(get("shard", every_byte), every_byte);
}

TEST_P(rows_suite, ranges_include_from_and_exclude_to) {
    for (const char* key : {"b", "d", "f", "h"}) put("shard", key, key);
    EXPECT_EQ(text_of(scan(range_of("shard", "b", "f"))), "b=b d=d ");
    EXPECT_EQ(text_of(scan(range_of("shard", "a", "g"))), "b=b d=d f=f ");
    EXPECT_EQ(text_of(scan(range_of("shard", "c", "e"))), "d=d ");
    EXPECT_EQ(text_of(scan(range_of("shard", "d", ""))), "d=d f=f h=h ");
    EXPECT_EQ(text_of(scan(range_of("shard", "", ""))), "b=b d=d f=f h=h ");
    EXPECT_EQ(text_of(scan(range_of("shard", "d", "d"))), "");
    EXPECT_EQ(text_of(scan(range_of("shard", "f", "b"))), "");
    EXPECT_EQ(text_of(scan(range_of("shard", "i", ""))), "");
    EXPECT_EQ(text_of(scan(range_of("shard", "c", "d"))), "");
}

TEST_P(rows_suite, reverse_goes_down_from_below_to) {
    for (const char* key : {"b", "d", "f", "h"}) put("shard", key, key);
    const auto reversed = [this](std::string from, std::string to, std::uint32_t limit) {
        ports::scan_range range = range_of("shard", std::move(from), std::move(to), limit);
        range.reverse = true;
        return text_of(scan(std::move(range)));
    };
    EXPECT_EQ(reversed("", "", 1000), "h=h f=f d=d b=b ");
    EXPECT_EQ(reversed("", "f", 1000), "d=d b=b ");
    EXPECT_EQ(reversed("", "g", 1000), "f=f d=d b=b ");
    EXPECT_EQ(reversed("d", "h", 1000), "f=f d=d ");
    EXPECT_EQ(reversed("c", "", 1000), "h=h f=f d=d ");
    EXPECT_EQ(reversed("", "", 1), "h=h ");
    EXPECT_EQ(reversed("", "h", 2), "f=f d=d ");
    EXPECT_EQ(reversed("", "b", 1000), "");
    EXPECT_EQ(reversed("d", "d", 1000), "");
    EXPECT_EQ(reversed("f", "b", 1000), "");
}

TEST_P(rows_suite, limits_count_rows) {
    for (const char* key : {"a", "b", "c"}) put("shard", key, "");
    EXPECT_EQ(keys_of(scan(range_of("shard", "", "", 1))), (std::vector<std::string>{"a"}));
    EXPECT_EQ(keys_of(scan(range_of("shard", "", "", 2))), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(keys_of(scan(range_of("shard", "", "", 3))), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(keys_of(scan(range_of("shard", "b", "", 65'536))), (std::vector<std::string>{"b", "c"}));
}

TEST_P(rows_suite, the_largest_limit_is_65536_rows) {
    constexpr std::uint32_t rows_in_all = 66'000;
    constexpr std::uint32_t rows_per_batch = 11'000;
    for (std::uint32_t first = 0; first < rows_in_all; first += rows_per_batch) {
        ports::batch change = new_batch("shard");
        for (std::uint32_t i = first; i < first + rows_per_batch; ++i) {
            change.mutations.push_back({number_key(i), "v", std::nullopt});
        }
        ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    }
    const std::vector<ports::row> found = scan(range_of("shard", "", "", 65'536));
    ASSERT_EQ(found.size(), 65'536U);
    for (std::uint32_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i].key, number_key(i));
}

TEST_P(rows_suite, bytes_max_stops_after_the_row_that_reaches_it) {
    for (const char* key : {"a", "b", "c", "d"}) put("shard", key, std::string(100, 'x'));
    const auto counted = [this](std::size_t bytes_max, bool reverse, std::uint32_t limit) {
        ports::scan_range range = range_of("shard", "", "", limit);
        range.bytes_max = bytes_max;
        range.reverse = reverse;
        return scan(std::move(range)).size();
    };
    for (const bool reverse : {false, true}) {
        EXPECT_EQ(counted(0, reverse, 1000), 4U);
        EXPECT_EQ(counted(1, reverse, 1000), 1U);
        EXPECT_EQ(counted(100, reverse, 1000), 1U);
        EXPECT_EQ(counted(101, reverse, 1000), 2U);
        EXPECT_EQ(counted(300, reverse, 1000), 3U);
        EXPECT_EQ(counted(1'000'000, reverse, 1000), 4U);
        EXPECT_EQ(counted(300, reverse, 2), 2U);
    }
}

TEST_P(rows_suite, each_kind_of_condition) {
    put("shard", "there", "value");
    put("shard", "empty", "");
    struct one_case {
        const char* key;
        test wanted;
        std::string value;
        bool holds;
    };
    const std::vector<one_case> cases{{"there", test::exists, "", true},        {"there", test::absent, "", false},
                                      {"there", test::equals, "value", true},   {"there", test::equals, "valu", false},
                                      {"there", test::equals, "value2", false}, {"there", test::equals, "", false},
                                      {"empty", test::exists, "", true},        {"empty", test::absent, "", false},
                                      {"empty", test::equals, "", true},        {"empty", test::equals, "x", false},
                                      {"missing", test::exists, "", false},     {"missing", test::absent, "", true},
                                      {"missing", test::equals, "", false},     {"missing", test::equals, "x", false}};
    for (std::size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(i);
        const std::string mark = "mark " + std::to_string(i);
        ports::batch change = put_batch("shard", mark, "");
        change.conditions.push_back({cases[i].key, cases[i].wanted, cases[i].value});
        const commit_status expected = cases[i].holds ? commit_status::applied : commit_status::condition_failed;
        EXPECT_EQ(commit(std::move(change)).status, expected);
        EXPECT_EQ(get("shard", mark).has_value(), cases[i].holds);
    }
}

TEST_P(rows_suite, a_failed_batch_changes_nothing) {
    put("shard", "kept", "old");
    put("shard", "removed", "old");
    ports::batch change = new_batch("shard");
    change.conditions.push_back({"kept", test::equals, "old"});
    change.conditions.push_back({"removed", test::absent, ""});  // the last of several is the one that fails
    change.mutations.push_back({"added", "new", std::nullopt});
    change.mutations.push_back({"kept", "new", std::nullopt});
    change.mutations.push_back({"removed", std::nullopt, std::nullopt});
    EXPECT_EQ(commit(std::move(change)).status, commit_status::condition_failed);
    EXPECT_EQ(text_of(scan(range_of("shard", "", ""))), "kept=old removed=old ");
}

TEST_P(rows_suite, conditions_see_what_was_there_before_the_batch) {
    ports::batch create = put_batch("shard", "key", "one");
    create.conditions.push_back({"key", test::absent, ""});
    EXPECT_EQ(commit(std::move(create)).status, commit_status::applied);
    ports::batch again = put_batch("shard", "key", "two");
    again.conditions.push_back({"key", test::absent, ""});
    EXPECT_EQ(commit(std::move(again)).status, commit_status::condition_failed);
    ports::batch replace = put_batch("shard", "key", "two");
    replace.conditions.push_back({"key", test::equals, "one"});
    EXPECT_EQ(commit(std::move(replace)).status, commit_status::applied);
    ports::batch only_test = new_batch("shard");
    only_test.conditions.push_back({"key", test::equals, "two"});
    EXPECT_EQ(commit(std::move(only_test)).status, commit_status::applied);
    EXPECT_EQ(get("shard", "key"), "two");
}

TEST_P(rows_suite, a_batch_of_many_rows) {
    ports::batch change = new_batch("shard");
    for (std::uint32_t i = 0; i < 1000; ++i) {
        change.mutations.push_back({number_key(i), std::to_string(i), std::nullopt});
    }
    EXPECT_EQ(commit(std::move(change)).status, commit_status::applied);
    EXPECT_EQ(scan(range_of("shard", "", "", 65'536)).size(), 1000U);
    ports::batch remove = new_batch("shard");
    for (std::uint32_t i = 0; i < 1000; i += 2) {
        remove.mutations.push_back({number_key(i), std::nullopt, std::nullopt});
    }
    EXPECT_EQ(commit(std::move(remove)).status, commit_status::applied);
    const std::vector<ports::row> left = scan(range_of("shard", "", "", 65'536));
    ASSERT_EQ(left.size(), 500U);
    for (std::uint32_t i = 0; i < 500; ++i) {
        EXPECT_EQ(left[i].key, number_key(2 * i + 1));
        EXPECT_EQ(left[i].value, std::to_string(2 * i + 1));
    }
}

TEST_P(rows_suite, shards_do_not_touch_each_other) {
    // Each pair would be one string if shard and key were only put one behind the other.
    const std::vector<std::pair<std::string, std::string>> places{{"a", "bc"},
                                                                  {"ab", "c"},
                                                                  {std::string("a\0", 2), "bc"},
                                                                  {"a", std::string("\0bc", 3)},
                                                                  {std::string("a\0b", 3), "c"},
                                                                  {std::string("a\0\0", 3), "c"},
                                                                  {std::string("a\0\xff", 3), "c"},
                                                                  {"\xff", "c"},
                                                                  {"\xff\xff", "c"},
                                                                  {std::string("\xff\0", 2), "\xff"},
                                                                  {std::string("\0", 1), "c"},
                                                                  {std::string("\0\0", 2), "c"}};
    std::map<std::string, std::map<std::string, std::string>> expected;
    for (std::size_t i = 0; i < places.size(); ++i) {
        put(places[i].first, places[i].second, std::to_string(i));
        expected[places[i].first][places[i].second] = std::to_string(i);
    }
    for (const auto& [shard, rows_there] : expected) {
        std::string text;
        for (const auto& [key, value] : rows_there) text += key + "=" + value + " ";
        EXPECT_EQ(text_of(scan(range_of(shard, "", ""))), text);
        ports::scan_range down = range_of(shard, "", "");
        down.reverse = true;
        EXPECT_EQ(scan(std::move(down)).size(), rows_there.size());
    }
    ports::batch remove = new_batch("a");
    remove.mutations.push_back({"bc", std::nullopt, std::nullopt});
    EXPECT_EQ(commit(std::move(remove)).status, commit_status::applied);
    EXPECT_EQ(get("ab", "c"), "1");
    EXPECT_EQ(get(std::string("a\0", 2), "bc"), "2");
}

TEST_P(rows_suite, a_thousand_shards) {
    for (std::uint32_t i = 0; i < 1000; ++i) put("shard " + number_key(i), "key", std::to_string(i));
    for (std::uint32_t i = 0; i < 1000; ++i) {
        EXPECT_EQ(text_of(scan(range_of("shard " + number_key(i), "", ""))), "key=" + std::to_string(i) + " ");
    }
}

TEST_P(rows_suite, large_values) {
    const std::size_t most = rows().caps().value_bytes_max;
    std::vector<std::size_t> sizes{1, 4095, 4096, 65'536, (std::size_t{1} << 20) + 1, std::size_t{4} << 20};
    if (most != 0) {
        std::erase_if(sizes, [most](std::size_t size) { return size > most; });
        sizes.push_back(std::min(most, std::size_t{16} << 20));
    }
    for (const std::size_t size : sizes) put("shard", std::to_string(size), random_bytes(size, size));
    for (const std::size_t size : sizes) {
        EXPECT_TRUE(get("shard", std::to_string(size)) == random_bytes(size, size)) << size << " bytes";
    }
}

TEST_P(rows_suite, a_row_is_there_until_it_expires_and_absent_from_then_on) {
    const wall_time expires = wall_now() + 2s;
    ports::batch change = new_batch("shard");
    change.mutations.push_back({"mortal", "value", expires});
    change.mutations.push_back({"other", "value", std::nullopt});
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    const auto there = [this] { return get("shard", "mortal").has_value(); };
    bool seen = there();
    // A row that is missed must be over by the engine's own clock, read afterwards.
    EXPECT_TRUE(seen || wall_now() >= expires);
    engine().advance(1000ms);
    seen = there();
    EXPECT_TRUE(seen || wall_now() >= expires);

    while (wall_now() < expires) engine().advance(500ms);
    EXPECT_FALSE(there());
    EXPECT_EQ(text_of(scan(range_of("shard", "", ""))), "other=value ");
    ports::batch wants_it = put_batch("shard", "mark", "");
    wants_it.conditions.push_back({"mortal", test::exists, ""});
    EXPECT_EQ(commit(std::move(wants_it)).status, commit_status::condition_failed);
    ports::batch wants_value = put_batch("shard", "mark", "");
    wants_value.conditions.push_back({"mortal", test::equals, "value"});
    EXPECT_EQ(commit(std::move(wants_value)).status, commit_status::condition_failed);
    ports::batch create = put_batch("shard", "mortal", "second life");
    create.conditions.push_back({"mortal", test::absent, ""});
    EXPECT_EQ(commit(std::move(create)).status, commit_status::applied);
    EXPECT_EQ(get("shard", "mortal"), "second life");
}

TEST_P(rows_suite, writing_again_replaces_the_expiry) {
    const wall_time soon = wall_now() + 1s;
    ports::batch first = new_batch("shard");
    for (const char* key : {"for ever", "longer", "shorter", "unchanged"}) {
        first.mutations.push_back({key, "one", std::string(key) == "shorter" ? soon + 1h : soon});
    }
    ASSERT_EQ(commit(std::move(first)).status, commit_status::applied);
    ports::batch second = new_batch("shard");
    second.mutations.push_back({"for ever", "two", std::nullopt});
    second.mutations.push_back({"longer", "two", soon + 1h});
    second.mutations.push_back({"shorter", "two", soon});
    ASSERT_EQ(commit(std::move(second)).status, commit_status::applied);
    while (wall_now() < soon) engine().advance(500ms);
    EXPECT_EQ(text_of(scan(range_of("shard", "", ""))), "for ever=two longer=two ");
}

TEST_P(rows_suite, expired_rows_take_no_place_in_limits) {
    const wall_time expires = wall_now() + 1s;
    ports::batch change = new_batch("shard");
    for (std::uint32_t i = 0; i < 20; ++i) {
        std::optional<wall_time> end;
        if (i % 2 == 0) end = expires;
        change.mutations.push_back({number_key(i), "value", end});
    }
    ASSERT_EQ(commit(std::move(change)).status, commit_status::applied);
    while (wall_now() < expires) engine().advance(500ms);
    const std::vector<std::string> upwards{number_key(1), number_key(3), number_key(5)};
    EXPECT_EQ(keys_of(scan(range_of("shard", "", "", 3))), upwards);
    ports::scan_range down = range_of("shard", "", "", 3);
    down.reverse = true;
    const std::vector<std::string> downwards{number_key(19), number_key(17), number_key(15)};
    EXPECT_EQ(keys_of(scan(std::move(down))), downwards);
}

namespace {

// Adds one to a counter by compare and set, as often as it takes.
weave::task<int> increment(ports::key_value& rows, std::uint64_t operation) {
    for (int attempt = 0; attempt < 10'000; ++attempt) {
        const std::optional<std::string> seen = co_await rows.get("shard", "counter");
        ports::batch change;
        change.shard = "shard";
        change.operation = {operation, static_cast<std::uint64_t>(attempt)};
        ports::condition as_seen;
        as_seen.key = "counter";
        as_seen.wanted = seen ? test::equals : test::absent;
        as_seen.value = seen.value_or("");
        change.conditions.push_back(std::move(as_seen));
        ports::mutation write;
        write.key = "counter";
        write.value = std::to_string(std::stoi(seen.value_or("0")) + 1);
        change.mutations.push_back(std::move(write));
        const ports::commit_result result = co_await rows.commit(std::move(change), durability::process());
        if (result.status == commit_status::applied) co_return attempt;
    }
    co_return -1;
}

}  // namespace

TEST_P(rows_suite, concurrent_batches_on_one_shard_are_one_after_another) {
    std::vector<weave::task<int>> works;
    for (std::uint64_t i = 0; i < 50; ++i) works.push_back(increment(rows(), i + 1'000'000));
    std::vector<weave::outcome_of<int>> results =
        engine().run(weave::when_all(*engine().node(0).executor, std::move(works)));
    for (weave::outcome_of<int>& result : results) EXPECT_GE(result.get(), 0);
    EXPECT_EQ(get("shard", "counter"), "50");
}

TEST_P(rows_suite, concurrent_batches_on_many_shards) {
    std::vector<weave::task<ports::commit_result>> works;
    for (std::uint32_t i = 0; i < 500; ++i) {
        ports::batch change = put_batch("shard " + std::to_string(i % 50), number_key(i), "value");
        works.push_back(rows().commit(std::move(change), durability::sync()));
    }
    auto results = engine().run(weave::when_all(*engine().node(0).executor, std::move(works)));
    for (auto& result : results) EXPECT_EQ(result.get().status, commit_status::applied);
    for (std::uint32_t i = 0; i < 50; ++i) {
        EXPECT_EQ(scan(range_of("shard " + std::to_string(i), "", "")).size(), 10U);
    }
}

namespace {

using model = std::map<std::string, std::map<std::string, std::string>>;

std::string expected_text(const model& state, const ports::scan_range& range) {
    std::vector<ports::row> found;
    const auto shard = state.find(range.shard);
    if (shard != state.end()) {
        for (const auto& [key, value] : shard->second) {
            if (key >= range.from && (range.to.empty() || key < range.to)) found.push_back({key, value});
        }
    }
    if (range.reverse) std::reverse(found.begin(), found.end());
    if (found.size() > range.limit) found.resize(range.limit);
    return text_of(found);
}

bool expected_to_hold(const model& state, const ports::batch& change) {
    for (const ports::condition& one : change.conditions) {
        const auto shard = state.find(change.shard);
        const std::string* value = nullptr;
        if (shard != state.end()) {
            const auto row = shard->second.find(one.key);
            if (row != shard->second.end()) value = &row->second;
        }
        const bool equal = value != nullptr && *value == one.value;
        const bool holds = one.wanted == test::absent   ? value == nullptr
                           : one.wanted == test::exists ? value != nullptr
                                                        : equal;
        if (!holds) return false;
    }
    return true;
}

}  // namespace

TEST_P(rows_suite, a_random_history_agrees_with_a_model) {
    const char* wanted_seed = std::getenv("TSTREAMS_TEST_SEED");
    const std::uint64_t seed = wanted_seed != nullptr ? std::stoull(wanted_seed) : std::random_device{}();
    std::cout << "TSTREAMS_TEST_SEED=" << seed << "\n";
    std::mt19937_64 random(seed);
    const auto below = [&random](std::uint64_t end) { return random() % end; };
    const auto shard_name = [&] { return std::string(1 + below(2), static_cast<char>('a' + below(2))); };
    const auto key_name = [&] { return std::string(1 + below(3), static_cast<char>(below(4) * 0x55)); };

    model state;
    for (int step = 0; step < 2000; ++step) {
        SCOPED_TRACE("seed " + std::to_string(seed) + " step " + std::to_string(step));
        if (below(3) == 0) {
            ports::scan_range range = range_of(shard_name(), below(2) ? key_name() : "", below(2) ? key_name() : "",
                                               static_cast<std::uint32_t>(1 + below(6)));
            range.reverse = below(2) == 0;
            const std::string expected = expected_text(state, range);
            ASSERT_EQ(text_of(scan(std::move(range))), expected);
            continue;
        }
        ports::batch change = new_batch(shard_name());
        std::map<std::string, std::optional<std::string>> writes;
        for (std::uint64_t i = below(4); i > 0; --i) {
            std::optional<std::string> value;
            if (below(3) != 0) value = std::to_string(below(3));
            writes[key_name()] = value;
        }
        for (const auto& [key, value] : writes) change.mutations.push_back({key, value, std::nullopt});
        if (below(2) == 0) {
            const test wanted = static_cast<test>(below(3));
            change.conditions.push_back({key_name(), wanted, std::to_string(below(3))});
        }
        const bool holds = expected_to_hold(state, change);
        if (holds) {
            for (const auto& [key, value] : writes) {
                if (value)
                    state[change.shard][key] = *value;
                else
                    state[change.shard].erase(key);
            }
        }
        const commit_status expected = holds ? commit_status::applied : commit_status::condition_failed;
        ASSERT_EQ(commit(std::move(change)).status, expected);
    }
}

}  // namespace tstreams::conformance
