// The two ways in which a server on ZeroMQ can fall asleep with work to do, tried many times.
//
// The descriptor of a ZeroMQ socket tells of commands, not of messages, and sending and receiving both consume what
// it tells. A server that looks at the wrong moment sleeps until somebody else wakes it. Nobody else is there:
//
//   read   12 clients with 64 requests in flight each; the handlers yield first, so that answers go out between reads
//   write  one client with short queues that does not read for a while, and a handler that streams 64 KiB items to it
#include "processes.hpp"
#include "table.hpp"

#include <zmq.h>
#include <moebius/moebius.hpp>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace bench;
using namespace std::chrono_literals;

constexpr const char* usage = R"(moebius_hang [--runs 1000] [--seed S] [--check]

  Each run is a process of its own with a server and its clients. A hang is a run that is not over after 20 s.
  "needed the timer" counts the runs in which only the pump's safety timer found something to do.)";

constexpr int clients = 12;
constexpr int in_flight = 64;
constexpr int requests = 1000;  // of each client
constexpr int items = 150;
constexpr std::size_t item_bytes = std::size_t{64} << 10;

moebius::task<> answer_after_others(moebius::request asked) {
    co_await moebius::yield();
    moebius::message body = asked.take_body();
    co_await asked.reply(std::move(body));
}

moebius::task<> stream(moebius::request asked) {
    for (int i = 0; i < items; ++i) {
        moebius::message item = moebius::message::uninitialized(item_bytes);
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

class client {
public:
    explicit client(const std::string& endpoint, int queue = 1000)
        : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
        constexpr int linger_ms = 0;
        zmq_setsockopt(socket_, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        zmq_setsockopt(socket_, ZMQ_RCVHWM, &queue, sizeof queue);
        zmq_connect(socket_, endpoint.c_str());
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() {
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }
    void send(std::string_view text) { zmq_send(socket_, text.data(), text.size(), 0); }
    void receive() {
        if (zmq_recv(socket_, nullptr, 0, 0) < 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
    }

private:
    void* context_;
    void* socket_;
};

void pipeline(const std::string& endpoint) {
    client one(endpoint);
    for (int sent = 0; sent < in_flight; ++sent) one.send(R"({"command":"echo"})");
    for (int received = 0; received < requests; ++received) {
        one.receive();
        if (received < requests - in_flight) one.send(R"({"command":"echo"})");
    }
}

void run_readers(const std::string& endpoint) {
    std::vector<std::thread> all;
    for (int i = 0; i < clients; ++i) all.emplace_back(pipeline, endpoint);
    for (std::thread& one : all) one.join();
}

// Reads in three parts, each after a pause in which the server runs into the full queues.
void run_slow_reader(const std::string& endpoint, std::mt19937& random) {
    client one(endpoint, 10);
    one.send(R"({"command":"stream"})");
    for (int received = 0; received < items; ++received) {
        if (received % (items / 3) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 30));
        one.receive();
    }
}

// Tells how many turns of the safety timer found something.
void serve(int out, bool reading, unsigned seed) {
    moebius::command_router routes;
    routes.on("echo", answer_after_others, moebius::strategy::concurrent);
    routes.on("stream", stream);
    moebius::loop loop;
    moebius::server_options options;
    if (!reading) {
        options.send_queue = 10;
        options.limits.outbound_bytes = 4 * item_bytes;
    }
    moebius::server server(loop, routes, options);
    server.bind("tcp://127.0.0.1:*");
    std::thread driver([&] {
        std::mt19937 random(seed);
        if (reading)
            run_readers(server.endpoint());
        else
            run_slow_reader(server.endpoint(), random);
        server.stop(0s);
    });
    server.run();
    driver.join();
    const moebius::server_metrics metrics = server.metrics();
    if (!reading && metrics.blocked_sends == 0) throw std::runtime_error("no send ever found a full queue");
    write_line(out, std::to_string(metrics.safety_hits));
}

struct outcome {
    unsigned hangs = 0;
    unsigned needed_timer = 0;
};

outcome try_often(bool reading, unsigned runs, std::mt19937& seeds) {
    outcome all;
    for (unsigned i = 0; i < runs; ++i) {
        const auto seed = static_cast<unsigned>(seeds());
        process one([&](int out) { serve(out, reading, seed); });
        std::string hits;
        try {
            hits = one.line();
        } catch (const std::exception&) {
            ++all.hangs;
            continue;
        }
        one.join();
        all.needed_timer += hits != "0" ? 1 : 0;
    }
    return all;
}

void run(arguments& given, table& to) {
    const auto runs = static_cast<unsigned>(given.number("--runs", 1000));
    const auto seed = static_cast<unsigned>(given.number("--seed", std::random_device()() % 10'000));
    given.end();
    if (runs == 0) throw std::invalid_argument("no runs");
    std::printf("seed %u, %u runs of each\n", seed, runs);
    std::mt19937 seeds(seed);
    for (const bool reading : {true, false}) {
        const outcome found = try_often(reading, runs, seeds);
        const std::string name = reading ? "read" : "write";
        to.at_most(name + ", hangs", found.hangs, "runs", 0);
        to.at_most(name + ", needed the timer", found.needed_timer, "runs", std::max(1.0, runs / 1000.0));
    }
}

}  // namespace

int main(int count, char** words) {
    return run_program(count, words, usage, run);
}
