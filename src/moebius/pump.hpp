// Joins a ZeroMQ socket with a loop, without ever missing that it can be read or written.
//
// The descriptor of a ZeroMQ socket becomes readable when libzmq has *commands* for it, not when there is a message;
// receiving, sending and asking for ZMQ_EVENTS all consume that signal. So whoever has just done one of these must
// look again before it sleeps:
//
//   turn:   receive up to a batch, for 0.4 ms at most; if somebody is blocked: receive and retry
//           sends, until two passes in a row got nowhere. Still something to read: another turn, after timers and
//           others had theirs. Else sleep on the descriptor; while somebody is blocked, on a timer of 20 ms as well.
//   touched: whoever sends outside a turn asks for one look at the socket, soon.
//
// Nothing here blocks. `safety_hits` counts what only the timer found: it should stay at 0.
#pragma once

#include "moebius/zmq_socket.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <moebius/detail/wait.hpp>
#include <moebius/loop.hpp>

#include <algorithm>
#include <cstdint>

namespace moebius::detail {

struct pump_counters {
    std::uint64_t turns = 0, rechecks = 0, recheck_hits = 0, safety_turns = 0, safety_hits = 0;
};

// What a pump works for.
class pumped {
public:
    // Receives one message and handles it. False: there was none.
    virtual bool receive_one() noexcept = 0;
    // Whether a message waits for a peer that had no room.
    [[nodiscard]] virtual bool blocked() const noexcept { return false; }
    // Tries the blocked sends again, each once. Whether any of them got through.
    virtual bool retry_blocked() noexcept { return false; }
    // At the end of each batch of received messages, which may be empty.
    virtual void batch_ended() noexcept {}
    // At the end of each turn in which the socket was found empty.
    virtual void found_empty() noexcept {}

protected:
    ~pumped() = default;
};

class pump final : timer, weave::job {
public:
    pump(loop& home, zmq_socket& socket, pumped& owner, unsigned batch);
    ~pump();  // not inside its own turn

    void start();
    // For the end: nothing of the owner is called afterwards. Idempotent, allowed inside a turn.
    void stop() noexcept;
    // After a send; inside a turn it does nothing.
    void touched() noexcept {
        if (!turning_ && !look_posted_ && started_) post_look(false);
    }
    // A whole turn, soon: the owner has something to do when the socket is found empty.
    void look_again() noexcept {
        if (started_) post_look(true);
    }
    // In a batch in which, or shortly before which, so many messages came that more are likely to follow at once.
    [[nodiscard]] bool busy() const noexcept { return turning_ && std::max(received_, usual_) > busy_from; }
    [[nodiscard]] bool turning() const noexcept { return turning_; }
    [[nodiscard]] const pump_counters& counters() const noexcept { return counters_; }

private:
    void turn() noexcept;
    bool receive_batch() noexcept;  // whether the socket was found empty
    void look() noexcept;           // the posted job
    void post_look(bool certainly) noexcept;
    void sleep() noexcept;
    void expired() noexcept override;

    loop& home_;
    zmq_socket& socket_;
    pumped& owner_;
    static constexpr unsigned busy_from = 32;
    const unsigned batch_;
    unsigned received_ = 0;  // in this batch
    unsigned usual_ = 0;     // in the largest of the last batches, which fades
    boost::asio::posix::stream_descriptor descriptor_;
    pump_counters counters_;
    std::uint64_t handled_ = 0;  // messages received and blocked sends that got through
    bool started_ = false;
    bool turning_ = false;
    bool look_posted_ = false;
    bool look_certainly_ = false;
    bool sleeping_ = false;
};

}  // namespace moebius::detail
