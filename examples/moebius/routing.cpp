// A router of one's own behind the ready one, a handler for the rest, and where errors go.
#include <moebius/moebius.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;

constexpr auto out_of_stock = static_cast<moebius::errc>(1001);  // an application's own numbers begin at 1000

// Bodies that are neither JSON nor of the binary format: the first byte says what they are.
class by_first_byte final : public moebius::router {
public:
    moebius::routing match(std::string_view command, const moebius::request& asked) override {
        if (!command.empty()) return moebius::errc::unroutable;
        return asked.body().text().starts_with('+') ? moebius::routing(plus_) : moebius::errc::malformed;
    }

private:
    moebius::route plus_{
        .name = "plus",
        .when_busy = moebius::strategy::queue,
        .call = [](moebius::request& asked) { asked.reply("added " + std::string(asked.body().text().substr(1))); },
        .start = {},
        .time_limit = {}};
};

moebius::task<std::string> outcome(moebius::requester& server, std::string command) {
    try {
        const moebius::message answer = co_await server.call(command, moebius::message(), 10s);
        co_return std::string(answer.text());
    } catch (const moebius::error& failure) {
        co_return std::string(name_of(failure.code())) + " " + std::to_string(static_cast<int>(failure.code())) + " (" +
            failure.what() + ")";
    }
}

moebius::task<> ask_for_trouble(moebius::requester& server) {
    for (const char* command : {"buy", "crash", "nonsense"}) {
        const std::string heard = co_await outcome(server, command);
        std::cout << command << ": " << heard << "\n";
    }
}

int main() {
    moebius::command_router routes;
    routes.on("buy", [](moebius::request&) { throw moebius::error(out_of_stock, "no apples left"); });
    routes.on("crash", [](moebius::request&) { throw std::runtime_error("the password is wrong"); });
    by_first_byte others;
    routes.otherwise(others);

    moebius::loop loop;
    moebius::server server(loop, routes);
    server.on_message_error([](moebius::client, const moebius::message&, const moebius::error& why) {
        std::cout << "  (log) a message that nobody serves: " << why.what() << "\n";
    });
    server.on_handler_error([](moebius::client, std::string_view command, std::exception_ptr what) {
        try {
            std::rethrow_exception(std::move(what));
        } catch (const std::exception& failure) {
            std::cout << "  (log) the handler of " << command << ": " << failure.what() << "\n";
        }
    });
    server.bind("tcp://127.0.0.1:*");
    moebius::requester client(loop, server.endpoint());
    loop.run(ask_for_trouble(client));
}

// Prints:
//       (log) the handler of buy: no apples left
//     buy: application 1001 (no apples left)
//       (log) the handler of crash: the password is wrong
//     crash: handler_failed 11 (the handler failed)
//       (log) a message that nobody serves: no rule for this request
//     nonsense: unroutable 4 (no rule for this request)
