// Exactly once inside T-streams: the position in the input and the output are committed in one atomic step.
// Killed at any moment and started again, the copy holds each number once and in order.
//
// Run:  ./delivery_exactly_once file:/tmp/numbers [COUNT]      kill it whenever you like, and run it again
//       tstreams --at file:/tmp/numbers consume copies | wc -l
#include "numbered_input.hpp"

#include <iostream>

namespace {

void copy(tstreams::client& client) {
    client.open_or_create({.name = "copies"});
    auto input = client.make_consumer("numbers", {.name = "copier"});
    auto output = client.make_producer("copies");
    auto group = client.make_checkpoint_group();
    group.add(input);
    group.add(output);

    while (auto received = input.next(std::chrono::milliseconds(0))) {
        auto transaction = output.begin();
        for (const auto& item : *received) transaction.put(item.bytes());
        // Everything put above and the position behind `received`, or nothing of it.
        group.checkpoint();
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: delivery_exactly_once file:DIRECTORY [COUNT]\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 1, argc > 2 ? std::stoull(argv[2]) : 10'000);
        copy(client);
    } catch (const std::exception& failure) {
        std::cerr << "delivery_exactly_once: " << failure.what() << "\n";
        return 1;
    }
}
