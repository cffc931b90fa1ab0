// Keys, the list of allowed clients, and who is refused. Real sockets on loopback.
#include "moebius/test_server.hpp"
#include "moebius/zap.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/asio.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

const key_pair server_keys = generate_keys();
const key_pair alice = generate_keys();
const key_pair bob = generate_keys();

template <class F>
errc code_of(F&& function) {
    try {
        function();
    } catch (const error& failure) {
        return failure.code();
    }
    return errc::none;
}

server_options guarded(allowlist clients) {
    server_options options;
    options.security = server_security{server_keys.secret_key, std::move(clients)};
    return options;
}

requester_options with_keys(const key_pair& keys) {
    requester_options options;
    options.security = client_security{keys, server_keys.public_key};
    options.reconnect_most = 50ms;
    return options;
}

blocking_client_options blocking_with(const key_pair& keys) {
    blocking_client_options options;
    options.security = client_security{keys, server_keys.public_key};
    return options;
}

std::function<void(void*)> raw_keys(const key_pair& keys) {
    return [keys](void* socket) {
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys.public_key.data(), 40);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key.data(), 40);
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_keys.public_key.data(), 40);
    };
}

void say_who(command_router& routes) {
    routes.on("who", [](request& asked) { asked.reply(asked.peer().user_id()); });
}

task<> late(request asked) {
    co_await moebius::sleep_for(400ms);
    co_await asked.reply("for " + std::string(asked.peer().user_id()));
}

task<> sleep_long(request asked) {
    co_await moebius::sleep_for(1h);
    co_await asked.finish();
}

errc asked_with(const std::string& endpoint, const key_pair& keys, std::string* who = nullptr) {
    return code_of([&] {
        const message answer = ask(endpoint, "who", "", patience, blocking_with(keys));
        if (who) *who = answer.text();
    });
}

// -- keys and files -----------------------------------------------------------------------------------------

struct folder {
    std::filesystem::path path;
    folder() {
        std::string name = (std::filesystem::temp_directory_path() / "moebius-keys-XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~folder() { std::filesystem::remove_all(path); }
    [[nodiscard]] std::string file(const char* name) const { return (path / name).string(); }
    [[nodiscard]] std::string write(const char* name, std::string_view text, unsigned mode) const {
        std::ofstream(file(name)) << text;
        ::chmod(file(name).c_str(), mode);
        return file(name);
    }
};

TEST(keys, are_new_and_belong_together) {
    EXPECT_NE(alice.secret_key, bob.secret_key);
    EXPECT_EQ(public_key_of(alice.secret_key), alice.public_key);
    for (const char* text : {"", "short", "a key of forty characters with a space ."})
        EXPECT_EQ(code_of([&] { (void)public_key_of(text); }), errc::invalid_key) << text;
}

TEST(keys, a_file_is_its_owners_alone) {
    const folder temporary;
    const std::string path = temporary.file("alice");
    write_key_file(path, alice);
    struct stat found{};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
    EXPECT_EQ(read_key_file(path).secret_key, alice.secret_key);
    EXPECT_EQ(read_key_file(path).public_key, alice.public_key);
    EXPECT_EQ(code_of([&] { write_key_file(path, bob); }), errc::invalid_key) << "overwritten";
    EXPECT_EQ(code_of([&] { write_key_file(temporary.file("mixed"), {alice.public_key, bob.secret_key}); }),
              errc::invalid_key);
    for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0610U}) {
        ::chmod(path.c_str(), mode);
        EXPECT_EQ(code_of([&] { (void)read_key_file(path); }), errc::invalid_key) << std::oct << mode;
    }
    ::chmod(path.c_str(), 0600);
    std::filesystem::create_symlink(path, temporary.file("link"));
    ASSERT_EQ(::mkfifo(temporary.file("pipe").c_str(), 0600), 0);
    for (const char* name : {"link", "pipe", "nothing", "."})
        EXPECT_EQ(code_of([&] { (void)read_key_file(temporary.file(name)); }), errc::invalid_key) << name;
}

