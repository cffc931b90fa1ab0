// Standard output: all bytes arrive in order, and a reader that has gone is noticed.
#include "cli/output.hpp"

#include "cli/failure.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <string>
#include <thread>

namespace tstreams::cli {
namespace {

TEST(output, everything_arrives_also_through_a_pipe_that_does_not_block) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_NONBLOCK), 0);
    ASSERT_EQ(::fcntl(ends[0], F_SETFL, 0), 0);
    std::string arrived;
    std::thread reader([&] {
        std::array<char, 4096> chunk{};
        for (::ssize_t got = 0; (got = ::read(ends[0], chunk.data(), chunk.size())) > 0;)
            arrived.append(chunk.data(), static_cast<std::size_t>(got));
    });
    std::string expected;
    output out(ends[1]);
    for (std::size_t size : {0UL, 1UL, 1000UL, 65535UL, 65536UL, 300000UL, 7UL}) {
        const std::string part(size, static_cast<char>('a' + size % 26));
        expected += part + "\n";
        out.line(part);
    }
    out.flush();
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
    EXPECT_EQ(arrived, expected);
}

TEST(output, a_reader_that_has_gone_is_noticed) {
    std::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    output out(ends[1]);
    EXPECT_FALSE(out.reader_gone());
    ::close(ends[0]);
    EXPECT_TRUE(out.reader_gone());
    out.line("unread");
    EXPECT_THROW(out.flush(), output_closed);
    ::close(ends[1]);
}

TEST(output, a_full_disk_is_a_failure) {
    const int full = ::open("/dev/full", O_WRONLY);
    ASSERT_GE(full, 0);
    output out(full);
    out.line("lost");
    EXPECT_THROW(out.flush(), std::system_error);
    ::close(full);
}

}  // namespace
}  // namespace tstreams::cli
