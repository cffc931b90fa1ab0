// A handler that asks another server, several times at once, and answers when all have answered.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

void price(moebius::request& asked) {
    asked.reply(asked.body().text() == "apple" ? "3" : "5");
}

moebius::task<int> price_of(moebius::requester& shop, std::string_view fruit) {
    const moebius::message answer = co_await shop.call("price", moebius::message(fruit), 10s);
    co_return std::stoi(std::string(answer.text()));
}

moebius::task<> total(moebius::requester& shop, moebius::request asked) {
    auto apple = shop.call("price", moebius::message("apple"), 10s);
    auto plum = shop.call("price", moebius::message("plum"), 10s);  // two questions on one socket
    const moebius::message first = co_await apple;
    const moebius::message second = co_await plum;
    const int pear = co_await price_of(shop, "pear");
    const int sum = std::stoi(std::string(first.text())) + std::stoi(std::string(second.text())) + pear;
    co_await asked.reply(std::to_string(sum));
}

int main() {
    moebius::loop loop;
    moebius::command_router prices;
    prices.on("price", price);
    moebius::server back(loop, prices);  // another machine's, usually
    back.bind("tcp://127.0.0.1:*");
    moebius::requester shop(loop, back.endpoint());

    moebius::command_router routes;
    // A lambda that captures may start a coroutine, but must not be one: its captures live in the router only.
    routes.on("total", [&shop](moebius::request asked) { return total(shop, std::move(asked)); });
    moebius::server front(loop, routes);
    front.bind("tcp://127.0.0.1:*");

    moebius::requester client(loop, front.endpoint());
    std::cout << loop.run(moebius::ask(client, "total", {}, 10s)).text() << "\n";
}

// Prints:
//     13
