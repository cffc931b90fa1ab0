// Each limit of tstreamsd at its value and one above: typed, nothing done, and the client goes on.
#include "core/frames.hpp"
#include "tests/served/secured.hpp"

#include <moebius/loop.hpp>
#include <moebius/requester.hpp>
#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace tstreams::served {
namespace {

class limited : public testing::Test {
protected:
    // Serves with these, and makes the stream "s".
    void serve(const std::vector<std::string>& extra) {
        daemon_.emplace(directory_.path(), extra);
        raw_.emplace(endpoint());
        ASSERT_TRUE(raw_->begin().done());
        wire::create_stream_call create;
        create.request.options.name = "s";
        create.request.options.durability = durability::process();
        stream_ = raw_->get(create).id;
    }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + directory_.path() + "/socket"; }
    [[nodiscard]] wire::open_call open_call() const {
        wire::open_call call;
        call.request.stream = stream_;
        return call;
    }
    wire::commit_call commit_call(std::size_t members) {
        wire::commit_call call;
        call.request.request = core::make_request_id(
            std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()), true, ++last_,
            1);
        for (std::size_t i = 0; i < members; ++i) {
            core::decision& one = call.request.transactions.emplace_back();
            one.open.stream = stream_;
            one.items = 1;
            one.bytes = 1;
            core::pack_item(one.inline_items, as_bytes("x"));
        }
        return call;
    }
    static wire::write_call write_call(const core::transaction_ref& to, const std::string& frame) {
        wire::write_call call;
        call.transaction = to;
        call.data = as_bytes(frame);
        call.crc32c = core::crc32c(call.data);
        return call;
    }
    static std::string frame_of(std::size_t item_bytes) {
        std::string frame;
        core::pack_item(frame, as_bytes(std::string(item_bytes, 'x')));
        return frame;
    }
    void expect_partitions_at_most(std::uint32_t most) {
        wire::create_stream_call create;
        create.request.options.name = "wide";
        create.request.options.partitions = most + 1;
        EXPECT_EQ(raw_->ask(create).refusal, errc::too_large);
        create.request.options.partitions = most;
        EXPECT_TRUE(raw_->ask(create).done());
        wire::update_stream_call more;
        more.name = "s";
        more.changes.partitions = most + 1;
        EXPECT_EQ(raw_->ask(more).refusal, errc::too_large);
        more.changes.partitions = most;
        EXPECT_TRUE(raw_->ask(more).done());
    }
    [[nodiscard]] std::size_t stored() {
        wire::scan_call call;
        call.request.stream = stream_;
        call.request.open = false;
        return raw_->get(call).size();
    }

    temporary_directory directory_;
    std::optional<daemon> daemon_;
    std::optional<raw_client> raw_;
    core::stream_id stream_ = 0;
    std::uint64_t last_ = 0;
};

TEST_F(limited, members_of_a_group) {
    serve({});
    EXPECT_TRUE(raw_->ask(commit_call(1000)).done());
    EXPECT_EQ(raw_->ask(commit_call(1001)).refusal, errc::too_large);
    EXPECT_EQ(stored(), 1000U);
}

TEST_F(limited, open_transactions_of_a_client) {
    serve({});
    for (int i = 0; i < 4096; ++i) ASSERT_TRUE(raw_->ask(open_call()).done()) << i;
    EXPECT_EQ(raw_->ask(open_call()).refusal, errc::overloaded);
    // The place of another client is its own.
    raw_client other(endpoint());
    ASSERT_TRUE(other.begin().done());
    EXPECT_TRUE(other.ask(open_call()).done());
    wire::scan_call call;
    call.request.stream = stream_;
    call.request.checkpointed = false;
    call.request.limit = 1;
    const std::vector<transaction_info> first = raw_->get(call);
    ASSERT_EQ(first.size(), 1U);
    ASSERT_TRUE(raw_->ask(wire::abort_call{stream_, 0, first.front().id}).done());
    EXPECT_TRUE(raw_->ask(open_call()).done());
    EXPECT_EQ(raw_->ask(open_call()).refusal, errc::overloaded);
}

