// Prometheus' text format, version 0.0.4.
#pragma once

#include <tstreams/ports/histogram.hpp>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace tstreams::server {

class exposition {
public:
    using label = std::pair<std::string_view, std::string_view>;

    template <class Number>
        requires std::integral<Number> || std::floating_point<Number>
    void counter(std::string_view name, std::string_view help, Number value) {
        family(name, help, "counter");
        sample(name, {}, value);
    }
    template <class Number>
        requires std::integral<Number> || std::floating_point<Number>
    void gauge(std::string_view name, std::string_view help, Number value) {
        family(name, help, "gauge");
        sample(name, {}, value);
    }
    // `unit`: how many of the histogram's units are one of the metric's.
    void histogram(std::string_view name, std::string_view help, const ports::histogram& counted, double unit);

    // For families of several samples: the head, then each of them.
    void family(std::string_view name, std::string_view help, std::string_view type);
    void sample(std::string_view name, std::initializer_list<label> labels, std::uint64_t value);
    void sample(std::string_view name, std::initializer_list<label> labels, double value);
    template <std::signed_integral Number>
    void sample(std::string_view name, std::initializer_list<label> labels, Number value) {
        sample(name, labels, static_cast<double>(value));
    }

    [[nodiscard]] std::string take() noexcept { return std::move(text_); }

private:
    void begin_sample(std::string_view name, std::initializer_list<label> labels);
    std::string text_;
};

}  // namespace tstreams::server
