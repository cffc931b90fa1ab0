// The connected clients, and which transactions each keeps open.
#pragma once

#include "core/environment.hpp"

#include <weave/frame_pool.hpp>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

namespace tstreams::core {

using open_refs = std::set<transaction_ref, std::less<>, weave::recycling_allocator<transaction_ref>>;

struct session {
    session_id id = 0;
    std::shared_ptr<const std::string> client;  // its name, for people
    std::chrono::milliseconds timeout{0};
    ports::steady_time last_seen{};
    open_refs open;
    bool ended = false;
};

class sessions {
public:
    explicit sessions(environment& world) : world_(world) {}

    [[nodiscard]] std::shared_ptr<session> begin(std::string client, std::chrono::milliseconds timeout) {
        auto fresh = std::make_shared<session>();
        do {
            fresh->id = world_.clock.random();
        } while (fresh->id == 0 || table_.contains(fresh->id));
        fresh->client = std::make_shared<const std::string>(std::move(client));
        fresh->timeout = timeout;
        fresh->last_seen = world_.clock.now();
        table_.emplace(fresh->id, fresh);
        return fresh;
    }
    // Also counts as a sign of life. Throws session_ended for one that has ended, or that another broker opened.
    [[nodiscard]] std::shared_ptr<session> get(session_id id) {
        if (std::shared_ptr<session> found = find(id)) {
            found->last_seen = world_.clock.now();
            return found;
        }
        throw error(errc::session_ended, "the client's session has ended; open the client again");
    }
    [[nodiscard]] std::shared_ptr<session> find(session_id id) const {
        const auto found = table_.find(id);
        return found == table_.end() ? nullptr : found->second;
    }
    [[nodiscard]] bool alive(session_id id) const { return table_.contains(id); }
    void end(session_id id) {
        if (const std::shared_ptr<session> found = find(id)) found->ended = true;
        table_.erase(id);
    }
    [[nodiscard]] const std::unordered_map<session_id, std::shared_ptr<session>>& all() const { return table_; }

private:
    environment& world_;
    std::unordered_map<session_id, std::shared_ptr<session>> table_;
};

}  // namespace tstreams::core
