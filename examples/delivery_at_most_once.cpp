// At most once: first the checkpoint, then the effect outside of T-streams. A crash between the two loses
// effects of the last transaction; nothing is repeated. The effect here is a line at the end of a file.
//
// Run:  ./delivery_at_most_once file:/tmp/numbers /tmp/effects [COUNT]      kill it, and run it again
//       sort -nu /tmp/effects | wc -l       COUNT less what was lost
#include "numbered_input.hpp"

#include <fstream>
#include <iostream>

namespace {

void run(tstreams::client& client, const std::string& path) {
    std::ofstream effects(path, std::ios::app);
    effects.exceptions(std::ios::failbit | std::ios::badbit);
    auto input = client.make_consumer("numbers", {.name = "worker"});
    while (auto received = input.next(std::chrono::milliseconds(0))) {
        input.checkpoint();  // before any effect: this transaction is never given to anybody again
        for (const auto& item : *received) effects << item.text() << '\n' << std::flush;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: delivery_at_most_once file:DIRECTORY EFFECTS-FILE [COUNT]\n";
        return 2;
    }
    try {
        auto client = tstreams::client::open(argv[1]);
        feed_numbers(client, "numbers", 1, argc > 3 ? std::stoull(argv[3]) : 10'000);
        run(client, argv[2]);
    } catch (const std::exception& failure) {
        std::cerr << "delivery_at_most_once: " << failure.what() << "\n";
        return 1;
    }
}
