// Transactions of one small item: many in flight at `process`; one blocking call at a time, and many in
// flight, at `sync`, both against the rate at which the machine appends and fdatasyncs.

#include "in_flight.hpp"
#include "measure.hpp"

#include <tstreams/async.hpp>
#include <tstreams/tstreams.hpp>

namespace {

struct settings {
    bench::common_options common;
    std::size_t item_bytes = 100;
    std::uint32_t transactions = 400'000;
    std::uint32_t in_flight = 1024;
    std::uint32_t sync_transactions = 2000;
    std::uint32_t sync_in_flight = 64;
};

void send_in_flight(tstreams::producer& producer, const std::string& item, std::uint64_t count, std::uint64_t width) {
    bench::in_flight sends(count, width, [&](bench::in_flight& all, std::uint64_t) {
        tstreams::async_send(producer, {item}, [&all](const std::exception_ptr& failure, tstreams::transaction_id) {
            all.done(failure);
        });
    });
    sends.run();
}

void measure(const settings& chosen, bench::report& result) {
    const bench::scratch place(chosen.common.directory);
    const std::string item = bench::noise(chosen.item_bytes);
    const bench::append_file file(place.file("floor"));
    auto client = tstreams::client::open(place.store_uri());
    client.create_stream({.name = "process", .durability = tstreams::durability::process()});
    client.create_stream({.name = "sync"});
    auto unsynced = client.make_producer("process");
    auto synced = client.make_producer("sync");

    const auto fast = bench::compare(
        place, chosen.common.rounds,
        [&] {
            for (std::uint32_t i = 0; i < chosen.transactions; ++i) file.append(item);
        },
        [&] { send_in_flight(unsynced, item, chosen.transactions, chosen.in_flight); });
    const std::string size = std::to_string(chosen.item_bytes) + " B, ";
    const std::string fast_name = size + "process, " + std::to_string(chosen.in_flight) + " in flight";
    result.value(fast_name + ", floor", chosen.transactions / fast.floor, "/s");
    result.at_least(fast_name + ", T-streams", chosen.transactions / fast.product, "/s", 200'000);

    const auto append_synced = [&] {
        for (std::uint32_t i = 0; i < chosen.sync_transactions; ++i) {
            file.append(item);
            file.sync();
        }
    };
    const auto one_by_one = bench::compare(place, chosen.common.rounds, append_synced, [&] {
        for (std::uint32_t i = 0; i < chosen.sync_transactions; ++i) synced.send(item);
    });
    result.ratio(size + "sync, one at a time", one_by_one, chosen.sync_transactions, "/s", 0.75);

    // The product does many times the work of the floor in a round, so that both last about as long.
    constexpr std::uint32_t more = 16;
    auto many = bench::compare(place, chosen.common.rounds, append_synced, [&] {
        send_in_flight(synced, item, std::uint64_t{more} * chosen.sync_transactions, chosen.sync_in_flight);
    });
    many.product /= more;
    result.ratio(size + "sync, " + std::to_string(chosen.sync_in_flight) + " in flight", many, chosen.sync_transactions,
                 "/s", 16);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Transactions of one small item", "small_transactions");
    chosen.common.add_to(app);
    app.add_option("--item-bytes", chosen.item_bytes, "Size of the item")->capture_default_str();
    app.add_option("--transactions", chosen.transactions, "Transactions in a round at process")->capture_default_str();
    app.add_option("--in-flight", chosen.in_flight, "Sends under way at a time at process")->capture_default_str();
    app.add_option("--sync-transactions", chosen.sync_transactions, "Transactions in a round at sync")
        ->capture_default_str();
    app.add_option("--sync-in-flight", chosen.sync_in_flight, "Sends under way at a time at sync")
        ->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        bench::report result;
        measure(chosen, result);
        return chosen.common.finish(result);
    });
}
