#include "moebius/zap.hpp"

#include "moebius/loop_impl.hpp"

#include <boost/asio/ip/address.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace moebius::detail {
namespace {

constexpr const char* zap_endpoint = "inproc://zeromq.zap.01";
constexpr std::size_t frames_max = 16;  // of a request that is looked at; the format has 9
constexpr int enforce_domain = 93;      // ZMQ_ZAP_ENFORCE_DOMAIN, which the header hides though the library knows it

std::string next_name(const char* prefix) {
    static std::atomic<std::uint64_t> last{0};
    return prefix + std::to_string(++last);
}

std::string as_z85(const std::string& key) {
    std::array<char, 41> text{};
    zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(key.data()), key.size());
    return text.data();
}

// All frames of one message; those over the limit are dropped. Empty: there was none.
std::vector<std::string> receive_frames(void* socket) {
    std::vector<std::string> frames;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool more = true;
    for (int flags = ZMQ_DONTWAIT; more; flags = 0) {
        if (zmq_msg_recv(&frame, socket, flags) < 0) {
            if (zmq_errno() == EINTR) continue;
            break;
        }
        more = zmq_msg_more(&frame) != 0;
        if (frames.size() < frames_max)
            frames.emplace_back(static_cast<const char*>(zmq_msg_data(&frame)), zmq_msg_size(&frame));
    }
    zmq_msg_close(&frame);
    return frames;
}

}  // namespace

std::shared_ptr<zap_handler> zap_handler::of(loop& home) {
    std::shared_ptr<zap_handler> found = home.parts().zap.lock();
    if (!found) home.parts().zap = found = std::make_shared<zap_handler>(home);
    return found;
}

zap_handler::zap_handler(loop& home) : socket_(home.parts().zmq, ZMQ_ROUTER), pump_(home, socket_, *this, 64) {
    socket_.bind(zap_endpoint);
    pump_.start();
}

// Closing alone would free the address some time later.
zap_handler::~zap_handler() {
    pump_.stop();
    zmq_unbind(socket_.get(), zap_endpoint);
}

zap_domain::zap_domain(loop& home, allowlist of)
    : handler(zap_handler::of(home)), name(next_name("moebius-")), clients(std::move(of)) {
    handler->domains_[name] = this;
}

void zap_handler::serve() noexcept {
    while (receive_one()) continue;
    pump_.touched();
}

bool zap_handler::receive_one() noexcept {
    try {
        const std::vector<std::string> request = receive_frames(socket_.get());
        if (request.empty()) return false;
        decide(request);
    } catch (...) {
        // Out of memory: no answer, so the handshake is not finished and ends at its limit.
    }
    return true;
}

// Asker, "", version, request id, domain, address, routing id, mechanism, key.
void zap_handler::decide(const std::vector<std::string>& request) {
    if (request.size() < 4) return;
    std::string user;
    if (request.size() == 9 && request[2] == "1.0" && request[7] == "CURVE" && request[8].size() == 32) {
        const auto place = domains_.find(request[4]);
        std::string key = as_z85(request[8]);
        if (place != domains_.end() && place->second->clients.find(key))
            user = std::move(key);
        else if (place != domains_.end())
            ++place->second->refused;
    }
    const bool allowed = !user.empty();
    const std::array<std::string_view, 8> answer{
        request[0], "", "1.0", request[3], allowed ? "200" : "400", allowed ? "OK" : "unknown key", user, ""};
    for (std::size_t i = 0; i < answer.size(); ++i) {
        const int flags = ZMQ_DONTWAIT | (i + 1 < answer.size() ? ZMQ_SNDMORE : 0);
        while (zmq_send(socket_.get(), answer[i].data(), answer[i].size(), flags) < 0)
            if (zmq_errno() != EINTR) return;
    }
    pump_.touched();
}

