#include "moebius/zmq_socket.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace moebius::detail {
namespace {

// libzmq takes an IPv6 address only with an option, which makes `*` and names of interfaces and hosts mean IPv6, too.
// Those are to mean what they always have, so it is on for an address in brackets, and for that one call: a listener
// or connection keeps what it was made with. An option of the program's own context is not overwritten.
class ipv6_for_a_call {
public:
    ipv6_for_a_call(void* socket, const std::string& endpoint) noexcept : socket_(socket) {
        std::size_t size = sizeof before_;
        if (!endpoint.starts_with("tcp://[") || zmq_getsockopt(socket_, ZMQ_IPV6, &before_, &size) != 0) return;
        changed_ = before_ == 0;
        if (changed_) set(1);
    }
    // The throw comes before this, so zmq_errno() has been read.
    ~ipv6_for_a_call() {
        if (changed_) set(before_);
    }
    ipv6_for_a_call(const ipv6_for_a_call&) = delete;
    ipv6_for_a_call& operator=(const ipv6_for_a_call&) = delete;

private:
    void set(int value) noexcept { zmq_setsockopt(socket_, ZMQ_IPV6, &value, sizeof value); }
    void* socket_;
    int before_ = 0;
    bool changed_ = false;
};

}  // namespace

void throw_zmq(const std::string& what) {
    throw error(errc::transport, what + ": " + zmq_strerror(zmq_errno()));
}

zmq_context::zmq_context(int io_threads, int sockets_max) : handle_(zmq_ctx_new()) {
    if (!handle_) throw_zmq("a ZeroMQ context");
    zmq_ctx_set(handle_, ZMQ_IO_THREADS, io_threads);
    zmq_ctx_set(handle_, ZMQ_MAX_SOCKETS, sockets_max);
}

zmq_context::~zmq_context() {
    while (owned_ && zmq_ctx_term(handle_) != 0 && zmq_errno() == EINTR) continue;
}

zmq_socket::zmq_socket(std::shared_ptr<zmq_context> home, int type)
    : home_(std::move(home)), handle_(::zmq_socket(home_->get(), type)) {
    if (!handle_) throw_zmq("a ZeroMQ socket");
    set(ZMQ_LINGER, 0);
}

void zmq_socket::set(int option, int value) {
    if (zmq_setsockopt(handle_, option, &value, sizeof value) != 0) throw_zmq("a socket option");
}

void zmq_socket::set(int option, std::int64_t value) {
    if (zmq_setsockopt(handle_, option, &value, sizeof value) != 0) throw_zmq("a socket option");
}

void zmq_socket::set(int option, const std::string& value) {
    if (zmq_setsockopt(handle_, option, value.data(), value.size()) != 0) throw_zmq("a socket option");
}

int zmq_socket::descriptor() const {
    int found = -1;
    std::size_t size = sizeof found;
    if (zmq_getsockopt(handle_, ZMQ_FD, &found, &size) != 0) throw_zmq("the socket's descriptor");
    return found;
}

bool zmq_socket::readable() const noexcept {
    int events = 0;
    std::size_t size = sizeof events;
    while (zmq_getsockopt(handle_, ZMQ_EVENTS, &events, &size) != 0)
        if (zmq_errno() != EINTR) return false;
    return (events & ZMQ_POLLIN) != 0;
}

void zmq_socket::bind(const std::string& endpoint) {
    const ipv6_for_a_call mode(handle_, endpoint);
    if (zmq_bind(handle_, endpoint.c_str()) != 0) throw_zmq("bind to " + endpoint);
}

void zmq_socket::connect(const std::string& endpoint) {
    const ipv6_for_a_call mode(handle_, endpoint);
    if (zmq_connect(handle_, endpoint.c_str()) != 0) throw_zmq("connect to " + endpoint);
}

std::string zmq_socket::last_endpoint() const {
    std::array<char, 1024> text{};
    std::size_t size = text.size();
    if (zmq_getsockopt(handle_, ZMQ_LAST_ENDPOINT, text.data(), &size) != 0) throw_zmq("the socket's endpoint");
    return text.data();
}

void zmq_socket::close() noexcept {
    if (void* handle = std::exchange(handle_, nullptr)) zmq_close(handle);
}

}  // namespace moebius::detail
