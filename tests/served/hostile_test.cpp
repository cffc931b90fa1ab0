// What a client can do to a server without keys: whatever it sends, the server stays, serves the others, keeps what it
// has, and its memory stays bounded. Seed: TSTREAMS_TEST_SEED.
#include "core/frames.hpp"
#include "tests/served/raw_client.hpp"
#include "wire/call_list.hpp"

#include <moebius/loop.hpp>
#include <moebius/requester.hpp>
#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <thread>

namespace tstreams::served {
namespace {

class attacked : public testing::Test {
protected:
    void SetUp() override {
        const char* given = std::getenv("TSTREAMS_TEST_SEED");
        const std::uint64_t seed = given ? std::stoull(given) : std::random_device()();
        std::printf("TSTREAMS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
        random_.seed(seed);
        daemon_.emplace(directory_.path());
        good_ = client::open(endpoint());
        stream_options chosen;
        chosen.name = "good";
        chosen.durability = durability::process();
        stream_ = good_.create_stream(chosen).id;
        step();
        memory_before_ = memory_of(daemon_->process());
    }
    core::stream_id make_harmed() {
        return good_.create_stream({.name = "harmed", .durability = durability::process()}).id;
    }
    // What an honest client does meanwhile.
    void step() { good_.make_producer("good").send(std::to_string(sent_++)); }
    void check_all(std::size_t kilobytes_more) {
        step();
        consumer from = good_.make_consumer("good", {.start = oldest});
        for (std::uint64_t i = 0; i < sent_; ++i) {
            const std::optional<received_transaction> one = from.next(10s);
            ASSERT_TRUE(one.has_value()) << i;
            EXPECT_EQ(as_text((*one->begin()).bytes()), std::to_string(i));
        }
        const std::size_t memory = memory_of(daemon_->process());
        std::printf("%zu kB, %zu kB before\n", memory, memory_before_);
        EXPECT_LT(memory, memory_before_ + kilobytes_more * sanitizers);
        EXPECT_EQ(WEXITSTATUS(daemon_->end(SIGTERM)), 0);
    }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + directory_.path() + "/socket"; }
    std::uint64_t below(std::uint64_t end) { return random_() % end; }