namespace {

// The events of a handshake: true for refused, false for anything else that ends it.
std::optional<bool> handshake_ended(void* monitor) {
    const std::vector<std::string> event = receive_frames(monitor);
    if (event.empty() || event[0].size() != 6) return {};
    std::uint16_t what = 0;
    std::int32_t value = 0;
    std::memcpy(&what, event[0].data(), sizeof what);
    std::memcpy(&value, event[0].data() + 2, sizeof value);
    return what == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && value == zap_refused;
}

std::string reachable(std::string endpoint) {
    for (const auto& [any, here] :
         {std::pair("tcp://0.0.0.0:", "tcp://127.0.0.1:"), std::pair("tcp://[::]:", "tcp://[::1]:")})
        if (endpoint.starts_with(any)) endpoint.replace(0, std::strlen(any), here);
    return endpoint;
}

}  // namespace

void prove_refusal(const std::shared_ptr<zmq_context>& context, const std::string& endpoint,
                   const std::string& server_key, zap_handler* zap, std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    zmq_socket stranger(context, ZMQ_DEALER), monitor(context, ZMQ_PAIR);
    set_client_keys(stranger, {generate_keys(), server_key});
    const std::string events = next_name("inproc://moebius-stranger-");
    constexpr int mask = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(stranger.get(), events.c_str(), mask) != 0) throw_zmq("a monitor");
    monitor.connect(events);
    stranger.connect(reachable(endpoint));
    std::optional<bool> refused;
    while (!refused && std::chrono::steady_clock::now() < end) {
        std::array<zmq_pollitem_t, 2> items{
            {{monitor.get(), 0, ZMQ_POLLIN, 0}, {zap ? zap->socket() : monitor.get(), 0, ZMQ_POLLIN, 0}}};
        if (zmq_poll(items.data(), static_cast<int>(items.size()), 10) < 0 && zmq_errno() != EINTR)
            throw_zmq("the self-test of " + endpoint);
        if (zap) zap->serve();
        refused = handshake_ended(monitor.get());
    }
    zmq_socket_monitor(stranger.get(), nullptr, 0);
    if (!refused) throw error(errc::unprotected, endpoint + ": no key was refused in time, and none accepted");
    if (!*refused) throw error(errc::unprotected, endpoint + ": a key that nobody knows was not refused");
}

bool stays_on_this_machine(std::string_view endpoint) noexcept {
    if (endpoint.starts_with("ipc://") || endpoint.starts_with("inproc://")) return true;
    constexpr std::string_view tcp = "tcp://";
    const std::size_t colon = endpoint.rfind(':');
    if (!endpoint.starts_with(tcp) || colon < tcp.size()) return false;
    std::string_view host = endpoint.substr(tcp.size(), colon - tcp.size());
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    boost::system::error_code failure;
    const auto address = boost::asio::ip::make_address(std::string(host), failure);
    return !failure && address.is_loopback();
}

void wipe(std::string& secret) noexcept {
    explicit_bzero(secret.data(), secret.size());
}

void set_server_keys(zmq_socket& one, const std::string& secret_key, const std::string& domain) {
    (void)public_key_of(secret_key);
    one.set(ZMQ_CURVE_SERVER, 1);
    one.set(ZMQ_CURVE_SECRETKEY, secret_key);
    one.set(ZMQ_ZAP_DOMAIN, domain);
    // Without it a handler that is gone would let everybody in.
    one.set(enforce_domain, 1);
}

void set_client_keys(zmq_socket& one, const client_security& keys) {
    if (public_key_of(keys.keys.secret_key) != keys.keys.public_key)
        throw error(errc::invalid_key, "the client's keys do not belong together");
    (void)allowlist().add(keys.server_key);  // throws for what is no public key
    one.set(ZMQ_CURVE_PUBLICKEY, keys.keys.public_key);
    one.set(ZMQ_CURVE_SECRETKEY, keys.keys.secret_key);
    one.set(ZMQ_CURVE_SERVERKEY, keys.server_key);
}

}  // namespace moebius::detail