TEST_F(limited, open_transactions_of_all) {
    serve({"--all-transactions", "3"});
    raw_client other(endpoint());
    ASSERT_TRUE(other.begin().done());
    EXPECT_TRUE(raw_->ask(open_call()).done());
    EXPECT_TRUE(raw_->ask(open_call()).done());
    const core::open_reply last = other.get(open_call());
    EXPECT_EQ(other.ask(open_call()).refusal, errc::overloaded);
    EXPECT_EQ(raw_->ask(open_call()).refusal, errc::overloaded);
    EXPECT_TRUE(other.ask(wire::cancel_call{{last.transaction}}).done());
    EXPECT_TRUE(raw_->ask(open_call()).done());
}

TEST_F(limited, time_that_a_transaction_is_open) {
    serve({});
    wire::create_stream_call create;
    create.request.options.name = "long";
    create.request.options.ttl = std::chrono::hours(100);
    create.request.options.max_open = std::chrono::hours(24) + 1s;
    EXPECT_EQ(raw_->ask(create).refusal, errc::too_large);
    create.request.options.max_open = std::chrono::hours(24);
    stream_ = raw_->get(create).id;
    EXPECT_TRUE(raw_->ask(open_call()).done());
    // Made by a server that allows more: its transactions are as short as this one wants them.
    EXPECT_EQ(WEXITSTATUS(daemon_->end(SIGTERM)), 0);
    daemon_.emplace(directory_.path(), std::vector<std::string>{"--open-time", "1"});
    raw_.emplace(endpoint());
    ASSERT_TRUE(raw_->begin().done());
    const core::open_reply opened = raw_->get(open_call());
    EXPECT_LE(opened.expires, std::chrono::system_clock::now() + 1s);
    wire::find_transaction_call find{stream_, 0, opened.transaction.id};
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (raw_->get(find).info.state == transaction_state::open) {
        ASSERT_LT(std::chrono::steady_clock::now(), end);
        std::this_thread::sleep_for(20ms);
    }
}

TEST_F(limited, partitions_of_a_stream) {
    serve({"--stream-partitions", "4"});
    expect_partitions_at_most(4);
}

TEST_F(limited, partitions_of_a_stream_at_the_default) {
    serve({});
    expect_partitions_at_most(1024);
}

TEST_F(limited, bytes_of_an_item) {
    serve({});
    const core::open_reply opened = raw_->get(open_call());
    constexpr std::size_t most = std::size_t{16} << 20;
    EXPECT_TRUE(raw_->ask(write_call(opened.transaction, frame_of(most))).done());
    const outcome_of_call over = raw_->ask(write_call(opened.transaction, frame_of(most + 1)));
    EXPECT_EQ(over.refusal, errc::too_large);
}

TEST_F(limited, bytes_of_a_small_item) {
    serve({"--item-bytes", "1000"});
    const core::open_reply opened = raw_->get(open_call());
    EXPECT_TRUE(raw_->ask(write_call(opened.transaction, frame_of(1000) + frame_of(1000))).done());
    EXPECT_EQ(raw_->ask(write_call(opened.transaction, frame_of(10) + frame_of(1001))).refusal, errc::too_large);
    wire::commit_call call = commit_call(1);
    call.request.transactions.front().inline_items = frame_of(1001);
    EXPECT_EQ(raw_->ask(call).refusal, errc::too_large);
    call.request.transactions.front().inline_items = frame_of(1000);
    EXPECT_TRUE(raw_->ask(call).done());
}

TEST_F(limited, bytes_of_a_transaction) {
    serve({"--transaction-bytes", "3000"});
    const core::open_reply opened = raw_->get(open_call());
    const std::string frame = frame_of(998);  // with its length 1,000 bytes
    ASSERT_EQ(frame.size(), 1000U);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(raw_->ask(write_call(opened.transaction, frame)).done());
    EXPECT_EQ(raw_->ask(write_call(opened.transaction, frame_of(0))).refusal, errc::too_large);
    wire::commit_call call = commit_call(1);
    call.request.transactions.front() = {};
    call.request.transactions.front().transaction = opened.transaction;
    call.request.transactions.front().items = 3;
    call.request.transactions.front().bytes = 3 * 998;
    call.request.transactions.front().frames = 3;
    EXPECT_TRUE(raw_->ask(call).done());
    EXPECT_EQ(stored(), 1U);
}

