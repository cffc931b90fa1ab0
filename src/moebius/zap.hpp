// Decides which CURVE keys may connect to the servers of a loop.
//
// libzmq asks at a fixed address of its context, and names the domain of the socket that was connected to. All servers
// of a loop share its context, so they share this; each has a domain, and under it a list, of its own. A domain that
// is not known, a mechanism other than CURVE, and whatever is malformed are refused.
#pragma once

#include "moebius/pump.hpp"
#include "moebius/zmq_socket.hpp"

#include <moebius/loop.hpp>
#include <moebius/security.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace moebius::detail {

class zap_domain;

class zap_handler final : pumped {
public:
    // The loop's; made by the first call. Throws error(transport) when the program has one of its own there.
    static std::shared_ptr<zap_handler> of(loop& home);
    explicit zap_handler(loop& home);
    ~zap_handler();

    [[nodiscard]] void* socket() const noexcept { return socket_.get(); }
    void serve() noexcept;  // what has come so far, now

private:
    friend class zap_domain;
    bool receive_one() noexcept override;
    void decide(const std::vector<std::string>& request);

    zmq_socket socket_;
    pump pump_;
    std::unordered_map<std::string, zap_domain*> domains_;
};

// The clients of one server, as long as it lives.
class zap_domain {
public:
    zap_domain(loop& home, allowlist of);
    ~zap_domain() { handler->domains_.erase(name); }
    zap_domain(const zap_domain&) = delete;
    zap_domain& operator=(const zap_domain&) = delete;

    const std::shared_ptr<zap_handler> handler;
    const std::string name;
    allowlist clients;
    std::uint64_t refused = 0;
};

// Returns when a connection to the server at `endpoint` with a new random key was refused. Otherwise, and when that
// cannot be seen within the limit, it throws error(unprotected). `zap`, if any, is served meanwhile.
void prove_refusal(const std::shared_ptr<zmq_context>& context, const std::string& endpoint,
                   const std::string& server_key, zap_handler* zap, std::chrono::milliseconds limit);

// ipc, inproc, and tcp on a loopback address.
[[nodiscard]] bool stays_on_this_machine(std::string_view endpoint) noexcept;

void set_server_keys(zmq_socket& one, const std::string& secret_key, const std::string& domain);
void set_client_keys(zmq_socket& one, const client_security& keys);  // throws error(invalid_key)

void wipe(std::string& secret) noexcept;  // before its memory is given back

constexpr int zap_refused = 400;

}  // namespace moebius::detail
