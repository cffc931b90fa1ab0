#include "cli/duration.hpp"

#include "cli/failure.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace tstreams::cli {

namespace {

struct unit {
    std::string_view name;
    std::int64_t milliseconds;
};

// From large to small; "ms" stands before "m" and "s" for parsing, where the first match counts.
constexpr std::array<unit, 5> units = {{{"d", 86'400'000}, {"h", 3'600'000}, {"ms", 1}, {"m", 60'000}, {"s", 1'000}}};

[[noreturn]] void refuse(std::string_view text, std::string_view option) {
    throw usage_error(std::string(option) + " '" + std::string(text) +
                      "': use a number with a unit (ms, s, m, h, d), for example 200ms, 90s or 24h");
}

}  // namespace

std::chrono::milliseconds parse_duration(std::string_view text, std::string_view option) {
    if (text == "0") return std::chrono::milliseconds(0);
    if (text.empty()) refuse(text, option);
    std::int64_t total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::uint32_t number = 0;
        const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (failed != std::errc{}) refuse(text, option);
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const unit* found = nullptr;
        for (const unit& one : units)
            if (found == nullptr && rest.starts_with(one.name)) found = &one;
        if (found == nullptr) refuse(text, option);
        rest.remove_prefix(found->name.size());
        const std::int64_t part = number * found->milliseconds;  // 32 by 27 bits: fits
        if (total > std::numeric_limits<std::int64_t>::max() - part) refuse(text, option);
        total += part;
    }
    return std::chrono::milliseconds(total);
}

std::chrono::seconds parse_seconds(std::string_view text, std::string_view option) {
    const auto length = parse_duration(text, option);
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(length);
    if (whole != length) throw usage_error(std::string(option) + " '" + std::string(text) + "': use whole seconds");
    return whole;
}

std::string format_duration(std::chrono::milliseconds length) {
    std::int64_t left = length.count();
    if (left == 0) return "0s";
    std::string result;
    if (left < 0) {
        result = "-";
        left = -left;
    }
    const auto take = [&](std::int64_t size, const char* name) {
        if (left < size) return;
        result += std::to_string(left / size) + name;
        left %= size;
    };
    // Up to two days people say 24h or 36h.
    if (left >= 2 * 86'400'000LL) take(86'400'000, "d");
    take(3'600'000, "h");
    take(60'000, "m");
    take(1'000, "s");
    take(1, "ms");
    return result;
}

}  // namespace tstreams::cli
