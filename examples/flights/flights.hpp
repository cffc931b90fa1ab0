// The events of the example: flights, how they are read from the data file, and how they look as items.
#pragma once

#include <tstreams/codec.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flights {

inline constexpr std::string_view input_stream = "flights";            // one item per flight
inline constexpr std::string_view results_stream = "flights.windows";  // one item per closed window
inline constexpr std::string_view state_stream = "flights.state";      // the aggregator's open windows
inline constexpr std::uint32_t partitions = 4;                         // of each of the three
inline constexpr std::string_view end_of_input = "end";                // the last item of every input partition
inline constexpr std::uint32_t window_minutes = 360;

struct flight {
    std::uint32_t minute = 0;  // since 1970
    std::int32_t delay = 0;    // minutes
    std::uint32_t miles = 0;
    std::string origin;
    std::string destination;
};

// The whole file, which data/README.md describes. Throws std::runtime_error.
[[nodiscard]] std::vector<flight> read_file(const std::string& path);

// All flights of one airport go to one partition: FNV-1a of its code, modulo `partitions`.
[[nodiscard]] std::uint32_t partition_of(std::string_view airport) noexcept;

// "2001-01-01T06:00"
[[nodiscard]] std::string format_minute(std::uint32_t minute);

// The fields of `text`, split at `separator`.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::int64_t to_number(std::string_view text);  // throws std::runtime_error

// What the two roles have done, for the progress line and for whoever kills the program: with a file, the
// numbers live in a shared mapping of it and so are still there, up to date, after SIGKILL.
struct status {
    std::atomic<std::uint64_t> flights_total{0};
    std::atomic<std::uint64_t> flights_fed{0};             // in checkpointed transactions, since the beginning
    std::atomic<std::uint64_t> transactions_open{0};       // of the feeder, now
    std::atomic<std::uint64_t> transactions_cancelled{0};  // by the feeder, in this run, and sent again
    std::atomic<std::uint64_t> flights_counted{0};         // by the aggregator, since the beginning
    std::atomic<std::uint64_t> transactions_counted{0};
    std::atomic<std::uint64_t> windows_written{0};
};

// Lives until the program ends. With an empty path the numbers are in memory only.
[[nodiscard]] status& make_status(const std::string& path);

}  // namespace flights

// "2001-01-01T00:01,LAS,PHL,33,2176": time, origin, destination, delay, miles. Readable, because the input
// stream is also read by people and other programs.
template <>
struct tstreams::codec<flights::flight> {
    static std::string encode(const flights::flight& value);
    static flights::flight decode(bytes_view bytes);
};
