// A long computation on the loop itself, split into parts with a turn for everybody else between them.
#include <moebius/moebius.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

moebius::task<> sum(moebius::request asked) {
    const std::uint64_t end = std::stoull(std::string(asked.body().text()));
    constexpr std::uint64_t part = 10'000;  // tens of microseconds: what others may have to wait
    std::uint64_t result = 0;
    for (std::uint64_t begin = 0; begin < end; begin += part) {
        for (std::uint64_t i = begin; i < std::min(begin + part, end); ++i) result += i;
        co_await moebius::yield();  // everybody else has a turn; a cancelled handler ends here
    }
    co_await asked.reply(std::to_string(result));
}

moebius::task<> ask(moebius::server& server, moebius::requester& client) {
    {
        auto centuries = client.call("sum", moebius::message("18446744073709551615"), 1h);
        const moebius::message answer = co_await client.call("ping", moebius::message("pong"), 60s);
        std::cout << answer.text() << "\n";
    }  // nobody waits for the sum any more: its handler is cancelled
    while (server.metrics().handlers > 0) co_await moebius::sleep_for(1ms);
    std::cout << "cancelled\n";
    const moebius::message sum = co_await client.call("sum", moebius::message("1000000"), 60s);
    std::cout << sum.text() << "\n";
}

int main() {
    moebius::command_router routes;
    routes.on("sum", sum, moebius::strategy::concurrent);
    routes.on("ping", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(ask(server, client));
}

// Prints:
//     pong
//     cancelled
//     499999500000
