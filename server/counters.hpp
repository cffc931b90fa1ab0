// What the calls of the protocol count.
#pragma once

#include <tstreams/error.hpp>
#include <tstreams/ports/histogram.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace tstreams::server {

// Since the start. On the loop's thread.
struct call_counters {
    static constexpr std::size_t codes = 128;     // above every number of errors.def
    std::array<std::uint64_t, codes> refusals{};  // by number; 0: what has no code
    std::uint64_t refused = 0;                    // all of them
    std::uint64_t unprotected_sessions = 0;       // opened over TCP without a key: they have all rights
    ports::histogram commit_microseconds;         // from the request's decoding until its answer is made

    void count_refusal(const std::exception_ptr& failure) noexcept {
        std::size_t code = 0;
        try {
            std::rethrow_exception(failure);
        } catch (const error& known) {
            code = static_cast<std::size_t>(known.code());
        } catch (...) {
            code = 0;
        }
        count_refusal(code);
    }
    void count_refusal(std::size_t code) noexcept {
        ++refusals[code < codes ? code : 0];
        ++refused;
    }
};

}  // namespace tstreams::server
