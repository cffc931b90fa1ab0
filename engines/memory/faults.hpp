// Which calls of the memory engine fail, and how: by chance from a seed, or as scripted. None unless asked
// for.
#pragma once

#include "engines/memory/random.hpp"

#include <tstreams/error.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace tstreams::memory {

// What becomes of a commit. An exclusive store that does not know fails for good, and is to be reopened.
enum class commit_fault : std::uint8_t {
    none,
    unavailable,
    unknown_applied,
    unknown_not_applied,
    unknown_applied_later,  // when its time has come, unless a settle or a later batch decides before; or at reopening
};

enum class call : std::uint8_t {
    commit,  // scripted only: by chance commits fail as commit_fault says
    settle,
    read,  // get and scan
    blob_write,
    blob_sync,
    blob_read,
    blob_drop,
    coordination,
};
inline constexpr std::size_t calls = 8;

// Probabilities, 0 to 1.
struct fault_rates {
    double delay = 0;  // of a call: then its way there and its way back take up to delay_max each
    std::chrono::microseconds delay_max = std::chrono::milliseconds(20);

    double commit_unavailable = 0;
    double unknown_applied = 0;
    double unknown_not_applied = 0;
    double unknown_applied_later = 0;
    std::chrono::microseconds later_max = std::chrono::seconds(5);

    // Answers `unavailable`.
    double settle = 0;
    double read = 0;
    double blob_write = 0;
    double blob_sync = 0;
    double blob_read = 0;
    double blob_drop = 0;
    double coordination = 0;

    double lease_lost = 0;            // at its renewal
    double publication_lost = 0;      // per subscribed connection
    double publication_repeated = 0;  // per subscribed connection
};

// How long a call is on its way to the store, and its answer on the way back.
struct trip {
    std::chrono::microseconds there{0};
    std::chrono::microseconds back{0};
};

class fault_plan {
public:
    fault_plan() = default;
    fault_plan(const fault_rates& rates, std::uint64_t seed) : rates_(rates), random_(seed), active_(true) {}

    // From now on. The all-zero rates are calm weather.
    void set_rates(const fault_rates& rates);
    [[nodiscard]] const fault_rates& rates() const noexcept { return rates_; }

    // Scripts: the next commit that has none yet does this; the next such call fails with the code. Each
    // script counts once, in order, before the rates are asked.
    void next_commit(commit_fault fault);
    void fail_next(call which, errc code = errc::unavailable);

    // False: nothing can fail and nothing takes time.
    [[nodiscard]] bool active() const noexcept { return active_; }

    // What the engine asks.
    [[nodiscard]] commit_fault commit();
    [[nodiscard]] std::optional<errc> failure(call which);
    // Empty: the call takes no time.
    [[nodiscard]] std::optional<trip> delay();
    [[nodiscard]] random_source& random() noexcept { return random_; }

private:
    [[nodiscard]] double rate(call which) const noexcept;

    fault_rates rates_;
    random_source random_{0};
    bool active_ = false;
    std::deque<commit_fault> commits_;
    std::array<std::deque<errc>, calls> scripted_;
};

}  // namespace tstreams::memory
