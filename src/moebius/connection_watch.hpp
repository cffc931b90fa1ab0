// Hears from libzmq which connections of a socket open and close, by their descriptors.
#pragma once

#include "moebius/pump.hpp"
#include "moebius/zmq_socket.hpp"

#include <cstdint>
#include <functional>
#include <memory>

namespace moebius::detail {

struct connection_event {
    std::uint16_t what = 0;  // ZMQ_EVENT_...
    std::int32_t value = 0;  // a descriptor, or an error number
};

class connection_watch final : pumped {
public:
    using hearer = std::function<void(connection_event)>;

    // Of the events in the mask. `heard` is called on the loop.
    connection_watch(loop& home, const std::shared_ptr<zmq_context>& context, zmq_socket& watched, int mask,
                     hearer heard);
    ~connection_watch();

    // What has come so far, now.
    void drain() noexcept {
        while (receive_one()) continue;
        pump_.touched();
    }
    void stop() noexcept { pump_.stop(); }

private:
    bool receive_one() noexcept override;

    zmq_socket& watched_;
    zmq_socket socket_;
    hearer heard_;
    pump pump_;
};

}  // namespace moebius::detail
