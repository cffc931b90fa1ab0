// Reading a stream whose bytes are in the page cache against reading the same bytes from one file.

#include "measure.hpp"

#include <tstreams/tstreams.hpp>

namespace {

struct settings {
    bench::common_options common;
    std::uint32_t transactions = 500;
    std::uint32_t items = 1000;
    std::size_t item_bytes = 1024;
};

void fill(const settings& chosen, tstreams::client& client, const bench::append_file& file) {
    const std::string item = bench::noise(chosen.item_bytes);
    client.create_stream({.name = "full", .durability = tstreams::durability::process()});
    auto producer = client.make_producer("full");
    for (std::uint32_t i = 0; i < chosen.transactions; ++i) {
        auto transaction = producer.begin();
        for (std::uint32_t k = 0; k < chosen.items; ++k) {
            transaction.put(item);
            file.append(item);
        }
        transaction.checkpoint();
    }
}

std::uint64_t consume(tstreams::client& client) {
    auto consumer = client.make_consumer("full", {.start = tstreams::oldest});
    std::uint64_t bytes = 0;
    while (auto received = consumer.next(std::chrono::milliseconds(0))) {
        for (const auto& item : *received) bytes += item.bytes().size();
    }
    return bytes;
}

void expect(std::uint64_t got, std::uint64_t wanted) {
    if (got == wanted) return;
    throw std::runtime_error("read " + std::to_string(got) + " bytes in place of " + std::to_string(wanted));
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Consuming from the page cache against reading one file", "consume");
    chosen.common.add_to(app);
    app.add_option("--transactions", chosen.transactions, "Transactions in the stream")->capture_default_str();
    app.add_option("--items", chosen.items, "Items in a transaction")->capture_default_str();
    app.add_option("--item-bytes", chosen.item_bytes, "Size of an item")->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        const bench::scratch place(chosen.common.directory);
        const std::string path = place.file("floor");
        const bench::append_file file(path);
        auto client = tstreams::client::open(place.store_uri());
        fill(chosen, client, file);
        const std::uint64_t bytes = std::uint64_t{chosen.transactions} * chosen.items * chosen.item_bytes;
        std::string buffer(std::size_t{1} << 20, '\0');
        const auto seconds = bench::compare(
            place, chosen.common.rounds, [&] { expect(bench::read_file(path, buffer), bytes); },
            [&] { expect(consume(client), bytes); });
        bench::report result;
        result.ratio(std::to_string(chosen.items) + " x " + std::to_string(chosen.item_bytes) + " B", seconds,
                     bench::mib(bytes), "MiB/s", 0.4);
        return chosen.common.finish(result);
    });
}
