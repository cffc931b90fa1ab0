// At least once: first the effect outside of T-streams, then the checkpoint. A crash between the two repeats
// the effects of the last transaction; nothing is lost. The effect here is a line at the end of a file.
//
// Run:  ./delivery_at_least_once file:/tmp/numbers /tmp/effects [COUNT]      kill it, and run it again
//       sort -n /tmp/effects | uniq -d      what was repeated
#include "numbered_input.hpp"

#include <fstream>
#include <iostream>

namespace {

void run(tstreams::client& client, const std::string& path) {
    std::ofstream effects(path, std::ios::app);
    effects.exceptions(std::ios::failbit | std::ios::badbit);
    auto input = client.make_consumer("numbers", {.name = "worker"});
    while (auto received = input.next(std::chrono::milliseconds(0))) {
        for (const auto& item : *received) effects << item.text() << '\n' << std::flush;
        input.checkpoint();  // only now: the next instance begins behind this transaction
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: delivery_at_least_once file:DIRECTORY EFFECTS-FILE [COUNT]\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 1, argc > 3 ? std::stoull(argv[3]) : 10'000);
        run(client, argv[2]);
    } catch (const std::exception& failure) {
        std::cerr << "delivery_at_least_once: " << failure.what() << "\n";
        return 1;
    }
}