TEST_F(limited, clients) {
    serve({"--clients", "3"});
    raw_client second(endpoint()), third(endpoint()), fourth(endpoint());
    EXPECT_TRUE(second.begin().done());
    EXPECT_TRUE(third.begin().done());
    EXPECT_EQ(fourth.begin().transport, moebius::errc::overloaded);
    EXPECT_TRUE(third.ask(wire::heartbeat_call{}).done());
}

// Also where they share a connection.
TEST_F(limited, sessions) {
    serve({"--clients", "3"});
    EXPECT_TRUE(raw_->begin().done());
    EXPECT_TRUE(raw_->begin().done());
    EXPECT_EQ(raw_->begin().refusal, errc::overloaded);
}

// Those that were left for a newer one count.
TEST_F(limited, sessions_of_one_connection) {
    serve({});
    const core::session_id first = raw_->session;
    for (int i = 1; i < 16; ++i) ASSERT_TRUE(raw_->begin().done()) << i;
    EXPECT_EQ(raw_->begin().refusal, errc::overloaded);
    raw_client other(endpoint());
    EXPECT_TRUE(other.begin().done()) << "one client does not take the room of all";
    // Speaking over another connection makes no room.
    other.session = first;
    EXPECT_TRUE(other.ask(wire::heartbeat_call{}).done());
    EXPECT_EQ(raw_->begin().refusal, errc::overloaded);
    EXPECT_TRUE(raw_->ask(wire::heartbeat_call{}).done()) << "the newest one goes on";
    raw_->session = first;
    EXPECT_TRUE(raw_->ask(wire::close_session_call{}).done());
    EXPECT_TRUE(raw_->begin().done());
    EXPECT_EQ(raw_->begin().refusal, errc::overloaded);
}

TEST_F(secured, sessions_of_one_name) {
    add("many", "read", "*");
    add("other", "read", "*");
    daemon_.emplace(directory_.path(), std::vector<std::string>{"--key-file", path("server.key"), "--clients-file",
                                                                path("clients"), "--user-sessions", "3"});
    raw_client one(endpoint(), security("many")), two(endpoint(), security("many"));
    EXPECT_TRUE(one.begin().done());
    EXPECT_TRUE(one.begin().done());
    EXPECT_TRUE(two.begin().done());
    EXPECT_EQ(two.begin().refusal, errc::overloaded);
    EXPECT_EQ(one.begin().refusal, errc::overloaded);
    raw_client neighbour(endpoint(), security("other"));
    EXPECT_TRUE(neighbour.begin().done());
    EXPECT_TRUE(one.ask(wire::close_session_call{}).done());
    EXPECT_TRUE(two.begin().done());
}

// One that its client has left for a newer one ends by its silence, though their connection stays.
TEST_F(limited, sessions_that_were_left_behind) {
    serve({"--clients", "3"});
    ASSERT_TRUE(raw_->begin(1s).done());
    ASSERT_TRUE(raw_->begin(1s).done());
    EXPECT_EQ(raw_->begin(1s).refusal, errc::overloaded);
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!raw_->begin(1s).done()) {
        ASSERT_LT(std::chrono::steady_clock::now(), end);
        std::this_thread::sleep_for(50ms);
    }
    std::this_thread::sleep_for(3s);  // the newest one is silent, too, but is the connection's
    EXPECT_TRUE(raw_->ask(wire::heartbeat_call{}).done());
}

TEST_F(limited, answers_that_are_kept) {
    serve({"--client-answers", "100"});
    ASSERT_TRUE(raw_->begin().done());
    const wire::open_call call = open_call();
    const auto numbered = [&](std::uint64_t sequence, std::uint64_t answered_below) {
        wire::request_head head;
        head.session = raw_->session;
        head.sequence = sequence;
        head.answered_below = answered_below;
        return raw_->send(call.command, wire::encode_request(head, call));
    };
    for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(numbered(i, 1).done()) << i;
    EXPECT_EQ(numbered(101, 1).refusal, errc::overloaded);
    EXPECT_TRUE(numbered(101, 2).done());
}

