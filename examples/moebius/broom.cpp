// Handlers that block, in worker processes: they run side by side, and one that crashes harms nobody else.
#include <moebius/moebius.hpp>
#include <weave/sync.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// In a worker a function may block: the front and the other workers go on.
void measure(moebius::request& asked) {
    std::this_thread::sleep_for(50ms);
    asked.reply(std::to_string(getpid()));
}

moebius::task<> visit(moebius::loop& loop, moebius::worker_pool& pool, moebius::requester& front) {
    while (pool.metrics().ready < 2) co_await moebius::sleep_for(1ms);
    std::vector<moebius::task<moebius::message>> calls;
    for (int i = 0; i < 8; ++i) calls.push_back(moebius::ask(front, "measure", {}, 10s));
    auto answers = co_await weave::when_all(loop, std::move(calls));
    std::set<std::string> processes;
    for (auto& answer : answers) processes.insert(std::string(answer.get().text()));
    std::cout << answers.size() << " answers from " << processes.size() << " processes\n";
    try {
        co_await front.call("crash", moebius::message(), 10s);
    } catch (const moebius::error& failure) {
        std::cout << name_of(failure.code()) << ": " << failure.what() << "\n";
    }
    co_await front.call("measure", moebius::message(), 10s);
    std::cout << "the other worker goes on\n";
    while (pool.metrics().ready < 2) co_await moebius::sleep_for(1ms);
    std::cout << "and the lost one is replaced\n";
}

int main() {
    moebius::loop loop({.log = [](std::string_view) {}});
    moebius::command_router work;
    work.on("measure", measure);
    work.on("crash", [](moebius::request&) { std::raise(SIGKILL); });
    if (moebius::is_worker()) return moebius::run_worker(loop, work);

    moebius::worker_pool pool(loop, {.workers = 2});
    moebius::command_router routes;
    routes.otherwise(pool.handler(), moebius::strategy::concurrent);
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(visit(loop, pool, client));
}

// Prints:
//     8 answers from 2 processes
//     peer_gone: the worker process was lost
//     the other worker goes on
//     and the lost one is replaced
