#include "server/overview.hpp"

#include "server/process.hpp"

#include <algorithm>
#include <utility>

namespace tstreams::server {

server_status overview::status() const {
    const core::broker_counters broker = store_.counters();
    const std::vector<open_transaction_info> oldest = store_.oldest_open(1);
    server_status now;
    now.server = facts_.server;
    now.store = facts_.store;
    now.endpoints = facts_.endpoints;
    now.now = clock_.wall_now();
    now.started_at = started_at_;
    now.connections = server_.metrics().clients;
    now.sessions = calls_.clients().all().size();
    now.open_transactions = broker.open_transactions;
    if (!oldest.empty()) now.oldest_open = std::max(oldest.front().age, std::chrono::milliseconds(1));
    now.checkpointed = broker.traffic.checkpointed;
    now.items_in = broker.traffic.items_in;
    now.bytes_in = broker.traffic.bytes_in;
    now.items_out = broker.traffic.items_out;
    now.bytes_out = broker.traffic.bytes_out;
    now.refusals = calls_.counters().refused;
    now.background_failures = broker.background_failures;
    now.retention_holding = broker.retention_holding;
    now.memory_bytes = process_figures_now().resident_bytes;
    return now;
}

std::vector<server_client> overview::clients(std::size_t limit) const {
    std::vector<std::pair<std::uint64_t, const session*>> order;
    for (const auto& [id, one] : calls_.clients().all()) order.emplace_back(store_.open_of(id), one.get());
    const auto busier = [](const auto& a, const auto& b) { return a.first > b.first; };
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(limit, order.size()));
    std::partial_sort(order.begin(), end, order.end(), busier);
    std::vector<server_client> first;
    for (auto at = order.begin(); at != end; ++at) {
        server_client one;
        one.name = at->second->client;
        one.user = at->second->user;
        one.connected = at->second->connection.connected();
        one.silent_for = std::chrono::floor<std::chrono::milliseconds>(clock_.now() - at->second->last_seen);
        one.open_transactions = at->first;
        one.answers_kept = at->second->answers.size();
        first.push_back(std::move(one));
    }
    return first;
}

figures overview::now(std::uint32_t top) {
    figures all;
    all.broker = store_.counters();
    all.engine = store_.engine();
    all.transport = server_.metrics();
    all.calls = calls_.counters();
    for (const auto& [id, one] : calls_.clients().all()) all.answers_kept += one->answers.size();
    all.oldest = store_.oldest_open(top);
    all.busiest = clients(top);
    return all;
}

}  // namespace tstreams::server
