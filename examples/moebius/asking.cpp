// The ways to ask a server: awaiting, several at once, by callback, with a timeout, blocking, without an answer.
#include <moebius/moebius.hpp>
#include <weave/sync.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

moebius::task<> ask_many(moebius::loop& loop, moebius::requester& server) {
    std::vector<moebius::task<moebius::message>> questions;
    for (const char* text : {"one", "two", "three"})
        questions.push_back(moebius::ask(server, "echo", moebius::message(text), 10s));
    auto answers = co_await weave::when_all(loop, std::move(questions));
    for (auto& answer : answers) std::cout << answer.get().text() << "\n";  // get() throws what went wrong
}

moebius::task<> ask_in_vain(moebius::requester& server) {
    try {
        co_await server.call("sleep", moebius::message(), 20ms);
    } catch (const moebius::error& failure) {
        std::cout << name_of(failure.code()) << "\n";  // the handler is cancelled, too
    }
}

void ask_by_callback(moebius::loop& loop, moebius::requester& server) {
    server.call("echo", moebius::message("called back"), 10s, [&loop](weave::outcome_of<moebius::message> answer) {
        std::cout << answer.get().text() << "\n";
        loop.stop();
    });
    loop.run();
}

void ask_blocking(const std::string& endpoint) {
    moebius::blocking_client client(endpoint);
    client.notify("note", moebius::message("no answer to this"), 10s);
    const moebius::message answer = client.call("echo", moebius::message("blocking"), 10s);
    std::cout << answer.text() << "\n";
    client.stream("count", {}, 10s, [](const moebius::message& item) {
        std::cout << item.text() << "\n";
        return item.text() != "2";  // false ends the stream early
    });
}

moebius::task<> sleep_long(moebius::request asked) {
    co_await moebius::sleep_for(1h);
    co_await asked.reply("");
}

moebius::task<> count_for_ever(moebius::request asked) {
    for (int number = 1;; ++number) {
        moebius::message item(std::to_string(number));
        co_await asked.write(std::move(item));
    }
}

int main() {
    moebius::command_router routes;
    routes.on("echo", [](moebius::request& asked) { asked.reply(asked.take_body()); });
    routes.on("sleep", sleep_long, moebius::strategy::concurrent);
    routes.on("count", count_for_ever);
    routes.on("note", [](moebius::request&) {});
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());

    loop.run(ask_many(loop, client));
    loop.run(ask_in_vain(client));
    ask_by_callback(loop, client);
    std::thread serving([&server] { server.run(); });  // a loop may run in any thread, in one at a time
    ask_blocking(server.endpoint());
    server.stop(0s);
    serving.join();
}

// Prints:
//     one
//     two
//     three
//     timed_out
//     called back
//     blocking
//     1
//     2
