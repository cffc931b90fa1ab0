#include "server/sessions.hpp"

#include <tstreams/error.hpp>

namespace tstreams::server {

// Counted by the connection that opened them, which stays the same wherever they speak.
void sessions::check_room(const moebius::client& connection) const {
    if (table_.size() >= limits_.sessions)
        throw error(errc::overloaded, "the server has " + std::to_string(table_.size()) + " clients already");
    const std::string_view user = connection.user_id();
    std::size_t of_connection = 0, of_user = 0;
    for (const auto& [id, one] : table_) {
        if (one->opened_over == connection) ++of_connection;
        if (!user.empty() && one->user == user) ++of_user;
    }
    if (of_connection >= limits_.connection_sessions)
        throw error(errc::overloaded, "this connection has opened " + std::to_string(of_connection) +
                                          " sessions: close what is not used, or wait until it has been silent");
    if (of_user >= limits_.user_sessions)
        throw error(errc::overloaded, "the server has " + std::to_string(of_user) + " clients of the name '" +
                                          std::string(user) + "' already (--user-sessions)");
}

void sessions::begin(core::session_id id, std::string client, std::chrono::milliseconds timeout,
                     moebius::client connection) {
    // An earlier session of this connection is alive as long as it speaks, and not because the connection is there.
    for (const auto& [other, one] : table_)
        if (one->connection == connection) one->connection = moebius::client();
    auto fresh = std::make_shared<session>();
    fresh->id = id;
    fresh->user = connection.user_id();
    fresh->client = std::move(client);
    fresh->timeout = timeout;
    fresh->connection = connection;
    fresh->opened_over = connection;
    fresh->last_seen = clock_.now();
    table_.emplace(id, std::move(fresh));
}

std::shared_ptr<session> sessions::get(core::session_id id, const moebius::client& connection) {
    const auto found = table_.find(id);
    if (found == table_.end() || found->second->user != connection.user_id())
        throw error(errc::session_ended, "the server does not know this session");
    found->second->connection = connection;
    found->second->last_seen = clock_.now();
    return found->second;
}

std::vector<core::session_id> sessions::silent() const {
    std::vector<core::session_id> over;
    for (const auto& [id, one] : table_)
        if (!one->connection.connected() && clock_.now() - one->last_seen > one->timeout) over.push_back(id);
    return over;
}

void sessions::forget_below(session& of, std::uint64_t answered_below) {
    if (answered_below <= of.answered_below) return;
    for (auto at = of.answers.begin(); at != of.answers.end() && at->first < answered_below;) {
        at->second->confirmed = true;
        of.answer_bytes -= at->second->body.size();
        at = of.answers.erase(at);
    }
    of.answered_below = answered_below;
}

void sessions::keep(session& of, kept_answer& answer, std::string body) {
    answer.body = std::move(body);
    if (!answer.confirmed) of.answer_bytes += answer.body.size();
    answer.ready.set();
}

sessions::numbered sessions::number(session& of, const wire::request_head& head) {
    if (head.sequence < of.answered_below)
        throw error(errc::invalid_argument, "a call that the client has the answer to already");
    if (head.answered_below <= head.sequence) forget_below(of, head.answered_below);
    const bool in_order = head.sequence > of.highest;
    if (!in_order)
        if (const auto known = of.answers.find(head.sequence); known != of.answers.end())
            return {known->second, false, false};
    if (of.answers.size() >= limits_.answers)
        throw error(errc::overloaded, std::to_string(of.answers.size()) + " calls of this client are in flight");
    if (of.answer_bytes >= limits_.answer_bytes)
        throw error(errc::overloaded, std::to_string(of.answer_bytes) + " bytes of answers are not confirmed");
    auto fresh = std::allocate_shared<kept_answer>(weave::recycling_allocator<kept_answer>(), home_);
    of.answers.emplace_hint(of.answers.end(), head.sequence, fresh);
    if (in_order) of.highest = head.sequence;
    return {std::move(fresh), true, in_order};
}

}  // namespace tstreams::server
