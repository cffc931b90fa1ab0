// A process that ends while its last transactions are being cancelled: the store is closed before the libraries end.
#include "tests/temporary_directory.hpp"

#include <tstreams/tstreams.hpp>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>

namespace tstreams {
namespace {

// The end of a main(): what it made goes, then what is static.
[[noreturn]] void leave_with_an_open_transaction(const std::string& uri) {
    {
        client store = client::open(uri);
        store.open_or_create({.name = "s"});
        producer to = store.make_producer("s");
        transaction open = to.begin();
        open.put("never checkpointed");
    }
    std::exit(0);
}

TEST(leaving, a_process_with_an_open_transaction_ends_well) {
    const tests::temporary_directory directory;
    for (int round = 0; round < 40; ++round) {
        const pid_t child = ::fork();
        if (child == 0) leave_with_an_open_transaction("file:" + directory.path() + "/store");
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status) << " in round " << round;
        ASSERT_EQ(WEXITSTATUS(status), 0);
    }
}

}  // namespace
}  // namespace tstreams
