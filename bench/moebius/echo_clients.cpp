#include "echo_clients.hpp"

#include "moebius/wire.hpp"

#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;

struct board {
    std::atomic<unsigned> ready{0};
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> echoes{0};
};

class dealer {
public:
    explicit dealer(const std::string& endpoint) : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
        constexpr int timeout_ms = 10'000;
        constexpr int linger_ms = 0;
        zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
        zmq_setsockopt(socket_, ZMQ_SNDTIMEO, &timeout_ms, sizeof timeout_ms);
        zmq_setsockopt(socket_, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        if (zmq_connect(socket_, endpoint.c_str()) != 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
        zmq_msg_init(&frame_);
    }
    dealer(const dealer&) = delete;
    dealer& operator=(const dealer&) = delete;
    ~dealer() {
        zmq_msg_close(&frame_);
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }
    void send(const std::string& text) {
        if (zmq_send(socket_, text.data(), text.size(), 0) < 0) throw std::runtime_error("a request was not taken");
    }
    // All frames of an answer are `bytes` long together.
    void receive(std::size_t bytes) {
        std::size_t received = 0;
        do {
            if (zmq_msg_recv(&frame_, socket_, 0) < 0) throw std::runtime_error("no answer within 10 s");
            received += zmq_msg_size(&frame_);
        } while (zmq_msg_more(&frame_));
        if (received != bytes) throw std::runtime_error("an answer that is no echo");
    }

private:
    void* context_;
    void* socket_;
    zmq_msg_t frame_;
};

void run_client(const std::string& endpoint, const load& work, board& with) {
    const std::size_t bytes = work.message.size();
    dealer server(endpoint);
    server.send(work.message);
    server.receive(bytes);
    with.ready.fetch_add(1);
    while (!with.begun) std::this_thread::sleep_for(1ms);
    for (unsigned i = 0; i < work.in_flight; ++i) server.send(work.message);
    std::uint64_t echoes = 0;
    while (!with.over.load(std::memory_order_relaxed)) {
        server.receive(bytes);
        server.send(work.message);
        ++echoes;
    }
    with.echoes.fetch_add(echoes);
}

}  // namespace

std::string json_message() {
    return R"({"command": "reply"})";
}

std::string binary_message(std::size_t body_bytes) {
    constexpr std::string_view command = "reply";
    moebius::detail::header top;
    top.kind = moebius::detail::kind::request;
    top.name_bytes = command.size();
    top.correlation = 1;
    std::string made(moebius::detail::header_bytes, '\0');
    moebius::detail::encode(top, reinterpret_cast<std::byte*>(made.data()));
    return made.append(command).append(body_bytes, 'x');
}

double echoes_per_second(const std::vector<std::string>& endpoints, const load& work, double seconds) {
    const shared<board> with;
    std::vector<process> clients;
    for (unsigned i = 0; i < work.clients; ++i) {
        const std::string& endpoint = endpoints[i % endpoints.size()];
        clients.emplace_back([&](int) { run_client(endpoint, work, *with); });
    }
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (with->ready < work.clients) {
        if (std::chrono::steady_clock::now() > limit) throw std::runtime_error("the clients are not ready after 20 s");
        std::this_thread::sleep_for(1ms);
    }
    const auto begin = std::chrono::steady_clock::now();
    with->begun = true;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    with->over = true;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    for (process& one : clients) one.join();
    return static_cast<double>(with->echoes) / took.count();
}

}  // namespace bench
