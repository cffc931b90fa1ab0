// The sessions of remote clients, and the answers that are kept for them.
//
// A session is not a connection: a client that lost its connection goes on with its session over the next one, and asks
// again what it had no answer to. It belongs to whoever opened it (the name of the key, where there are keys). It ends
// by close_session, or when it has had no connection and was silent for its timeout. A session
// that its client has left for a newer one over the same connection has none, until it speaks again.
#pragma once

#include "core/service.hpp"
#include "wire/envelope.hpp"

#include <moebius/client.hpp>
#include <moebius/message.hpp>
#include <tstreams/ports/clock.hpp>
#include <weave/executor.hpp>
#include <weave/frame_pool.hpp>
#include <weave/sync.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tstreams::server {

// The answer to an acting call: kept from its beginning until the client says that it has it.
struct kept_answer {
    explicit kept_answer(weave::executor& home) : ready(home) {}
    weave::event ready;
    std::string body;
    bool confirmed = false;  // the client says that it has it, and it is not counted any more
};

struct session {
    core::session_id id = 0;
    std::string user;
    std::string client;  // for people
    std::chrono::milliseconds timeout{0};
    moebius::client connection;  // the last one that it spoke over
    moebius::client opened_over;
    ports::steady_time last_seen{};
    std::uint64_t answered_below = 1;
    std::uint64_t highest = 0;  // number that it has used
    // In order, as the client gives the numbers: one more is put at the end, and those that it has go at the beginning.
    std::map<std::uint64_t, std::shared_ptr<kept_answer>, std::less<>,
             weave::recycling_allocator<std::pair<const std::uint64_t, std::shared_ptr<kept_answer>>>>
        answers;
    std::size_t answer_bytes = 0;  // of these
};

struct session_limits {
    std::size_t sessions = 4096;
    std::size_t user_sessions = 1024;                  // of one name of the file of clients
    std::size_t connection_sessions = 16;              // opened over one connection, those left for a newer one, too
    std::size_t answers = 16'384;                      // of one session, kept or still to come
    std::size_t answer_bytes = std::size_t{32} << 20;  // of those that are kept
};

// On the loop's thread.
class sessions {
public:
    sessions(weave::executor& home, ports::clock& clock, session_limits limits)
        : home_(home), clock_(clock), limits_(limits) {}

    // Whether one more may be opened over this connection. Throws overloaded.
    void check_room(const moebius::client& connection) const;
    void begin(core::session_id id, std::string client, std::chrono::milliseconds timeout, moebius::client connection);
    // A sign of life over this connection. Throws session_ended for one that is not known, or is somebody else's.
    [[nodiscard]] std::shared_ptr<session> get(core::session_id id, const moebius::client& connection);
    void end(core::session_id id) noexcept { table_.erase(id); }
    // Those that are over: no connection, and silent for their timeout.
    [[nodiscard]] std::vector<core::session_id> silent() const;
    [[nodiscard]] const std::unordered_map<core::session_id, std::shared_ptr<session>>& all() const noexcept {
        return table_;
    }

    struct numbered {
        std::shared_ptr<kept_answer> answer;
        bool first = false;     // nobody has asked this before: do it, and fill the answer
        bool in_order = false;  // and nothing with a higher number: no later repetition has overtaken it
    };
    // Forgets the answers that the client has. Throws invalid_argument for a number that is answered already,
    // overloaded (not_applied).
    [[nodiscard]] numbered number(session& of, const wire::request_head& head);
    // The answer has come.
    static void keep(session& of, kept_answer& answer, std::string body);

private:
    static void forget_below(session& of, std::uint64_t answered_below);

    weave::executor& home_;
    ports::clock& clock_;
    const session_limits limits_;
    std::unordered_map<core::session_id, std::shared_ptr<session>> table_;
};

}  // namespace tstreams::server