TEST(keys, a_bad_file_says_nothing_of_its_secret) {
    const folder temporary;
    const std::string lines = "public-key " + alice.public_key + "\nsecret-key " + alice.secret_key + "\n";
    std::string mixed = lines;
    mixed.replace(11, 40, bob.public_key);
    for (const std::string& text : {lines + "x", lines.substr(0, lines.size() - 1), mixed, std::string(), lines + lines,
                                    std::string(100'000, 'x'), "secret-key " + alice.secret_key + "\n"}) {
        try {
            (void)read_key_file(temporary.write("bad", text, 0600));
            ADD_FAILURE() << text;
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::invalid_key);
            EXPECT_EQ(std::string(failure.what()).find(alice.secret_key), std::string::npos);
        }
    }
}

TEST(keys, a_list_of_clients_is_good_as_a_whole_or_not_at_all) {
    const folder temporary;
    const std::string good = "# who may come\n\n" + alice.public_key + " alice\n" + bob.public_key + "\n";
    const allowlist found = read_allowlist(temporary.write("good", good, 0644));
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(*found.find(alice.public_key), "alice");
    EXPECT_EQ(*found.find(bob.public_key), bob.public_key);
    EXPECT_EQ(found.find(server_keys.public_key), nullptr);
    for (const std::string& line : {alice.public_key, alice.public_key.substr(1), bob.public_key + "x",
                                    server_keys.public_key + " ", std::string("#"), std::string(40, ' ')}) {
        try {
            (void)read_allowlist(temporary.write("bad", good + line + "\n", 0644));
            ADD_FAILURE() << line;
        } catch (const error& failure) {
            EXPECT_NE(std::string(failure.what()).find("bad:5:"), std::string::npos) << failure.what();
        }
    }
    for (const unsigned mode : {0664U, 0646U})
        EXPECT_EQ(code_of([&] { (void)read_allowlist(temporary.write("open", good, mode)); }), errc::invalid_key);
}

// -- where a server listens ---------------------------------------------------------------------------------

TEST(binding, without_keys_stays_on_this_machine) {
    loop home;
    command_router routes;
    server node(home, routes);
    for (const char* endpoint :
         {"tcp://*:*", "tcp://0.0.0.0:*", "tcp://eth0:*", "tcp://10.0.0.1:5560", "tcp://[::]:*",
          "tcp://[::ffff:0.0.0.0]:*", "tcp://[fe80::1]:*", "tcp://[fd00::2]:*", "tcp://[*]:*", "tcp://[::]:1;[::1]:*",
          "tcp://127.0.0.1:1;0.0.0.0:*", "tcp://127.0.0.1.example:*", "vmci://*:*"}) {
        try {
            node.bind(endpoint);
            ADD_FAILURE() << endpoint;
        } catch (const error& failure) {
            EXPECT_EQ(failure.code(), errc::unprotected) << endpoint;
            EXPECT_NE(std::string(failure.what()).find("server_options::security"), std::string::npos);
        }
    }
    const folder temporary;
    node.bind("tcp://127.0.0.1:*").bind("tcp://127.0.0.2:*").bind("ipc://" + temporary.file("socket"));
    node.bind("inproc://here");
}

TEST(binding, with_keys_goes_anywhere_and_proves_itself) {
    loop home;
    command_router routes;
    server node(home, routes, guarded({}));
    const folder temporary;
    node.bind("tcp://*:*").bind("ipc://" + temporary.file("socket")).bind("inproc://here");
    EXPECT_EQ(node.metrics().refused_keys, 2U);
    EXPECT_EQ(code_of([&] { node.bind("tcp://192.0.2.1:5560"); }), errc::transport);
}

bool machine_has_ipv6() {
    const int probe = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    const bool has = probe >= 0 && ::bind(probe, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
    if (probe >= 0) ::close(probe);
    return has;
}

// Where there is no [::1], that binding to it says so is all that can be seen.
bool ipv6_is_there_or_refused() {
    if (machine_has_ipv6()) return true;
    loop home;
    command_router routes;
    server node(home, routes);
    EXPECT_EQ(code_of([&] { node.bind("tcp://[::1]:*"); }), errc::transport);
    return false;
}

bool somebody_listens(const std::string& endpoint, const char* address) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket probe(io);
    const auto port = static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
    boost::system::error_code failure;
    probe.connect({boost::asio::ip::make_address(address), port}, failure);
    return !failure;
}

task<> ask_there(requester& asks, std::string& heard) {
    const message answer = co_await asks.call("who", message(""), patience);
    heard = "heard " + std::string(answer.text());
}

TEST(ipv6, loopback_needs_no_keys) {
    if (!ipv6_is_there_or_refused()) return;
    served one;
    say_who(one.routes);
    const std::string endpoint = one.serve("tcp://[::1]:*");
    EXPECT_TRUE(endpoint.starts_with("tcp://[::1]:")) << endpoint;
    EXPECT_EQ(ask(endpoint, "who", "", patience).text(), "");
    loop home;
    requester asks(home, endpoint);
    std::string heard;
    home.run(ask_there(asks, heard));
    EXPECT_EQ(heard, "heard ");
    EXPECT_FALSE(somebody_listens(endpoint, "127.0.0.1"));
}

TEST(ipv6, with_keys_only_those_who_are_known_come_in) {
    if (!ipv6_is_there_or_refused()) return;
    for (const char* endpoint : {"tcp://[::1]:*", "tcp://[::]:*"}) {
        allowlist clients;
        clients.add(alice.public_key, "alice");
        served one(guarded(std::move(clients)));
        say_who(one.routes);
        std::string bound = one.serve(endpoint);
        EXPECT_EQ(one.metrics().refused_keys, 1U) << "of the server's own test";
        bound.replace(0, bound.rfind(':'), "tcp://[::1]");
        std::string who;
        EXPECT_EQ(asked_with(bound, alice, &who), errc::none);
        EXPECT_EQ(who, "alice");
        EXPECT_EQ(asked_with(bound, bob), errc::unauthorized);
        loop home;
        requester asks(home, bound, with_keys(alice));
        std::string heard;
        home.run(ask_there(asks, heard));
        EXPECT_EQ(heard, "heard alice");
    }
}

// An address in brackets changes nothing for the endpoints that come after it.
TEST(ipv6, any_address_is_of_ipv4_still) {
    if (!ipv6_is_there_or_refused()) return;
    loop home;
    command_router routes;
    server node(home, routes, guarded({}));
    const std::string six = node.bind("tcp://[::1]:*").endpoint();
    const std::string any = node.bind("tcp://*:*").endpoint();
    EXPECT_TRUE(any.starts_with("tcp://0.0.0.0:")) << any;
    EXPECT_TRUE(somebody_listens(six, "::1"));
    EXPECT_TRUE(somebody_listens(any, "127.0.0.1"));
    EXPECT_FALSE(somebody_listens(any, "::1"));
}

TEST(binding, a_server_that_refuses_nobody_is_found_out) {
    const auto context = std::make_shared<detail::zmq_context>(1, 16);
    detail::zmq_socket open(context, ZMQ_ROUTER);
    open.set(ZMQ_CURVE_SERVER, 1);
    open.set(ZMQ_CURVE_SECRETKEY, server_keys.secret_key);
    open.bind("tcp://127.0.0.1:*");
    const std::string endpoint = open.last_endpoint();
    EXPECT_EQ(code_of([&] { detail::prove_refusal(context, endpoint, server_keys.public_key, nullptr, 5s); }),
              errc::unprotected);
    // Nor is it taken for a proof that nobody answers, or that the server has another key.
    EXPECT_EQ(code_of([&] { detail::prove_refusal(context, endpoint, alice.public_key, nullptr, 100ms); }),
              errc::unprotected);
}

TEST(binding, another_judge_in_the_same_context_is_not_accepted) {
    loop home;
    detail::zmq_socket judge(std::make_shared<detail::zmq_context>(home.zmq_context()), ZMQ_REP);
    judge.bind("inproc://zeromq.zap.01");
    command_router routes;
    EXPECT_EQ(code_of([&] { const server node(home, routes, guarded({})); }), errc::transport);
}

TEST(binding, keys_that_are_none_are_refused) {
    loop home;
    command_router routes;
    server_options options = guarded({});
    options.security->secret_key.pop_back();
    EXPECT_EQ(code_of([&] { const server node(home, routes, options); }), errc::invalid_key);
    requester_options bad = with_keys(alice);
    bad.security->keys.secret_key = bob.secret_key;
    EXPECT_EQ(code_of([&] { const requester asks(home, "tcp://127.0.0.1:1", bad); }), errc::invalid_key);
    bad = with_keys(alice);
    bad.security->server_key = "?";
    EXPECT_EQ(code_of([&] { const requester asks(home, "tcp://127.0.0.1:1", bad); }), errc::invalid_key);
}

// -- who is served ------------------------------------------------------------------------------------------

TEST(clients_with_keys, are_served_and_known_by_name) {
    served one(guarded(allowlist().add(alice.public_key, "alice").add(bob.public_key)));
    say_who(one.routes);
    const std::string endpoint = one.serve();
    std::string who;
    EXPECT_EQ(asked_with(endpoint, alice, &who), errc::none);
    EXPECT_EQ(who, "alice");
    EXPECT_EQ(asked_with(endpoint, bob, &who), errc::none);
    EXPECT_EQ(who, bob.public_key);
    loop here;
    requester asks(here, endpoint, with_keys(alice));
    EXPECT_EQ(here.run(ask(asks, "who", {}, patience)).text(), "alice");
    EXPECT_EQ(asks.metrics().refusals, 0U);
}

TEST(clients_with_keys, unknown_ones_are_refused_and_told_so) {
    served one(guarded(allowlist().add(alice.public_key, "alice")));
    say_who(one.routes);
    const std::string endpoint = one.serve();
    EXPECT_EQ(asked_with(endpoint, bob), errc::unauthorized);
    blocking_client again(endpoint, blocking_with(bob));
    for (int i = 0; i < 2; ++i) EXPECT_EQ(code_of([&] { again.call("who", {}, patience); }), errc::unauthorized);
    loop here;
    requester asks(here, endpoint, with_keys(bob));
    for (int i = 0; i < 2; ++i)
        EXPECT_EQ(code_of([&] { here.run(ask(asks, "who", {}, patience)); }), errc::unauthorized);
    EXPECT_EQ(asked_with(endpoint, alice), errc::none);
    EXPECT_EQ(one.metrics().clients_arrived, 1U);
}

TEST(clients_with_keys, a_refused_requester_comes_back_when_it_is_allowed) {
    served one(guarded(allowlist().add(alice.public_key, "alice")));
    say_who(one.routes);
    const std::string endpoint = one.serve();
    loop here;
    requester asks(here, endpoint, with_keys(bob));
    EXPECT_EQ(code_of([&] { here.run(ask(asks, "who", {}, patience)); }), errc::unauthorized);
    one.on_loop([&] { one.node.allow(allowlist().add(bob.public_key, "bob")); });
    const auto served_at_last = [&] {
        return code_of([&] { EXPECT_EQ(here.run(ask(asks, "who", {}, patience)).text(), "bob"); }) == errc::none;
    };
    EXPECT_TRUE(eventually(served_at_last));
}

TEST(clients_with_keys, without_any_or_with_a_password_nobody_is_served) {
    served one(guarded(allowlist().add(alice.public_key)));
    say_who(one.routes);
    const std::string endpoint = one.serve();
    dealer plain(endpoint), with_password(endpoint, {}, 1000, [](void* socket) {
        zmq_setsockopt(socket, ZMQ_PLAIN_USERNAME, "admin", 5);
        zmq_setsockopt(socket, ZMQ_PLAIN_PASSWORD, "admin", 5);
    });
    plain.send(R"({"command":"who"})");
    with_password.send(R"({"command":"who"})");
    EXPECT_TRUE(plain.silent(300ms));
    EXPECT_TRUE(with_password.silent());
    EXPECT_EQ(one.metrics().received, 0U);
}

TEST(clients_with_keys, of_a_thousand_unknown_ones_none_is_accepted) {
    constexpr std::size_t number = 1000;
    served one(guarded(allowlist().add(alice.public_key, "alice")));
    say_who(one.routes);
    const std::string endpoint = one.serve();
    void* context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, static_cast<int>(number) + 8);
    std::vector<void*> strangers;
    for (std::size_t i = 0; i < number; ++i) {
        void* socket = strangers.emplace_back(zmq_socket(context, ZMQ_DEALER));
        const int nothing = 0;
        zmq_setsockopt(socket, ZMQ_LINGER, &nothing, sizeof nothing);
        raw_keys(generate_keys())(socket);
        zmq_connect(socket, endpoint.c_str());
        zmq_send(socket, R"({"command":"who"})", 17, ZMQ_DONTWAIT);
    }
    EXPECT_TRUE(eventually([&] { return one.metrics().refused_keys >= number + 1; }, 60s));
    EXPECT_EQ(asked_with(endpoint, alice), errc::none);
    const server_metrics now = one.metrics();
    EXPECT_EQ(now.received, 1U);
    EXPECT_EQ(now.clients_arrived, 1U);
    for (void* socket : strangers) zmq_close(socket);
    zmq_ctx_term(context);
}

