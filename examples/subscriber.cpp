// A subscriber: called back with what is stored already and then with what comes, in order within each
// partition, partitions in parallel.
//
// Run:  ./subscriber                        in memory
//       ./subscriber file:/tmp/subscriber   on disk
#include <tstreams/tstreams.hpp>

#include <iostream>
#include <latch>
#include <mutex>

namespace {

void run(tstreams::client& client) {
    constexpr int stored = 3;
    constexpr int live = 3;
    client.open_or_create({.name = "events", .partitions = 2});
    auto producer = client.make_producer("events");
    for (int i = 1; i <= stored; ++i) producer.send("stored event " + std::to_string(i));

    std::latch all_seen(stored + live);
    std::mutex printing;
    auto subscriber = client.make_subscriber(
        "events", {.name = "printer", .threads = 2},
        [&](tstreams::received_transaction& received, tstreams::delivery& delivery) {
            {
                const std::scoped_lock lock(printing);
                for (const auto& item : received) {
                    std::cout << "partition " << received.partition() << ": " << item.text() << "\n";
                }
            }
            // Stores the position of this partition: at least once, because a crash just before this line
            // makes the next instance print the transaction again.
            delivery.checkpoint();
            all_seen.count_down();
        });

    for (int i = 1; i <= live; ++i) producer.send("live event " + std::to_string(i));
    all_seen.wait();
    subscriber.stop();  // no callback runs after this
}

}  // namespace

int main(int argc, char** argv) {
    try {
        auto client = tstreams::client::open(argc > 1 ? argv[1] : "memory:");
        run(client);
    } catch (const std::exception& failure) {
        std::cerr << "subscriber: " << failure.what() << "\n";
        return 1;
    }
}
