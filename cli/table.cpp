#include "cli/table.hpp"

#include "cli/encoding.hpp"

#include <algorithm>
#include <utility>

namespace tstreams::cli {

namespace {

constexpr std::size_t rows_kept_max = 1000;
constexpr std::size_t column_gap = 2;

// Code points, which is what most text takes in columns.
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

table::table(output& out, std::vector<std::string> heading) : out_(out), heading_(std::move(heading)) {}

void table::row(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = printable(cell);
    rows_.push_back(std::move(cells));
    if (rows_.size() == rows_kept_max || !out_.terminal()) finish();
}

void table::finish() {
    if (rows_.empty()) return;
    std::vector<std::size_t> widths;
    if (out_.terminal()) {
        widths.resize(heading_.size());
        for (std::size_t i = 0; i < heading_.size(); ++i) {
            widths[i] = width_of(heading_[i]);
            for (const auto& cells : rows_) widths[i] = std::max(widths[i], width_of(cells[i]));
        }
        if (!std::exchange(heading_printed_, true)) print(heading_, widths);
    }
    for (const auto& cells : rows_) print(cells, widths);
    rows_.clear();
}

void table::print(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
        out_.write(cells[i]);
        if (i + 1 == cells.size()) break;
        if (widths.empty())
            out_.write("\t");
        else
            out_.write(std::string(widths[i] - width_of(cells[i]) + column_gap, ' '));
    }
    out_.write("\n");
}

}  // namespace tstreams::cli
