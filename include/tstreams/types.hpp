// The words of T-streams as types: ids, positions, durability, stream settings.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams {

using wall_time = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

// 64 bits: microseconds since 1970 shifted left by 10, plus a counter. Strictly rising per partition and never
// reused, so (stream id, partition, transaction id) is unique and ordered. Zero is before every transaction.
class transaction_id {
public:
    constexpr transaction_id() noexcept = default;
    constexpr explicit transaction_id(std::uint64_t value) noexcept : value_(value) {}

    // The smallest id that a transaction opened at `time` can have; needs no store. Times before 1970 give zero, those
    // after 2540, when ids end, the highest.
    [[nodiscard]] static constexpr transaction_id at(wall_time time) noexcept {
        const auto micros = time.time_since_epoch().count();
        if (micros < 0) return transaction_id(0);
        if (micros >> 54 != 0) return transaction_id(~std::uint64_t{0});
        return transaction_id(static_cast<std::uint64_t>(micros) << 10);
    }

    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
    // When the transaction was opened, by the broker's clock.
    [[nodiscard]] constexpr wall_time time() const noexcept {
        return wall_time(std::chrono::microseconds(static_cast<std::int64_t>(value_ >> 10)));
    }

    friend constexpr auto operator<=>(transaction_id, transaction_id) noexcept = default;

private:
    std::uint64_t value_ = 0;
};

using partition_number = std::uint32_t;

// One id per partition: the last transaction that has been processed. Partitions that are not named start at
// the beginning.
struct partition_position {
    partition_number partition = 0;
    transaction_id after;
    friend auto operator<=>(const partition_position&, const partition_position&) = default;
};

// What an acknowledged checkpoint survives; see docs/guarantees.md.
struct durability {
    enum class kind : std::uint8_t { process = 1, interval = 2, sync = 3 };

    kind level = kind::sync;
    std::chrono::milliseconds interval{0};  // only with kind::interval: fsync at most this much later

    [[nodiscard]] static constexpr durability sync() noexcept { return {}; }
    [[nodiscard]] static constexpr durability process() noexcept { return {kind::process, {}}; }
    [[nodiscard]] static constexpr durability every(std::chrono::milliseconds time) noexcept {
        return {kind::interval, time};
    }
    friend bool operator==(const durability&, const durability&) = default;
};

// The stricter of two: a group is committed at the strictest level of its members.
[[nodiscard]] durability stricter(durability one, durability other) noexcept;
// "sync", "process", "interval:50ms"; and back (throws invalid_argument).
[[nodiscard]] std::string to_string(const durability& level);
[[nodiscard]] durability parse_durability(std::string_view text);

// What create_stream takes.
struct stream_options {
    std::string name{};                                 // [A-Za-z0-9._-]{1,128}
    std::uint32_t partitions = 1;                       // 1 to 1,024
    std::chrono::seconds ttl = std::chrono::hours(24);  // 1 s to 10 years, from the opening of a transaction
    tstreams::durability durability{};
    std::string description{};  // at most 1,024 bytes
    // How long a transaction may stay open, keepalive or not. Zero: 10 minutes, but at most half of the ttl.
    std::chrono::seconds max_open{0};
};

struct stream_info {
    std::uint64_t id = 0;  // a deleted and recreated name is a new stream with another id
    std::string name;
    std::uint32_t partitions = 0;
    std::chrono::seconds ttl{0};
    tstreams::durability durability;
    std::string description;
    std::chrono::seconds max_open{0};
    wall_time created_at;
};

// What update_stream can change. A new ttl concerns transactions opened from then on. Partitions can only be
// added, and `begin_for_key` routes by their number: keys move to other partitions then.
struct stream_changes {
    std::optional<std::chrono::seconds> ttl{};
    std::optional<std::string> description{};
    std::optional<std::uint32_t> partitions{};
};

struct stream_page {
    std::vector<stream_info> streams;  // by name, bytewise
    std::string next;                  // give as `after` for the next page; empty at the end
};

enum class transaction_state : std::uint8_t {
    open = 1,
    checkpointed = 2,
    not_checkpointed = 3,  // cancelled, expired, or never opened: final
    gone = 4,              // older than retention: nothing is known of it any more
};
[[nodiscard]] std::string_view name(transaction_state state) noexcept;

// What a watcher is told (watcher.hpp).
enum class event_kind : std::uint8_t {
    opened = 1,
    checkpointed = 2,
    cancelled = 3,  // by its producer
    expired = 4,    // ended without its producer's doing: at its deadline, by the end or silence of its client, by
                    // abort, by a newer instance of its producer, by the deletion of the stream
    lost = 5,       // events are missing here
};
[[nodiscard]] std::string_view name(event_kind kind) noexcept;

// Names a request so that asking again gives the same answer: 128 bits, never reused by a client.
struct request_id {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    [[nodiscard]] bool empty() const noexcept { return high == 0 && low == 0; }
    friend auto operator<=>(const request_id&, const request_id&) = default;
};

// A transaction as tools and scans see it, without its items.
struct transaction_info {
    partition_number partition = 0;
    transaction_id id;
    transaction_state state = transaction_state::open;
    std::uint64_t items = 0;  // zero while open: only the producer knows
    std::uint64_t bytes = 0;
    wall_time expires;   // open: its deadline; checkpointed: when retention may remove it
    std::string client;  // open: who holds it, for example "billing (pid 4711)"
};

// Why a partition gives nothing although something was written.
struct blocker {
    partition_number partition = 0;
    transaction_id id;
    std::chrono::milliseconds age{0};
    std::string client;
};

struct offset_info {
    std::string consumer;
    partition_number partition = 0;
    transaction_id position;
    wall_time updated_at;
    bool live = false;  // an instance of this name reads the partition now
};

// Whether retention removes what has expired. It holds after a jump of the clock by more than an hour: then nothing
// is removed and nothing expires, because data would be lost to a clock that is wrong (docs/guarantees.md).
struct retention_info {
    bool holding = false;
    wall_time clock;     // the time of day, as this store takes it
    wall_time believed;  // what expiry is compared with: `clock`, or while holding the last time that was believed
    std::chrono::seconds jump{0};     // while holding: how far the clock is ahead (or behind, negative)
    wall_time since;                  // while holding: when that was seen, by the clock
    std::optional<wall_time> ends{};  // when it goes on by itself; empty: only for a right clock, or when told to
    std::string reason{};             // for people
};

using bytes_view = std::span<const std::byte>;

[[nodiscard]] inline bytes_view as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline std::string_view as_text(bytes_view bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace tstreams
