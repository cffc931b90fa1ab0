// Asks hello_server.
#include <iostream>
#include <moebius/moebius.hpp>
int main() {
    auto answer = moebius::ask("ipc://hello.sock", "greet", "world", std::chrono::seconds(10));
    std::cout << answer.text() << "\n";
}

// Prints:
//     hello, world
