// A server with keys: who gets in, what is stolen or sent again, changes while it runs, and that secrets stay secret.
#include "tests/served/secured.hpp"

#include "access/clients_file.hpp"
#include "moebius/test_server.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <atomic>

namespace tstreams::served {
namespace {

using moebius::test::dealer;

TEST_F(secured, none_of_1000_unknown_keys_gets_in) {
    serve();
    std::atomic<int> accepted = 0, told = 0;
    // Side by side: each waits a second at its end, for a question that never leaves.
    std::vector<std::thread> strangers;
    for (int thread = 0; thread < 50; ++thread)
        strangers.emplace_back([&, server = keys_["server"].public_key] {
            for (int i = 0; i < 20; ++i) {
                moebius::blocking_client_options options;
                options.security = moebius::client_security{moebius::generate_keys(), server};
                moebius::blocking_client stranger(endpoint(), options);
                try {
                    std::ignore = stranger.call("moebius.ping", moebius::message(std::string_view()), 20s);
                    ++accepted;
                } catch (const moebius::error& failure) {
                    if (failure.code() == moebius::errc::unauthorized) ++told;
                }
            }
        });
    for (std::thread& one : strangers) one.join();
    EXPECT_EQ(accepted, 0);
    EXPECT_EQ(told, 1000);
    raw_client without(endpoint());
    EXPECT_EQ(without.send("moebius.ping", "", 500ms).transport, moebius::errc::timed_out);
    EXPECT_EQ(code_of([&] { std::ignore = open("other"); }), errc::unauthorized);
    EXPECT_TRUE(open("root").list_streams().streams.empty());
}

// What a client is told that gets no answer. Asked until it is so: on a slow machine its time may be over before it
// knows.
TEST_F(secured, who_cannot_come_in_is_told_why) {
    serve();
    const std::string open_directory = path("without");
    std::filesystem::create_directory(open_directory);
    daemon without(open_directory);
    const auto expect_told = [](const std::string& place, client_options chosen, const std::string& wanted) {
        chosen.request_timeout = 500ms;
        std::string text;
        for (int tries = 0; tries < 20 && text.find("no answer in time: " + wanted) == std::string::npos; ++tries) {
            try {
                std::ignore = client::open(place, chosen);
                FAIL() << "it was let in, and not told: " << wanted;
            } catch (const error& failure) {
                EXPECT_EQ(failure.code(), errc::unavailable);
                text = failure.what();
            }
        }
        EXPECT_NE(text.find("no answer in time: " + wanted), std::string::npos) << text;
    };
    const std::string open_place = "ipc://" + open_directory + "/socket";
    expect_told(open_place, options("root"), "the handshake fails; the server has no keys, or others");
    expect_told(endpoint(), {}, "the handshake fails; does the server want keys?");
    ::kill(without.process(), SIGSTOP);
    expect_told(open_place, {}, "somebody listens there and says nothing");
    without.end(SIGKILL);
    expect_told(open_place, {}, "nobody listens there");
}

// -- what is stolen or repeated -----------------------------------------------------------------------------

TEST_F(secured, a_session_is_of_its_key_alone) {
    add("writer", "write", "*");
    add("thief", "write", "*");
    serve();
    client root = open("root");
    const std::uint64_t stream = make_stream(root, "s");
    raw_client victim(endpoint(), security("writer")), thief(endpoint(), security("thief"));
    ASSERT_TRUE(victim.begin().done());
    ASSERT_TRUE(thief.begin().done());
    wire::open_call call;
    call.request.stream = stream;
    const core::open_reply opened = victim.get(call);
    const core::session_id own = thief.session;
    thief.session = victim.session;
    EXPECT_EQ(thief.ask(call).refusal, errc::session_ended);
    EXPECT_EQ(thief.ask(wire::close_session_call{}).refusal, errc::session_ended);
    // By its own session: what somebody else has opened is not its to write or decide, for all its rights.
    thief.session = own;
    thief.last_sequence = 0;
    wire::write_call write;
    write.transaction = opened.transaction;
    write.crc32c = core::crc32c({});
    EXPECT_EQ(thief.ask(write).refusal, errc::transaction_unknown);
    wire::commit_call commit{commit_of(8)};
    commit.request.transactions.push_back(decision_for(0));
    commit.request.transactions.back().transaction = opened.transaction;
    EXPECT_EQ(thief.ask(commit).refusal, errc::transaction_unknown);
    EXPECT_EQ(thief.ask(wire::cancel_call{{opened.transaction}}).refusal, errc::transaction_unknown);
    EXPECT_FALSE(root.last("s", 0).has_value());
    commit.request = commit_of(9);
    commit.request.transactions.push_back(decision_for(0));
    commit.request.transactions.back().transaction = opened.transaction;
    EXPECT_TRUE(victim.ask(commit).done()) << "the victim goes on";
    EXPECT_TRUE(root.last("s", 0).has_value());
}

// An id on the wire that a client of this library never chooses. Whoever takes it gets no answer, and the owner goes
// on.
TEST_F(secured, a_stolen_routing_id_is_worth_nothing) {
    add("writer", "write", "*");
    add("thief", "write,read", "*");
    serve();
    client root = open("root");
    const std::uint64_t stream = make_stream(root, "s");
    const auto with_keys = [](const moebius::client_security& given) {
        return [given](void* socket) {
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, given.keys.public_key.data(), given.keys.public_key.size());
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, given.keys.secret_key.data(), given.keys.secret_key.size());
            zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, given.server_key.data(), given.server_key.size());
        };
    };
    dealer victim(endpoint(), "taken", 1000, with_keys(security("writer")));
    wire::open_session_call begin;
    begin.client = "victim";
    begin.timeout = 30s;
    victim.request(1, begin.command, wire::encode_request(wire::request_head{}, begin));
    wire::request_head head;
    head.session = wire::decode_reply<wire::opened_session>(victim.receive_answer().body).session;
    dealer thief(endpoint(), "taken", 1000, with_keys(security("thief")));
    thief.request(1, begin.command, wire::encode_request(wire::request_head{}, begin));
    EXPECT_TRUE(thief.silent(500ms));
    for (std::uint64_t i = 1; i <= 50; ++i) {
        wire::commit_call call{commit_of(20 + i)};
        call.request.transactions.push_back(decision_for(stream));
        head.sequence = i;
        head.answered_below = i;
        victim.request(1 + i, call.command, wire::encode_request(head, call));
        thief.request(1 + i, call.command, wire::encode_request(head, call));
        const dealer::answer came = victim.receive_answer();
        EXPECT_EQ(came.id, 1 + i);
        EXPECT_EQ(wire::decode_reply<core::commit_reply>(came.body).transactions.size(), 1U);
    }
    EXPECT_TRUE(thief.silent(100ms));
    const transaction_id end(~std::uint64_t{0});
    EXPECT_EQ(root.scan("s", 0, transaction_id(0), end).size(), 50U);
}

