// A registry of agents: servers announce themselves to it by name, and others look them up.
//
//     moebius::registry agents;                                            // the registry: part of any server
//     agents.serve(routes);
//
//     moebius::agent self("camera.hall", server.endpoint());               // an agent
//     server.spawn(moebius::announcer(to_registry, std::move(self)));      // renewed until the server stops
//
//     auto found = co_await moebius::look_up(to_registry, "camera.*", 2s); // whoever wants to know
#pragma once

#include <moebius/requester.hpp>
#include <moebius/router.hpp>
#include <moebius/task.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moebius {

// Name and endpoint together are the key: a name may have several endpoints. On the wire an agent is one line, its
// fields separated by tabs: name, endpoint, ttl in milliseconds, then "key=value" for each attribute. So no field has
// control characters, no key an '=', and name and endpoint are not empty. A line has at most 4096 bytes.
struct agent {
    agent() = default;
    agent(std::string its_name, std::string its_endpoint)
        : name(std::move(its_name)), endpoint(std::move(its_endpoint)) {}

    std::string name;
    std::string endpoint;
    std::vector<std::pair<std::string, std::string>> attributes;
    std::chrono::milliseconds ttl{15'000};  // forgotten when it was not announced again for so long
};

// The line of an agent, and the agents of lines. Both throw error(malformed, too_large).
[[nodiscard]] std::string to_line(const agent& one);
[[nodiscard]] std::vector<agent> from_lines(std::string_view lines);

struct registry_limits {
    std::size_t agents = 10'000;  // one more: error(overloaded)
    std::size_t found = 1000;     // of one look-up; more: error(too_large)
    std::chrono::milliseconds ttl{3'600'000};
};

// The rules of a registry, for clients of the binary format:
//     moebius.announce   a line: adds or renews it, answers nothing. error(malformed, overloaded, too_large);
//                        error(invalid_state) for an agent that another authenticated user announced
//     moebius.withdraw   a line, of which name and endpoint count: forgets it, whether it was known or not
//     moebius.look_up    a name, or what names begin with and '*': the lines of those that live, by name, with the ttl
//                        that is left
// For one thread, the loop's; it outlives the server.
class registry {
public:
    explicit registry(registry_limits limits = {});
    ~registry();
    registry(const registry&) = delete;
    registry& operator=(const registry&) = delete;

    void serve(command_router& routes);

    // The same without a request.
    void announce(const agent& one, std::string_view user_id = {});
    void withdraw(const agent& one, std::string_view user_id = {});
    [[nodiscard]] std::vector<agent> look_up(std::string_view pattern);
    [[nodiscard]] std::size_t size();

private:
    struct state;
    std::unique_ptr<state> state_;
};

// Announces `self` again each third of its ttl, for ever; what fails is tried again each second, or sooner for a short
// ttl. At its end, by cancellation, it withdraws. `heard` is called when the first call succeeds or fails, and at each
// change: with an empty text for success. Throws error(malformed, too_large) for an agent that is no line. The
// requester outlives it.
task<> announcer(requester& registry, agent self, std::function<void(const std::string& failure)> heard = {});

// Throws what call() throws, or error(malformed) for an answer that is none.
task<std::vector<agent>> look_up(requester& registry, std::string pattern, duration timeout);

}  // namespace moebius
