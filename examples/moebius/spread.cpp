// Several servers, and clients that spread themselves: by the key of what they ask, or in turn.
#include <moebius/moebius.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

// Requests of one key always go to the same server, which so has the key's state for itself.
class by_key {
public:
    by_key(moebius::loop& loop, const std::vector<std::string>& endpoints) {
        for (const std::string& one : endpoints) servers_.push_back(std::make_unique<moebius::requester>(loop, one));
    }
    moebius::requester& of(std::string_view key) {
        return *servers_[std::hash<std::string_view>{}(key) % servers_.size()];
    }

private:
    std::vector<std::unique_ptr<moebius::requester>> servers_;
};

moebius::task<> ask_all(by_key& servers) {
    std::set<std::string> who;
    bool same = true;
    for (int number = 0; number < 64; ++number) {
        const std::string key = "customer " + std::to_string(number);
        const moebius::message first = co_await servers.of(key).call("who", moebius::message(), 10s);
        const moebius::message again = co_await servers.of(key).call("who", moebius::message(), 10s);
        who.emplace(first.text());
        same = same && first.text() == again.text();
    }
    std::cout << who.size() << " servers asked; a key always at one: " << (same ? "yes" : "no") << "\n";
}

int main() {
    moebius::loop loop;  // in real life each server is a process, one for each core
    moebius::command_router routes[3];
    std::vector<std::unique_ptr<moebius::server>> servers;
    std::vector<std::string> endpoints;
    for (std::size_t i = 0; i < 3; ++i) {
        routes[i].on("who", [i](moebius::request& asked) { asked.reply(std::to_string(i)); });
        servers.push_back(std::make_unique<moebius::server>(loop, routes[i]));
        endpoints.push_back(servers.back()->bind("tcp://127.0.0.1:*").endpoint());
    }
    by_key clients(loop, endpoints);
    loop.run(ask_all(clients));
}

// Prints:
//     3 servers asked; a key always at one: yes