    temporary_directory directory_;
    std::mt19937_64 random_;
    std::optional<daemon> daemon_;
    client good_;
    core::stream_id stream_ = 0;
    std::uint64_t sent_ = 0;
    std::size_t memory_before_ = 0;
};

using recorded = std::vector<std::pair<std::string, std::string>>;

template <class Call>
void record(recorded& to, raw_client& by, Call call = {}) {
    to.emplace_back(std::string(Call::command), by.encode(call));
}

void record_writing(recorded& all, raw_client& by, core::stream_id stream) {
    wire::create_stream_call create;
    create.request.options.name = "made";
    record(all, by, create);
    record(all, by, wire::update_stream_call{"harmed", {}});
    record(all, by, wire::delete_stream_call{"nobody"});
    wire::open_call open;
    open.request.stream = stream;
    record(all, by, open);
    wire::write_call write;
    write.transaction = by.get(open).transaction;
    std::string frame;
    core::pack_item(frame, as_bytes("item"));
    write.data = as_bytes(frame);
    write.crc32c = core::crc32c(write.data);
    record(all, by, write);
    wire::commit_call commit;
    commit.request.request = {1, 2};
    core::decision& one = commit.request.transactions.emplace_back();
    one.open.stream = stream;
    one.items = 1;
    one.bytes = 4;
    one.inline_items = frame;
    commit.request.offsets.push_back({stream, 0, "c", 1, transaction_id(1), transaction_id(2)});
    commit.request.sources.push_back({stream, "p", 1, "here"});
    record(all, by, commit);
    record(all, by, wire::cancel_call{{write.transaction}});
    wire::attach_producer_call producer;
    producer.request.stream = stream;
    producer.request.producer = "p";
    record(all, by, producer);
    record(all, by, wire::abort_call{stream, 0, transaction_id(7)});
}

void record_reading(recorded& all, raw_client& by, core::stream_id stream) {
    wire::read_call read;
    read.request.stream = stream;
    record(all, by, read);
    record(all, by, wire::read_frame_call{{"0123456789012345678901234567890123456789", 100, 5}});
    wire::wait_readable_call wait;
    wait.stream = stream;
    wait.positions.resize(2);
    record(all, by, wait);
    record(all, by, wire::cancel_wait_call{3});
    record(all, by, wire::follow_call{stream, {{7, transaction_id(1)}}, 10, 1000});
    wire::watch_call watch;
    watch.request.stream = stream;
    watch.request.partitions = {0};
    record(all, by, watch);
    record(all, by, wire::resolve_call{stream, 0, {}});
    record(all, by, wire::last_call{stream, 0});
    record(all, by, wire::find_transaction_call{stream, 0, transaction_id(7)});
    wire::scan_call scan;
    scan.request.stream = stream;
    record(all, by, scan);
    record(all, by, wire::find_commit_call{{1, 2}});
    wire::attach_consumer_call attach;
    attach.request.stream = stream;
    attach.request.consumer = "c";
    attach.request.partitions = {0};
    attach.request.starts.resize(1);
    record(all, by, attach);
    record(all, by, wire::detach_consumer_call{stream, "c"});
    record(all, by, wire::list_offsets_call{stream, "c"});
    record(all, by, wire::set_offset_call{stream, "c", {{0, transaction_id(1)}}, false});
    record(all, by, wire::delete_offset_call{stream, "c", false});
}

// A well-formed one of every call, about the stream "harmed". Closing the session is the last one.
recorded every_call(raw_client& by, core::stream_id harmed) {
    recorded all;
    wire::open_session_call begin;
    begin.client = "mutant";
    begin.timeout = 1s;
    record(all, by, begin);
    record<wire::heartbeat_call>(all, by);
    record(all, by, wire::find_stream_call{"harmed"});
    record(all, by, wire::list_streams_call{"h", "", 10});
    record_writing(all, by, harmed);
    record_reading(all, by, harmed);
    record<wire::retention_call>(all, by);
    record<wire::accept_clock_call>(all, by);
    record(all, by, wire::list_open_call{10});
    record<wire::server_status_call>(all, by);
    record(all, by, wire::server_clients_call{10});
    record<wire::close_session_call>(all, by);
    std::set<std::string_view> names;
    for (const auto& [command, bytes] : all) names.insert(command);
    wire::all_calls::each([&names]<class Call>() { EXPECT_TRUE(names.contains(Call::command)) << Call::command; });
    EXPECT_EQ(all.size(), wire::all_calls::count);
    return all;
}

// What is answered with a stream waits for what may never happen.
outcome_of_call send_any(raw_client& by, std::string_view command, std::string_view bytes) {
    const bool streams = command == wire::follow_call::command || command == wire::watch_call::command;
    return streams ? by.send_for_first(command, bytes, 200ms) : by.send(command, bytes, 2min);
}

TEST_F(attacked, by_truncated_and_flipped_frames_of_every_call) {
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    const recorded calls = every_call(by, make_harmed());
    int refused = 0;
    for (const auto& [command, bytes] : calls) {
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            if (send_any(by, command, std::string_view(bytes).substr(0, length)).refusal) ++refused;
        }
        for (int i = 0; i < 60; ++i) {
            std::string changed = bytes;
            for (std::uint64_t flips = 1 + below(3); flips != 0; --flips) {
                // Not the session, or most would be refused for it.
                std::size_t at = below(changed.size());
                if (at >= 2 && at < 10) at = 0;
                changed[at] = static_cast<char>(changed[at] ^ (1 << below(8)));
            }
            if (command == wire::wait_readable_call::command) continue;  // it may say: wait for a minute
            if (send_any(by, command, changed).refusal) ++refused;
        }
        step();
        raw_client fresh(endpoint());  // the session may have had its numbers used up
        ASSERT_TRUE(fresh.begin().done());
    }
    EXPECT_GT(refused, 1000);
    check_all(256 * 1024);
}

TEST_F(attacked, by_lengths_versions_and_commands_that_are_none) {
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    const auto put = [](std::string& text, std::size_t at, std::uint64_t value, std::size_t bytes) {
        if (at + bytes <= text.size()) std::memcpy(text.data() + at, &value, bytes);
    };
    const core::stream_id harmed = make_harmed();
    const recorded calls = every_call(by, harmed);
    for (const auto& [command, bytes] : calls) {
        if (command == wire::wait_readable_call::command) continue;
        for (std::size_t at = wire::request_head_bytes; at < bytes.size(); ++at) {
            for (const auto& [value, width] : {std::pair<std::uint64_t, std::size_t>(0xffffffffU, 4),
                                               {0x80000000U, 4},
                                               {std::uint64_t{1} << 63, 8},
                                               {~std::uint64_t{0}, 8}}) {
                std::string changed = bytes;
                put(changed, at, value, width);
                std::ignore = send_any(by, command, changed);
            }
        }
    }
    wire::request_head head;
    head.session = by.session;
    for (int version = 0; version < 256; ++version) {
        if (version == wire::major_version) continue;
        head.major = static_cast<std::uint8_t>(version);
        EXPECT_EQ(by.send("tstreams.heartbeat", wire::encode_request(head, wire::heartbeat_call{})).refusal,
                  errc::unsupported);
    }
    EXPECT_EQ(by.send("tstreams.fly", "").transport, moebius::errc::unroutable);
    EXPECT_EQ(by.send(std::string(255, 'x'), "").transport, moebius::errc::unroutable);
    // Of frames: a checksum of something else, and items that are not whole.
    wire::open_call open;
    open.request.stream = harmed;
    raw_client fresh(endpoint());  // the other one has opened as many sessions as it may
    ASSERT_TRUE(fresh.begin().done());
    wire::write_call write;
    write.transaction = fresh.get(open).transaction;
    std::string frame =
        "\xff\xff\xff\xff\x0f"
        "abc";
    write.data = as_bytes(frame);
    write.crc32c = core::crc32c(write.data);
    EXPECT_EQ(fresh.ask(write).refusal, errc::malformed_message);
    frame.clear();
    core::pack_item(frame, as_bytes("good"));
    write.data = as_bytes(frame);
    EXPECT_EQ(fresh.ask(write).refusal, errc::malformed_message);
    EXPECT_TRUE(fresh.ask(wire::cancel_call{{write.transaction}}).done());
    check_all(256 * 1024);
}

// The first attempt of a commit comes late, behind its repetition in another call.
TEST_F(attacked, by_a_fresh_commit_that_was_overtaken) {
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    wire::commit_call call;
    call.request.request = core::make_request_id(
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()), true, 1, 2);
    core::decision& one = call.request.transactions.emplace_back();
    one.open.stream = stream_;
    one.items = 1;
    one.bytes = 1;
    one.inline_items = std::string("\1x", 2);
    wire::request_head head;
    head.session = by.session;
    head.answered_below = 1;
    const auto ask = [&](std::uint64_t sequence, bool fresh) {
        head.sequence = sequence;
        call.request.fresh = fresh;
        const outcome_of_call came = by.send(call.command, wire::encode_request(head, call));
        EXPECT_TRUE(came.done());
        return wire::decode_reply<core::commit_reply>(came.answer).transactions;
    };
    const std::vector<transaction_id> first = ask(9, false);
    EXPECT_EQ(ask(5, true), first);
    EXPECT_EQ(ask(9, false), first);
}

