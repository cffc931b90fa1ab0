// Work that blocks or computes for long, on the pool of threads. The loop serves others meanwhile.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

std::string read_slowly(const std::string& name) {
    std::this_thread::sleep_for(100ms);  // a disk, a database, a long computation
    return "the content of " + name;
}

moebius::task<> read_file(moebius::request asked) {
    auto work = [name = std::string(asked.body().text())] { return read_slowly(name); };
    const std::string content = co_await moebius::offload(std::move(work));  // back on the loop here
    co_await asked.reply(content);
}

moebius::task<> ask_all(moebius::requester& server) {
    auto file = server.call("read", moebius::message("letter.txt"), 10s);
    auto ping = server.call("ping", moebius::message("pong"), 10s);
    const moebius::message first = co_await ping;
    std::cout << first.text() << "\n";
    const moebius::message second = co_await file;
    std::cout << second.text() << "\n";
}

int main() {
    moebius::command_router routes;
    routes.on("read", read_file, moebius::strategy::concurrent);
    routes.on("ping", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    moebius::loop loop({.offload_threads = 4, .offload_queue = 100});
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(ask_all(client));
}

// Prints:
//     pong
//     the content of letter.txt