TEST_F(secured, replayed_frames_have_no_effect) {
    add("writer", "write", "*");
    serve();
    client root = open("root");
    const std::uint64_t stream = make_stream(root, "s");
    raw_client writer(endpoint(), security("writer"));
    ASSERT_TRUE(writer.begin().done());
    wire::commit_call call{commit_of(10)};
    call.request.transactions.push_back(decision_for(stream));
    const std::string recorded = writer.encode(call);
    const outcome_of_call first = writer.send(call.command, recorded);
    ASSERT_TRUE(first.done());
    raw_client again(endpoint(), security("writer")), other(endpoint(), security("root"));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(again.send(call.command, recorded).answer, first.answer);
        EXPECT_EQ(other.send(call.command, recorded).refusal, errc::session_ended);
    }
    EXPECT_TRUE(writer.ask(wire::close_session_call{}).done());
    EXPECT_EQ(again.send(call.command, recorded).refusal, errc::session_ended);
    const transaction_id end(~std::uint64_t{0});
    EXPECT_EQ(root.scan("s", 0, transaction_id(0), end).size(), 1U);
}

// -- changes while it runs ----------------------------------------------------------------------------------

TEST_F(secured, a_revoked_key_is_out_within_a_second) {
    add("writer", "write,read", "*");
    add("stays", "write,read", "*");
    serve();
    client root = open("root"), writer = open("writer"), stays = open("stays");
    make_stream(root, "s");
    producer to = writer.make_producer("s");
    transaction open_one = to.begin();
    consumer waiting = writer.make_consumer("s", {.start = oldest});
    std::atomic<errc> heard{};
    std::thread reader([&] { heard = code_of([&] { std::ignore = waiting.next(30s); }); });
    const auto open_ones = [&] {
        return root.scan("s", 0, transaction_id(0), transaction_id(~std::uint64_t{0}), {transaction_state::open})
            .size();
    };
    EXPECT_EQ(open_ones(), 1U);
    EXPECT_EQ(access::revoke(path("clients"), "writer"), 1U);
    const auto start = std::chrono::steady_clock::now();
    ::kill(daemon_->process(), SIGHUP);
    while (open_ones() != 0 && std::chrono::steady_clock::now() - start < 10s) std::this_thread::sleep_for(1ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 1s) << "what it had open is cancelled";
    reader.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 3s);
    EXPECT_EQ(heard.load(), errc::unauthorized);
    EXPECT_EQ(code_of([&] { std::ignore = writer.make_producer("s"); }), errc::unauthorized);
    stays.make_producer("s").send("x");
    EXPECT_TRUE(root.last("s", 0).has_value());
}

