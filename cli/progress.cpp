#include "cli/progress.hpp"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace tstreams::cli {

namespace {

constexpr std::chrono::milliseconds redraw_interval(100);

void write_error(std::string_view text) noexcept {
    // A failure to draw is no failure of the work.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> names = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (size >= 1024 && unit + 1 < names.size()) {
        size /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", size, names[unit]);
    return text.data();
}

}  // namespace

bool error_is_terminal() noexcept {
    return ::isatty(STDERR_FILENO) == 1;
}

progress::progress(std::string title, bool wanted, std::chrono::milliseconds delay)
    : title_(std::move(title)), active_(wanted && error_is_terminal()), next_(clock::now() + delay) {}

progress::~progress() {
    clear();
}

bool progress::due() {
    if (!active_) return false;
    const auto now = clock::now();
    if (now < next_) return false;
    next_ = now + redraw_interval;
    return true;
}

void progress::bytes(std::uint64_t done, std::uint64_t all) {
    if (!due()) return;
    constexpr std::size_t width = 30;
    const double share = all == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    std::string text = "[" + std::string(filled, '#') + std::string(width - filled, '.') + "] ";
    text += std::to_string(static_cast<int>(share * 100)) + "% of " + size_text(all);
    draw(text);
}

void progress::items(std::uint64_t done) {
    if (due()) draw(std::to_string(done) + " items");
}

void progress::draw(const std::string& text) {
    drawn_ = true;
    write_error("\r\x1b[K" + title_ + " " + text);
}

void progress::clear() noexcept {
    if (std::exchange(drawn_, false)) write_error("\r\x1b[K");
}

}  // namespace tstreams::cli
