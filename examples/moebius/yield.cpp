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

moebius::task<> ask_both(moebius::requester& server) {
    auto long_one = server.call("sum", moebius::message("20000000"), 60s);
    auto short_one = server.call("ping", moebius::message("pong"), 60s);
    const moebius::message first = co_await short_one;
    std::cout << first.text() << "\n";
    const moebius::message second = co_await long_one;
    std::cout << second.text() << "\n";
}

int main() {
    moebius::command_router routes;
    routes.on("sum", sum, moebius::strategy::concurrent);
    routes.on("ping", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(ask_both(client));
}

// Prints:
//     pong
//     199999990000000
