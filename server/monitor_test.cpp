// The text format by its rules; and the HTTP side asked over real connections: phases, a loop that stands still, many
// readers while figures are published.
#include "server/monitor.hpp"
#include "server/exposition.hpp"

#include <gtest/gtest.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <tstreams/error.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace tstreams::server {
namespace {

namespace asio = boost::asio;

TEST(Exposition, NamesAndLabels) {
    exposition text;
    text.gauge("one", "The first.", 1);
    text.family("two", "The second.", "counter");
    text.sample("two", {{"a", "plain"}, {"b", "\"quoted\" \\ and\nbroken"}}, std::uint64_t{18446744073709551615U});
    text.sample("two", {{"a", std::string_view("\x01\xff", 2)}}, 0.25);
    EXPECT_EQ(text.take(),
              "# HELP one The first.\n# TYPE one gauge\none 1\n"
              "# HELP two The second.\n# TYPE two counter\n"
              "two{a=\"plain\",b=\"\\\"quoted\\\" \\\\ and\\nbroken\"} 18446744073709551615\n"
              "two{a=\"??\"} 0.25\n");
}

TEST(Exposition, HistogramsAddUp) {
    ports::histogram counted;
    for (const std::uint64_t value : {0ULL, 1ULL, 2ULL, 3ULL, 4ULL, 5ULL, ~0ULL >> 20U}) counted.add(value);
    exposition text;
    text.histogram("size", "Sizes.", counted, 1);
    const std::string all = text.take();
    for (const char* line : {"size_bucket{le=\"1\"} 2\n", "size_bucket{le=\"2\"} 3\n", "size_bucket{le=\"4\"} 5\n",
                             "size_bucket{le=\"8\"} 6\n", "size_bucket{le=\"16777216\"} 6\n",
                             "size_bucket{le=\"+Inf\"} 7\n", "size_count 7\n"})
        EXPECT_NE(all.find(line), std::string::npos) << line << all;
}

// The whole answer.
std::string ask(const monitor& from, const std::string& path) {
    const std::string port = from.endpoint().substr(from.endpoint().rfind(':') + 1);
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(std::stoi(port))});
    asio::write(socket, asio::buffer("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n"));
    std::string answer;
    boost::system::error_code ended;
    asio::read(socket, asio::dynamic_buffer(answer), ended);
    return answer;
}

TEST(Monitor, PhasesAndHealth) {
    monitor tested({.address = "127.0.0.1:0", .stale_after = std::chrono::milliseconds(200)});
    EXPECT_NE(ask(tested, "/readyz").find(" 503 "), std::string::npos);
    EXPECT_NE(ask(tested, "/healthz").find(" 200 "), std::string::npos);
    tested.publish("figure 1\n");
    tested.become(phase::ready);
    EXPECT_NE(ask(tested, "/readyz").find(" 200 "), std::string::npos);
    EXPECT_NE(ask(tested, "/metrics").find("\nfigure 1\n"), std::string::npos);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the loop that publishes stands still
    EXPECT_NE(ask(tested, "/healthz").find(" 503 "), std::string::npos);
    EXPECT_NE(ask(tested, "/readyz").find(" 200 "), std::string::npos);
    tested.publish("figure 2\n");
    EXPECT_NE(ask(tested, "/healthz").find(" 200 "), std::string::npos);
    tested.become(phase::stopping);
    EXPECT_NE(ask(tested, "/readyz").find("\r\n\r\nstopping\n"), std::string::npos);
}

TEST(Monitor, ReadersWhileFiguresCome) {
    monitor tested({.address = "0"});
    tested.become(phase::ready);
    std::atomic<bool> over = false;
    std::thread publishing([&] {
        for (int round = 0; !over; ++round) tested.publish("figure " + std::to_string(round) + "\n");
    });
    std::atomic<int> answered = 0;
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 4; ++reader)
        readers.emplace_back([&] {
            for (int time = 0; time < 50; ++time)
                if (ask(tested, "/metrics").find(" 200 OK") != std::string::npos) ++answered;
        });
    for (std::thread& one : readers) one.join();
    over = true;
    publishing.join();
    EXPECT_EQ(answered, 200);
}

TEST(Monitor, Addresses) {
    for (const char* address :
         {"", "somewhere:1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "0.0.0.0:0", "[::]:0"})
        EXPECT_THROW(monitor({.address = address}), error) << address;
    const monitor first({.address = "localhost:0"});
    const std::string taken = first.endpoint().substr(std::string("http://").size());
    EXPECT_THROW(monitor({.address = taken}), error);
    EXPECT_NO_THROW(monitor({.address = "0.0.0.0:0", .beyond_loopback = true}));
}

}  // namespace
}  // namespace tstreams::server
