// Large transactions that are opened, filled and cancelled: what they leave on disk.

#include "measure.hpp"

#include <tstreams/tstreams.hpp>

#include <thread>

namespace {

struct settings {
    bench::common_options common;
    std::uint32_t transactions = 100;
    std::uint64_t mib = 1024;
    double left_mib = 2048;
    double stop_mib = 40 * 1024;
    std::uint32_t wait_seconds = 60;
};

double disk_mib(const bench::scratch& place) {
    return bench::mib(bench::disk_bytes(place.path()));
}

// Fills and cancels all of them; the most that the store took on disk after any of them.
double fill_and_cancel(const settings& chosen, const bench::scratch& place, tstreams::client& client) {
    const std::string item = bench::noise(std::size_t{1} << 20);
    auto producer = client.make_producer("cancelled");
    double most = 0;
    for (std::uint32_t i = 0; i < chosen.transactions; ++i) {
        auto transaction = producer.begin();
        for (std::uint64_t k = 0; k < chosen.mib; ++k) transaction.put(item);
        transaction.cancel();
        most = std::max(most, disk_mib(place));
        if (most > chosen.stop_mib) {
            throw std::runtime_error("after " + std::to_string(i + 1) + " transactions the store takes " +
                                     std::to_string(most) + " MiB: space does not come back fast enough");
        }
    }
    return most;
}

// Space comes back in the background: waits until what is left is below the limit and has not changed for a
// second, or for the longest time allowed.
double wait_for_space(const settings& chosen, const bench::scratch& place) {
    constexpr auto pause = std::chrono::milliseconds(50);
    const auto deadline = bench::clock::now() + std::chrono::seconds(chosen.wait_seconds);
    double left = disk_mib(place);
    auto changed = bench::clock::now();
    while (bench::clock::now() < deadline) {
        if (left < chosen.left_mib && bench::clock::now() - changed > std::chrono::seconds(1)) break;
        std::this_thread::sleep_for(pause);
        const double now = disk_mib(place);
        if (now != left) changed = bench::clock::now();
        left = now;
    }
    return left;
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Cancelled transactions and the disk", "cancel_space");
    chosen.common.add_to(app);
    app.add_option("--transactions", chosen.transactions, "How many are opened and cancelled")->capture_default_str();
    app.add_option("--mib", chosen.mib, "Size of each")->capture_default_str();
    app.add_option("--left-mib", chosen.left_mib, "Limit of what may be left")->capture_default_str();
    app.add_option("--stop-mib", chosen.stop_mib, "Give up when the store takes more than this meanwhile")
        ->capture_default_str();
    app.add_option("--wait", chosen.wait_seconds, "Seconds in which the space must have come back")
        ->capture_default_str();
    return bench::run_program(app, argc, argv, [&] {
        const bench::scratch place(chosen.common.directory);
        auto client = tstreams::client::open(place.store_uri());
        client.create_stream(
            {.name = "cancelled", .ttl = std::chrono::hours(48), .durability = tstreams::durability::process()});
        bench::report result;
        result.value("written and cancelled", static_cast<double>(chosen.transactions * chosen.mib), "MiB");
        double most = 0;
        const double seconds = bench::seconds_of([&] { most = fill_and_cancel(chosen, place, client); });
        result.value("in", seconds, "s");
        result.value("most on disk meanwhile", most, "MiB");
        double left = 0;
        const double waited = bench::seconds_of([&] { left = wait_for_space(chosen, place); });
        result.value("waited for the rest", waited, "s");
        result.at_most("left on disk", left, "MiB", chosen.left_mib);
        return chosen.common.finish(result);
    });
}
