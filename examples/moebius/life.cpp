// A server's life: limits, several endpoints, background work, metrics, and a stop that lets handlers end.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

moebius::task<> save(moebius::request asked) {
    co_await moebius::sleep_for(50ms);
    co_await asked.reply("saved");
}

moebius::task<> use(moebius::requester& client, moebius::server& server) {
    auto saving = client.call("save", {}, 10s);
    while (server.metrics().handlers == 0) co_await moebius::sleep_for(1ms);
    server.stop(10s);  // what runs may end, within the time given
    const moebius::message answer = co_await saving;
    std::cout << answer.text() << "\n";
}

moebius::task<> watch(moebius::loop& loop, moebius::requester& client, moebius::server& server) {
    co_await use(client, server);
    while (!server.stopped()) co_await moebius::sleep_for(1ms);
    const moebius::server_metrics seen = server.metrics();
    std::cout << seen.received << " received, " << seen.sent << " sent, " << seen.undelivered << " undelivered\n";
    loop.stop();
}

int main() {
    moebius::command_router routes;
    routes.on("save", save, moebius::strategy::queue, 30s);  // longer than this and it is cancelled
    moebius::loop loop;

    moebius::server_options options;
    options.limits.clients = 1000;
    options.limits.queued_requests = 16;
    options.limits.outbound_bytes = 1 << 20;
    options.heartbeat = 500ms;
    options.dead_after = 2s;
    moebius::server server(loop, routes, options);
    server.bind("tcp://127.0.0.1:*").bind("inproc://life");
    server.stop_on_signals(5s);  // SIGTERM: as stop(5s); a second one: at once
    server.every(10ms, [] {});   // periodic work; it ends when the server stops

    moebius::requester client(loop, "inproc://life");
    loop.run(watch(loop, client, server));
}

// Prints:
//     saved
//     1 received, 1 sent, 0 undelivered
