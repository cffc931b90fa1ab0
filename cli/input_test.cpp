// Lines from a pipe: whole, empty, unfinished, too long, late.
#include "cli/input.hpp"

#include <tstreams/error.hpp>

#include <gtest/gtest.h>

#include <unistd.h>
#include <array>
#include <csignal>
#include <thread>
#include <vector>

namespace tstreams::cli {
namespace {

using namespace std::chrono_literals;

class input_from_pipe : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(::pipe(ends_.data()), 0); }
    void TearDown() override {
        ::close(ends_[0]);
        end();
    }
    void write(std::string_view text) const {
        ASSERT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<::ssize_t>(text.size()));
    }
    void end() {
        if (ends_[1] >= 0) ::close(ends_[1]);
        ends_[1] = -1;
    }
    std::vector<std::string> all(input& in) const {
        std::vector<std::string> lines;
        std::string_view line;
        while (in.line(std::nullopt, line) == input::answer::item) lines.emplace_back(line);
        return lines;
    }

    std::array<int, 2> ends_{};
    interruption stop_;
};

TEST_F(input_from_pipe, gives_each_line_and_the_last_one_without_newline) {
    write(std::string_view("one\n\n two\r\n\0x\n\nlast", 19));
    end();
    input in(ends_[0], 100, stop_);
    EXPECT_EQ(all(in), (std::vector<std::string>{"one", "", " two\r", std::string("\0x", 2), "", "last"}));
}

TEST_F(input_from_pipe, a_final_newline_begins_no_line) {
    write("one\n");
    end();
    input in(ends_[0], 100, stop_);
    EXPECT_EQ(all(in), std::vector<std::string>{"one"});
}

TEST_F(input_from_pipe, long_lines_come_whole_up_to_the_limit) {
    const std::size_t limit = std::size_t{300} << 10;
    const std::string longest(limit, 'x');
    std::thread writer([&] {
        const std::string text = longest + "\nshort\n" + longest + "y\n";
        std::string_view rest = text;
        while (!rest.empty()) {
            const ::ssize_t written = ::write(ends_[1], rest.data(), rest.size());
            ASSERT_GT(written, 0);
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
        end();
    });
    input in(ends_[0], limit, stop_);
    std::string_view line;
    ASSERT_EQ(in.line(std::nullopt, line), input::answer::item);
    EXPECT_EQ(line, longest);
    ASSERT_EQ(in.line(std::nullopt, line), input::answer::item);
    EXPECT_EQ(line, "short");
    try {
        in.line(std::nullopt, line);
        ADD_FAILURE() << "a line over the limit was accepted";
    } catch (const error& failure) {
        EXPECT_EQ(failure.code(), errc::too_large);
        EXPECT_NE(std::string(failure.what()).find("line 3"), std::string::npos) << failure.what();
    }
    writer.join();
}

TEST_F(input_from_pipe, waits_only_up_to_the_deadline) {
    write("half");
    input in(ends_[0], 100, stop_);
    std::string_view line;
    EXPECT_EQ(in.line(input::clock::now() + 20ms, line), input::answer::timed_out);
    EXPECT_EQ(in.unfinished_bytes(), 4U);
    write(" done\n");
    ASSERT_EQ(in.line(std::nullopt, line), input::answer::item);
    EXPECT_EQ(line, "half done");
}

TEST_F(input_from_pipe, a_signal_ends_the_wait_after_the_complete_lines) {
    write("one\ntwo\nthr");
    input in(ends_[0], 100, stop_);
    std::string_view line;
    ASSERT_EQ(in.line(std::nullopt, line), input::answer::item);
    std::raise(SIGTERM);
    ASSERT_EQ(in.line(std::nullopt, line), input::answer::item);
    EXPECT_EQ(line, "two");
    EXPECT_EQ(in.line(std::nullopt, line), input::answer::interrupted);
    EXPECT_EQ(in.unfinished_bytes(), 3U);
}

TEST_F(input_from_pipe, everything_is_one_item_up_to_the_limit) {
    write("a\nb\n");
    end();
    input in(ends_[0], 4, stop_);
    std::string_view item;
    ASSERT_EQ(in.everything(item), input::answer::item);
    EXPECT_EQ(item, "a\nb\n");
}

TEST_F(input_from_pipe, everything_over_the_limit_is_refused) {
    write("a\nb\nc");
    end();
    input in(ends_[0], 4, stop_);
    std::string_view item;
    EXPECT_THROW(in.everything(item), error);
}

}  // namespace
}  // namespace tstreams::cli
