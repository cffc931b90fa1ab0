// The server of the guide's first page; hello_client asks it. Run both in the same directory.
#include <moebius/moebius.hpp>

int main() {
    moebius::command_router routes;
    routes.on("greet", [](moebius::request& asked) { asked.reply("hello, " + std::string(asked.body().text())); });
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("ipc://hello.sock").run();
}
