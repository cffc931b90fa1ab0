#include "moebius/connection_watch.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

namespace moebius::detail {
namespace {

std::string next_endpoint() {
    static std::atomic<std::uint64_t> last{0};
    return "inproc://moebius-watch-" + std::to_string(++last);
}

}  // namespace

connection_watch::connection_watch(loop& home, const std::shared_ptr<zmq_context>& context, zmq_socket& watched,
                                   int mask, hearer heard)
    : watched_(watched), socket_(context, ZMQ_PAIR), heard_(std::move(heard)), pump_(home, socket_, *this, 64) {
    const std::string endpoint = next_endpoint();
    if (zmq_socket_monitor(watched_.get(), endpoint.c_str(), mask) != 0) throw_zmq("a monitor");
    socket_.connect(endpoint);
    pump_.start();
}

connection_watch::~connection_watch() {
    pump_.stop();
    if (watched_.get()) zmq_socket_monitor(watched_.get(), nullptr, 0);
}

// Two frames: 16 bits of event and 32 bits of value, then the endpoint.
bool connection_watch::receive_one() noexcept {
    std::array<std::byte, 6> first{};
    int received = 0;
    while ((received = zmq_recv(socket_.get(), first.data(), first.size(), ZMQ_DONTWAIT)) < 0)
        if (zmq_errno() != EINTR) return false;
    std::array<std::byte, 512> endpoint{};
    while (zmq_recv(socket_.get(), endpoint.data(), endpoint.size(), 0) < 0)
        if (zmq_errno() != EINTR) return false;
    if (received != static_cast<int>(first.size())) return true;
    connection_event event;
    std::memcpy(&event.what, first.data(), sizeof event.what);
    std::memcpy(&event.value, first.data() + 2, sizeof event.value);
    heard_(event);
    return true;
}

}  // namespace moebius::detail
