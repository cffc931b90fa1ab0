// A client and its calls, as the server's core sees them.
#pragma once

#include "moebius/frames.hpp"
#include "moebius/wire.hpp"

#include <moebius/client.hpp>
#include <moebius/detail/list.hpp>
#include <moebius/detail/wait.hpp>
#include <moebius/message.hpp>
#include <moebius/router.hpp>
#include <weave/context.hpp>
#include <weave/seeded_hash.hpp>
#include <weave/task.hpp>

#include <any>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace moebius::detail {

class server_core;
struct client_state;

// One request from its arrival to the end of its handler and of its request handle, whichever comes last. Calls are
// used again: their number is bounded by what runs and waits at once.
struct call final : weave::context, weave::job, timer, list_node {
    explicit call(server_core& of) noexcept;

    server_core& core;
    client_state* from = nullptr;
    const route* rule = nullptr;
    message body;
    message head;  // header and name, when the body came in a frame of its own
    std::uint64_t correlation = 0;
    std::int64_t credit_messages = 0;
    std::int64_t credit_bytes = 0;
    weave::task<> work;
    std::size_t held_bytes = 0;  // of its body, while they count for the server's limit
    errc stop_reason = errc::cancelled;
    bool binary = false;
    bool one_way = false;
    bool stream = false;
    bool answered = false;
    bool held = false;      // a request handle exists
    bool waiting = false;   // in the client's queue
    bool running = false;   // its coroutine has not ended
    bool numbered = false;  // its client's `by_number` has it

    void renew() noexcept;  // as made, for the next request
    void stop(errc reason) noexcept {
        stop_reason = reason;
        request_stop();
    }
    [[nodiscard]] bool wants_answer() const noexcept { return !answered && !one_way; }

private:
    void expired() noexcept override { stop(errc::timed_out); }
};

// Slots are used again under another generation, so that an old handle is known as such.
struct client_state final : list_node, weave::job {
    explicit client_state(server_core& of) noexcept;

    server_core& core;
    std::uint32_t generation = 0;
    bool connected = false;
    bool binary = false;        // what it spoke last
    bool batches = false;       // it has said that it takes them
    bool check_origin = false;  // a connection with its descriptor ended: is it another one by now?
    bool advancing = false;
    int origin = -1;                   // the descriptor of its connection, -1 for unknown
    const void* connection = nullptr;  // tells its connection from others
    std::uint32_t last_seen = 0;       // in ticks of the server
    std::uint32_t blocked_since = 0;
    errc departure = errc::none;

    std::string id, name, user_id, address;
    std::string key;  // its public key; empty without keys
    std::any user;
    std::vector<std::string> topics;

    call* active = nullptr;  // the handler that counts for strategies
    list<call> running;      // all handlers, concurrent ones too
    list<call> waiting;
    std::size_t waiting_count = 0;
    std::size_t calls = 0;  // that name this client
    // What CREDIT and CANCEL may mean: binary requests that did not end at once, by the client's number. A client that
    // gives many of them the same number is understood for a few.
    static constexpr std::size_t same_number_max = 16;
    std::unordered_multimap<std::uint64_t, call*, weave::seeded_hash> by_number;

    frame_queue outbound;
    std::size_t outbound_bytes = 0;
    bool blocked = false;   // else what is in `outbound` goes at the end of the turn
    list<send_op> senders;  // suspended for room or credit
    bool posted = false;    // its job

    // To be asked once per message: whether it gets several in a turn.
    [[nodiscard]] bool pipelines(std::uint64_t this_turn) noexcept {
        if (turn != this_turn) {
            turn = this_turn;
            many_before = sent_in_turn > 1;
            sent_in_turn = 0;
        }
        return ++sent_in_turn > 1 || many_before;
    }
    std::uint64_t turn = 0;
    std::uint32_t sent_in_turn = 0;
    bool many_before = false;

    void renew() noexcept;
    // It has left, or will when all that it sent is read.
    [[nodiscard]] bool gone() const noexcept { return !connected || check_origin; }
    [[nodiscard]] bool anonymous() const noexcept { return !id.empty() && id.front() == '\0'; }
};

}  // namespace moebius::detail
