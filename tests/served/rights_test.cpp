// Each key can do exactly what the file of clients says: every call, every set of rights, members of groups, and
// references of frames. Clients are raw ones where the answer of the server itself counts.
#include "tests/served/secured.hpp"

#include <functional>

namespace tstreams::served {
namespace {

using access::right;

// -- the matrix ---------------------------------------------------------------------------------------------

struct asked_call {
    std::string name;
    access::rights one_of;  // what it takes
    access::rights also;    // and one of these
    std::function<outcome_of_call(raw_client&, std::uint64_t stream, const std::string& stream_name)> ask;
};

using id = std::uint64_t;
using text = std::string;

template <class Make>
asked_call call_of(std::string name, access::rights one_of, Make make, access::rights also = {}) {
    return {std::move(name), one_of, also,
            [make](raw_client& by, id stream, const text& stream_name) { return by.ask(make(stream, stream_name)); }};
}

// Of a call that is answered with a stream, the first item.
template <class Make>
asked_call stream_of(std::string name, access::rights one_of, Make make) {
    return {std::move(name), one_of, access::rights{},
            [make](raw_client& by, id stream, const text&) { return by.ask_for_first(make(stream)); }};
}

void add_writing(std::vector<asked_call>& calls) {
    calls.push_back(
        call_of("find", access::rights::all(), [](id, const text& name) { return wire::find_stream_call{name}; }));
    calls.push_back(call_of("create", right::create, [](id, const text& name) {
        wire::create_stream_call call;
        call.request.options.name = name;
        return call;
    }));
    calls.push_back(
        call_of("update", right::admin, [](id, const text& name) { return wire::update_stream_call{name, {}}; }));
    calls.push_back(call_of("open", right::write, [](id stream, const text&) {
        wire::open_call call;
        call.request.stream = stream;
        return call;
    }));
    calls.push_back(call_of("write", right::write, [](id stream, const text&) {
        wire::write_call call;
        call.transaction.stream = stream;
        call.crc32c = core::crc32c({});
        return call;
    }));
    calls.push_back(call_of("commit", right::write, [](id stream, const text&) {
        wire::commit_call call{commit_of(1)};
        call.request.transactions.push_back(decision_for(stream));
        return call;
    }));
    calls.push_back(call_of("commit of an open one", right::write, [](id stream, const text&) {
        wire::commit_call call{commit_of(2)};
        call.request.transactions.push_back(decision_for(0));
        call.request.transactions.back().transaction.stream = stream;
        call.request.transactions.back().transaction.id = transaction_id(7);
        return call;
    }));
    calls.push_back(call_of("commit of an offset", right::offsets, [](id stream, const text&) {
        wire::commit_call call{commit_of(3)};
        call.request.offsets.push_back({stream, 0, "c", 1, transaction_id(1), {}});
        return call;
    }));
    calls.push_back(call_of("commit of a source", right::write, [](id stream, const text&) {
        wire::commit_call call{commit_of(4)};
        call.request.sources.push_back({stream, "p", 1, "here"});
        return call;
    }));
    calls.push_back(call_of("cancel", right::write, [](id stream, const text&) {
        core::transaction_ref which;
        which.stream = stream;
        which.id = transaction_id(7);
        return wire::cancel_call{{which}};
    }));
    calls.push_back(call_of("attach producer", right::write, [](id stream, const text&) {
        wire::attach_producer_call call;
        call.request.stream = stream;
        call.request.producer = "p";
        return call;
    }));
}

void add_reading(std::vector<asked_call>& calls) {
    calls.push_back(call_of("read", right::read, [](id stream, const text&) {
        wire::read_call call;
        call.request.stream = stream;
        return call;
    }));
    calls.push_back(call_of("wait", right::read, [](id stream, const text&) {
        wire::wait_readable_call call;
        call.stream = stream;
        call.positions.resize(1);
        return call;
    }));
    calls.push_back(stream_of("follow", right::read, [](id stream) {
        wire::follow_call call;
        call.stream = stream;
        call.positions = {{7, {}}};  // there is no such partition: the answer comes at once
        return call;
    }));
    calls.push_back(stream_of("watch", right::read, [](id stream) {
        wire::watch_call call;
        call.request.stream = stream;
        return call;
    }));
    calls.push_back(
        call_of("resolve", right::read, [](id stream, const text&) { return wire::resolve_call{stream, 0, {}}; }));
    calls.push_back(call_of("last", right::read, [](id stream, const text&) { return wire::last_call{stream, 0}; }));
    calls.push_back(call_of("find transaction", right::read | right::write, [](id stream, const text&) {
        return wire::find_transaction_call{stream, 0, transaction_id(7)};
    }));
    calls.push_back(call_of("scan", right::read | right::write | right::admin, [](id stream, const text&) {
        wire::scan_call call;
        call.request.stream = stream;
        return call;
    }));
    const auto attach = [](const text& consumer) {
        return [consumer](id stream, const text&) {
            wire::attach_consumer_call call;
            call.request.stream = stream;
            call.request.consumer = consumer;
            call.request.partitions = {0};
            call.request.starts.resize(1);
            return call;
        };
    };
    calls.push_back(call_of("attach nameless", right::read, attach("")));
    calls.push_back(call_of("attach consumer", right::read, attach("c"), right::offsets));
    calls.push_back(call_of("detach consumer", right::offsets,
                            [](id stream, const text&) { return wire::detach_consumer_call{stream, "c"}; }));
    calls.push_back(call_of("abort", right::admin,
                            [](id stream, const text&) { return wire::abort_call{stream, 0, transaction_id(7)}; }));
    calls.push_back(call_of("list offsets", right::offsets | right::admin,
                            [](id stream, const text&) { return wire::list_offsets_call{stream, ""}; }));
    calls.push_back(call_of("set offset", right::offsets, [](id stream, const text&) {
        return wire::set_offset_call{stream, "d", {{0, transaction_id(1)}}, true};
    }));
    calls.push_back(call_of("delete offset", right::offsets,
                            [](id stream, const text&) { return wire::delete_offset_call{stream, "d", true}; }));
    calls.push_back(
        call_of("delete", right::admin, [](id, const text& name) { return wire::delete_stream_call{name}; }));
}

// Every set of rights x every call x a stream that the pattern names and one that it does not.
TEST_F(secured, each_key_can_do_what_the_file_says_and_nothing_else) {
    for (unsigned bits = 0; bits < 32; ++bits) {
        access::rights set;
        for (const right one : {right::create, right::write, right::read, right::offsets, right::admin})
            if (bits & static_cast<unsigned>(one)) set |= one;
        add("c" + std::to_string(bits), to_string(set), "in-*");
    }
    serve();
    client root = open("root");
    std::vector<asked_call> calls;
    add_writing(calls);
    add_reading(calls);
    int checked = 0;
    for (unsigned bits = 0; bits < 32; ++bits) {
        const std::string user = "c" + std::to_string(bits);
        const access::access_list list = access::access_list::read(path("clients"));
        raw_client by(endpoint(), security(user));
        ASSERT_TRUE(by.begin().done());
        for (const std::string& name : {"in-" + user, "out-" + user}) {
            const std::uint64_t stream = make_stream(root, name);
            const access::rights has = list.of(user, name);
            EXPECT_EQ(has.empty(), bits == 0 || name.starts_with("out-"));
            for (const asked_call& one : calls) {
                const bool may = has.any_of(one.one_of) && (one.also.empty() || has.any_of(one.also));
                const outcome_of_call came = one.ask(by, stream, name);
                ASSERT_EQ(came.transport, moebius::errc::none);
                EXPECT_EQ(came.refusal != errc::unauthorized, may)
                    << user << " (" << to_string(has) << ") " << one.name;
                ++checked;
            }
        }
    }
    EXPECT_EQ(checked, 32 * 2 * static_cast<int>(calls.size()));
}

// What tells of everybody's streams and clients, or concerns them: `admin` for all streams, and no less.
TEST_F(secured, the_whole_store_is_for_those_who_look_after_all_of_it) {
    const auto name_of = [](unsigned bits, const std::string& where) { return where + std::to_string(bits); };
    std::map<std::string, access::rights> sets;
    for (unsigned bits = 0; bits < 32; ++bits) {
        access::rights set;
        for (const right one : {right::create, right::write, right::read, right::offsets, right::admin})
            if (bits & static_cast<unsigned>(one)) set |= one;
        add(name_of(bits, "all"), to_string(set), "*");
        add(name_of(bits, "some"), to_string(set), "in-*");
        sets[name_of(bits, "all")] = set;
        sets[name_of(bits, "some")] = access::rights{};
    }
    serve();
    const std::vector<asked_call> calls = {
        call_of("list open", right::admin, [](id, const text&) { return wire::list_open_call{10}; }),
        call_of("server status", right::admin, [](id, const text&) { return wire::server_status_call{}; }),
        call_of("server clients", right::admin, [](id, const text&) { return wire::server_clients_call{10}; }),
        call_of("accept clock", right::admin, [](id, const text&) { return wire::accept_clock_call{}; })};
    for (const auto& [user, has] : sets) {
        raw_client by(endpoint(), security(user));
        ASSERT_TRUE(by.begin().done());
        for (const asked_call& one : calls) {
            const outcome_of_call came = one.ask(by, 0, "");
            ASSERT_EQ(came.transport, moebius::errc::none);
            if (has.any_of(one.one_of))
                EXPECT_TRUE(came.done()) << user << " " << one.name;
            else
                EXPECT_EQ(came.refusal, errc::unauthorized) << user << " " << one.name;
        }
    }
}

// One member for which there is no right, at every place: the others are not written either.
TEST_F(secured, a_group_is_refused_as_a_whole) {
    add("writer", "write", "in-*");
    serve();
    client root = open("root");
    const std::uint64_t in = make_stream(root, "in-1"), out = make_stream(root, "out-1");
    raw_client by(endpoint(), security("writer"));
    ASSERT_TRUE(by.begin().done());
    for (int kind = 0; kind < 4; ++kind) {
        for (std::size_t place = 0; place < 3; ++place) {
            wire::commit_call call{commit_of(5)};
            for (std::size_t i = 0; i < 3; ++i)
                call.request.transactions.push_back(decision_for(kind == 0 && i == place ? out : in));
            if (kind == 1) call.request.offsets.push_back({in, 0, "c", 1, transaction_id(1), {}});
            if (kind == 2) call.request.sources.push_back({out, "p", 1, "here"});
            if (kind == 3) call.request.transactions.at(place).transaction = {out, 0, transaction_id(9), 1};
            EXPECT_EQ(by.ask(call).refusal, errc::unauthorized) << kind << " " << place;
        }
    }
    EXPECT_FALSE(root.last("in-1", 0).has_value());
    EXPECT_FALSE(root.last("out-1", 0).has_value());
    wire::commit_call good{commit_of(6)};
    good.request.transactions = {decision_for(in), decision_for(in)};
    EXPECT_TRUE(by.ask(good).done());
    EXPECT_TRUE(root.last("in-1", 0).has_value());
}

TEST_F(secured, a_list_and_a_state_show_what_one_may_see) {
    add("writer", "write", "in-*");
    serve();
    client root = open("root");
    make_stream(root, "in-1");
    make_stream(root, "out-1");
    const transaction_id sent = root.make_producer("in-1").send("secret item");
    client writer = open("writer");
    const stream_page seen = writer.list_streams();
    ASSERT_EQ(seen.streams.size(), 1U);
    EXPECT_EQ(seen.streams.front().name, "in-1");
    EXPECT_EQ(writer.state("in-1", 0, sent), transaction_state::checkpointed);
    raw_client by(endpoint(), security("writer"));
    ASSERT_TRUE(by.begin().done());
    const auto found = by.get(wire::find_transaction_call{seen.streams.front().id, 0, sent});
    EXPECT_EQ(found.info.state, transaction_state::checkpointed);
    EXPECT_FALSE(found.stored.has_value());
    EXPECT_EQ(code_of([&] { std::ignore = writer.stream("out-1"); }), errc::unauthorized);
    EXPECT_EQ(code_of([&] { writer.accept_clock(); }), errc::unauthorized);
    EXPECT_EQ(code_of([&] { root.accept_clock(); }), errc{});
}

// A call that takes any of several rights does not ask for all of them.
TEST_F(secured, a_refusal_says_which_right_is_missing) {
    add("maker", "create", "in-*");
    serve();
    client root = open("root");
    make_stream(root, "in-1");
    make_stream(root, "out-1");
    client maker = open("maker");
    const auto text_of = [](const auto& call) {
        try {
            call();
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::unauthorized);
            return std::string(failure.what());
        }
        return std::string("allowed");
    };
    EXPECT_NE(text_of([&] { maker.make_producer("in-1").send("x"); }).find("needs the right write for stream 'in-1'"),
              std::string::npos);
    EXPECT_NE(text_of([&] {
                  std::ignore = maker.scan("in-1", 0, transaction_id(), transaction_id(~std::uint64_t{0}));
              }).find("needs one of the rights write,read,admin for stream 'in-1'"),
              std::string::npos);
    EXPECT_NE(text_of([&] { std::ignore = maker.stream("out-1"); }).find("needs any right for stream 'out-1'"),
              std::string::npos);
}

// A page that ends among streams that one may not see says nothing of them, and the next one goes on behind them.
TEST_F(secured, where_a_list_goes_on_names_no_hidden_stream) {
    add("writer", "write", "in-*");
    serve();
    client root = open("root");
    for (const char* name : {"a-hidden", "in-1", "in-2", "j-hidden", "k-hidden"}) make_stream(root, name);
    client writer = open("writer");
    std::vector<std::string> seen;
    std::string after;
    for (int page = 0; page < 10; ++page) {
        const stream_page got = writer.list_streams("", after, 1);
        for (const stream_info& one : got.streams) seen.push_back(one.name);
        after = got.next;
        EXPECT_TRUE(after.empty() || after.starts_with("in-")) << after;
        if (after.empty()) break;
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"in-1", "in-2"}));
}

