// Items a second for small and large transactions at each durability level, one blocking call at a time, with
// the share of what plain write() (at `sync`: write() + fdatasync()) of the same transactions reaches.

#include "measure.hpp"

#include <tstreams/tstreams.hpp>

#include <array>

namespace {

struct settings {
    bench::common_options common;
    std::size_t item_bytes = 100;
    double seconds = 0.3;
};

// Runs `transaction` again and again for about `seconds`; transactions a second.
template <class Transaction>
double rate(double seconds, Transaction&& transaction) {
    const auto begin = bench::clock::now();
    std::uint64_t done = 0;
    double passed = 0;
    do {
        transaction();
        ++done;
        passed = std::chrono::duration<double>(bench::clock::now() - begin).count();
    } while (passed < seconds);
    return static_cast<double>(done) / passed;
}

struct cell {
    tstreams::durability level;
    std::uint32_t items;
    std::vector<double> floor_rates{};
    std::vector<double> product_rates{};
};

void run_round(const settings& chosen, const bench::scratch& place, tstreams::client& client,
               const bench::append_file& file, cell& one) {
    const std::string item = bench::noise(chosen.item_bytes);
    std::string payload;
    for (std::uint32_t i = 0; i < one.items; ++i) payload += item;
    const std::vector<std::string_view> items(one.items, item);
    const bool synced = one.level == tstreams::durability::sync();
    auto producer = client.make_producer("level-" + std::to_string(static_cast<int>(one.level.level)));
    place.settle();
    one.floor_rates.push_back(rate(chosen.seconds, [&] {
        file.append(payload);
        if (synced) file.sync();
    }));
    place.settle();
    one.product_rates.push_back(rate(chosen.seconds, [&] { producer.send(items); }));
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Items a second by transaction size and durability level", "durability_levels");
    chosen.common.add_to(app);
    app.add_option("--item-bytes", chosen.item_bytes, "Size of an item")->capture_default_str();
    app.add_option("--seconds", chosen.seconds, "Length of a round")->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        const bench::scratch place(chosen.common.directory);
        const bench::append_file file(place.file("floor"));
        auto client = tstreams::client::open(place.store_uri());
        std::vector<cell> cells;
        for (const auto& level :
             {tstreams::durability::sync(), tstreams::durability::every(std::chrono::milliseconds(50)),
              tstreams::durability::process()}) {
            client.create_stream(
                {.name = "level-" + std::to_string(static_cast<int>(level.level)), .durability = level});
            for (const std::uint32_t items : {1U, 10U, 100U, 1000U}) cells.push_back({level, items});
        }
        for (std::uint32_t round = 0; round < chosen.common.rounds; ++round) {
            for (cell& one : cells) run_round(chosen, place, client, file, one);
        }
        bench::report result;
        for (const cell& one : cells) {
            const double floor = bench::median(one.floor_rates);
            const double product = bench::median(one.product_rates);
            const std::string label = tstreams::to_string(one.level) + ", " + std::to_string(one.items) + " a txn";
            result.value(label, product * one.items, "items/s");
            result.value(label + ", ratio", product / floor, "");
        }
        return chosen.common.finish(result);
    });
}
