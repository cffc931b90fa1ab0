// The server as its operator sees it: status, clients, and all figures at a moment.
#pragma once

#include "client/store.hpp"
#include "server/counters.hpp"
#include "server/routes.hpp"

#include <moebius/server.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/status.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::server {

// Everything that the metrics show.
struct figures {
    core::broker_counters broker;
    std::optional<detail::engine_counters> engine;
    moebius::server_metrics transport;
    call_counters calls;
    std::uint64_t answers_kept = 0;
    std::vector<open_transaction_info> oldest;  // of the open ones
    std::vector<server_client> busiest;         // clients with the most open transactions
};

struct server_facts {
    std::string server{};  // name and version
    std::string store{};
    std::vector<std::string> endpoints{};
};

// On the loop's thread. What it is made of outlives it.
class overview {
public:
    overview(server_facts facts, detail::store& store, const moebius::server& server, const routes& calls,
             ports::clock& clock)
        : facts_(std::move(facts)),
          store_(store),
          server_(server),
          calls_(calls),
          clock_(clock),
          started_at_(clock.wall_now()) {}

    [[nodiscard]] server_status status() const;
    [[nodiscard]] std::vector<server_client> clients(std::size_t limit) const;
    // With at most `top` of the oldest transactions and of the busiest clients.
    [[nodiscard]] figures now(std::uint32_t top);

private:
    const server_facts facts_;
    detail::store& store_;
    const moebius::server& server_;
    const routes& calls_;
    ports::clock& clock_;
    const wall_time started_at_;
};

}  // namespace tstreams::server