TEST(clients_with_keys, servers_of_one_process_have_lists_of_their_own) {
    loop home;
    command_router routes;
    say_who(routes);
    auto first = std::make_unique<server>(home, routes, guarded(allowlist().add(alice.public_key, "first alice")));
    server second(home, routes, guarded(allowlist().add(bob.public_key, "second bob")));
    server unguarded(home, routes);
    first->bind("tcp://127.0.0.1:*");
    second.bind("tcp://127.0.0.1:*");
    unguarded.bind("tcp://127.0.0.1:*");
    served elsewhere(guarded(allowlist().add(alice.public_key, "third alice")));  // on another loop
    say_who(elsewhere.routes);
    const std::string third = elsewhere.serve();
    const auto who = [&](const std::string& endpoint, const key_pair& keys) -> std::string {
        requester asks(home, endpoint, with_keys(keys));
        try {
            return std::string(home.run(ask(asks, "who", {}, patience)).text());
        } catch (const error& failure) {
            return std::string(name_of(failure.code()));
        }
    };
    EXPECT_EQ(who(first->endpoint(), alice), "first alice");
    EXPECT_EQ(who(first->endpoint(), bob), "unauthorized");
    EXPECT_EQ(who(second.endpoint(), alice), "unauthorized");
    EXPECT_EQ(who(second.endpoint(), bob), "second bob");
    EXPECT_EQ(who(third, alice), "third alice");
    EXPECT_EQ(who(third, bob), "unauthorized");
    requester plain(home, unguarded.endpoint());
    EXPECT_EQ(home.run(ask(plain, "who", {}, patience)).text(), "");
    first.reset();  // its domain goes, the judge of the loop stays
    EXPECT_EQ(who(second.endpoint(), bob), "second bob");
}

