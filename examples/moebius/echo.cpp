// Echo by a function and by a coroutine. The client is on the same loop here; it could be in any other process.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>

using namespace std::chrono_literals;

moebius::task<> echo_later(moebius::request asked) {
    co_await moebius::sleep_for(50ms);  // nobody else waits for this
    co_await asked.reply(asked.take_body());
}

moebius::task<> ask_both(moebius::requester& server) {
    auto slow = server.call("later", moebius::message("slow"), 10s);  // both are on their way now
    auto fast = server.call("echo", moebius::message("fast"), 10s);
    const moebius::message first = co_await fast;
    const moebius::message second = co_await slow;
    std::cout << first.text() << "\n" << second.text() << "\n";
}

int main() {
    moebius::command_router routes;
    routes.on("echo", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    routes.on("later", echo_later, moebius::strategy::concurrent);

    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");  // a free port; server.endpoint() says which
    moebius::requester client(loop, server.endpoint());
    loop.run(ask_both(client));
}

// Prints:
//     fast
//     slow
