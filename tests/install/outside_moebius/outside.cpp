// A project of somebody else: it knows the installed files only. Serves one request to itself and one by a coroutine.
#include <moebius/moebius.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

using namespace std::chrono_literals;

moebius::task<> answer_later(moebius::request asked) {
    co_await moebius::sleep_for(1ms);
    co_await asked.reply(asked.take_body());
}

int main() {
    try {
        moebius::command_router routes;
        routes.on("echo", [](moebius::request& asked) { asked.reply(asked.take_body()); });
        routes.on("later", answer_later);
        moebius::loop loop;
        moebius::server server(loop, routes);
        server.bind("tcp://127.0.0.1:*");
        moebius::requester requester(loop, server.endpoint());
        for (const auto& [command, text] : {std::pair("echo", "hello"), std::pair("later", "world")}) {
            const moebius::message answer =
                loop.run(moebius::ask(requester, command, moebius::message(std::string_view(text)), 10s));
            std::puts(std::string(answer.text()).c_str());
        }
        return 0;
    } catch (const moebius::error& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
