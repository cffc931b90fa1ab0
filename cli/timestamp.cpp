#include "cli/timestamp.hpp"

#include <array>
#include <cstdio>

namespace tstreams::cli {

namespace {

// Reads a text from left to right; once something did not match, everything after it fails too.
class scanner {
public:
    explicit scanner(std::string_view text) noexcept : rest_(text) {}

    // Exactly `digits` decimal digits, at most `highest`.
    int number(int digits, int highest) noexcept {
        int value = 0;
        for (int i = 0; i < digits; ++i) {
            if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') return fail();
            value = value * 10 + (rest_[0] - '0');
            rest_.remove_prefix(1);
        }
        return value <= highest ? value : fail();
    }
    // One of the characters; returns which.
    char one_of(std::string_view characters) noexcept {
        if (rest_.empty() || characters.find(rest_[0]) == std::string_view::npos) return static_cast<char>(fail());
        const char found = rest_[0];
        rest_.remove_prefix(1);
        return found;
    }
    [[nodiscard]] bool next_is(char character) const noexcept { return !rest_.empty() && rest_[0] == character; }
    [[nodiscard]] bool next_is_digit() const noexcept { return !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; }
    [[nodiscard]] bool complete() const noexcept { return !failed_ && rest_.empty(); }

private:
    int fail() noexcept {
        failed_ = true;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool failed_ = false;
};

std::chrono::microseconds fraction(scanner& in) noexcept {
    int micros = 0;
    int scale = 100'000;
    if (!in.next_is('.')) return {};
    in.one_of(".");
    do {
        micros += in.number(1, 9) * scale;
        scale /= 10;
    } while (in.next_is_digit());
    return std::chrono::microseconds(micros);
}

std::chrono::minutes zone(scanner& in) noexcept {
    const char sign = in.one_of("Zz+-");
    if (sign != '+' && sign != '-') return {};
    const int hours = in.number(2, 23);
    in.one_of(":");
    const int minutes = hours * 60 + in.number(2, 59);
    return std::chrono::minutes(sign == '-' ? -minutes : minutes);
}

}  // namespace

std::optional<wall_time> parse_timestamp(std::string_view text) noexcept {
    using namespace std::chrono;
    scanner in(text);
    const year y(in.number(4, 9999));
    in.one_of("-");
    const month m(static_cast<unsigned>(in.number(2, 12)));
    in.one_of("-");
    const day d(static_cast<unsigned>(in.number(2, 31)));
    in.one_of("Tt ");
    const hours hour(in.number(2, 23));
    in.one_of(":");
    const minutes minute(in.number(2, 59));
    in.one_of(":");
    const seconds second(in.number(2, 60));
    const microseconds part = fraction(in);
    const minutes offset = zone(in);
    const year_month_day date(y, m, d);
    if (!in.complete() || !date.ok()) return std::nullopt;
    return wall_time(sys_days(date).time_since_epoch() + hour + minute + second + part - offset);
}

std::string format_timestamp(wall_time time) {
    using namespace std::chrono;
    const auto midnight = floor<days>(time);
    const year_month_day date(midnight);
    const hh_mm_ss<microseconds> clock(time - midnight);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return text.data();
}

}  // namespace tstreams::cli
