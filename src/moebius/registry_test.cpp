// Agents: ping, and a registry on a real server, asked over sockets by requesters and by its announcers.
#include "moebius/test_server.hpp"

#include <moebius/registry.hpp>

namespace {

using namespace moebius;
using namespace moebius::test;

// The number behind "name": in a JSON text.
std::int64_t number_in(std::string_view text, std::string_view name) {
    const std::size_t at = text.find("\"" + std::string(name) + "\":");
    return at == std::string_view::npos ? -1 : std::stoll(std::string(text.substr(at + name.size() + 3)));
}

TEST(ping, tells_who_the_server_is_and_its_time) {
    served one({.name = "a \"name\"", .version = "1.2"});
    one.routes.on("ping", moebius::pong);
    const std::string endpoint = one.serve();
    const auto now = [] {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    };
    blocking_client binary(endpoint);
    dealer text(endpoint);
    const std::string first(binary.call("moebius.ping", {}, patience).text());
    EXPECT_TRUE(first.starts_with(R"({"name":"a \"name\"","version":"1.2","instance":")")) << first;
    std::this_thread::sleep_for(3ms);
    const std::string second = text.ask(R"({"command":"ping"})");
    EXPECT_EQ(number_in(first, "started_ms"), number_in(second, "started_ms"));
    EXPECT_LT(number_in(first, "now_ms"), number_in(second, "now_ms"));
    EXPECT_LE(number_in(first, "started_ms"), number_in(first, "now_ms"));
    EXPECT_NEAR(static_cast<double>(number_in(second, "now_ms")), static_cast<double>(now()), 5000.0);
    EXPECT_NE(text.ask(R"({"command":"moebius.ping"})").find("unroutable"), std::string::npos) << "only by a rule";
    served other;
    blocking_client to_other(other.serve());
    const auto instance_of = [](std::string_view pong) { return pong.substr(pong.find("instance"), 28); };
    EXPECT_NE(instance_of(first), instance_of(to_other.call("moebius.ping", {}, patience).text()));
}

TEST(agents, are_lines) {
    agent one("camera.hall", "tcp://127.0.0.1:5560");
    one.attributes = {{"floor", "1"}, {"note", "a=b"}, {"empty", ""}};
    one.ttl = 1500ms;
    EXPECT_EQ(to_line(one), "camera.hall\ttcp://127.0.0.1:5560\t1500\tfloor=1\tnote=a=b\tempty=");
    const std::vector<agent> back = from_lines(to_line(one) + "\nx\ty\t1\n");
    ASSERT_EQ(back.size(), 2U);
    EXPECT_EQ(to_line(back.front()), to_line(one));
    EXPECT_EQ(back.back().name, "x");
    const auto code_of = [](std::string_view line) {
        try {
            (void)from_lines(line);
        } catch (const error& failure) {
            return failure.code();
        }
        return errc::none;
    };
    for (const char* bad :
         {"x", "x\ty", "x\ty\t", "x\ty\t1x", "x\ty\t0", "x\ty\t-1", "\ty\t1", "x\t\t1", "x\ty\t1\t=v", "x\x01\ty\t1",
          "x\ty\t1\tk=\x7F", "\n", "{\"command\":\"x\"}", "x\ty\t99999999999999999999"})
        EXPECT_EQ(code_of(bad), errc::malformed) << bad;
    EXPECT_EQ(code_of("x\ty\t1\tk=" + std::string(5000, 'v')), errc::too_large);
}

std::string names(const std::vector<agent>& all) {
    std::string text;
    for (const agent& one : all) text += one.name + "@" + one.endpoint + " ";
    return text;
}

TEST(registry, finds_by_name_and_by_prefix) {
    registry all;
    for (const char* line : {"b\t2\t1000", "a.y\t1\t1000", "a.x\t1\t1000", "a.x\t2\t1000", "a\t1\t1000", "ab\t1\t1000"})
        all.announce(from_lines(line).front());
    EXPECT_EQ(names(all.look_up("a.x")), "a.x@1 a.x@2 ");
    EXPECT_EQ(names(all.look_up("a.*")), "a.x@1 a.x@2 a.y@1 ");
    EXPECT_EQ(names(all.look_up("a")), "a@1 ");
    EXPECT_EQ(names(all.look_up("c*")), "");
    EXPECT_EQ(all.look_up("*").size(), 6U);
    all.withdraw(agent("a.x", "1"));
    all.withdraw(agent("unknown", "1"));
    EXPECT_EQ(names(all.look_up("a.x")), "a.x@2 ");
    EXPECT_EQ(all.look_up("").size(), 0U);
}

TEST(registry, is_bounded_and_knows_owners) {
    registry all({.agents = 2, .found = 1, .ttl = 50ms});
    const auto code_of = [&](auto&& what) {
        try {
            what();
        } catch (const error& failure) {
            return failure.code();
        }
        return errc::none;
    };
    all.announce(agent("a", "1"), "user");
    all.announce(agent("b", "1"));
    EXPECT_EQ(code_of([&] { all.announce(agent("c", "1")); }), errc::overloaded);
    EXPECT_EQ(code_of([&] { all.announce(agent("a", "1"), "user"); }), errc::none) << "a renewal";
    EXPECT_EQ(code_of([&] { all.announce(agent("a", "1"), "other"); }), errc::invalid_state);
    EXPECT_EQ(code_of([&] { all.withdraw(agent("a", "1")); }), errc::invalid_state);
    EXPECT_EQ(code_of([&] { (void)all.look_up("*"); }), errc::too_large);
    EXPECT_LE(all.look_up("a").front().ttl, 50ms) << "the registry's own limit";
    EXPECT_TRUE(eventually([&] { return all.size() == 0; })) << "forgotten, because nobody renewed";
    EXPECT_EQ(code_of([&] { all.announce(agent("a", "1"), "other"); }), errc::none);
}

struct registry_server : served {
    registry_server() : served({}, {.log = [](std::string_view) {}}) { agents.serve(routes); }
    ~registry_server() { stop(); }
    registry agents;
};

TEST(registry, is_a_server) {
    registry_server one;
    const std::string endpoint = one.serve();
    loop home;
    requester to_registry(home, endpoint);
    const auto tell = [&](const char* command, const char* line) {
        return home.run(ask(to_registry, command, message(std::string_view(line)), patience)).size();
    };
    EXPECT_EQ(tell("moebius.announce", "a\t1\t10000\tk=v"), 0U);
    EXPECT_EQ(tell("moebius.announce", "b\t1\t10000"), 0U);
    const std::vector<agent> found = home.run(look_up(to_registry, "a", patience));
    ASSERT_EQ(names(found), "a@1 ");
    EXPECT_EQ(found.front().attributes.front().second, "v");
    EXPECT_EQ(tell("moebius.withdraw", "a\t1\t1"), 0U);
    EXPECT_EQ(names(home.run(look_up(to_registry, "*", patience))), "b@1 ");
    EXPECT_THROW(tell("moebius.announce", "garbage"), error);
    dealer text(endpoint);
    EXPECT_NE(text.ask(R"({"command":"moebius.announce"})").find("malformed"), std::string::npos);
    EXPECT_NE(text.ask(R"({"command":"moebius.look_up"})").find("malformed"), std::string::npos);
}

TEST(announcer, renews_survives_the_registry_and_withdraws) {
    std::optional<registry_server> one(std::in_place);
    const std::string endpoint = one->serve();
    const auto found = [&] { return one->on_loop([&] { return one->agents.look_up("door").size(); }); };
    std::vector<std::string> heard;  // on the agent's loop
    served door;
    requester to_registry(door.home, endpoint, {.reconnect_first = 10ms});
    agent self("door", door.serve());
    self.ttl = 300ms;
    door.node.spawn(announcer(to_registry, self, [&](const std::string& failure) { heard.push_back(failure); }));
    ASSERT_TRUE(eventually([&] { return found() == 1; }));
    const auto until = std::chrono::steady_clock::now() + 900ms;  // three times its ttl
    while (std::chrono::steady_clock::now() < until) {
        ASSERT_EQ(found(), 1U);
        std::this_thread::sleep_for(5ms);
    }
    one.reset();
    ASSERT_TRUE(eventually([&] { return door.on_loop([&] { return heard.size(); }) >= 2; }));
    one.emplace();
    one->serve(endpoint);
    ASSERT_TRUE(eventually([&] { return found() == 1; })) << "a registry that forgot everything learns it again";
    one->on_loop([&] { EXPECT_LE(one->agents.look_up("door").front().ttl, 300ms); });
    ASSERT_TRUE(eventually([&] { return door.on_loop([&] { return heard.back().empty(); }); }));
    door.stop(1s);
    EXPECT_TRUE(eventually([&] { return found() == 0; }, 250ms)) << "withdrawn, not expired";
    EXPECT_EQ(heard.front(), "");
    EXPECT_NE(heard.at(1), "");
    EXPECT_EQ(heard.back(), "");
}

}  // namespace
