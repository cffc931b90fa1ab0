// One transaction far larger than memory: written and read back through a client whose buffers have a small
// budget. What counts is the peak of the process's resident memory.

#include "measure.hpp"

#include <tstreams/tstreams.hpp>

#include <cstring>

namespace {

struct settings {
    bench::common_options common;
    std::uint64_t gib = 10;
    std::uint64_t mib = 0;
    std::size_t item_bytes = 65536;
    std::size_t memory_mib = 64;
    double limit_mib = 128;
};

// Items differ in their first bytes only, so that reading can tell that each is there, once and in order.
void number(std::string& item, std::uint64_t value) {
    std::memcpy(item.data(), &value, sizeof value);
}

void write(tstreams::client& client, std::string item, std::uint64_t items) {
    auto producer = client.make_producer("huge");
    auto transaction = producer.begin();
    for (std::uint64_t i = 0; i < items; ++i) {
        number(item, i);
        transaction.put(item);
    }
    transaction.checkpoint();
}

void read_back(tstreams::client& client, std::string expected, std::uint64_t items) {
    auto consumer = client.make_consumer("huge", {.start = tstreams::oldest});
    const auto received = consumer.next(std::chrono::seconds(60));
    if (!received || received->size() != items) throw std::runtime_error("the transaction is not there whole");
    std::uint64_t next = 0;
    for (const auto& item : *received) {
        number(expected, next);
        if (item.text() != expected) throw std::runtime_error("item " + std::to_string(next) + " is another one");
        ++next;
    }
    if (next != items) throw std::runtime_error("only " + std::to_string(next) + " items can be read");
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("One transaction far larger than memory", "huge_transaction");
    chosen.common.add_to(app);
    app.add_option("--gib", chosen.gib, "Size of the transaction")->capture_default_str();
    app.add_option("--mib", chosen.mib, "The same in MiB, for small runs");
    app.add_option("--item-bytes", chosen.item_bytes, "Size of an item")
        ->check(CLI::Range(std::size_t{8}, std::size_t{16} << 20))
        ->capture_default_str();
    app.add_option("--memory-mib", chosen.memory_mib, "Budget of the client's buffers")->capture_default_str();
    app.add_option("--limit-mib", chosen.limit_mib, "Limit of the peak of resident memory")->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        const bench::scratch place(chosen.common.directory);
        auto client = tstreams::client::open(place.store_uri(), {.memory_bytes_max = chosen.memory_mib << 20});
        client.create_stream({.name = "huge", .ttl = std::chrono::hours(48), .max_open = std::chrono::hours(24)});
        const std::uint64_t bytes = (chosen.mib != 0 ? chosen.mib : chosen.gib << 10) << 20;
        const std::uint64_t items = bytes / chosen.item_bytes;
        const std::string item = bench::noise(chosen.item_bytes);

        bench::report result;
        result.value("transaction", bench::mib(items * chosen.item_bytes), "MiB");
        result.value("memory before", bench::mib(bench::process_memory("VmRSS")), "MiB");
        const double writing = bench::seconds_of([&] { write(client, item, items); });
        result.value("writing", bench::mib(bytes) / writing, "MiB/s");
        result.at_most("peak memory, written", bench::mib(bench::process_memory("VmHWM")), "MiB", chosen.limit_mib);
        const double reading = bench::seconds_of([&] { read_back(client, item, items); });
        result.value("reading", bench::mib(bytes) / reading, "MiB/s");
        result.at_most("peak memory, read", bench::mib(bench::process_memory("VmHWM")), "MiB", chosen.limit_mib);
        return chosen.common.finish(result);
    });
}
