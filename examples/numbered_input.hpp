// The input of the delivery examples: the numbers 1 to `count` in a stream, each exactly once, however often
// the program is killed on the way.
//
// The feeder is a named producer, and each checkpoint carries the place in the source at which to go on. Both
// are stored in one atomic step, so the next instance neither repeats nor misses a number.
#pragma once

#include <tstreams/tstreams.hpp>

#include <cstdint>
#include <string>

inline void feed_numbers(tstreams::client& client, const std::string& stream, std::uint32_t partitions,
                         std::uint64_t count) {
    constexpr std::uint64_t batch = 100;
    client.open_or_create({.name = stream, .partitions = partitions});
    auto feeder = client.make_producer(stream, {.name = "feeder"});
    std::uint64_t fed = std::stoull(feeder.source_position().value_or("0"));
    while (fed < count) {
        auto transaction = feeder.begin();
        do {
            transaction.put(std::to_string(++fed));
        } while (fed < count && fed % batch != 0);
        transaction.checkpoint(std::to_string(fed));
    }
}
