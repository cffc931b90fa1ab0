// What happens to a request while a handler of the same client runs: one rule for each strategy.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

moebius::task<> work(moebius::request asked) {
    co_await moebius::sleep_for(50ms);
    co_await asked.reply(asked.take_body());
}

moebius::task<std::string> text_of(moebius::call_op& call) {
    try {
        const moebius::message answer = co_await call;
        co_return std::string(answer.text());
    } catch (const moebius::error& failure) {
        co_return std::string(name_of(failure.code()));
    }
}

moebius::task<> ask_twice(moebius::requester& server) {
    for (const char* rule : {"queue", "ignore", "replace", "concurrent"}) {
        auto first = server.call(rule, moebius::message("a"), 10s);
        auto second = server.call(rule, moebius::message("b"), 10s);
        const std::string one = co_await text_of(first);
        const std::string other = co_await text_of(second);
        std::cout << rule << ": " << one << ", " << other << "\n";
    }
}

int main() {
    moebius::command_router routes;
    routes.on("queue", work, moebius::strategy::queue);  // the default
    routes.on("ignore", work, moebius::strategy::ignore);
    routes.on("replace", work, moebius::strategy::replace);
    routes.on("concurrent", work, moebius::strategy::concurrent);

    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(ask_twice(client));
}

// Prints:
//     queue: a, b
//     ignore: a, ignored
//     replace: replaced, b
//     concurrent: a, b
