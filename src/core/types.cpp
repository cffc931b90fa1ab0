// The public types' functions: names of codes and states, durability as text.
#include "core/service.hpp"

#include <tstreams/error.hpp>
#include <tstreams/types.hpp>

#include <algorithm>
#include <charconv>

namespace tstreams {

namespace core {

request_id make_request_id(wall_time made, bool answer_kept, std::uint64_t random_high,
                           std::uint64_t random_low) noexcept {
    constexpr std::uint64_t kept = 1;
    constexpr std::uint64_t random_bits = 0x3fe;
    request_id request;
    request.high = transaction_id::at(made).value() | (random_high & random_bits) | (answer_kept ? kept : 0);
    request.low = random_low;
    return request;
}

namespace {

template <class T>
weave::task<T> not_served() {
    throw error(errc::unsupported, "this store is not served by a tstreamsd, or by one that does not know the call");
    co_return T{};
}

}  // namespace

weave::task<std::vector<open_transaction_info>> service::list_open(std::uint32_t) {
    return not_served<std::vector<open_transaction_info>>();
}

weave::task<server_status> service::status() {
    return not_served<server_status>();
}

weave::task<std::vector<server_client>> service::list_clients(std::uint32_t) {
    return not_served<std::vector<server_client>>();
}

}  // namespace core

std::string_view name(errc code) noexcept {
    switch (code) {
#define TSTREAMS_ERROR(name, number, retryable, text) \
    case errc::name:                                  \
        return #name;
#include <tstreams/errors.def>
#undef TSTREAMS_ERROR
    }
    return "unknown_error";
}

std::string_view text(errc code) noexcept {
    switch (code) {
#define TSTREAMS_ERROR(name, number, retryable, text) \
    case errc::name:                                  \
        return text;
#include <tstreams/errors.def>
#undef TSTREAMS_ERROR
    }
    return "an error that this version does not know";
}

bool retryable(errc code) noexcept {
    switch (code) {
#define TSTREAMS_ERROR(name, number, retryable, text) \
    case errc::name:                                  \
        return retryable;
#include <tstreams/errors.def>
#undef TSTREAMS_ERROR
    }
    return false;
}

std::string_view name(outcome value) noexcept {
    switch (value) {
        case outcome::applied:
            return "applied";
        case outcome::not_applied:
            return "not_applied";
        case outcome::unknown:
            return "unknown";
    }
    return "unknown";
}

std::string_view name(transaction_state state) noexcept {
    switch (state) {
        case transaction_state::open:
            return "open";
        case transaction_state::checkpointed:
            return "checkpointed";
        case transaction_state::not_checkpointed:
            return "not_checkpointed";
        case transaction_state::gone:
            return "gone";
    }
    return "gone";
}

std::string_view name(event_kind kind) noexcept {
    switch (kind) {
        case event_kind::opened:
            return "opened";
        case event_kind::checkpointed:
            return "checkpointed";
        case event_kind::cancelled:
            return "cancelled";
        case event_kind::expired:
            return "expired";
        case event_kind::lost:
            return "lost";
    }
    return "unknown";
}

durability stricter(durability one, durability other) noexcept {
    if (one.level != other.level) return one.level > other.level ? one : other;
    if (one.level == durability::kind::interval) one.interval = std::min(one.interval, other.interval);
    return one;
}

std::string to_string(const durability& level) {
    switch (level.level) {
        case durability::kind::process:
            return "process";
        case durability::kind::interval:
            return "interval:" + std::to_string(level.interval.count()) + "ms";
        case durability::kind::sync:
            break;
    }
    return "sync";
}

durability parse_durability(std::string_view text) {
    if (text == "sync") return durability::sync();
    if (text == "process") return durability::process();
    constexpr std::string_view prefix = "interval:";
    if (text.starts_with(prefix)) {
        std::string_view rest = text.substr(prefix.size());
        std::int64_t unit = 0;
        if (rest.ends_with("ms")) {
            unit = 1;
            rest.remove_suffix(2);
        } else if (rest.ends_with("s")) {
            unit = 1000;
            rest.remove_suffix(1);
        }
        std::int64_t number = 0;
        const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        constexpr std::int64_t longest = 60 * 60 * 1000;
        if (unit != 0 && parsed.ec == std::errc{} && parsed.ptr == rest.data() + rest.size() && number > 0 &&
            number <= longest / unit)
            return durability::every(std::chrono::milliseconds(number * unit));
    }
    throw error(errc::invalid_argument,
                "durability '" + std::string(text) + "': use sync, process, or interval:TIME from 1ms to 3600s");
}

}  // namespace tstreams
