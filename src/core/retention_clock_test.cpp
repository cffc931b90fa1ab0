// What is believed of the time of day, and that nothing is lost to a clock that is not: first the judgement alone,
// then brokers that are started again under another time.
#include "core/retention_clock.hpp"
#include "core/test_world.hpp"

namespace tstreams::core {
namespace {

using strings = std::vector<std::string>;

constexpr auto day = std::chrono::hours(24);
constexpr auto year = 365 * day;
const wall_time then{std::chrono::seconds(1'700'000'000)};

clock_row known(std::string boot = "first", bool synchronised = false) {
    clock_row row;
    row.believed = then;
    row.boot = std::move(boot);
    row.since_boot = 5h;
    row.synchronised = synchronised;
    return row;
}

ports::machine_time machine(wall_time now, std::string boot = "second", bool synchronised = false,
                            std::chrono::microseconds since_boot = 1min) {
    ports::machine_time said;
    said.system = now;
    said.boot = std::move(boot);
    said.synchronised = synchronised;
    said.since_boot = since_boot;
    return said;
}

TEST(clock_judgement, small_differences_are_nothing) {
    for (const std::chrono::minutes jump : {0min, 59min, -59min})
        EXPECT_FALSE(judge(known(), machine(then + jump), then + jump).holds) << jump.count();
    for (const std::chrono::minutes jump : {61min, -61min})
        EXPECT_TRUE(judge(known(), machine(then + jump), then + jump).holds) << jump.count();
}

TEST(clock_judgement, within_one_run_of_the_machine_an_absence_is_known_as_one) {
    const wall_time now = then + 40 * day;
    EXPECT_FALSE(judge(known(), machine(now, "first", false, 5h + 40 * day), now).holds);
    const clock_verdict set = judge(known(), machine(now, "first", false, 5h + 2 * day), now);
    EXPECT_TRUE(set.holds);
    EXPECT_EQ(set.jump, 38 * day);
    EXPECT_TRUE(judge(known(""), machine(now, "", false, 5h + 40 * day), now).holds) << "no boot is no evidence";
}

TEST(clock_judgement, a_clock_that_was_and_is_kept_right_is_believed) {
    const wall_time now = then + 40 * day;
    EXPECT_FALSE(judge(known("first", true), machine(now, "second", true), now).holds);
    // One end is not enough: data may have been written under a clock that was behind.
    EXPECT_TRUE(judge(known("first", true), machine(now), now).holds);
    EXPECT_TRUE(judge(known(), machine(now, "second", true), now).holds);
    // The store's time must be the one that is kept right.
    EXPECT_TRUE(judge(known("first", true), machine(now - day, "second", true), now).holds);
    // Backwards it is: an earlier time removes less.
    EXPECT_FALSE(judge(known(), machine(then - 40 * day, "second", true), then - 40 * day).holds);
}

TEST(clock_judgement, an_ordinary_absence_holds_for_a_day_only) {
    clock_row row = known();
    const wall_time back = then + 31 * day;
    const clock_verdict first = judge(row, machine(back), back);
    EXPECT_TRUE(first.holds);
    EXPECT_EQ(first.ends, back + day);
    row.held_since = back;
    EXPECT_TRUE(judge(row, machine(back + 23h), back + 23h).holds);
    EXPECT_FALSE(judge(row, machine(back + 25h), back + 25h).holds);
}

TEST(clock_judgement, a_clock_that_is_wrong_by_years_is_never_believed_by_itself) {
    clock_row row = known();
    const wall_time wrong = then + 5 * year;
    EXPECT_FALSE(judge(row, machine(wrong), wrong).ends.has_value());
    row.held_since = wrong;
    EXPECT_TRUE(judge(row, machine(wrong + 300 * day), wrong + 300 * day).holds);
    // Right again: a day after it was last believed is a short absence, which is past its own day of holding.
    EXPECT_TRUE(judge(row, machine(then + day), then + day).holds);
    EXPECT_FALSE(judge(row, machine(then + 50min), then + 50min).holds);
}

TEST(clock_judgement, backwards_holds_for_a_day) {
    clock_row row = known();
    const wall_time back = then - 10 * year;
    EXPECT_EQ(judge(row, machine(back), back).ends, back + day);
    row.held_since = back;
    EXPECT_FALSE(judge(row, machine(back + 25h), back + 25h).holds);
}

TEST(clock_judgement, a_day_of_holding_is_one_by_the_clock_as_it_is) {
    clock_row row = known();
    row.held_since = then - 5h;  // it was behind, and is ahead now
    const wall_time ahead = then + 5 * day;
    const clock_verdict seen = judge(row, machine(ahead), ahead);
    EXPECT_TRUE(seen.holds);
    EXPECT_EQ(seen.ends, ahead + day);
    // However long ago it began, what is ahead by years is not believed.
    const wall_time far = then + 5 * year;
    EXPECT_FALSE(judge(row, machine(far), far).ends.has_value());
    row.held_since = then + 5h;
    EXPECT_TRUE(judge(row, machine(far), far).holds);
    EXPECT_FALSE(judge(row, machine(far), far).ends.has_value());
}

class holding : public testing::Test {
protected:
    holding() : world(noticing()) {}

    broker_options noticing() {
        broker_options options;
        options.segment_transactions_max = 4;
        options.on_notice = [this](const std::string& text) { notices.push_back(text); };
        return options;
    }
    // The store is closed, and opened again when the clock has another time.
    void reopen_after(std::chrono::microseconds shift) {
        world.stop();
        world.clock.shift += shift;
        world.restart();
    }
    void fill() {
        world.simulation.run_for(15min);  // so that what the machine says now is stored
        stream = world.make_stream("orders", 1, 100s);
        for (int i = 0; i < 10; ++i) last = world.send(stream, std::to_string(i));
        rows = world.store.stored_rows();
    }
    retention_info retention() { return world.run(world.service->retention()); }
    std::size_t readable() { return world.read(stream).transactions.size(); }

    strings notices;
    test_world world;
    stream_info stream;
    transaction_id last;
    std::size_t rows = 0;
};

TEST_F(holding, nothing_is_lost_to_a_clock_that_is_wrong_by_years) {
    fill();
    EXPECT_FALSE(retention().holding);
    reopen_after(5 * year);
    ASSERT_EQ(notices.size(), 1u);
    EXPECT_NE(notices.front().find("1825 days ahead"), std::string::npos) << notices.front();
    const retention_info held = retention();
    EXPECT_TRUE(held.holding);
    EXPECT_FALSE(held.ends);
    EXPECT_LT(held.believed, held.clock - 4 * year);
    // Not expired for readers, however they ask, and not removed.
    EXPECT_EQ(readable(), 4u);
    EXPECT_EQ(world.run(world.service->resolve(stream.id, 0, {})), transaction_id());
    EXPECT_EQ(world.run(world.service->find_transaction(stream.id, 0, last)).info.state,
              transaction_state::checkpointed);
    EXPECT_TRUE(world.run(world.service->last(stream.id, 0)).has_value());
    scan_request scan;
    scan.stream = stream.id;
    EXPECT_EQ(world.run(world.service->scan(scan)).size(), 10u);
    world.simulation.run_for(3 * day);
    world.run(world.service->sweep());
    EXPECT_TRUE(retention().holding);
    EXPECT_EQ(readable(), 4u);
    EXPECT_GE(world.store.stored_rows(), rows);
    // Right again, half an hour later: as if nothing had been, and retention does its work.
    reopen_after(30min - 3 * day - 5 * year);
    EXPECT_FALSE(retention().holding);
    EXPECT_EQ(code_of([&] { world.read(stream); }), errc::position_expired);
    world.run(world.service->sweep());
    EXPECT_LT(world.store.stored_rows(), rows);
}

TEST_F(holding, answers_outlive_a_clock_that_is_wrong_by_years) {
    fill();
    commit_request request;
    request.request = world.next_request(true);
    request.transactions.push_back(world.decide({}, {"once"}));
    request.transactions.back().open.stream = stream.id;
    const auto ask = [&] {
        request.session = world.session;
        return world.run(world.service->commit(request)).transactions;
    };
    const std::vector<transaction_id> first = ask();
    for (const std::chrono::microseconds shift : {5 * year, -5 * year}) {
        reopen_after(shift);
        // So many that the engine looks at every row meanwhile.
        for (int i = 0; i < 2000; ++i) world.send(stream, "more");
        EXPECT_EQ(retention().holding, shift.count() > 0);
        EXPECT_EQ(ask(), first);
    }
    world.simulation.run_for(2h);
    EXPECT_EQ(code_of(ask), errc::outcome_unknown);
}

TEST_F(holding, an_answer_is_kept_until_its_request_is_too_old_although_the_clients_clock_is_ahead) {
    fill();
    commit_request request;
    request.request = make_request_id(world.clock.wall_now() + 2h, true, 1, 2);
    request.transactions.push_back(world.decide({}, {"once"}));
    request.transactions.back().open.stream = stream.id;
    request.session = world.session;
    const commit_reply first = world.run(world.service->commit(request));
    world.simulation.run_for(2h);
    for (int i = 0; i < 2000; ++i) world.send(stream, "more");
    EXPECT_EQ(world.run(world.service->commit(request)).transactions, first.transactions);
    world.simulation.run_for(1h);
    EXPECT_EQ(code_of([&] { world.run(world.service->commit(request)); }), errc::outcome_unknown);
}

TEST_F(holding, goes_on_when_the_operator_says_so) {
    fill();
    reopen_after(5 * year);
    EXPECT_EQ(readable(), 4u);
    EXPECT_FALSE(world.run(world.service->accept_clock()).holding);
    EXPECT_EQ(notices.back(), "retention goes on: the clock is believed again");
    EXPECT_EQ(code_of([&] { world.read(stream); }), errc::position_expired);
    world.run(world.service->sweep());
    EXPECT_LT(world.store.stored_rows(), rows);
    world.restart();
    EXPECT_FALSE(retention().holding);
}

TEST_F(holding, ends_by_itself_a_day_after_an_absence_of_a_month) {
    fill();
    reopen_after(31 * day);
    const retention_info held = retention();
    ASSERT_TRUE(held.holding && held.ends);
    EXPECT_EQ(readable(), 4u);
    world.simulation.run_for(10h);
    reopen_after(10h);  // the day goes on over a restart, and over an absence within it
    EXPECT_TRUE(retention().holding);
    EXPECT_EQ(retention().ends, held.ends);
    world.simulation.run_for(5h);
    EXPECT_FALSE(retention().holding);
    EXPECT_LT(world.store.stored_rows(), rows);
}

TEST_F(holding, a_week_of_absence_of_a_machine_that_was_on_is_no_jump) {
    world.clock.boot = "one";
    fill();
    world.stop();
    world.simulation.run_for(7 * day);
    world.restart();
    EXPECT_FALSE(retention().holding);
    EXPECT_TRUE(notices.empty());
    EXPECT_EQ(code_of([&] { world.read(stream); }), errc::position_expired);
}

TEST_F(holding, a_time_service_ends_it) {
    world.clock.synchronised = true;
    fill();
    world.stop();
    world.clock.synchronised = false;  // not yet, so early after the machine's start
    reopen_after(200 * day);
    EXPECT_TRUE(retention().holding);
    world.clock.synchronised = true;
    world.simulation.run_for(20s);
    EXPECT_FALSE(retention().holding);
    EXPECT_LT(world.store.stored_rows(), rows);
}

TEST_F(holding, a_clock_that_was_set_while_the_store_was_open_is_no_more_believed_when_it_is_reopened) {
    for (const std::chrono::microseconds wrong : {5 * year, 60 * day}) {
        fill();
        world.clock.set_since = wrong;
        world.simulation.run_for(20s);
        EXPECT_TRUE(retention().holding);
        world.clock.set_since = 0s;
        reopen_after(wrong);
        EXPECT_TRUE(retention().holding);
        EXPECT_GE(world.store.stored_rows(), rows);
        reopen_after(-wrong);
        world.run(world.service->accept_clock());
        world.run(world.service->delete_stream("orders"));
    }
}

TEST_F(holding, a_clock_that_is_set_while_the_store_is_open_is_a_warning) {
    fill();
    world.clock.set_since = -2h;
    world.simulation.run_for(200s);
    ASSERT_EQ(notices.size(), 1u);
    EXPECT_NE(notices.front().find("set while the store was open"), std::string::npos);
    EXPECT_GE(world.store.stored_rows(), rows);
    EXPECT_EQ(readable(), 4u);
    world.clock.set_since = 0s;
    world.simulation.run_for(20s);
    EXPECT_FALSE(retention().holding);
    world.clock.set_since = 2h;
    EXPECT_TRUE(retention().holding);
    EXPECT_FALSE(world.run(world.service->accept_clock()).holding);
    world.simulation.run_for(100s);
    EXPECT_FALSE(retention().holding);
}

}  // namespace
}  // namespace tstreams::core