TEST_F(limited, bytes_of_answers_that_are_kept) {
    serve({"--client-unread-bytes", "100000"});
    wire::create_stream_call wide;
    wide.request.options.name = "wide";
    wide.request.options.partitions = 1024;
    stream_ = raw_->get(wide).id;
    wire::attach_consumer_call attach;
    attach.request.stream = stream_;
    for (partition_number one = 0; one < 1024; ++one) attach.request.partitions.push_back(one);
    attach.request.starts.resize(1024);
    ASSERT_TRUE(raw_->begin().done());
    const auto numbered = [&](std::uint64_t sequence, std::uint64_t answered_below) {
        wire::request_head head;
        head.session = raw_->session;
        head.sequence = sequence;
        head.answered_below = answered_below;
        return raw_->send(attach.command, wire::encode_request(head, attach));
    };
    std::uint64_t sequence = 1;
    while (sequence < 100 && numbered(sequence, 1).done()) ++sequence;
    EXPECT_LT(sequence, 10U) << "each answer has some 20 KiB";
    EXPECT_EQ(numbered(sequence, 1).refusal, errc::overloaded);
    EXPECT_TRUE(numbered(sequence, 2).done()) << "the first one is confirmed";
    EXPECT_TRUE(numbered(sequence + 1, sequence + 1).done());
}

