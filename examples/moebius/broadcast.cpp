// A background task that sends to all clients, and to those who subscribed to a topic.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

moebius::task<> tell_the_time(moebius::server& server) {
    for (int hour = 1;; ++hour) {  // until the server stops: then sleep_for throws
        co_await moebius::sleep_for(5ms);
        server.broadcast(moebius::message("it is " + std::to_string(hour)));
        server.publish("noon", moebius::message(std::to_string(hour % 12)));
    }
}

struct listener {
    int hours = 0;
    int noons = 0;
    void hear(std::string_view topic) { ++(topic == "noon" ? noons : hours); }
};

moebius::task<> listen(moebius::requester& first, moebius::requester& second) {
    listener one, other;
    first.on_message([&one](std::string_view topic, const moebius::message&) { one.hear(topic); });
    second.on_message([&other](std::string_view topic, const moebius::message&) { other.hear(topic); });
    co_await first.call("subscribe", moebius::message("noon"), 10s);
    co_await second.call("hello", moebius::message(), 10s);  // known to the server from now on
    while (one.hours < 3 || one.noons < 3 || other.hours < 3) co_await moebius::sleep_for(1ms);
    std::cout << "both hear the hours; the subscriber alone hears noon: " << (other.noons == 0 ? "yes" : "no") << "\n";
    first.on_message({});
    second.on_message({});
}

int main() {
    moebius::command_router routes;
    routes.on("hello", [](moebius::request& asked) { asked.reply(""); });
    routes.on("subscribe", [](moebius::request& asked) {
        asked.peer().subscribe(asked.body().text());
        asked.reply("");
    });
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    server.spawn(tell_the_time(server));
    moebius::requester first(loop, server.endpoint());
    moebius::requester second(loop, server.endpoint());
    loop.run(listen(first, second));
}

// Prints:
//     both hear the hours; the subscriber alone hears noon: yes
