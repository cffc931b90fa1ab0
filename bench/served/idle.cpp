// What subscribers cost that are connected and get nothing: memory of the server, and its time of the processor.
#include "served/parties.hpp"

#include <unistd.h>
#include <tstreams/tstreams.hpp>

#include <thread>

namespace {

using namespace bench;

struct settings {
    common_options common;
    unsigned subscribers = 1000;
    unsigned processes = 8;
    double seconds = 30;
};

void subscribe(const std::string& endpoint, unsigned count, int out, std::atomic<unsigned>& delivered) {
    std::vector<tstreams::client> clients;
    std::vector<tstreams::subscriber> subscribers;
    for (unsigned i = 0; i < count; ++i) {
        clients.push_back(tstreams::client::open(endpoint));
        subscribers.push_back(
            clients.back().make_subscriber("idle", {.start = tstreams::newest},
                                           [&](tstreams::received_transaction&, tstreams::delivery&) { ++delivered; }));
    }
    write_line(out, "subscribed");
    for (;;) ::pause();  // until it is ended
}

void send(const std::string& endpoint) {
    in_process([&] {
        auto client = tstreams::client::open(endpoint);
        client.make_producer("idle").send("heard");
    });
}

void await_all(const std::atomic<unsigned>& delivered, unsigned wanted) {
    for (int left = 20'000; delivered != wanted; --left) {
        if (left == 0) throw std::runtime_error("not every subscriber has got the transaction");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

void measure(const settings& chosen, report& result) {
    const scratch place(chosen.common.directory);
    const daemon_process server(place.path());
    const shared<std::atomic<unsigned>> delivered;
    in_process([&] {
        auto client = tstreams::client::open(server.endpoint());
        client.create_stream({.name = "idle", .durability = tstreams::durability::process()});
    });
    send(server.endpoint());
    const double before = resident_bytes(server.id());
    std::vector<process> all;
    for (unsigned i = 0; i < chosen.processes; ++i) {
        const unsigned count = chosen.subscribers / chosen.processes + (i < chosen.subscribers % chosen.processes);
        all.emplace_back([&, count](int out) { subscribe(server.endpoint(), count, out, *delivered); });
    }
    for (process& one : all) std::ignore = one.line();
    send(server.endpoint());
    await_all(*delivered, chosen.subscribers);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const double begin = cpu_seconds(server.id());
    std::this_thread::sleep_for(std::chrono::duration<double>(chosen.seconds));
    const double used = cpu_seconds(server.id()) - begin;
    const double memory = resident_bytes(server.id()) - before;
    send(server.endpoint());
    await_all(*delivered, 2 * chosen.subscribers);
    result.value("idle subscribers", chosen.subscribers, "");
    result.at_most("server memory of each", memory / chosen.subscribers / 1024, "KiB", 64);
    result.at_most("server CPU over " + std::to_string(static_cast<int>(chosen.seconds)) + " s",
                   used / chosen.seconds * 100, "%", 1);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Subscribers of tstreamsd that get nothing", "served_idle");
    chosen.common.add_to(app);
    app.add_option("--subscribers", chosen.subscribers, "Clients, each with one subscriber")
        ->check(CLI::Range(1, 4000))
        ->capture_default_str();
    app.add_option("--processes", chosen.processes, "Processes in which they are")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    app.add_option("--seconds", chosen.seconds, "How long the time of the processor is watched")->capture_default_str();
    return run_program(app, argc, argv, [&] {
        report result;
        measure(chosen, result);
        return chosen.common.finish(result);
    });
}
