// Checkpoints whose outcome is unknown: a service in between loses answers of commits, applied or not, and what every
// kind of agent then says and does until it is settled.
#include "client/client_state.hpp"
#include "client/handles.hpp"

#include <gtest/gtest.h>
#include <tstreams/tstreams.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::detail {
namespace {

using namespace std::chrono_literals;

enum class loss : std::uint8_t { none, applied, not_applied };

// Of a frame that is written with the commit behind it.
enum class frame_fate : std::uint8_t { written, overtaken, refused, answer_lost };

struct plan_of_losses {
    std::atomic<frame_fate> frame = frame_fate::written;  // what becomes of the next frame
    std::atomic<int> refusals = 0;                        // of commits, by the broker
    std::atomic<loss> next = loss::none;                  // what becomes of the next commit
    std::atomic<errc> refuse{};                           // the next commit is refused with this
    std::atomic<int> commits = 0;
    std::function<void()> meanwhile;  // called once, on the executor, while the next commit is under way
};
plan_of_losses losses;  // NOLINT: the opener of a store is a plain function

class lossy_service final : public core::service {
public:
    lossy_service(core::service& behind, weave::executor& home) : behind_(behind), home_(home) {}

    weave::task<core::commit_reply> commit(core::commit_request request) override {
        ++losses.commits;
        const bool first = asked_.insert(request.request).second;
        EXPECT_TRUE(first || !request.fresh) << "asked again as if it never had been";
        if (const auto meanwhile = std::exchange(losses.meanwhile, nullptr)) meanwhile();
        const errc refuse = losses.refuse.exchange(errc{});
        if (refuse != errc{}) throw error(refuse, "refused on purpose");
        const loss fate = losses.next.exchange(loss::none);
        core::commit_reply reply;
        try {
            if (fate != loss::not_applied) reply = co_await behind_.commit(std::move(request));
        } catch (const error&) {
            ++losses.refusals;
            throw;
        }
        if (fate != loss::none) throw error(errc::outcome_unknown, "lost on purpose", outcome::unknown);
        co_return reply;
    }

