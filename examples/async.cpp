// Asynchronous calls with Asio's coroutines: 64 writers on one thread, each with a checkpoint in flight,
// share the syncs of the disk; then a reader counts what arrived. Any completion token does: callbacks,
// futures, coroutines.
//
// Run:  ./async                   in memory
//       ./async file:/tmp/async   on disk
#include <tstreams/async.hpp>
#include <tstreams/tstreams.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>

namespace {

namespace asio = boost::asio;

constexpr int writers = 64;
constexpr int events_each = 100;

// At the end of a coroutine that co_spawn started: its failure ends the program.
void rethrow(const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> write_events(tstreams::producer& producer, int writer) {
    for (int i = 0; i < events_each; ++i) {
        std::vector<std::string> items{"event " + std::to_string(i) + " of writer " + std::to_string(writer)};
        co_await tstreams::async_send(producer, std::move(items), asio::use_awaitable);
    }
}

asio::awaitable<void> count_events(tstreams::consumer& consumer) {
    std::uint64_t events = 0;
    while (true) {
        const auto received =
            co_await tstreams::async_next(consumer, std::chrono::milliseconds(0), asio::use_awaitable);
        if (!received) break;
        events += received->size();
    }
    co_await tstreams::async_checkpoint(consumer, asio::use_awaitable);
    std::cout << events << " new events\n";
}

}  // namespace

int main(int argc, char** argv) {
    try {
        auto client = tstreams::client::open(argc > 1 ? argv[1] : "memory:");
        client.open_or_create({.name = "events", .partitions = 4});
        auto producer = client.make_producer("events");
        auto consumer = client.make_consumer("events", {.name = "counter"});

        asio::io_context context;
        for (int writer = 0; writer < writers; ++writer) {
            asio::co_spawn(context, write_events(producer, writer), rethrow);
        }
        context.run();
        context.restart();
        asio::co_spawn(context, count_events(consumer), rethrow);
        context.run();
    } catch (const std::exception& failure) {
        std::cerr << "async: " << failure.what() << "\n";
        return 1;
    }
}
