// The shortest complete program: a stream, a transaction of two items, a reader.
//
// Run:  ./embedded_hello                    keeps everything in memory
//       ./embedded_hello file:/tmp/hello    keeps it on disk: run it again and only the new items are read
#include <tstreams/tstreams.hpp>

#include <iostream>

int main(int argc, char** argv) {
    auto client = tstreams::client::open(argc > 1 ? argv[1] : "memory:");
    client.open_or_create({.name = "greetings"});

    auto producer = client.make_producer("greetings");
    producer.send({"hello", "world"});  // both items become visible together, or neither

    auto consumer = client.make_consumer("greetings", {.name = "reader"});
    while (auto received = consumer.next(std::chrono::milliseconds(0))) {
        for (const auto& item : *received) std::cout << item.text() << "\n";
        consumer.checkpoint();  // the next run goes on behind this transaction
    }
}
