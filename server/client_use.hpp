// What one client has under way, which is what it is limited by.
#pragma once

#include <weave/sync.hpp>

#include <cstddef>
#include <deque>
#include <memory>

namespace tstreams::server {

struct client_use {
    struct waiting {
        std::size_t expected;
        std::shared_ptr<weave::event> ready;
    };
    std::size_t calls = 0;
    std::size_t follows = 0;
    std::size_t watches = 0;
    std::size_t bytes = 0;         // of requests
    std::size_t answer_bytes = 0;  // that answers to come, or not yet taken by the client, may have
    std::deque<waiting> waits;     // for room for an answer, in order
};

// Counts a request as long as it lives.
class room {
public:
    room(client_use& of, std::size_t bytes) noexcept : of_(of), bytes_(bytes) {
        of_.bytes += bytes_;
        ++of_.calls;
    }
    ~room() {
        of_.bytes -= bytes_;
        --of_.calls;
    }
    room(const room&) = delete;
    room& operator=(const room&) = delete;

private:
    client_use& of_;
    const std::size_t bytes_;
};

// Counts one more as long as it lives.
class one_more {
public:
    explicit one_more(std::size_t& of) noexcept : of_(of) { ++of_; }
    ~one_more() { --of_; }
    one_more(const one_more&) = delete;
    one_more& operator=(const one_more&) = delete;

private:
    std::size_t& of_;
};

}  // namespace tstreams::server
