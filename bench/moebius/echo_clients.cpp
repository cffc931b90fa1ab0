#include "echo_clients.hpp"

#include "moebius/wire.hpp"

#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
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
    // The answer is one frame with the bytes of `text` from `same_from` on.
    void receive(std::string_view text, std::size_t same_from) {
        if (zmq_msg_recv(&frame_, socket_, 0) < 0) throw std::runtime_error("no answer within 10 s");
        const std::string_view answer{static_cast<const char*>(zmq_msg_data(&frame_)), zmq_msg_size(&frame_)};
        const bool echo = answer.size() == text.size() && answer.substr(same_from) == text.substr(same_from);
        if (!echo || zmq_msg_more(&frame_)) throw std::runtime_error("an answer that is no echo");
    }
    [[nodiscard]] bool silent() {
        zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
        return zmq_poll(&item, 1, 0) == 0;
    }

private:
    void* context_;
    void* socket_;
    zmq_msg_t frame_;
};

// Sends the same message again and again, and wants it back; in the binary format each has a number, and the answers
// come in their order. Of such an answer the first bytes, which say that it is one, are not those of the request.
class echo_client {
public:
    echo_client(const std::string& endpoint, const std::string& message)
        : server_(endpoint), out_(message), back_(message), binary_(moebius::detail::is_binary(bytes_of(message))) {}

    void send() {
        number(out_, ++sent_);
        server_.send(out_);
    }
    void receive() {
        number(back_, ++received_);
        server_.receive(back_, binary_ ? correlation_at : 0);
    }
    // Every request has its answer, and there are no others.
    void end() {
        while (received_ < sent_) receive();
        if (!server_.silent()) throw std::runtime_error("more answers than requests");
    }

private:
    static constexpr std::size_t correlation_at = 8;
    static std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
    void number(std::string& message, std::uint64_t value) const {
        if (binary_) std::memcpy(message.data() + correlation_at, &value, sizeof value);
    }

    dealer server_;
    std::string out_, back_;
    bool binary_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
};

void run_client(const std::string& endpoint, const load& work, board& with) {
    echo_client client(endpoint, work.message);
    client.send();
    client.receive();
    with.ready.fetch_add(1);
    while (!with.begun) std::this_thread::sleep_for(1ms);
    for (unsigned i = 0; i < work.in_flight; ++i) client.send();
    std::uint64_t echoes = 0;
    while (!with.over.load(std::memory_order_relaxed)) {
        client.receive();
        client.send();
        ++echoes;
    }
    with.echoes.fetch_add(echoes);
    client.end();
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
