// The server's side of its clients: state of each, arrival and departure, sending without being asked.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;

struct visitor {
    std::string nick;
    int visits = 0;
};

void enter(moebius::request& asked) {
    auto& mine = asked.peer().context<visitor>();  // made by the first call, gone with the client
    mine.nick = asked.body().text();
    ++mine.visits;
    asked.reply(mine.nick + " was here " + std::to_string(mine.visits) + " times");
}

moebius::task<> visit(moebius::loop& loop, moebius::server& server, bool& departed) {
    std::optional<moebius::requester> client(std::in_place, loop, server.endpoint(),
                                             moebius::requester_options{.name = "the door"});
    std::string heard;
    client->on_message([&heard](std::string_view, const moebius::message& body) { heard = body.text(); });
    for (int times = 0; times < 2; ++times) {
        const moebius::message answer = co_await client->call("enter", moebius::message("ann"), 10s);
        std::cout << answer.text() << "\n";
    }
    server.for_each_client([](moebius::client one) {
        std::cout << one.name() << " at " << one.address() << "\n";
        if (one.context<visitor>().visits > 1) one.try_send(moebius::message("welcome back"));
    });
    while (heard.empty()) co_await moebius::sleep_for(1ms);
    std::cout << heard << "\n";
    client.reset();  // it goes, and the server sees it
    while (!departed) co_await moebius::sleep_for(1ms);
}

int main() {
    moebius::command_router routes;
    routes.on("enter", enter);
    moebius::loop loop;
    moebius::server server(loop, routes);
    bool departed = false;
    server.on_connect([](moebius::client) { std::cout << "somebody came\n"; });
    server.on_disconnect([&departed](moebius::client gone) {
        std::cout << gone.context<visitor>().nick << " left\n";
        departed = true;
    });
    server.bind("tcp://127.0.0.1:*");
    loop.run(visit(loop, server, departed));
}

// Prints:
//     somebody came
//     ann was here 1 times
//     ann was here 2 times
//     the door at 127.0.0.1
//     welcome back
//     ann left