// A recreated name is another stream, and is judged by its name all the same.
TEST_F(secured, a_recreated_stream_is_judged_by_its_name) {
    add("writer", "write", "in-*");
    serve();
    client root = open("root");
    raw_client by(endpoint(), security("writer"));
    ASSERT_TRUE(by.begin().done());
    for (int round = 0; round < 3; ++round) {
        const std::uint64_t in = make_stream(root, "in-1"), out = make_stream(root, "out-1");
        wire::open_call call;
        call.request.stream = in;
        EXPECT_TRUE(by.ask(call).done());
        call.request.stream = out;
        EXPECT_EQ(by.ask(call).refusal, errc::unauthorized);
        root.delete_stream("in-1");
        root.delete_stream("out-1");
        call.request.stream = in;
        EXPECT_EQ(by.ask(call).refusal, errc::stream_deleted);
    }
}

// -- references of frames -----------------------------------------------------------------------------------

TEST_F(secured, a_reference_of_a_frame_opens_that_frame_only) {
    add("reader", "read", "in-*");
    serve();
    client root = open("root");
    std::map<std::string, core::stored_transaction> stored;
    raw_client all(endpoint(), security("root"));
    ASSERT_TRUE(all.begin().done());
    for (const char* name : {"in-1", "out-1"}) {
        const std::uint64_t stream = make_stream(root, name);
        producer to = root.make_producer(name);
        to.send(std::string(100'000, 'i'));
        stored[name] = all.get(wire::last_call{stream, 0}).value();
        ASSERT_EQ(stored[name].frames.size(), 1U);
    }
    raw_client by(endpoint(), security("reader"));
    ASSERT_TRUE(by.begin().done());
    const ports::blob_ref mine = stored["in-1"].frames.front().blob, foreign = stored["out-1"].frames.front().blob;
    EXPECT_TRUE(all.ask(wire::read_frame_call{foreign}).done());
    EXPECT_TRUE(by.ask(wire::read_frame_call{mine}).done());
    EXPECT_EQ(by.ask(wire::read_frame_call{foreign}).refusal, errc::unauthorized);
    for (std::size_t at = 0; at < mine.place.size(); ++at) {
        ports::blob_ref changed = mine;
        changed.place[at] = static_cast<char>(changed.place[at] ^ 1);
        EXPECT_EQ(by.ask(wire::read_frame_call{changed}).refusal, errc::unauthorized) << at;
    }
    ports::blob_ref mixed = mine;
    mixed.place = mine.place.substr(0, 25) + foreign.place.substr(25);
    EXPECT_EQ(by.ask(wire::read_frame_call{mixed}).refusal, errc::unauthorized);
    mixed = mine;
    ++mixed.length;
    EXPECT_EQ(by.ask(wire::read_frame_call{mixed}).refusal, errc::unauthorized);
    mixed = mine;
    ++mixed.crc32c;
    EXPECT_EQ(by.ask(wire::read_frame_call{mixed}).refusal, errc::unauthorized);
    daemon_->restart();
    raw_client later(endpoint(), security("reader"));
    ASSERT_TRUE(later.begin().done());
    EXPECT_TRUE(later.ask(wire::read_frame_call{mine}).done()) << "a reference outlives a restart";
}

// Also before its space is reclaimed, and after that; with keys and without.
TEST_F(secured, a_reference_of_a_deleted_stream_opens_nothing) {
    serve();
    const std::string open_directory = path("without");
    std::filesystem::create_directory(open_directory);
    daemon without(open_directory);
    const std::string open_place = "ipc://" + open_directory + "/socket";
    const auto try_at = [](client store, raw_client by) {
        ASSERT_TRUE(by.begin().done());
        stream_options chosen;
        chosen.durability = durability::process();
        chosen.name = "kept";
        const std::uint64_t kept = store.create_stream(chosen).id;
        store.make_producer("kept").send(std::string(100'000, 'k'));
        chosen.name = "in-1";
        const std::uint64_t stream = store.create_stream(chosen).id;
        store.make_producer("in-1").send(std::string(100'000, 'i'));
        const core::stored_transaction stored = by.get(wire::last_call{stream, 0}).value();
        const core::stored_transaction other = by.get(wire::last_call{kept, 0}).value();
        ASSERT_EQ(stored.frames.size(), 1U);
        const wire::read_frame_call call{stored.frames.front().blob};
        ASSERT_TRUE(by.ask(call).done());
        store.delete_stream("in-1");
        EXPECT_EQ(by.ask(call).refusal, errc::stream_deleted) << "at once";
        store.create_stream(chosen);
        EXPECT_EQ(by.ask(call).refusal, errc::stream_deleted) << "one of the same name is another one";
        EXPECT_TRUE(by.ask(wire::read_frame_call{other.frames.front().blob}).done());
        // Removing goes on behind it.
        const auto end = std::chrono::steady_clock::now() + 1s;
        while (std::chrono::steady_clock::now() < end) ASSERT_EQ(by.ask(call).refusal, errc::stream_deleted);
    };
    try_at(open("root"), raw_client(endpoint(), security("root")));
    try_at(client::open(open_place), raw_client(open_place));
}

// More than 64 frames: references stand in frames themselves.
TEST_F(secured, a_long_transaction_is_read_through_its_index) {
    add("reader", "read", "in-*");
    serve();
    client root = open("root");
    make_stream(root, "in-1");
    constexpr int items = 200;
    producer to = root.make_producer("in-1");
    transaction txn = to.begin();
    for (int i = 0; i < items; ++i) txn.put(std::string(700'000, static_cast<char>('a' + i % 26)));
    txn.checkpoint();
    client reader = open("reader");
    const std::optional<received_transaction> found = reader.last("in-1", 0);
    ASSERT_TRUE(found.has_value());
    int seen = 0;
    for (const item& one : *found) {
        EXPECT_EQ(as_text(one.bytes()).front(), static_cast<char>('a' + seen % 26));
        ++seen;
    }
    EXPECT_EQ(seen, items);
}

}  // namespace
}  // namespace tstreams::served
