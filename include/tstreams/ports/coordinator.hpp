// Who *tries* to own what, and who is there. Safety never rests on it: ownership is decided by fences.
#pragma once

#include <tstreams/ports/clock.hpp>
#include <weave/task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::ports {

struct lease {
    std::string name;
    std::string holder;
    std::uint64_t token = 0;   // rises with each acquisition of the name; for logs only
    steady_time safe_until{};  // counted from before the request was sent
};

struct member {
    std::string node;
    std::string information;
};

// Called, and resumes its callers, only on the executor it was constructed with. Errors: unavailable.
class coordinator {
public:
    virtual ~coordinator() = default;

    // Empty while somebody else holds the lease. The same holder may acquire again and gets a new token.
    virtual weave::task<std::optional<lease>> acquire(std::string name, std::string holder,
                                                      std::chrono::milliseconds duration) = 0;
    // Empty when the lease has been lost.
    virtual weave::task<std::optional<lease>> renew(lease held, std::chrono::milliseconds duration) = 0;
    virtual weave::task<void> release(lease held) = 0;

    // A node is a member until `duration` after its last join.
    virtual weave::task<void> join(member self, std::chrono::milliseconds duration) = 0;
    virtual weave::task<void> leave(std::string node) = 0;
    virtual weave::task<std::vector<member>> members() = 0;  // by node name

    // Hints: may be lost, repeated or reordered.
    virtual weave::task<void> publish(std::string topic, std::string message) = 0;
    virtual std::uint64_t subscribe(std::string topic, std::function<void(const std::string&)> on_message) = 0;
    virtual void unsubscribe(std::uint64_t subscription) = 0;
};

}  // namespace tstreams::ports
