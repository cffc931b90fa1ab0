// One request, many answers: the client's window paces the handler.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

using namespace std::chrono_literals;

int written = 0;

moebius::task<> count(moebius::request asked) {
    const int end = std::stoi(std::string(asked.body().text()));
    for (int number = 1; number <= end; ++number) {
        moebius::message item(std::to_string(number));
        co_await asked.write(std::move(item));  // suspends while the client has granted no credit
        written = number;
    }
    co_await asked.finish();
}

moebius::task<> read_all(moebius::requester& server) {
    moebius::stream numbers = server.open("count", moebius::message("5"), 10s, {.messages = 2});
    while (written < 2) co_await moebius::sleep_for(1ms);
    co_await moebius::sleep_for(20ms);
    std::cout << "written before the first is read: " << written << "\n";
    while (auto number = co_await numbers.next()) std::cout << number->text() << "\n";
    std::cout << "the end\n";
}

int main() {
    moebius::command_router routes;
    routes.on("count", count);
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(read_all(client));
}

// Prints:
//     written before the first is read: 2
//     1
//     2
//     3
//     4
//     5
//     the end
