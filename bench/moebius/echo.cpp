// Moebius against a plain libzmq loop, and against Python, with separate client processes.
#include "echo_clients.hpp"
#include "echo_servers.hpp"
#include "haproxy.hpp"
#include "processes.hpp"
#include "table.hpp"

#include <cstdio>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;

constexpr const char* usage =
    R"(moebius_echo [N] [--payload] [--binary] [--rounds 7] [--seconds 0.5] [--seed S] [--check]

  without N   12 clients with 1 request in flight each, and with 64: Moebius with function handlers and with
              coroutine handlers, against a loop over a ROUTER that sends back every frame
  --payload   the same with 1 MiB of payload, 4 clients with 1 request in flight
  --binary    in the binary format; the payload always is
  N           N synchronous clients: one server, two servers, two behind HAProxy if it is installed, and two servers
              in Python
  --check     exit with 1 when a limit is missed

In each round every server has its turn, in an order that is drawn anew. The medians of the rounds are told. CPU is
that of the server's process, all threads, per request.)";

struct contender {
    std::string name;
    std::function<process()> start;
    unsigned servers = 1;
    bool behind_haproxy = false;
};

struct result {
    std::vector<double> rates;
    std::vector<double> cpu_us;
    [[nodiscard]] double rate() const { return median(rates); }
};

struct effort {
    unsigned rounds = 7;
    double seconds = 0.5;
    std::mt19937 order;
};

void measure(const contender& who, const load& work, double seconds, result& to) {
    std::vector<process> servers;
    std::vector<std::string> endpoints;
    for (unsigned i = 0; i < who.servers; ++i) {
        servers.push_back(who.start());
        endpoints.push_back(servers.back().line());
    }
    std::optional<process> proxy;
    if (who.behind_haproxy) {
        std::string front;
        proxy.emplace(start_haproxy(endpoints, front));
        endpoints = {front};
    }
    const double rate = echoes_per_second(endpoints, work, seconds);
    double cpu_seconds = 0;
    for (process& one : servers) cpu_seconds += one.end();
    to.rates.push_back(rate);
    to.cpu_us.push_back(cpu_seconds * 1e6 / (rate * seconds));
}

std::vector<result> compare(const std::vector<contender>& all, const load& work, effort& with) {
    std::vector<result> results(all.size());
    std::vector<std::size_t> turns;
    for (std::size_t i = 0; i < all.size(); ++i) turns.push_back(i);
    for (unsigned round = 0; round < with.rounds; ++round) {
        std::shuffle(turns.begin(), turns.end(), with.order);
        for (const std::size_t turn : turns) measure(all[turn], work, with.seconds, results[turn]);
    }
    return results;
}

contender in_child(std::string name, void (*serve)(int), unsigned servers = 1) {
    return {std::move(name), [serve] { return process(serve); }, servers};
}

contender in_python(std::string name, const std::string& which) {
    const std::vector<std::string> command{MOEBIUS_BENCH_PYTHON, MOEBIUS_BENCH_SOURCES "/pyzmq_servers.py", which};
    return {std::move(name), [command] { return process(command); }, 1};
}

void tell(table& to, const std::string& under, const std::vector<contender>& all, const std::vector<result>& results) {
    for (std::size_t i = 0; i < all.size(); ++i) {
        to.value(under + ", " + all[i].name, results[i].rate(), "q/s");
        to.value(under + ", " + all[i].name + ", CPU", median(results[i].cpu_us), "us");
    }
}

struct ratio_limits {
    double functions;
    double coroutines;
};

void against_plain(table& to, const std::string& under, const load& work, ratio_limits limits, effort& with) {
    const std::vector<contender> all{in_child("plain loop", serve_plain), in_child("functions", serve_functions),
                                     in_child("coroutines", serve_coroutines)};
    const std::vector<result> results = compare(all, work, with);
    tell(to, under, all, results);
    to.at_least(under + ", functions / plain", results[1].rate() / results[0].rate(), "", limits.functions);
    to.at_least(under + ", coroutines / plain", results[2].rate() / results[0].rate(), "", limits.coroutines);
}

void synchronous(table& to, unsigned clients, effort& with) {
    std::vector<contender> all{in_child("1 server", serve_functions), in_child("2 servers", serve_functions, 2),
                               in_child("1 server, coroutines", serve_coroutines), in_python("pyzmq port", "port"),
                               in_python("pyzmq asyncio", "asyncio")};
    if (has_haproxy()) {
        all.push_back(in_child("2 servers behind HAProxy", serve_functions, 2));
        all.back().behind_haproxy = true;
    }
    const std::vector<result> results = compare(all, {clients, 1, json_message()}, with);
    const std::string under = std::to_string(clients) + " synchronous";
    tell(to, under, all, results);
    // The rate that is asked for is one of twelve clients.
    if (clients == 12) {
        to.at_least(under + ", 1 server", results[0].rate(), "q/s", 22'000);
        to.at_least(under + ", 1 server / pyzmq port", results[0].rate() / results[3].rate(), "", 2.5);
    }
    to.value(under + ", 2 servers / 1 server", results[1].rate() / results[0].rate(), "");
    to.value(under + ", 1 server / pyzmq asyncio", results[0].rate() / results[4].rate(), "");
}

void run(arguments& given, table& to) {
    effort with;
    with.rounds = static_cast<unsigned>(given.number("--rounds", 7));
    with.seconds = given.number("--seconds", 0.5);
    const auto seed = static_cast<unsigned>(given.number("--seed", std::random_device()() % 10'000));
    const bool payload = given.flag("--payload");
    const bool binary = given.flag("--binary");
    const auto clients = given.plain_number();
    given.end();
    if (with.rounds == 0 || with.seconds == 0 || (clients && (*clients < 1 || *clients > 1000)))
        throw std::invalid_argument("nothing to do, or too much");
    with.order.seed(seed);
    std::printf("seed %u, %u rounds of %.2f s\n", seed, with.rounds, with.seconds);
    if (clients) return synchronous(to, static_cast<unsigned>(*clients), with);
    if (payload) return against_plain(to, "1 MiB", {4, 1, binary_message(1U << 20)}, {0.9, 0.9}, with);
    const std::string message = binary ? binary_message(20) : json_message();
    against_plain(to, "12 x 1", {12, 1, message}, {0.95, 0.90}, with);
    against_plain(to, "12 x 64", {12, 64, message}, {0.85, 0.75}, with);
}

}  // namespace

int main(int count, char** words) {
    return run_program(count, words, usage, run);
}
