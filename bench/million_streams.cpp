// A store with a very large number of idle streams: what they cost to make, to list, to hold and to reopen.

#include "in_flight.hpp"
#include "measure.hpp"

#include <tstreams/async.hpp>
#include <tstreams/tstreams.hpp>

namespace {

struct settings {
    bench::common_options common;
    std::uint64_t streams = 1'000'000;
    std::uint32_t partitions = 4;
    std::uint64_t in_flight = 256;
    std::uint32_t page = 1000;
    bool check_space = false;
};

std::string name_of(std::uint64_t number) {
    std::ostringstream name;
    name << "stream-" << std::setw(8) << std::setfill('0') << number;
    return name.str();
}

void create_all(const settings& chosen, tstreams::client& client) {
    bench::in_flight creations(chosen.streams, chosen.in_flight, [&](bench::in_flight& all, std::uint64_t number) {
        tstreams::stream_options options{.name = name_of(number), .partitions = chosen.partitions};
        tstreams::async_create_stream(
            client, std::move(options),
            [&all](const std::exception_ptr& failure, const tstreams::stream_info&) { all.done(failure); });
    });
    creations.run();
}

// Median seconds of a page, over pages from everywhere.
double list_pages(const settings& chosen, const tstreams::client& client) {
    std::vector<double> seconds;
    for (std::uint64_t i = 0; i < 11; ++i) {
        const std::string after = name_of(chosen.streams * i / 11);
        seconds.push_back(bench::seconds_of([&] {
            if (client.list_streams("stream-", after, chosen.page).streams.empty()) {
                throw std::runtime_error("no streams are listed after " + after);
            }
        }));
    }
    return bench::median(std::move(seconds));
}

void measure(const settings& chosen, bench::report& result) {
    const bench::scratch place(chosen.common.directory);
    const auto time_limit = [&](const std::string& name, double value, const std::string& unit, double limit) {
        chosen.check_space ? result.value(name, value, unit) : result.at_most(name, value, unit, limit);
    };
    tstreams::client::open(place.store_uri()).close();
    const std::uint64_t empty = bench::disk_bytes(place.path());
    const auto count = static_cast<double>(chosen.streams);

    auto client = tstreams::client::open(place.store_uri());
    const double creating = bench::seconds_of([&] { create_all(chosen, client); });
    result.value("streams", count, "");
    time_limit("created in", creating, "s", 60 * count / 1e6);
    time_limit("a page of " + std::to_string(chosen.page) + " listed in", list_pages(chosen, client) * 1e3, "ms", 50);
    result.value("resident memory", bench::mib(bench::process_memory("VmRSS")), "MiB");
    client.close();
    client = {};

    const double reopening = bench::seconds_of([&] {
        client = tstreams::client::open(place.store_uri());
        client.make_producer(name_of(chosen.streams / 2)).send("first");
    });
    time_limit("reopened, first request done in", reopening, "s", 2);
    client.close();
    result.at_most("resident memory, peak", bench::mib(bench::process_memory("VmHWM")), "MiB", 300);
    result.value("disk, empty store", static_cast<double>(empty) / 1024, "KiB");
    const std::uint64_t full = bench::disk_bytes(place.path());
    const std::uint64_t added = full > empty ? full - empty : 0;
    result.at_most("disk for each idle stream", static_cast<double>(added) / count, "B", 512);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("A store with very many idle streams", "million_streams");
    chosen.common.add_to(app);
    app.add_option("--streams", chosen.streams, "How many")
        ->check(CLI::Range(std::uint64_t{100}, std::uint64_t{100'000'000}))
        ->capture_default_str();
    app.add_option("--partitions", chosen.partitions, "Partitions of each")->capture_default_str();
    app.add_option("--in-flight", chosen.in_flight, "Creations under way at a time")->capture_default_str();
    app.add_option("--page", chosen.page, "Streams listed in a page")->capture_default_str();
    app.add_flag("--check-space", chosen.check_space,
                 "Exit with 1 when a limit of memory or disk is missed; times are printed without limits");
    return bench::run_program(app, argc, argv, [&] {
        bench::report result;
        measure(chosen, result);
        chosen.common.check |= chosen.check_space;
        return chosen.common.finish(result);
    });
}