    weave::task<core::session_id> open_session(std::string client, std::chrono::milliseconds timeout) override {
        return behind_.open_session(std::move(client), timeout);
    }
    weave::task<void> heartbeat(core::session_id session) override { return behind_.heartbeat(session); }
    weave::task<void> close_session(core::session_id session) override { return behind_.close_session(session); }
    weave::task<stream_info> create_stream(core::create_request request) override {
        return behind_.create_stream(std::move(request));
    }
    weave::task<std::optional<stream_info>> find_stream(std::string name) override {
        return behind_.find_stream(std::move(name));
    }
    weave::task<stream_page> list_streams(std::string prefix, std::string after, std::uint32_t limit) override {
        return behind_.list_streams(std::move(prefix), std::move(after), limit);
    }
    weave::task<stream_info> update_stream(std::string name, stream_changes changes) override {
        return behind_.update_stream(std::move(name), std::move(changes));
    }
    weave::task<void> delete_stream(std::string name) override { return behind_.delete_stream(std::move(name)); }
    weave::task<core::open_reply> open(core::open_request request) override { return behind_.open(std::move(request)); }
    weave::task<void> write(core::session_id session, core::transaction_ref ref, core::frame_data data,
                            std::uint32_t crc) override {
        constexpr int turns_max = 1000;
        const frame_fate fate = losses.frame.exchange(frame_fate::written);
        const int before = losses.refusals;
        for (int turn = 0; fate == frame_fate::overtaken && losses.refusals == before && turn < turns_max; ++turn)
            co_await weave::yield(home_);
        if (fate == frame_fate::refused) throw error(errc::no_space, "refused on purpose");
        co_await behind_.write(session, ref, std::move(data), crc);
        if (fate == frame_fate::answer_lost) throw error(errc::outcome_unknown, "lost on purpose", outcome::unknown);
    }
    weave::task<void> cancel(core::session_id session, std::vector<core::transaction_ref> refs) override {
        return behind_.cancel(session, std::move(refs));
    }
    weave::task<core::attached_producer> attach_producer(core::attach_producer_request request) override {
        return behind_.attach_producer(std::move(request));
    }
    weave::task<core::read_reply> read(core::read_request request) override { return behind_.read(std::move(request)); }
    weave::task<std::string> read_frame(ports::blob_ref frame) override { return behind_.read_frame(std::move(frame)); }
    weave::task<std::vector<partition_number>> wait_readable(core::wait_request request) override {
        return behind_.wait_readable(std::move(request));
    }
    void cancel_wait(core::session_id session, std::uint64_t wait) override { behind_.cancel_wait(session, wait); }
    weave::task<transaction_id> resolve(core::stream_id stream, partition_number partition,
                                        core::start_point start) override {
        return behind_.resolve(stream, partition, start);
    }
    weave::task<std::optional<core::stored_transaction>> last(core::stream_id stream,
                                                              partition_number partition) override {
        return behind_.last(stream, partition);
    }
    weave::task<found_transaction> find_transaction(core::stream_id stream, partition_number partition,
                                                    transaction_id id) override {
        return behind_.find_transaction(stream, partition, id);
    }
    weave::task<std::vector<transaction_info>> scan(core::scan_request request) override {
        return behind_.scan(std::move(request));
    }
    weave::task<tstreams::transaction_state> find_commit(request_id request) override {
        return behind_.find_commit(request);
    }
    weave::task<std::vector<core::attached_partition>> attach_consumer(core::attach_consumer_request request) override {
        return behind_.attach_consumer(std::move(request));
    }
    weave::task<void> detach_consumer(core::session_id session, core::stream_id stream, std::string name) override {
        return behind_.detach_consumer(session, stream, std::move(name));
    }
    weave::task<retention_info> retention() override { return behind_.retention(); }
    weave::task<retention_info> accept_clock() override { return behind_.accept_clock(); }
    weave::task<void> abort(core::stream_id stream, partition_number partition, transaction_id id) override {
        return behind_.abort(stream, partition, id);
    }
    weave::task<std::vector<offset_info>> list_offsets(core::stream_id stream, std::string name) override {
        return behind_.list_offsets(stream, std::move(name));
    }
    weave::task<void> set_offset(core::stream_id stream, std::string name, std::vector<partition_position> positions,
                                 bool take_over) override {
        return behind_.set_offset(stream, std::move(name), std::move(positions), take_over);
    }
    weave::task<void> delete_offset(core::stream_id stream, std::string name, bool take_over) override {
        return behind_.delete_offset(stream, std::move(name), take_over);
    }

private:
    core::service& behind_;
    std::set<request_id> asked_;
    weave::executor& home_;
};

class lossy_store final : public store {
public:
    lossy_store(std::unique_ptr<store> behind, weave::executor& home)
        : behind_(std::move(behind)), service_(behind_->service(), home) {}
    [[nodiscard]] core::service& service() noexcept override { return service_; }
    weave::task<void> stop() override { return behind_->stop(); }

private:
    std::unique_ptr<store> behind_;
    lossy_service service_;
};

weave::task<std::unique_ptr<store>> open_lossy(store_place place, client_options options, weave::executor& executor,
                                               ports::clock& clock) {
    std::unique_ptr<store> behind = co_await open_store(std::move(place), std::move(options), executor, clock);
    co_return std::make_unique<lossy_store>(std::move(behind), executor);
}

class unknown_outcomes : public testing::TestWithParam<loss> {
protected:
    unknown_outcomes() : store(access::make<client>(client_state::open("memory:", {}, &open_lossy))) {
        losses.next = loss::none;
        losses.refuse = errc{};
        losses.frame = frame_fate::written;
        losses.refusals = 0;
        store.create_stream({.name = "s", .partitions = 2});
    }
    // Loses the answer of the commit that `call` makes.
    template <class Call>
    void lose(Call call) {
        losses.next = GetParam();
        try {
            call();
            ADD_FAILURE() << "the lost answer went unnoticed";
        } catch (const error& failure) {
            EXPECT_EQ(name(failure.code()), name(errc::outcome_unknown));
            EXPECT_EQ(failure.outcome(), outcome::unknown);
        }
    }
    std::vector<std::string> all_items() {
        std::vector<std::string> result;
        auto reader = store.make_consumer("s");
        while (auto received = reader.next(0ms))
            for (const item& one : *received) result.emplace_back(one.text());
        return result;
    }
    template <class Call>
    static void expect_code(errc code, Call call) {
        try {
            call();
            ADD_FAILURE() << "expected " << name(code);
        } catch (const error& failure) {
            EXPECT_EQ(name(failure.code()), name(code)) << failure.what();
        }
    }
    client store;
};
INSTANTIATE_TEST_SUITE_P(commits, unknown_outcomes, testing::Values(loss::applied, loss::not_applied),
                         [](const auto& each) { return each.param == loss::applied ? "applied" : "not_applied"; });

TEST_P(unknown_outcomes, a_transaction_asks_again) {
    auto producer = store.make_producer("s");
    auto txn = producer.begin();
    txn.put("once");
    lose([&] { txn.checkpoint(); });
    EXPECT_FALSE(txn.is_open());
    expect_code(errc::invalid_state, [&] { txn.put("more"); });
    lose([&] { txn.checkpoint(); });
    txn.checkpoint();
    EXPECT_EQ(all_items(), std::vector<std::string>{"once"});
    expect_code(errc::transaction_closed, [&] { txn.checkpoint(); });
}

TEST_P(unknown_outcomes, a_large_transaction_asks_again) {
    auto txn = store.make_producer("s").begin();
    const std::string item(400'000, 'x');
    for (int i = 0; i < 5; ++i) txn.put(item);
    lose([&] { txn.checkpoint(); });
    txn.checkpoint();
    EXPECT_EQ(all_items().size(), 5U);
}

// The frame is there or not, whatever was heard of it: the commit that names it says which.
TEST_P(unknown_outcomes, a_frame_in_doubt_is_settled_by_its_commit) {
    auto txn = store.make_producer("s").begin();
    txn.put(std::string(400'000, 'x'));
    losses.frame = frame_fate::refused;
    losses.next = loss::not_applied;
    expect_code(errc::outcome_unknown, [&] { txn.checkpoint(); });
    expect_code(errc::invalid_state, [&] { txn.checkpoint(); });  // the frame is not there
    expect_code(errc::no_space, [&] { txn.checkpoint(); });
    EXPECT_TRUE(all_items().empty());
    txn.cancel();
    auto next = store.make_producer("s").begin();
    next.put(std::string(400'000, 'x'));
    losses.frame = frame_fate::answer_lost;
    lose([&] { next.checkpoint(); });
    if (GetParam() == loss::applied) next.checkpoint();
    EXPECT_EQ(all_items().size(), GetParam() == loss::applied ? 1U : 0U);
}

TEST_P(unknown_outcomes, a_last_frame_and_its_commit_are_under_way_together) {
    auto producer = store.make_producer("s");
    const std::string item(400'000, 'x');
    const auto write_one = [&](frame_fate fate) {
        auto txn = producer.begin(0);
        txn.put(item);
        losses.frame = fate;
        txn.checkpoint();
        EXPECT_FALSE(txn.is_open());
    };
    const int before = losses.commits;
    write_one(frame_fate::written);
    EXPECT_EQ(losses.commits - before, 1);
    write_one(frame_fate::answer_lost);
    EXPECT_EQ(losses.commits - before, 2);
    write_one(frame_fate::overtaken);
    EXPECT_EQ(losses.commits - before, 4);
    EXPECT_EQ(losses.refusals, 1);
    auto refused = producer.begin(0);
    refused.put(item);
    losses.frame = frame_fate::refused;
    expect_code(errc::no_space, [&] { refused.checkpoint(); });
    expect_code(errc::no_space, [&] { refused.put(item); });
    refused.cancel();
    EXPECT_EQ(all_items().size(), 3U);
}

TEST_P(unknown_outcomes, a_transaction_in_doubt_can_be_cancelled_or_dropped) {
    auto producer = store.make_producer("s");
    auto txn = producer.begin(0);
    txn.put("perhaps");
    lose([&] { txn.checkpoint(); });
    if (GetParam() == loss::applied) {
        expect_code(errc::transaction_closed, [&] { txn.cancel(); });
        EXPECT_EQ(all_items().size(), 1U);
    } else {
        txn.cancel();
        EXPECT_TRUE(all_items().empty());
    }
    {
        auto dropped = producer.begin(1);
        dropped.put("perhaps");
        lose([&] { dropped.checkpoint(); });
    }
    // Whatever became of the dropped one, it holds nobody back.
    producer.send(1, std::vector<std::string_view>{"behind"});
    EXPECT_EQ(all_items().back(), "behind");
}

TEST_P(unknown_outcomes, a_producer_asks_again_for_all_of_them) {
    producer_options options;
    options.name = "feeder";
    auto producer = store.make_producer("s", options);
    auto one = producer.begin();
    auto two = producer.begin();
    one.put("one");
    two.put("two");
    producer.set_source_position("line 2");
    lose([&] { producer.checkpoint(); });
    expect_code(errc::invalid_state, [&] { one.cancel(); });
    EXPECT_FALSE(producer.source_position().has_value());
    auto later = producer.begin();
    later.put("later");
    producer.checkpoint();
    EXPECT_EQ(producer.source_position(), "line 2");
    EXPECT_TRUE(later.is_open());
    EXPECT_FALSE(one.is_open());
    producer.checkpoint();
    EXPECT_EQ(all_items().size(), 3U);
}

TEST_P(unknown_outcomes, one_transaction_of_a_joint_checkpoint_settles_all) {
    auto producer = store.make_producer("s");
    auto one = producer.begin();
    auto two = producer.begin();
    lose([&] { producer.checkpoint(); });
    one.checkpoint();
    expect_code(errc::transaction_closed, [&] { two.checkpoint(); });
    const int commits = losses.commits;
    producer.checkpoint();
    EXPECT_EQ(losses.commits, commits);
}

TEST_P(unknown_outcomes, a_consumer_asks_again) {
    auto producer = store.make_producer("s");
    producer.send("a");
    producer.send("b");
    consumer_options options;
    options.name = "c";
    auto consumer = store.make_consumer("s", options);
    std::ignore = consumer.next(0ms);
    const auto first = consumer.positions();
    lose([&] { consumer.checkpoint(); });
    std::ignore = consumer.next(0ms);
    consumer.checkpoint();  // settles the first one
    for (const partition_position& one : first)
        EXPECT_EQ(store.offsets("s", "c").at(one.partition).position, one.after);
    consumer.checkpoint();
    for (const partition_position& one : consumer.positions())
        EXPECT_EQ(store.offsets("s", "c").at(one.partition).position, one.after);
}

TEST_P(unknown_outcomes, a_group_is_frozen_until_it_is_settled) {
    auto source = store.make_producer("s");
    source.send(0, std::vector<std::string_view>{"input"});
    consumer_options options;
    options.name = "job";
    options.partitions = {0};
    auto input = store.make_consumer("s", options);
    auto out = store.make_producer("s");
    auto other = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(input);
    group.add(out);
    std::ignore = input.next(0ms);
    auto txn = out.begin(1);
    txn.put("output");
    lose([&] { group.checkpoint(); });
    const request_id request = group.last_request();
    expect_code(errc::invalid_state, [&] { group.cancel(); });
    expect_code(errc::invalid_state, [&] { group.add(other); });
    expect_code(errc::invalid_state, [&] { group.remove(out); });
    expect_code(errc::invalid_state, [&] { group.clear(); });
    expect_code(errc::invalid_state, [&] { txn.checkpoint(); });
    expect_code(errc::invalid_state, [&] { txn.cancel(); });
    EXPECT_TRUE(group.contains(out));
    group.checkpoint();
    EXPECT_EQ(group.last_request(), request);
    EXPECT_EQ(store.commit_state(request), tstreams::transaction_state::checkpointed);
    EXPECT_EQ(all_items(), (std::vector<std::string>{"input", "output"}));
    EXPECT_EQ(store.offsets("s", "job").at(0).position, input.position(0));
    group.add(other);
}

TEST_P(unknown_outcomes, asking_for_the_state_of_a_group_settles_it) {
    auto out = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(out);
    auto txn = out.begin(1);
    txn.put("output");
    lose([&] { group.checkpoint(); });
    const request_id request = group.last_request();
    const bool applied = GetParam() == loss::applied;
    EXPECT_EQ(store.commit_state(request),
              applied ? tstreams::transaction_state::checkpointed : tstreams::transaction_state::not_checkpointed);
    if (!applied) expect_code(errc::transaction_closed, [&] { group.checkpoint(); });
    group.checkpoint();  // the answer, or a new one
    EXPECT_EQ(group.last_request() == request, applied);
    EXPECT_EQ(all_items(), std::vector<std::string>{"output"});
}

TEST_P(unknown_outcomes, what_is_surely_not_applied_can_be_tried_again) {
    auto producer = store.make_producer("s");
    auto txn = producer.begin();
    txn.put("kept");
    for (const errc code : {errc::no_space, errc::overloaded, errc::unavailable}) {
        losses.refuse = code;
        expect_code(code, [&] { txn.checkpoint(); });
        EXPECT_TRUE(txn.is_open());
    }
    txn.put("more");
    txn.checkpoint();
    EXPECT_EQ(all_items(), (std::vector<std::string>{"kept", "more"}));
}

// Handles that go away while a checkpoint is under way, which then does not happen: nothing of a group is committed
// without them, and nobody waits behind them.
TEST_P(unknown_outcomes, a_member_whose_handle_went_away_is_not_left_out) {
    store.make_producer("s").send(0, std::vector<std::string_view>{"input"});
    consumer_options options;
    options.name = "job";
    options.partitions = {0};
    auto input = store.make_consumer("s", options);
    auto out = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(input);
    group.add(out);
    std::ignore = input.next(0ms);
    std::optional<transaction> txn = out.begin(1);
    txn->put("output");
    losses.meanwhile = [&] { txn.reset(); };
    losses.refuse = errc::no_space;
    expect_code(errc::no_space, [&] { group.checkpoint(); });
    expect_code(errc::transaction_lost, [&] { group.checkpoint(); });
    group.cancel();
    EXPECT_EQ(store.offsets("s", "job").at(0).position, transaction_id());
    store.make_producer("s").send(1, std::vector<std::string_view>{"behind"});
    EXPECT_EQ(all_items(), (std::vector<std::string>{"input", "behind"}));
}

TEST_P(unknown_outcomes, a_member_in_doubt_whose_handle_went_away_is_not_left_out) {
    auto out = store.make_producer("s");
    auto group = store.make_checkpoint_group();
    group.add(out);
    std::optional<transaction> txn = out.begin(1);
    auto kept = out.begin(0);
    txn->put("output");
    kept.put("other");
    lose([&] { group.checkpoint(); });
    txn.reset();
    if (GetParam() == loss::not_applied) {
        losses.refuse = errc::no_space;
        expect_code(errc::no_space, [&] { group.checkpoint(); });
        expect_code(errc::transaction_lost, [&] { group.checkpoint(); });
        group.cancel();
        EXPECT_TRUE(all_items().empty());
    } else {
        group.checkpoint();
        EXPECT_EQ(all_items().size(), 2U);
    }
    store.make_producer("s").send(1, std::vector<std::string_view>{"behind"});
    EXPECT_EQ(all_items().back(), "behind");
}

TEST_P(unknown_outcomes, what_was_dropped_and_is_not_checkpointed_holds_nobody_back) {
    auto producer = store.make_producer("s");
    std::optional<transaction> txn = producer.begin(0);
    txn->put("dropped");
    losses.meanwhile = [&] { txn.reset(); };
    losses.refuse = errc::no_space;
    expect_code(errc::no_space, [&] { txn->checkpoint(); });
    producer.send(0, std::vector<std::string_view>{"behind"});
    EXPECT_EQ(all_items(), std::vector<std::string>{"behind"});
    EXPECT_TRUE(producer.open_transactions().empty());
}

TEST_P(unknown_outcomes, a_send_says_that_it_does_not_know) {
    auto producer = store.make_producer("s");
    lose([&] { producer.send("perhaps"); });
    producer.send("surely");
    const std::size_t expected = GetParam() == loss::applied ? 2 : 1;
    EXPECT_EQ(all_items().size(), expected);
}

}  // namespace
}  // namespace tstreams::detail
