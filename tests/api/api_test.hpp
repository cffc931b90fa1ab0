// What the tests of the public API share: every test runs on every kind of store.
#pragma once

#include "tests/served/daemon.hpp"
#include "tests/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <tstreams/tstreams.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tstreams::api_test {

using namespace std::chrono_literals;

using tests::temporary_directory;

class api : public testing::TestWithParam<const char*> {
protected:
    [[nodiscard]] std::string uri() const {
        const std::string scheme = GetParam();
        if (is_served()) return over_tcp() ? daemon_->tcp_endpoint() : "ipc://" + directory_.path() + "/socket";
        return scheme == "memory" ? "memory:" : scheme + ":" + directory_.path() + "/store";
    }
    [[nodiscard]] bool is_served() const { return std::string(GetParam()) == "served"; }
    // Some programs run once more, with TCP where a Unix socket is meant.
    [[nodiscard]] static bool over_tcp() { return std::getenv("TSTREAMS_TEST_OVER_TCP") != nullptr; }
    [[nodiscard]] bool durable() const { return std::string(GetParam()) != "memory"; }
    client open(client_options options = {}) { return client::open(uri(), std::move(options)); }
    // Closes and opens again; only a durable store remembers.
    void reopen() {
        store.close();
        store = open();
    }
    void SetUp() override {
        if (is_served() && over_tcp())
            daemon_.emplace(directory_.path(), std::vector<std::string>{"--listen", "tcp://127.0.0.1:0"});
        else if (is_served())
            daemon_.emplace(directory_.path());
        store = open();
    }

    stream_info make_stream(const std::string& name, std::uint32_t partitions = 1) {
        stream_options options;
        options.name = name;
        options.partitions = partitions;
        options.durability = durability::process();
        return store.create_stream(options);
    }
    consumer make_consumer(const std::string& stream, const std::string& name = {}, start from = oldest) {
        consumer_options options;
        options.name = name;
        options.start = from;
        return store.make_consumer(stream, options);
    }

    temporary_directory directory_;
    std::optional<served::daemon> daemon_;

public:
    client store;
};

// The thread sanitizer does not see how libzmq, which is not built with it, hands memory from thread to thread.
#if TSTREAMS_WITH_REMOTE && !defined(__SANITIZE_THREAD__)
inline constexpr const char* stores[] = {"memory", "file", "served"};
#else
inline constexpr const char* stores[] = {"memory", "file"};
#endif
#define TSTREAMS_API_TESTS(suite)                                      \
    INSTANTIATE_TEST_SUITE_P(stores, suite, testing::ValuesIn(stores), \
                             [](const testing::TestParamInfo<const char*>& each) { return std::string(each.param); })

inline std::vector<std::string> items_of(const received_transaction& received) {
    std::vector<std::string> result;
    for (const item& one : received) result.emplace_back(one.text());
    return result;
}

// All items that are readable now, in the order of delivery.
inline std::vector<std::string> drain(consumer& from) {
    std::vector<std::string> result;
    while (auto received = from.next(0ms))
        for (std::string& one : items_of(*received)) result.push_back(std::move(one));
    return result;
}

// The code of the error that `call` throws; fails the test when it throws none.
inline errc code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const error& failure) {
        EXPECT_STRNE(failure.what(), "");
        return failure.code();
    }
    ADD_FAILURE() << "no error was thrown";
    return errc::invalid_state;
}

#define EXPECT_CODE(code, ...) \
    EXPECT_EQ(name(code), name(::tstreams::api_test::code_of([&] { static_cast<void>(__VA_ARGS__); })))

// Waits for a condition that other threads bring about.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, std::chrono::milliseconds patience = 20s) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

}  // namespace tstreams::api_test
