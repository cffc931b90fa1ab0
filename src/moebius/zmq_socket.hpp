// Owners of libzmq's handles.
#pragma once

#include <moebius/error.hpp>

#include <zmq.h>

#include <memory>
#include <string>

namespace moebius::detail {

// error(transport) with libzmq's text.
[[noreturn]] void throw_zmq(const std::string& what);

class zmq_context {
public:
    zmq_context(int io_threads, int sockets_max);
    explicit zmq_context(void* of_another) noexcept : handle_(of_another), owned_(false) {}
    ~zmq_context();
    zmq_context(const zmq_context&) = delete;
    zmq_context& operator=(const zmq_context&) = delete;
    [[nodiscard]] void* get() const noexcept { return handle_; }

private:
    void* handle_;
    bool owned_ = true;
};

// Linger is 0 from the start: closing never blocks, and whoever wants unsent messages to go out says so.
class zmq_socket {
public:
    zmq_socket(std::shared_ptr<zmq_context> home, int type);
    ~zmq_socket() { close(); }
    zmq_socket(const zmq_socket&) = delete;
    zmq_socket& operator=(const zmq_socket&) = delete;

    [[nodiscard]] void* get() const noexcept { return handle_; }
    void set(int option, int value);
    void set(int option, std::int64_t value);
    void set(int option, const std::string& value);
    [[nodiscard]] int descriptor() const;
    [[nodiscard]] bool readable() const noexcept;  // runs libzmq's pending commands as well
    void bind(const std::string& endpoint);
    void connect(const std::string& endpoint);
    [[nodiscard]] std::string last_endpoint() const;
    void close() noexcept;

private:
    std::shared_ptr<zmq_context> home_;  // a context ends after its last socket: ending it before would block
    void* handle_;
};

}  // namespace moebius::detail
