// An exactly-once pipeline in one program: a feeder and an aggregator, two threads over one client. Kill it
// when you like and start it again: it goes on where its last commits were. README.md tells the whole.
#include "aggregator.hpp"
#include "feeder.hpp"
#include "flights.hpp"

#include <tstreams/tstreams.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

// Runs the roles at once, shows how far they are, and rethrows the first exception of one of them, which
// stops the others.
class roles {
public:
    void start(std::function<void(const std::stop_token&)> role) {
        ++running_;
        threads_.emplace_back([this, role = std::move(role)] {
            try {
                role(stop_.get_token());
            } catch (...) {
                const std::lock_guard lock(mutex_);
                if (!failure_) failure_ = std::current_exception();
                stop_.request_stop();
            }
            --running_;
        });
    }

    void wait(const std::function<void()>& show) {
        while (running_ > 0) {
            std::this_thread::sleep_for(50ms);
            show();
        }
        threads_.clear();
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    std::stop_source stop_;
    std::mutex mutex_;
    std::exception_ptr failure_;
    std::atomic<int> running_{0};
    std::vector<std::jthread> threads_;
};

void show_progress(const flights::status& progress) {
    const auto percent = [&](std::uint64_t part) { return 100 * part / progress.flights_total; };
    std::fprintf(stderr, "\rfed %3llu%%, counted %3llu%%, %2llu transactions open ",
                 static_cast<unsigned long long>(percent(progress.flights_fed)),
                 static_cast<unsigned long long>(percent(progress.flights_counted)),
                 static_cast<unsigned long long>(progress.transactions_open));
}

struct options {
    std::string store;
    std::string data;
    std::string status_file;
    std::uint64_t seed = 1;
};

constexpr const char* usage =
    "usage: flights_job --store URI --data FILE [--seed N] [--status FILE]\n"
    "  --store   where the streams are, for example file:/tmp/flights\n"
    "  --data    the file of flights: data/flights.bin\n"
    "  --seed    of the random order of the feeder's steps\n"
    "  --status  a file that holds the counters, also after the program is killed\n";

// Empty when the arguments make no sense.
std::optional<options> parse(const std::vector<std::string>& arguments) {
    options result;
    for (std::size_t i = 0; i < arguments.size(); i += 2) {
        if (i + 1 == arguments.size()) return std::nullopt;
        const std::string& name = arguments[i];
        const std::string& value = arguments[i + 1];
        if (name == "--store") {
            result.store = value;
        } else if (name == "--data") {
            result.data = value;
        } else if (name == "--status") {
            result.status_file = value;
        } else if (name == "--seed") {
            result.seed = static_cast<std::uint64_t>(flights::to_number(value));
        } else {
            return std::nullopt;
        }
    }
    if (result.store.empty() || result.data.empty()) return std::nullopt;
    return result;
}

void run(const options& chosen) {
    flights::status& progress = flights::make_status(chosen.status_file);
    const auto source = flights::read_file(chosen.data);
    auto client = tstreams::client::open(chosen.store, {.name = "flights_job"});
    for (const auto name : {flights::input_stream, flights::results_stream, flights::state_stream}) {
        client.open_or_create({.name = std::string(name), .partitions = flights::partitions, .ttl = 24h * 365});
    }

    flights::feeder feeder(client, source, chosen.seed, progress);
    flights::aggregator aggregator(client, progress);
    progress.flights_total = source.size();
    roles both;
    both.start([&](const std::stop_token& stop) { feeder.run(stop); });
    both.start([&](const std::stop_token& stop) { aggregator.run(stop); });
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    both.wait([&] {
        if (terminal) show_progress(progress);
    });
    if (terminal) std::fputs("\r\033[K", stderr);
    std::printf("%llu flights in %llu transactions counted, %llu windows written\n",
                static_cast<unsigned long long>(progress.flights_counted),
                static_cast<unsigned long long>(progress.transactions_counted),
                static_cast<unsigned long long>(progress.windows_written));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto chosen = parse({argv + 1, argv + argc});
        if (!chosen) {
            std::fputs(usage, stderr);
            return 2;
        }
        run(*chosen);
        return 0;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "flights_job: %s\n", failure.what());
        return 1;
    }
}