TEST_F(limited, silence_of_a_session) {
    serve({"--session-timeout", "60"});
    EXPECT_TRUE(raw_->begin(60s).done());
    EXPECT_EQ(raw_->begin(60'001ms).refusal, errc::too_large);
    client_options chosen;
    chosen.session_timeout = 60s;
    EXPECT_EQ(code_of([&] { std::ignore = client::open(endpoint(), chosen); }), errc{});
    chosen.session_timeout = 60'001ms;
    EXPECT_EQ(code_of([&] { std::ignore = client::open(endpoint(), chosen); }), errc::too_large);
}

// An ordinary client waits for room, and all of it is done once.
TEST_F(limited, bytes_under_way_of_a_client) {
    serve({"--client-bytes", "1MiB", "--item-bytes", "900000"});
    client many = client::open(endpoint());
    std::vector<std::thread> writers;
    for (int i = 0; i < 8; ++i)
        writers.emplace_back([&many] {
            producer to = many.make_producer("s");
            for (int round = 0; round < 5; ++round) to.send(std::string(900'000, 'x'));
        });
    for (std::thread& one : writers) one.join();
    EXPECT_EQ(stored(), 40U);
}

template <class Call>
std::size_t size_of(const Call& call) {
    return wire::encode_request({}, call).size();
}

// A connection with a large call that is under way until it is cancelled.
class waiting_client {
public:
    waiting_client(const std::string& endpoint, const std::string& wait) : by_(loop_, endpoint) {
        ping();
        by_.call(wire::wait_readable_call::command, moebius::message(wait), 1min,
                 [this](const auto&) { over_ = true; });
        ping();
    }
    // What is answered has come behind all that was sent before.
    void ping() { std::ignore = ask("moebius.ping", ""); }
    moebius::errc ask(std::string_view command, const std::string& bytes) {
        try {
            std::ignore = loop_.run(moebius::ask(by_, std::string(command), moebius::message(bytes), 20s));
        } catch (const moebius::error& failure) {
            return failure.code();
        }
        return moebius::errc::none;
    }
    [[nodiscard]] bool over() const noexcept { return over_; }

private:
    moebius::loop loop_;
    bool over_ = false;
    moebius::requester by_;
};

class limited_bytes : public limited {
protected:
    limited_bytes() {
        wait_.wait = 7;
        wait_.positions.resize(40);
        wait_.patience = 1min;
    }
    // Of the wait and of what fits beside it, to the byte.
    [[nodiscard]] std::string room() const { return std::to_string(size_of(wait_) + size_of(fits_)); }
    [[nodiscard]] std::string encoded_wait() {
        wait_.stream = stream_;
        return raw_->encode(wait_);
    }

    wire::wait_readable_call wait_;
    const wire::find_stream_call fits_{"ten-bytes-"}, over_{"ten-bytes-1"};
};

TEST_F(limited_bytes, calls_of_a_client) {
    serve({"--item-bytes", "500", "--client-bytes", room()});
    waiting_client by(endpoint(), encoded_wait());
    EXPECT_EQ(by.ask(over_.command, raw_->encode(over_)), moebius::errc::overloaded);
    EXPECT_EQ(by.ask(fits_.command, raw_->encode(fits_)), moebius::errc::none);
    EXPECT_TRUE(raw_->ask(over_).done()) << "the room of another connection is its own";
    EXPECT_FALSE(by.over());
    ASSERT_TRUE(raw_->ask(wire::cancel_wait_call{wait_.wait}).done());
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (by.ask(over_.command, raw_->encode(over_)) != moebius::errc::none)
        ASSERT_LT(std::chrono::steady_clock::now(), end) << "the wait is over, and its room is free";
    EXPECT_TRUE(by.over());
}

TEST_F(limited_bytes, calls_of_all_clients) {
    serve({"--item-bytes", "500", "--client-bytes", "500", "--all-bytes", room()});
    waiting_client by(endpoint(), encoded_wait());
    EXPECT_EQ(raw_->ask(over_).transport, moebius::errc::overloaded);
    EXPECT_TRUE(raw_->ask(fits_).done());
    EXPECT_FALSE(by.over());
    ASSERT_TRUE(raw_->ask(wire::cancel_wait_call{wait_.wait}).done());
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!raw_->ask(over_).done()) ASSERT_LT(std::chrono::steady_clock::now(), end);
}

// What waits for clients that take nothing, and what is made for them, are bounded for all of them together; each may
// have an answer of its own. A client that reads is served meanwhile.
TEST_F(limited_bytes, answers_that_nobody_reads) {
    serve({"--client-unread-bytes", "64MiB", "--all-unread-bytes", "4MiB"});
    client good = client::open(endpoint());
    constexpr std::size_t item = 100'000;  // libzmq has 64 messages of each client beside these limits
    good.make_producer("s").send(std::string(item, 'x'));
    const core::stored_transaction stored = raw_->get(wire::last_call{stream_, 0}).value();
    const std::string ask = raw_->encode(wire::read_frame_call{stored.frames.front().blob});
    const std::size_t before = memory_of(daemon_->process());
    moebius::loop loop;
    moebius::requester_options options;
    options.receive_queue = 1;
    options.heartbeat = options.dead_after = 0s;  // it would not read their answers either
    std::vector<std::unique_ptr<moebius::requester>> never;
    for (int i = 0; i < 4; ++i) {
        never.push_back(std::make_unique<moebius::requester>(loop, endpoint(), options));
        std::ignore = loop.run(moebius::ask(*never.back(), "moebius.ping", moebius::message(std::string_view()), 10s));
    }
    // The loop never runs again: nothing is received, and the last questions of each are not sent.
    for (const auto& one : never)
        for (int i = 0; i < 2000; ++i)  // for 200 MB each
            one->call(wire::read_frame_call::command, moebius::message(ask), 1h, [](const auto&) {});
    std::size_t peak = 0;
    for (int i = 0; i < 30; ++i) {
        std::this_thread::sleep_for(100ms);
        EXPECT_EQ(good.last("s", 0).value().begin()->bytes().size(), item);
        peak = std::max(peak, memory_of(daemon_->process()));
    }
    std::printf("peak %zu kB above %zu kB\n", peak - before, before);
    EXPECT_LT(peak, before + 96 * 1024 * sanitizers);
}

TEST_F(limited, lists_in_a_call) {
    serve({});
    wire::cancel_call cancel;
    cancel.transactions.resize(4096);
    for (auto& one : cancel.transactions) one.stream = stream_;
    EXPECT_TRUE(raw_->ask(cancel).done());
    cancel.transactions.emplace_back();
    EXPECT_EQ(raw_->ask(cancel).refusal, errc::too_large);
    wire::wait_readable_call wait;
    wait.stream = stream_;
    wait.positions.resize(1025);
    EXPECT_EQ(raw_->ask(wait).refusal, errc::too_large);
}

}  // namespace
}  // namespace tstreams::served
