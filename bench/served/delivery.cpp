// From a checkpoint to the callback of a subscriber, of two client processes, against the plain echo's round trip.
#include "served/parties.hpp"

#include <sys/eventfd.h>
#include <unistd.h>
#include <tstreams/tstreams.hpp>

#include <array>
#include <cstring>
#include <thread>

namespace {

using namespace bench;

constexpr double times_wanted = 3;
constexpr std::size_t samples_max = 100'000;

struct settings {
    common_options common;
    std::size_t item_bytes = 100;
    unsigned transactions = 2000;
};

struct samples {
    std::atomic<unsigned> count{0};
    std::array<double, samples_max> microseconds;

    void add(double one) { microseconds.at(count++) = one; }
    [[nodiscard]] double middle() const { return median({microseconds.begin(), microseconds.begin() + count.load()}); }
};

double microseconds_now() {
    return std::chrono::duration<double, std::micro>(clock::now().time_since_epoch()).count();
}

// Tells one process of what happened in another.
class bell {
public:
    bell() : descriptor_(::eventfd(0, EFD_SEMAPHORE)) {
        if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    bell(const bell&) = delete;
    bell& operator=(const bell&) = delete;
    ~bell() { ::close(descriptor_); }
    void ring() const {
        if (::eventfd_write(descriptor_, 1) != 0) throw std::runtime_error("a bell does not ring");
    }
    void wait() const {
        eventfd_t rung = 0;
        if (::eventfd_read(descriptor_, &rung) != 0) throw std::runtime_error("a bell is not heard");
    }

private:
    int descriptor_;
};

void echo(const std::string& endpoint, const settings& chosen, samples& to) {
    const std::string frame = commit_frame(chosen.item_bytes + 1);
    plain_client server(endpoint);
    for (unsigned i = 0; i <= chosen.transactions; ++i) {
        const double begin = microseconds_now();
        server.send(frame);
        server.receive(frame.size());
        if (i != 0) to.add(microseconds_now() - begin);
    }
}

// An item begins with the time at which its checkpoint was called; all processes have the same clock.
void subscribe(const std::string& endpoint, samples& to, int out, const bell& heard) {
    auto client = tstreams::client::open(endpoint);
    auto subscriber = client.make_subscriber("delivery", {.start = tstreams::newest},
                                             [&](tstreams::received_transaction& received, tstreams::delivery&) {
                                                 const double now = microseconds_now();
                                                 double begin = 0;
                                                 for (const auto& item : received)
                                                     std::memcpy(&begin, item.text().data(), sizeof begin);
                                                 to.add(now - begin);
                                                 heard.ring();
                                             });
    write_line(out, "subscribed");
    for (;;) ::pause();  // until it is ended
}

void produce(const std::string& endpoint, const settings& chosen, const bell& heard) {
    auto client = tstreams::client::open(endpoint);
    auto producer = client.make_producer("delivery");
    std::string item = noise(chosen.item_bytes);
    for (unsigned i = 0; i < chosen.transactions; ++i) {
        auto transaction = producer.begin();
        const double begin = microseconds_now();
        std::memcpy(item.data(), &begin, sizeof begin);
        transaction.put(item);
        transaction.checkpoint();
        heard.wait();  // it comes before the next one
    }
}

double deliver(const std::string& endpoint, const settings& chosen) {
    const shared<samples> measured;
    const bell heard;
    process subscriber([&](int out) { subscribe(endpoint, *measured, out, heard); });
    std::ignore = subscriber.line();
    in_process([&] { produce(endpoint, chosen, heard); });
    if (measured->count != chosen.transactions) throw std::runtime_error("not every transaction was delivered once");
    return measured->middle();
}

double round_trip(const std::string& endpoint, const settings& chosen) {
    const shared<samples> measured;
    in_process([&] { echo(endpoint, chosen, *measured); });
    return measured->middle();
}

void measure(const settings& chosen, report& result) {
    const scratch place(chosen.common.directory);
    const plain_loop plain(place.path(), plain_loop::answer::echo);
    const daemon_process server(place.path());
    in_process([&] {
        auto client = tstreams::client::open(server.endpoint());
        client.create_stream({.name = "delivery", .durability = tstreams::durability::process()});
    });
    std::vector<double> floors;
    std::vector<double> products;
    for (std::uint32_t round = 0; round <= chosen.common.rounds; ++round) {
        const double floor = round_trip(plain.endpoint(), chosen);
        const double product = deliver(server.endpoint(), chosen);
        if (round == 0) continue;  // unmeasured
        floors.push_back(floor);
        products.push_back(product);
    }
    check_count(server.endpoint(), "delivery", std::uint64_t{chosen.transactions} * (chosen.common.rounds + 1));
    result.value("plain echo, round trip", median(floors), "us");
    result.value("checkpoint to callback", median(products), "us");
    result.at_most("checkpoint to callback / round trip", median(products) / median(floors), "", times_wanted);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("From a checkpoint to the callback of a subscriber of tstreamsd", "served_delivery");
    chosen.common.add_to(app);
    app.add_option("--item-bytes", chosen.item_bytes, "Size of the item")
        ->check(CLI::Range(8, 10'000))
        ->capture_default_str();
    app.add_option("--transactions", chosen.transactions, "Transactions of a round, one after another")
        ->check(CLI::Range(1, static_cast<int>(samples_max)))
        ->capture_default_str();
    return run_program(app, argc, argv, [&] {
        report result;
        measure(chosen, result);
        return chosen.common.finish(result);
    });
}
