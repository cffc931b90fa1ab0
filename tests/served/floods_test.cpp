// Ten thousand connections that never finish their handshake: the server stays, others are served, its memory is
// bounded, and the connections are cut.
#include "moebius/test_process.hpp"
#include "tests/served/raw_client.hpp"

#include <tstreams/client.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>

namespace tstreams::served {
namespace {

using moebius::test::child_process;
using moebius::test::hold_half_open_connections;
using moebius::test::raise_open_files;

constexpr std::uint32_t connections = 10'000;

std::uint16_t port_in(const std::string& log) {
    std::smatch found;
    if (!std::regex_search(log, found, std::regex(R"(tcp://127\.0\.0\.1:(\d+))")))
        throw std::runtime_error("no port in the log: " + log);
    return static_cast<std::uint16_t>(std::stoul(found[1]));
}

std::size_t descriptors_of(pid_t process) {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& one :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd"))
        ++count;
    return count;
}

std::chrono::microseconds slow_one_of(producer& to, int sends) {
    std::vector<std::chrono::microseconds> took;
    for (int i = 0; i < sends; ++i) {
        const auto start = std::chrono::steady_clock::now();
        to.send("x");
        took.push_back(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start));
    }
    std::sort(took.begin(), took.end());
    return took[took.size() * 99 / 100];
}

TEST(flooded, by_ten_thousand_half_open_connections) {
    ASSERT_GE(raise_open_files(), connections + 500) << "more open files than are allowed here (ulimit -n)";
    const child_process peers([](int hears, int tells) {  // before there are threads
        hold_half_open_connections(hears, tells, connections, std::string_view("\xFF\0\0\0\0\0\0\0\x01\x7F", 10));
    });
    const temporary_directory directory;
    const daemon server(directory.path(), {"--listen", "tcp://127.0.0.1:0"});
    const std::uint16_t port = port_in(server.output());
    client good = client::open("ipc://" + directory.path() + "/socket");
    stream_options chosen;
    chosen.name = "s";
    chosen.durability = durability::process();
    good.create_stream(chosen);
    producer to = good.make_producer("s");
    const auto quiet = slow_one_of(to, 300);
    const std::size_t descriptors_before = descriptors_of(server.process());
    const std::size_t memory_before = memory_of(server.process());

    peers.tell(port);
    EXPECT_EQ(peers.hear(), connections);
    const auto flooded = slow_one_of(to, 300);
    const std::size_t memory_more = memory_of(server.process()) - memory_before;
    std::printf("99 of 100 sends took at most %d us, and with %u half-open connections %d us; %zu kB more memory\n",
                static_cast<int>(quiet.count()), connections, static_cast<int>(flooded.count()), memory_more);
    EXPECT_LT(flooded, 3s);
    EXPECT_LT(memory_more, 256U * 1024);
    client late = client::open("tcp://127.0.0.1:" + std::to_string(port));
    late.make_producer("s").send("a newcomer is served");

    peers.tell(1);
    // A few may exist on their side only: the kernel forgets one that came when the backlog was full.
    EXPECT_GT(peers.hear(), connections - connections / 100) << "were cut at the limit of the handshake";
    EXPECT_LT(descriptors_of(server.process()), descriptors_before + 100);
    const transaction_id end(~std::uint64_t{0});
    EXPECT_EQ(good.scan("s", 0, transaction_id(0), end).size(), 601U);
}

}  // namespace
}  // namespace tstreams::served
