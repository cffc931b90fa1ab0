// Small transactions through tstreamsd, against the embedded library in the same run. What a plain ROUTER echoes of the
// same bytes is told, too.
#include "served/parties.hpp"

#include <tstreams/async.hpp>
#include <tstreams/tstreams.hpp>

#include <semaphore>

namespace {

using namespace bench;

constexpr double share_wanted = 0.5;

struct settings {
    common_options common;
    std::size_t item_bytes = 100;
    unsigned clients = 12;
    unsigned in_flight = 64;
    unsigned embedded_in_flight = 1024;
    double seconds = 1;
};

// Keeps `width` sends under way until the round is over.
class sender {
public:
    sender(tstreams::producer& to, std::string item, board& with) : to_(to), item_(std::move(item)), with_(with) {}

    // Returns how many were acknowledged. Throws the first failure.
    std::uint64_t run(unsigned width) {
        running_ = width;
        for (unsigned i = 0; i < width; ++i) start();
        ended_.acquire();
        if (failure_) std::rethrow_exception(failure_);
        return sent_;
    }

private:
    void start() {
        tstreams::async_send(to_, {item_}, [this](const std::exception_ptr& failure, tstreams::transaction_id) {
            if (failure && !failed_.exchange(true)) failure_ = failure;
            if (!failure) ++sent_;
            if (!failure) with_.done.fetch_add(1, std::memory_order_relaxed);
            if (!failed_ && !with_.over.load(std::memory_order_relaxed)) return start();
            if (--running_ == 0) ended_.release();
        });
    }

    tstreams::producer& to_;
    const std::string item_;
    board& with_;
    std::atomic<std::uint64_t> sent_{0};
    std::atomic<unsigned> running_{0};
    std::atomic<bool> failed_{false};
    std::exception_ptr failure_;  // written once, before the last call ends
    std::binary_semaphore ended_{0};
};

void send(const std::string& uri, const settings& chosen, unsigned width, board& with,
          std::atomic<std::uint64_t>& total) {
    auto client = tstreams::client::open(uri);
    auto producer = client.make_producer("small");
    const std::string item = noise(chosen.item_bytes);
    producer.send(item);
    with.await_begin();
    total += 1 + sender(producer, item, with).run(width);
}

void echo(const std::string& endpoint, const settings& chosen, board& with) {
    const std::string frame = commit_frame(chosen.item_bytes + 1);
    plain_client server(endpoint);
    server.send(frame);
    server.receive(frame.size());
    with.await_begin();
    for (unsigned i = 0; i < chosen.in_flight; ++i) server.send(frame);
    while (!with.over.load(std::memory_order_relaxed)) {
        server.receive(frame.size());
        server.send(frame);
        with.done.fetch_add(1, std::memory_order_relaxed);
    }
    for (unsigned i = 0; i < chosen.in_flight; ++i) server.receive(frame.size());
}

void make_stream(const std::string& uri) {
    in_process([&] {
        auto client = tstreams::client::open(uri);
        client.create_stream({.name = "small", .durability = tstreams::durability::process()});
    });
}

void measure(const settings& chosen, report& result) {
    const scratch place(chosen.common.directory);
    const std::string embedded_uri = place.store_uri();
    make_stream(embedded_uri);
    const plain_loop plain(place.path(), plain_loop::answer::echo);
    const daemon_process server(place.path());
    make_stream(server.endpoint());
    const shared<std::atomic<std::uint64_t>> served_total;
    const shared<std::atomic<std::uint64_t>> embedded_total;
    std::vector<double> embedded, echoed, served;
    for (std::uint32_t round = 0; round <= chosen.common.rounds; ++round) {
        place.settle();
        const double one = rate_of(1, chosen.seconds, [&](unsigned, board& with) {
            send(embedded_uri, chosen, chosen.embedded_in_flight, with, *embedded_total);
        });
        place.settle();
        const double two = rate_of(chosen.clients, chosen.seconds,
                                   [&](unsigned, board& with) { echo(plain.endpoint(), chosen, with); });
        const double three = rate_of(chosen.clients, chosen.seconds, [&](unsigned, board& with) {
            send(server.endpoint(), chosen, chosen.in_flight, with, *served_total);
        });
        if (round == 0) continue;  // unmeasured
        embedded.push_back(one);
        echoed.push_back(two);
        served.push_back(three);
    }
    check_count(embedded_uri, "small", *embedded_total);
    check_count(server.endpoint(), "small", *served_total);
    const std::string name = std::to_string(chosen.item_bytes) + " B";
    const std::string clients = std::to_string(chosen.clients) + " x " + std::to_string(chosen.in_flight);
    result.value(name + ", embedded, 1 x " + std::to_string(chosen.embedded_in_flight), median(embedded), "/s");
    result.value(name + ", plain echo, " + clients, median(echoed), "/s");
    result.value(name + ", tstreamsd, " + clients, median(served), "/s");
    result.value(name + ", tstreamsd / plain echo", median(served) / median(echoed), "");
    result.at_least(name + ", tstreamsd / embedded", median(served) / median(embedded), "", share_wanted);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Small transactions through tstreamsd", "served_small");
    chosen.common.add_to(app);
    app.add_option("--item-bytes", chosen.item_bytes, "Size of the item")->capture_default_str();
    app.add_option("--clients", chosen.clients, "Client processes")->check(CLI::Range(1, 100))->capture_default_str();
    app.add_option("--in-flight", chosen.in_flight, "Sends of a client under way at a time")->capture_default_str();
    app.add_option("--embedded-in-flight", chosen.embedded_in_flight, "The same, of the embedded one")
        ->capture_default_str();
    app.add_option("--seconds", chosen.seconds, "Length of a round")->capture_default_str();
    return run_program(app, argc, argv, [&] {
        report result;
        measure(chosen, result);
        return chosen.common.finish(result);
    });
}
