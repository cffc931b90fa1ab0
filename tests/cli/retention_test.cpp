// The tool on a store whose clock seems to have jumped: what it says, that nothing is lost, and how it goes on. The
// jump is made by setting back what the store knows of the time.
#include "client/runtime.hpp"
#include "core/keys.hpp"
#include "core/rows.hpp"
#include "engines/local/engine.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <tstreams/tstreams.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

namespace tstreams {
namespace {

using namespace std::chrono_literals;

weave::task<void> set_back(detail::runtime& home, std::string path, std::chrono::hours by) {
    local::options place;
    place.path = std::move(path);
    const std::unique_ptr<local::engine> engine = local::engine::open(place, home, home);
    core::clock_row row;
    row.believed = home.wall_now() - by;
    row.boot = "another run of the machine";
    ports::batch change;
    change.shard = core::keys::work_shard(0);
    ports::mutation put;
    put.key = core::keys::clock_row();
    put.value = core::encode(row);
    change.mutations.push_back(std::move(put));
    co_await engine->rows().commit(std::move(change), durability::sync());
    co_await engine->close();
}

class jumped_clock : public testing::Test {
protected:
    struct run {
        std::string out;
        int status = 0;
    };

    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "tstreams-cli-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        path_ = pattern;
        client store = client::open("file:" + path_);
        store.create_stream({.name = "orders", .ttl = 1s});
        id_ = store.make_producer("orders").send("kept");
        store.close();
        std::this_thread::sleep_until(std::chrono::system_clock::now() + 1100ms);
    }
    void TearDown() override { std::filesystem::remove_all(path_); }

    void jump(std::chrono::hours by) {
        detail::runtime home;
        home.run(set_back(home, path_, by));
    }
    run tool(const std::string& arguments) const {
        const std::string line = std::string(TOOL) + " --at file:" + path_ + " " + arguments + " 2>&1";
        FILE* pipe = ::popen(line.c_str(), "r");
        run result;
        std::array<char, 4096> chunk{};
        for (std::size_t got = 0; (got = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
            result.out.append(chunk.data(), got);
        result.status = WEXITSTATUS(::pclose(pipe));
        return result;
    }

    std::string path_;
    transaction_id id_;
};

TEST_F(jumped_clock, is_said_by_every_command_and_nothing_is_lost) {
    jump(24h * 400);
    for (const char* command : {"stream list", "consume orders", "stream show orders", "retention show"}) {
        const run result = tool(command);
        EXPECT_EQ(result.status, 0) << result.out;
        EXPECT_NE(
            result.out.find("tstreams: retention holds, nothing expires or is removed: the clock is 400 days ahead"),
            std::string::npos)
            << result.out;
    }
    EXPECT_NE(tool("consume orders").out.find("kept\n"), std::string::npos);
    EXPECT_NE(tool("stream show orders").out.find("retention    holds"), std::string::npos);
    const std::string json = tool("retention show --json 2>/dev/null").out;
    const auto state = nlohmann::json::parse(json.substr(json.find('{')));
    EXPECT_EQ(state["holding"], true);
    EXPECT_TRUE(state["ends"].is_null());
    EXPECT_NEAR(state["jump_seconds"].get<double>(), 400 * 86400, 3600);
}

TEST_F(jumped_clock, can_be_accepted) {
    jump(24h * 400);
    EXPECT_EQ(tool("retention accept").status, 0);
    const run shown = tool("retention show");
    EXPECT_EQ(shown.out.find("holds"), std::string::npos) << shown.out;
    EXPECT_EQ(tool("consume orders --after 1").status, 1) << "expired as it should be";
}

TEST_F(jumped_clock, the_client_hears_of_it_and_can_take_it_back) {
    jump(24h * 31);
    std::vector<std::string> notices;
    client_options options;
    options.on_notice = [&](const std::string& text) { notices.push_back(text); };
    client store = client::open("file:" + path_, std::move(options));
    const retention_info held = store.retention();
    EXPECT_TRUE(held.holding && held.ends);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_TRUE(store.make_consumer("orders").next(0s).has_value());
    EXPECT_FALSE(store.accept_clock().holding);
    EXPECT_EQ(notices.size(), 2U);
    EXPECT_EQ(store.get("orders", 0, id_).state(), transaction_state::gone);
}

}  // namespace
}  // namespace tstreams
