// The server that the clients in other languages are tested with. Prints its endpoint; ends at SIGTERM.
#include <moebius/moebius.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

// JSON clients ask for {"command": "count"}: three items. Others say how many.
moebius::task<> count(moebius::request asked) {
    const int end = asked.binary() ? std::stoi(std::string(asked.body().text())) : 3;
    for (int number = 1; number <= end; ++number) {
        moebius::message item(std::to_string(number));
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

moebius::task<> reply_later(moebius::request asked) {
    co_await moebius::sleep_for(20ms);
    co_await asked.reply(asked.take_body());
}

int serve(const std::string& endpoint) {
    moebius::command_router routes;
    moebius::loop loop;
    moebius::server server(loop, routes);
    routes.on("reply", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    routes.on("later", reply_later);
    routes.on("count", count);
    routes.on("silent", [](moebius::request&) {});
    routes.on("announce", [&server](moebius::request& asked) { server.broadcast(asked.take_body()); });
    routes.on("clients", [&server](moebius::request& asked) { asked.reply(std::to_string(server.metrics().clients)); });
    routes.on("name", [](moebius::request& asked) { asked.reply(asked.peer().name()); });
    routes.on("where", [&server](moebius::request& asked) { asked.reply(server.endpoint()); });
    routes.on("identity", [](moebius::request& asked) { asked.reply(asked.peer().id()); });
    routes.on("buy", [](moebius::request& asked) { asked.fail(static_cast<moebius::errc>(1001), "no apples left"); });
    server.bind(endpoint);
    server.stop_on_signals(0s);
    std::cout << server.endpoint() << std::endl;  // flushed: somebody waits for it
    server.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return serve(argc > 1 ? argv[1] : "tcp://127.0.0.1:*");
    } catch (const std::exception& failure) {
        std::cerr << failure.what() << "\n";
        return 1;
    }
}
