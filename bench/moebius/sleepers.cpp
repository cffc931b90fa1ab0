// What handlers cost that only wait: memory, and the time of the processor.
#include "processes.hpp"
#include "table.hpp"

#include <zmq.h>
#include <moebius/moebius.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace bench;
using namespace std::chrono_literals;

constexpr const char* usage = R"(moebius_sleepers [--handlers 10000] [--seconds 30] [--check]

  One client starts that many coroutine handlers, which sleep for an hour. Told are the memory of the server's process
  per handler, and its CPU time while they sleep, as a share of one core.)";

struct started {
    unsigned wanted;
    unsigned now;
    int out;
};

moebius::task<> sleep_long(moebius::request, started& count) {
    if (++count.now == count.wanted) write_line(count.out, "all sleep");
    co_await moebius::sleep_for(1h);
}

void serve(int out, unsigned handlers) {
    started count{handlers, 0, out};
    moebius::command_router routes;
    routes.on(
        "sleep", [&count](moebius::request asked) { return sleep_long(std::move(asked), count); },
        moebius::strategy::concurrent);
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    write_line(out, server.endpoint());
    server.run();
}

// Stays connected until it is killed.
void ask_for_sleep(const std::string& endpoint, unsigned handlers) {
    constexpr std::string_view request = R"({"command":"sleep"})";
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_DEALER);
    zmq_connect(socket, endpoint.c_str());
    for (unsigned i = 0; i < handlers; ++i) zmq_send(socket, request.data(), request.size(), 0);
    zmq_recv(socket, nullptr, 0, 0);
}

void run(arguments& given, table& to) {
    const auto handlers = static_cast<unsigned>(given.number("--handlers", 10'000));
    const double seconds = given.number("--seconds", 30);
    given.end();
    if (handlers == 0 || handlers > 100'000 || seconds == 0) throw std::invalid_argument("nothing to do, or too much");
    process server([&](int out) { serve(out, handlers); });
    const std::string endpoint = server.line();
    const double before = resident_bytes(server.id());
    const process client([&](int) { ask_for_sleep(endpoint, handlers); });
    if (server.line() != "all sleep") throw std::runtime_error("not all handlers sleep");
    std::this_thread::sleep_for(100ms);
    const double memory = resident_bytes(server.id()) - before;
    const double begin = cpu_seconds(server.id());
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    const double used = cpu_seconds(server.id()) - begin;
    to.at_most("memory of a sleeping handler", memory / handlers, "B", 1024);
    to.at_most("CPU while they sleep", used / seconds * 100, "%", 1);
}

}  // namespace

int main(int count, char** words) {
    return run_program(count, words, usage, run);
}
