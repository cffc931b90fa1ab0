// Client processes: plain libzmq DEALERs, the same for every server.
#pragma once

#include "processes.hpp"

#include <string>
#include <vector>

namespace bench {

struct load {
    unsigned clients = 12;
    unsigned in_flight = 1;  // of each client
    std::string message;     // whose echo is awaited
};

// {"command": "reply"}: what all servers understand.
[[nodiscard]] std::string json_message();
// The same in the binary format, with a body of that size.
[[nodiscard]] std::string binary_message(std::size_t body_bytes);

// Runs the clients of a load against the endpoints, shared out evenly, and returns the echoes per second of all.
// Throws when an answer is not the echo, or does not come.
[[nodiscard]] double echoes_per_second(const std::vector<std::string>& endpoints, const load& work, double seconds);

}  // namespace bench