TEST(clients_with_keys, a_loop_can_have_guarded_servers_one_after_the_other) {
    loop home;
    command_router routes;
    for (int i = 0; i < 5; ++i) {
        server node(home, routes, guarded({}));
        EXPECT_NO_THROW(node.bind("tcp://127.0.0.1:*"));
    }
}

TEST(clients_with_keys, the_list_can_be_replaced_while_they_are_served) {
    served one(guarded(allowlist().add(alice.public_key, "alice").add(bob.public_key, "bob")));
    say_who(one.routes);
    one.routes.on("sleep", sleep_long);
    std::atomic<int> left{0};
    one.node.on_disconnect([&](client gone) { left += gone.user_id() == "alice" ? 1 : 100; });
    const std::string endpoint = one.serve();
    dealer first(endpoint, {}, 1000, raw_keys(alice)), second(endpoint, {}, 1000, raw_keys(bob));
    second.request(1, "who");
    EXPECT_EQ(second.receive_answer().body, "bob");
    first.request(1, "sleep");
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 1; }));
    one.on_loop([&] { one.node.allow(allowlist().add(bob.public_key, "robert")); });
    EXPECT_EQ(first.receive_answer().what, kind::bye);
    EXPECT_TRUE(eventually([&] { return one.metrics().handlers == 0 && left == 1; }));
    first.request(2, "who");
    EXPECT_EQ(first.receive_answer().code, errc::unauthorized);
    second.request(2, "who");
    EXPECT_EQ(second.receive_answer().body, "robert");
    EXPECT_EQ(one.metrics().unauthorized, 1U);
    one.on_loop([&] { one.node.allow(allowlist().add(alice.public_key, "alice again")); });
    first.request(3, "who");
    EXPECT_EQ(first.receive_answer().body, "alice again");
    served open;
    open.serve();
    EXPECT_EQ(open.on_loop([&] { return code_of([&] { open.node.allow({}); }); }), errc::invalid_state);
}

