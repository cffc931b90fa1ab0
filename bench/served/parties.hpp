// Who takes part in a benchmark of tstreamsd: the daemon, the plain loop that it is measured against, and clients. Each
// is a process of its own, and all are ended with the object that started them.
#pragma once

#include "measure.hpp"
#include "moebius/processes.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bench {

// What clients of one round share with the process that measures them.
struct board {
    std::atomic<unsigned> ready{0};
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> done{0};

    // For a client that has connected and warmed up: returns when the round begins.
    void await_begin();
};

// A tstreamsd with a store and a socket in `directory`, ready. `extra` are more words of its command line.
class daemon_process {
public:
    explicit daemon_process(const std::string& directory, std::vector<std::string> extra = {});
    [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
    [[nodiscard]] pid_t id() const noexcept { return process_.id(); }

private:
    std::string endpoint_;
    process process_;
};

// A ROUTER in blocking calls, as fast as libzmq goes without tricks: what it receives it sends back, frame by frame; or
// it answers every message with one frame of `note_bytes`.
class plain_loop {
public:
    enum class answer : std::uint8_t { echo, note };
    static constexpr std::size_t note_bytes = 64;
    plain_loop(const std::string& directory, answer with);
    [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }

private:
    std::string endpoint_;
    process process_;
};

// A DEALER in blocking calls.
class plain_client {
public:
    explicit plain_client(const std::string& endpoint);
    plain_client(const plain_client&) = delete;
    plain_client& operator=(const plain_client&) = delete;
    ~plain_client();
    // One frame, or with a body two.
    void send(std::string_view head, std::string_view body = {});
    void receive(std::size_t bytes);  // throws for an answer of another size

private:
    void* context_;
    void* socket_;
};

// Starts `clients` processes, lets them work at the same time for `seconds`, and returns what they have done in a
// second. A client counts in board::done, and leaves soon when it is over.
[[nodiscard]] double rate_of(unsigned clients, double seconds,
                             const std::function<void(unsigned number, board& with)>& work);

// Runs `work` in a process of its own and waits for its end.
void in_process(const std::function<void()>& work);

// Throws unless a new consumer at `endpoint` reads exactly `wanted` transactions of the stream.
void check_count(const std::string& endpoint, const std::string& stream, std::uint64_t wanted);

// The frames with which a remote client writes a transaction, headers of both protocols included.
[[nodiscard]] std::string open_frame();
[[nodiscard]] std::string write_head_frame();
[[nodiscard]] std::string write_body_frame(std::size_t items, std::size_t item_bytes);
[[nodiscard]] std::string commit_frame(std::size_t inline_bytes);  // zero: of a transaction that is open

}  // namespace bench