TEST_F(secured, rights_change_while_clients_go_on) {
    add("writer", "write", "a");
    serve();
    client root = open("root"), writer = open("writer");
    make_stream(root, "a");
    make_stream(root, "b");
    producer to = writer.make_producer("a");
    to.send("1");
    EXPECT_EQ(code_of([&] { std::ignore = writer.make_producer("b"); }), errc::unauthorized);
    write_file(path("clients"), "key " + keys_["root"].public_key + " root\nallow root all *\nkey " +
                                    keys_["writer"].public_key + " writer\nallow writer write b\n");
    ::kill(daemon_->process(), SIGHUP);
    await_log(" reloaded ");
    EXPECT_EQ(code_of([&] { to.send("2"); }), errc::unauthorized);
    writer.make_producer("b").send("3");
}

TEST_F(secured, a_bad_file_leaves_what_was) {
    add("writer", "write", "a");
    serve();
    client root = open("root"), writer = open("writer");
    make_stream(root, "a");
    producer to = writer.make_producer("a");
    int failures = 0;
    for (const std::string& bad :
         {std::string("allow writer write a\n"), std::string("key short writer\n"), "nonsense\n" + clients_,
          clients_ + "allow writer fly a\n", clients_ + "allow writer write ../a\n", clients_ + clients_}) {
        write_file(path("clients"), bad);
        ::kill(daemon_->process(), SIGHUP);
        ++failures;
        const auto until = std::chrono::steady_clock::now() + 10s;
        const auto said = [&] {
            int count = 0;
            const std::string text = daemon_->output();
            for (std::size_t at = text.find("reload_failed"); at != std::string::npos;
                 at = text.find("reload_failed", at + 1))
                ++count;
            return count;
        };
        while (said() < failures && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
        EXPECT_EQ(said(), failures) << bad;
        to.send("x");
    }
    ::chmod(path("clients").c_str(), 0666);
    ::kill(daemon_->process(), SIGHUP);
    await_log("open to other users");
    to.send("x");
}

// -- secrets ------------------------------------------------------------------------------------------------

TEST_F(secured, keys_that_others_can_read_are_refused) {
    add("writer", "write", "a");
    ::chmod(path("server.key").c_str(), 0644);
    EXPECT_THROW(serve(), std::runtime_error);
    ::chmod(path("server.key").c_str(), 0600);
    serve();
    ::chmod(path("writer.key").c_str(), 0640);
    EXPECT_EQ(code_of([&] { std::ignore = open("writer"); }), errc::invalid_argument);
    ::chmod(path("writer.key").c_str(), 0600);
    std::filesystem::create_symlink(path("writer.key"), path("link.key"));
    EXPECT_EQ(code_of([&] { std::ignore = open("link"); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { std::ignore = open("writer"); }), errc{});
}

TEST_F(secured, secrets_are_told_nowhere) {
    add("writer", "write", "a");
    serve();
    client writer = open("writer");
    std::string said;
    try {
        client_options wrong = options("writer");
        wrong.server_key = keys_["writer"].secret_key.substr(0, 20);
        std::ignore = client::open(endpoint(), wrong);
    } catch (const error& failure) {
        said = failure.what();
    }
    EXPECT_FALSE(said.empty());
    EXPECT_EQ(said.find(keys_["writer"].secret_key.substr(0, 20)), std::string::npos) << said;
    write_file(path("clients"), "key " + keys_["server"].secret_key + "\n");
    ::kill(daemon_->process(), SIGHUP);
    await_log("reload_failed");
    std::string everything = daemon_->output();
    for (const char* name : {"cmdline", "environ"}) {
        std::ifstream from("/proc/" + std::to_string(daemon_->process()) + "/" + name);
        everything.append(std::istreambuf_iterator<char>(from), {});
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path("store"))) {
        if (!entry.is_regular_file()) continue;
        std::ifstream from(entry.path());
        everything.append(std::istreambuf_iterator<char>(from), {});
    }
    for (const auto& [name, pair] : keys_) EXPECT_EQ(everything.find(pair.secret_key), std::string::npos) << name;
}

// By parameters of the URI.
TEST_F(secured, a_uri_can_name_the_keys) {
    serve();
    std::string escaped;
    for (const char one : keys_["server"].public_key) {
        char text[4];
        std::snprintf(text, sizeof text, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(one)));
        escaped += text;
    }
    const std::string uri = endpoint() + "?key_file=" + path("root.key") + "&server_key=" + escaped;
    EXPECT_TRUE(client::open(uri).list_streams().streams.empty());
    EXPECT_EQ(code_of([&] { std::ignore = client::open(uri + "%"); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { std::ignore = client::open(endpoint() + "?key=x"); }), errc::invalid_argument);
    EXPECT_EQ(code_of([&] { std::ignore = client::open(endpoint() + "?key_file=x"); }), errc::invalid_argument);
}

}  // namespace
}  // namespace tstreams::served
