#include "server/exposition.hpp"

#include <array>
#include <charconv>

namespace tstreams::server {

namespace {

// What others chose: quotes, backslashes and line ends are written as the format wants them. Other control characters
// would be allowed, but are nothing that a name needs.
void append_escaped(std::string& to, std::string_view value) {
    for (const char one : value) {
        if (one == '\\' || one == '"') {
            to += '\\';
            to += one;
        } else if (one == '\n') {
            to += "\\n";
        } else if (static_cast<unsigned char>(one) < 0x20 || static_cast<unsigned char>(one) >= 0x7f) {
            to += '?';  // also half of a character, which would make the whole text invalid
        } else {
            to += one;
        }
    }
}

template <class Number>
void append_number(std::string& to, Number value) {
    std::array<char, 32> digits;
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    to.append(digits.data(), written.ptr);
}

}  // namespace

void exposition::family(std::string_view name, std::string_view help, std::string_view type) {
    for (const auto& [word, rest] :
         {std::pair<std::string_view, std::string_view>{"# HELP ", help}, {"# TYPE ", type}}) {
        text_ += word;
        text_ += name;
        text_ += ' ';
        text_ += rest;
        text_ += '\n';
    }
}

void exposition::begin_sample(std::string_view name, std::initializer_list<label> labels) {
    text_ += name;
    char before = '{';
    for (const label& one : labels) {
        text_ += before;
        text_ += one.first;
        text_ += "=\"";
        append_escaped(text_, one.second);
        text_ += '"';
        before = ',';
    }
    if (labels.size() != 0) text_ += '}';
    text_ += ' ';
}

void exposition::sample(std::string_view name, std::initializer_list<label> labels, std::uint64_t value) {
    begin_sample(name, labels);
    append_number(text_, value);
    text_ += '\n';
}

void exposition::sample(std::string_view name, std::initializer_list<label> labels, double value) {
    begin_sample(name, labels);
    append_number(text_, value);
    text_ += '\n';
}

void exposition::histogram(std::string_view name, std::string_view help, const ports::histogram& counted, double unit) {
    family(name, help, "histogram");
    const std::string base(name);
    std::uint64_t total = 0;
    for (std::size_t bucket = 0; bucket + 1 < ports::histogram::buckets; ++bucket) {
        total += counted.counts[bucket];
        std::string bound;
        append_number(bound, static_cast<double>(std::uint64_t{1} << bucket) / unit);
        sample(base + "_bucket", {{"le", bound}}, total);
    }
    total += counted.counts.back();
    sample(base + "_bucket", {{"le", "+Inf"}}, total);
    sample(base + "_sum", {}, static_cast<double>(counted.sum) / unit);
    sample(base + "_count", {}, total);
}

}  // namespace tstreams::server
