// Transactions of many items against plain writes of the same bytes to one file: at `process` against
// write(), at `sync` against write() + fdatasync() per transaction; and one large item per transaction at
// `sync`.

#include "measure.hpp"

#include <tstreams/tstreams.hpp>

namespace {

struct settings {
    bench::common_options common;
    std::uint32_t items = 1000;
    std::size_t item_bytes = 1024;
    std::uint32_t process_transactions = 200;
    std::uint32_t sync_transactions = 100;
    std::size_t single_bytes = 32768;
    std::uint32_t single_transactions = 500;
};

struct work_of_a_round {
    std::string name;
    tstreams::durability level;
    std::uint32_t transactions;
    std::uint32_t items;
    std::size_t item_bytes;
    double limit;
};

void measure(const settings& chosen, const bench::scratch& place, tstreams::client& client, const work_of_a_round& work,
             bench::report& result) {
    const std::string payload = bench::noise(work.items * work.item_bytes);
    const bool synced = work.level == tstreams::durability::sync();
    const bench::append_file file(place.file(work.name + ".floor"));
    client.create_stream({.name = work.name, .durability = work.level});
    auto producer = client.make_producer(work.name);

    const auto floor = [&] {
        for (std::uint32_t i = 0; i < work.transactions; ++i) {
            file.append(payload);
            if (synced) file.sync();
        }
    };
    const auto product = [&] {
        for (std::uint32_t i = 0; i < work.transactions; ++i) {
            auto transaction = producer.begin();
            for (std::size_t at = 0; at < payload.size(); at += work.item_bytes) {
                transaction.put(std::string_view(payload).substr(at, work.item_bytes));
            }
            transaction.checkpoint();
        }
    };
    const auto seconds = bench::compare(place, chosen.common.rounds, floor, product);
    const double round_mib = bench::mib(payload.size()) * work.transactions;
    const std::string label =
        std::to_string(work.items) + " x " + std::to_string(work.item_bytes) + " B, " + tstreams::to_string(work.level);
    result.ratio(label, seconds, round_mib, "MiB/s", work.limit);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Large transactions against plain writes of the same bytes", "big_transactions");
    chosen.common.add_to(app);
    app.add_option("--items", chosen.items, "Items in a transaction")->capture_default_str();
    app.add_option("--item-bytes", chosen.item_bytes, "Size of an item")->capture_default_str();
    app.add_option("--transactions", chosen.process_transactions, "Transactions in a round at process")
        ->capture_default_str();
    app.add_option("--sync-transactions", chosen.sync_transactions, "Transactions in a round at sync")
        ->capture_default_str();
    app.add_option("--single-bytes", chosen.single_bytes, "Size of the item in transactions of one item")
        ->capture_default_str();
    app.add_option("--single-transactions", chosen.single_transactions, "Transactions of one item in a round at sync")
        ->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        const bench::scratch place(chosen.common.directory);
        auto client = tstreams::client::open(place.store_uri());
        const auto process = tstreams::durability::process();
        const auto sync = tstreams::durability::sync();
        bench::report result;
        measure(chosen, place, client,
                {"process", process, chosen.process_transactions, chosen.items, chosen.item_bytes, 0.5}, result);
        measure(chosen, place, client, {"sync", sync, chosen.sync_transactions, chosen.items, chosen.item_bytes, 0.8},
                result);
        measure(chosen, place, client, {"single", sync, chosen.single_transactions, 1, chosen.single_bytes, 0.75},
                result);
        return chosen.common.finish(result);
    });
}
