// A project of somebody else: it knows the installed files only. Writes to a store, opens it again and reads.
#include <tstreams/tstreams.hpp>

#include <chrono>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
    using namespace std::chrono_literals;
    if (argc != 2) return 2;
    const std::string uri = std::string("file:") + argv[1];
    try {
        {
            auto client = tstreams::client::open(uri);
            client.create_stream({.name = "orders", .partitions = 2});
            client.make_producer("orders").send({"one", "two"});
        }
        auto client = tstreams::client::open(uri, {.create = false});
        auto consumer = client.make_consumer("orders");
        while (auto received = consumer.next(0ms)) {
            for (const auto& item : *received) std::puts(std::string(item.text()).c_str());
        }
        return 0;
    } catch (const tstreams::error& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