// Notes of more calls than a page has would make it long to search, for hours, and nobody's answers would be found
// there.
TEST_F(attacked, by_fresh_sends_that_say_to_be_one_call) {
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin().done());
    wire::commit_call call;
    core::decision& one = call.request.transactions.emplace_back();
    one.open.stream = good_.create_stream({.name = "other", .durability = durability::process()}).id;
    one.items = 1;
    one.bytes = 1;
    one.inline_items = std::string("\1x", 2);
    const auto ask = [&](std::uint64_t number, bool fresh, core::call_number first) {
        call.request.request = core::make_request_id(
            std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()), false, 1,
            number);
        call.request.fresh = fresh;
        call.request.first_asked = first;
        return by.get(call).transactions;
    };
    constexpr std::uint64_t many = 400;
    std::vector<transaction_id> last;
    for (std::uint64_t i = 0; i < many; ++i) last = ask(i, true, {123, 5});
    const request_id asked = call.request.request;
    const core::call_number was{by.session, by.last_sequence};
    EXPECT_NO_THROW(ask(many, false, {123, 5})) << "the page is as good as empty";
    call.request.request = asked;
    call.request.first_asked = was;
    EXPECT_EQ(by.get(call).transactions, last) << "noted as the call that it was";
    check_all(64 * 1024);
}