TEST(clients_with_keys, nobody_takes_the_routing_id_of_another) {
    served one(guarded(allowlist().add(alice.public_key, "alice").add(bob.public_key, "bob")));
    say_who(one.routes);
    one.routes.on("late", late);
    const std::string endpoint = one.serve();
    dealer victim(endpoint, "shared", 1000, raw_keys(alice));
    victim.request(1, "who");
    EXPECT_EQ(victim.receive_answer().body, "alice");
    victim.request(2, "late");
    dealer thief(endpoint, "shared", 1000, raw_keys(bob));
    thief.request(3, "who");
    EXPECT_TRUE(thief.silent(300ms));
    EXPECT_EQ(victim.receive_answer().body, "for alice");
    // Once it is free the id is anybody's, but not what its last owner asked for.
    victim.request(4, "late");
    ASSERT_TRUE(eventually([&] { return one.metrics().handlers == 1; }));
    victim.close();
    dealer heir(endpoint, "shared", 1000, raw_keys(bob));
    heir.request(5, "who");
    const dealer::answer got = heir.receive_answer();
    EXPECT_EQ(got.id, 5U);
    EXPECT_EQ(got.body, "bob");
    EXPECT_TRUE(heir.silent(500ms));
}

TEST(clients_with_keys, inside_the_process_need_none) {
    loop home;
    command_router routes;
    say_who(routes);
    server node(home, routes, guarded({}));
    node.bind("inproc://inside").bind("tcp://127.0.0.1:*");
    requester asks(home, "inproc://inside");
    EXPECT_EQ(home.run(ask(asks, "who", {}, patience)).text(), "");
    requester unknown(home, node.endpoint(), with_keys(alice));
    EXPECT_EQ(code_of([&] { home.run(ask(unknown, "who", {}, patience)); }), errc::unauthorized);
}

}  // namespace
