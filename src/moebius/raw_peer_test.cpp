// What a peer that does not even speak ZeroMQ can do: raw TCP, half a handshake, foreign bytes, thousands of
// connections. The server stays up, serves the others, and its memory stays bounded.
#include "moebius/test_process.hpp"
#include "moebius/test_server.hpp"

#include <random>

namespace {

using namespace moebius;
using namespace moebius::test;
using namespace std::string_literals;

struct attacked {
    served one;
    std::string endpoint;
    explicit attacked(server_options options = {}) : one(std::move(options), {.log = [](std::string_view) {}}) {
        one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
        endpoint = one.serve();
    }
    [[nodiscard]] raw_peer peer() const { return raw_peer(port_of(endpoint)); }
    // The time until a client has connected and has its answer.
    std::chrono::milliseconds served_in() {
        const auto begin = std::chrono::steady_clock::now();
        dealer client(endpoint);
        EXPECT_EQ(client.ask(R"({"command":"echo"})"), R"({"command":"echo"})");
        return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    }
};

// ZMTP 3.0: signature, version, mechanism, as-server, filler.
std::string greeting(std::string_view mechanism = "NULL", char major = 3) {
    std::string text = "\xFF\0\0\0\0\0\0\0\1\x7F"s;
    text += major;
    text += '\0';
    text += mechanism;
    text.resize(12 + 20, '\0');
    text.resize(64, '\0');
    return text;
}

std::string big_endian(std::uint64_t number, unsigned bytes) {
    std::string text;
    for (unsigned i = bytes; i-- > 0;) text += static_cast<char>(number >> 8 * i);
    return text;
}

// A frame: a message (0), or a command (4); a long one has 2 as well.
std::string frame(char flags, std::string_view body) {
    if (body.size() < 256) return std::string{flags} + static_cast<char>(body.size()) + std::string(body);
    return std::string{static_cast<char>(flags | 2)} + big_endian(body.size(), 8) + std::string(body);
}

std::string property(std::string_view name, std::string_view value) {
    return static_cast<char>(name.size()) + std::string(name) + big_endian(value.size(), 4) + std::string(value);
}

std::string ready(std::string_view id, std::string_view type = "DEALER") {
    return frame(4, "\5READY" + property("Socket-Type", type) + property("Identity", id));
}

// libzmq takes no message before its own part of the handshake is sent.
void shake_hands(const raw_peer& peer, std::string_view id) {
    peer.send(greeting() + ready(id));
    std::string heard;
    for (int i = 0; i < 100 && heard.find("READY") == std::string::npos; ++i) heard += peer.receive(20);
    EXPECT_NE(heard.find("READY"), std::string::npos);
}

TEST(raw_peer, speaks_the_protocol_as_far_as_these_tests_need) {
    attacked it;
    const raw_peer peer = it.peer();
    shake_hands(peer, "raw");
    peer.send(frame(0, R"({"command":"echo"})"));
    EXPECT_NE(peer.receive(500).find(R"({"command":"echo"})"), std::string::npos);
}

// libzmq takes ids of any length from a peer that says so; the format has at most 255 bytes.
TEST(raw_peer, with_a_routing_id_that_is_too_long) {
    attacked it;
    for (const std::size_t bytes : {256U, 257U, 5000U, 1'000'000U}) {
        const raw_peer peer = it.peer();
        shake_hands(peer, std::string(bytes, 'i'));
        peer.send(frame(0, R"({"command":"echo"})") + frame(1, "one") + frame(1, "two") + frame(0, "three"));
        EXPECT_EQ(peer.receive(200).find("command"), std::string::npos);
    }
    EXPECT_EQ(it.one.metrics().malformed, 8U);
    EXPECT_EQ(it.one.metrics().clients, 0U);
    const raw_peer longest = it.peer();
    shake_hands(longest, std::string(255, 'i'));
    longest.send(frame(0, R"({"command":"echo"})"));
    EXPECT_NE(longest.receive(500).find("command"), std::string::npos);
    it.served_in();
}

TEST(raw_peer, of_the_first_version) {
    attacked it;
    // Length (with flags), flags, body: first the routing id.
    const auto old_frame = [](std::string_view body) {
        return "\xFF" + big_endian(body.size() + 1, 8) + '\0' + std::string(body);
    };
    const raw_peer peer = it.peer();
    peer.send("\x04\0old\x13\0"s + R"({"command":"echo"})");
    (void)peer.receive(200);
    const raw_peer with_long_id = it.peer();
    with_long_id.send("\x02\0x"s);
    with_long_id.send(old_frame(std::string(100'000, 'i')));
    (void)with_long_id.receive(100);
    it.served_in();
}

TEST(raw_peer, sends_garbage_instead_of_greetings) {
    attacked it;
    const unsigned seed = std::random_device{}();
    std::mt19937 random(seed);
    const std::size_t before = resident_bytes();
    for (int i = 0; i < 300; ++i) {
        const raw_peer peer = it.peer();
        std::string bytes(random() % 4096 + 1, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        if (i % 3 == 0) bytes = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        if (i % 6 == 1) bytes = greeting() + bytes;
        if (i % 6 == 4) bytes = greeting() + ready("x") + bytes;
        if (i % 6 == 5) shake_hands(peer, "x");
        peer.send(bytes);
    }
    it.served_in();
    EXPECT_LT(resident_bytes(), before + (std::size_t{64} << 20)) << "seed " << seed;
}

TEST(raw_peer, flips_bits_of_a_good_beginning) {
    attacked it;
    const auto flipped = [](std::string bytes, std::size_t bit) {
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
        return bytes;
    };
    const std::string begin = greeting() + ready("raw");
    for (std::size_t bit = 0; bit < begin.size() * 8; ++bit) it.peer().send(flipped(begin, bit));
    const std::string asks = frame(0, R"({"command":"echo"})");
    for (std::size_t bit = 0; bit < asks.size() * 8; bit += bit < 16 ? 1 : 7) {
        const raw_peer peer = it.peer();
        shake_hands(peer, "raw");
        peer.send(flipped(asks, bit));
        (void)peer.receive(1);
    }
    it.served_in();
}

TEST(raw_peer, claims_lengths_that_nobody_has) {
    attacked it;
    const std::size_t before = resident_bytes();
    for (const std::uint64_t length :
         {std::uint64_t{1} << 63, UINT64_MAX, std::uint64_t{1} << 40, std::uint64_t{2} << 20})
        for (const char flags : {'\2', '\3', '\6'}) {
            const std::string claim = flags + big_endian(length, 8) + "a few bytes";
            it.peer().send("\xFF" + claim);
            it.peer().send(greeting() + claim);
            const raw_peer peer = it.peer();
            shake_hands(peer, "x");
            peer.send(claim);
            EXPECT_TRUE(peer.cut_within(2000)) << length;
        }
    const raw_peer peer = it.peer();  // a property longer than its command
    peer.send(greeting() + frame(4, "\5READY\x0BSocket-Type\x7F\xFF\xFF\xFF" + "DEALER"s));
    EXPECT_TRUE(peer.cut_within(2000));
    it.served_in();
    EXPECT_LT(resident_bytes(), before + (std::size_t{64} << 20));
}

TEST(raw_peer, never_ends_its_handshake) {
    server_options options;
    options.handshake_limit = 500ms;
    attacked it(options);
    const std::string whole = greeting() + ready("raw");
    std::vector<raw_peer> slow;
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += 5) {
        slow.push_back(it.peer());
        slow.back().send(whole.substr(0, bytes));
    }
    EXPECT_LT(it.served_in(), 400ms + patience / 10);
    for (std::size_t i = 0; i < slow.size(); ++i) EXPECT_TRUE(slow[i].cut_within(5000)) << i * 5 << " bytes";
}

// A byte now and then does not buy more time.
TEST(raw_peer, shakes_hands_slowly) {
    server_options options;
    options.handshake_limit = 500ms;
    attacked it(options);
    const raw_peer slow = it.peer();
    const std::string whole = greeting() + ready("raw");
    bool cut = false;
    for (std::size_t i = 0; i < whole.size() && !cut; ++i) {
        slow.send(whole.substr(i, 1));
        std::this_thread::sleep_for(20ms);
        cut = slow.cut_within(0);
    }
    EXPECT_TRUE(cut);
    it.served_in();
}

TEST(raw_peer, without_keys_does_not_get_past_the_greeting) {
    const key_pair keys = generate_keys();
    server_options options;
    options.security = server_security{keys.secret_key, {}};
    attacked it(options);
    const unsigned seed = std::random_device{}();
    std::mt19937 random(seed);
    for (const char* mechanism : {"NULL", "PLAIN", "GSSAPI", "CURVE"}) {
        const raw_peer peer = it.peer();
        peer.send(greeting(mechanism) + ready("x") + frame(0, R"({"command":"echo"})"));
        EXPECT_TRUE(peer.cut_within(2000)) << mechanism;
    }
    const raw_peer old = it.peer();  // a downgrade
    old.send("\x04\0old\x13\0"s + R"({"command":"echo"})");
    EXPECT_TRUE(old.cut_within(2000));
    for (int i = 0; i < 200; ++i) {  // what should be boxes
        std::string body = "\5HELLO\1\0"s + std::string(i < 100 ? 192 : random() % 400, '\0');
        for (std::size_t at = 8; at < body.size(); ++at) body[at] = static_cast<char>(random());
        it.peer().send(greeting("CURVE") + frame(4, body));
    }
    EXPECT_EQ(it.one.metrics().received, 0U);
    EXPECT_EQ(it.one.metrics().clients_arrived, 0U) << "seed " << seed;
}

// The connections are held by processes of their own; each half is within a process's limit of open files.
TEST(raw_peer, ten_thousand_half_open_connections) {
    constexpr std::uint32_t number = 10'000;
    ASSERT_GE(raise_open_files(), number + 500) << "this test needs more open files than are allowed here (ulimit -n)";
    const child_process peers(
        [](int hears, int tells) { hold_half_open_connections(hears, tells, number, greeting()); });
    server_options options;
    options.handshake_limit = 8s;
    const std::size_t before = resident_bytes();
    attacked it(options);
    it.served_in();
    peers.tell(port_of(it.endpoint));
    EXPECT_EQ(peers.hear(), number);
    const std::size_t with_all = resident_bytes();
    const auto time = it.served_in();
    std::printf("%u half-open connections: %zu KiB each, a new client served in %d ms\n", number,
                (with_all - before) / 1024 / number, static_cast<int>(time.count()));
    EXPECT_LT(time, 3s);
    EXPECT_LT(with_all, before + (std::size_t{512} << 20));
    EXPECT_TRUE(eventually([&] { return it.one.metrics().clients == 0; }));
    peers.tell(1);
    // A few may exist on their side only: the kernel forgets one that came when the backlog was full.
    EXPECT_GT(peers.hear(), number - number / 100) << "were cut at the limit of the handshake";
    it.served_in();
}

}  // namespace