TEST_F(attacked, by_a_client_that_opens_and_never_decides) {
    stream_options chosen;
    chosen.name = "held";
    chosen.max_open = 2s;
    const std::uint64_t held = good_.create_stream(chosen).id;
    std::optional<raw_client> by(endpoint());
    ASSERT_TRUE(by->begin(1s).done());
    wire::open_call open;
    open.request.stream = held;
    std::uint64_t opened = 0;
    while (by->ask(open).done()) ++opened;
    EXPECT_EQ(opened, 4096U);
    good_.make_producer("held").send("behind");
    consumer from = good_.make_consumer("held", {.start = oldest});
    const std::optional<received_transaction> got = from.next(20s);
    ASSERT_TRUE(got.has_value()) << "what is never decided expires";
    EXPECT_EQ(as_text((*got->begin()).bytes()), "behind");
    check_all(64 * 1024);
}

// Questions whose answers it does not take: they wait up to a budget, and the server drops the client in the end.
// What the first such client held is used for the second one.
TEST_F(attacked, by_clients_that_never_read) {
    const core::stream_id harmed = make_harmed();
    good_.make_producer("harmed").send(std::string(900'000, 'x'));
    raw_client by(endpoint());
    ASSERT_TRUE(by.begin(10min).done());
    const core::stored_transaction stored = by.get(wire::last_call{harmed, 0}).value();
    const std::string ask = by.encode(wire::read_frame_call{stored.frames.front().blob});
    const auto connections = [&by] { return by.get(wire::server_status_call{}).connections; };
    const std::uint64_t others = connections();
    const auto await_connections = [&](std::uint64_t count) {
        const auto end = std::chrono::steady_clock::now() + 90s;
        while (connections() != count) {
            ASSERT_LT(std::chrono::steady_clock::now(), end) << count;
            std::this_thread::sleep_for(100ms);
        }
    };
    constexpr std::size_t budget = 192 * 1024 * sanitizers;
    for (int round = 0; round < 2; ++round) {
        moebius::loop loop;
        moebius::requester_options options;
        options.receive_queue = 1;
        options.heartbeat = options.dead_after = 0s;  // it would not read their answers either, and end by itself
        moebius::requester never(loop, endpoint(), options);
        std::ignore = loop.run(moebius::ask(never, "moebius.ping", moebius::message(std::string_view()), 10s));
        await_connections(others + 1);  // the first one says something when it ends, and is there for a moment
        // The loop runs as long as it takes to send them, and then never again: nothing is received.
        constexpr int questions = 3000;  // for 2.7 GB
        for (int i = 0; i < questions; ++i)
            never.call(wire::read_frame_call::command, moebius::message(ask), 1h, [](const auto&) {});
        std::size_t peak = 0;
        for (int i = 0; i < 30; ++i) {
            std::this_thread::sleep_for(100ms);
            step();
            peak = std::max(peak, memory_of(daemon_->process()));
        }
        std::printf("peak %zu kB above %zu kB\n", peak - memory_before_, memory_before_);
        EXPECT_LT(peak, memory_before_ + budget);
        EXPECT_EQ(connections(), others + 1) << "it has 30 s";
        if (round == 0) await_connections(others);
    }
    check_all(budget / sanitizers);
}

// Sockets that say nothing, or what is not ZMTP; and clients that come and go.
TEST_F(attacked, by_floods_of_connections) {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    std::snprintf(place.sun_path, sizeof place.sun_path, "%s/socket", directory_.path().c_str());
    std::vector<int> open;
    for (int i = 0; i < 400; ++i) {
        const int one = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ASSERT_GE(one, 0);
        if (::connect(one, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0 && i % 2 == 0) {
            std::string noise(64, '\0');
            for (char& byte : noise) byte = static_cast<char>(random_());
            std::ignore = ::send(one, noise.data(), noise.size(), MSG_NOSIGNAL);
        }
        open.push_back(one);
        if (i % 50 == 0) step();
    }
    for (int i = 0; i < 300; ++i) {
        raw_client brief(endpoint());
        ASSERT_TRUE(brief.begin(200ms).done());
        if (i % 50 == 0) step();
    }
    for (const int one : open) ::close(one);
    check_all(128 * 1024);
}

}  // namespace
}  // namespace tstreams::served
