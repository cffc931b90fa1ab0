// Large transactions: what clients get through tstreamsd, against what a plain ROUTER takes of the same frames.
#include "served/parties.hpp"

#include <tstreams/tstreams.hpp>

namespace {

using namespace bench;

constexpr double share_wanted = 0.6;

struct settings {
    common_options common;
    std::size_t items = 1000;
    std::size_t item_bytes = 1024;
    unsigned clients = 12;
    double seconds = 0.5;
    std::size_t touched_mib = 1024;
};

void write_served(const std::string& endpoint, const settings& chosen, board& with, std::atomic<std::uint64_t>& total) {
    const std::string item = noise(chosen.item_bytes);
    auto client = tstreams::client::open(endpoint);
    auto producer = client.make_producer("large");
    std::uint64_t written = 0;
    const auto write_one = [&] {
        auto transaction = producer.begin();
        for (std::size_t i = 0; i < chosen.items; ++i) transaction.put(item);
        transaction.checkpoint();
        ++written;
    };
    write_one();
    with.await_begin();
    while (!with.over) {
        write_one();
        ++with.done;
    }
    total += written;
}

// The same messages in the same order, each answered before the next.
void write_plain(const std::string& endpoint, const settings& chosen, board& with) {
    const std::string open = open_frame();
    const std::string head = write_head_frame();
    const std::string body = write_body_frame(chosen.items, chosen.item_bytes);
    const std::string commit = commit_frame(0);
    plain_client server(endpoint);
    const auto ask = [&](std::string_view first, std::string_view second = {}) {
        server.send(first, second);
        server.receive(plain_loop::note_bytes);
    };
    const auto write_one = [&] {
        ask(open);
        ask(head, body);
        ask(commit);
    };
    write_one();
    with.await_begin();
    while (!with.over) {
        write_one();
        ++with.done;
    }
}

// A virtual machine takes ten times as long for a page that its host has to give first. That is no figure of ours: what
// the round will write is written and removed before.
void touch_page_cache(const scratch& place, std::size_t mebibytes) {
    const std::string path = place.file("touched");
    {
        const append_file file(path);
        const std::string bytes(std::size_t{1} << 20, 't');
        for (std::size_t i = 0; i < mebibytes; ++i) file.append(bytes);
    }
    std::filesystem::remove(path);
}

double plain_rate(const settings& chosen) {
    const scratch place(chosen.common.directory);
    const plain_loop plain(place.path(), plain_loop::answer::note);
    touch_page_cache(place, chosen.touched_mib);
    return rate_of(chosen.clients, chosen.seconds,
                   [&](unsigned, board& with) { write_plain(plain.endpoint(), chosen, with); });
}

double served_rate(const settings& chosen) {
    const scratch place(chosen.common.directory);
    const daemon_process server(place.path());
    in_process([&] {
        auto client = tstreams::client::open(server.endpoint());
        client.create_stream({.name = "large", .partitions = 8, .durability = tstreams::durability::process()});
    });
    const shared<std::atomic<std::uint64_t>> total;
    touch_page_cache(place, chosen.touched_mib);
    const double rate = rate_of(chosen.clients, chosen.seconds,
                                [&](unsigned, board& with) { write_served(server.endpoint(), chosen, with, *total); });
    check_count(server.endpoint(), "large", *total);
    return rate;
}

void measure(const settings& chosen, report& result) {
    std::vector<double> floors;
    std::vector<double> products;
    for (std::uint32_t round = 0; round <= chosen.common.rounds; ++round) {
        const double floor = plain_rate(chosen);
        const double product = served_rate(chosen);
        if (round == 0) continue;  // unmeasured
        floors.push_back(floor);
        products.push_back(product);
    }
    const double mib_each = mib(chosen.items * chosen.item_bytes);
    const std::string name = std::to_string(chosen.items) + " x " + std::to_string(chosen.item_bytes) + " B, " +
                             std::to_string(chosen.clients) + " clients";
    result.value(name + ", plain", median(floors) * mib_each, "MiB/s");
    result.value(name + ", tstreamsd", median(products) * mib_each, "MiB/s");
    result.at_least(name + ", ratio", median(products) / median(floors), "", share_wanted);
}

}  // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app("Large transactions through tstreamsd", "served_large");
    chosen.common.add_to(app);
    app.add_option("--items", chosen.items, "Items of a transaction")->capture_default_str();
    app.add_option("--item-bytes", chosen.item_bytes, "Size of an item")->capture_default_str();
    app.add_option("--clients", chosen.clients, "Client processes, each with one transaction at a time")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
    app.add_option("--seconds", chosen.seconds, "Length of a round")->capture_default_str();
    app.add_option("--touched-mib", chosen.touched_mib, "Page cache that is touched before each round")
        ->capture_default_str();
    return run_program(app, argc, argv, [&] {
        report result;
        measure(chosen, result);
        return chosen.common.finish(result);
    });
}
