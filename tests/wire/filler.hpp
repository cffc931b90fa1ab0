// Two more archives for describe(): one that fills a value, and one that shows it.
#pragma once

#include "wire/archive.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace tstreams::wire::test {

// Gives every field a value of its own that shows the order of its bytes; lists have two elements, what is optional
// is there.
class filler {
public:
    template <class... Fields>
    void operator()(Fields&... fields) {
        (fill(fields), ...);
    }
    template <class Structure>
        requires requires(filler& to, Structure& value) { describe(to, value); }
    void fill(Structure& value) {
        describe(*this, value);
    }
    void fill(bool& value) { value = true; }
    template <number T>
    void fill(T& value) {
        constexpr std::uint64_t pattern = 0x0102030405060700;
        value = static_cast<T>((pattern >> (8 * (8 - sizeof value))) + next());
    }
    template <class T>
        requires std::is_enum_v<T>
    void fill(T& value) {
        value = static_cast<T>(2);
    }
    void fill(std::string& text) { text = "text " + std::to_string(next()); }
    void fill(std::string_view& text) { text = "a view"; }
    void fill(bytes_view& data) { data = as_bytes(std::string_view("\x05items\x00", 7)); }
    void fill(transaction_id& id) { id = transaction_id::at(noon(next())); }
    void fill(wall_time& time) { time = noon(next()); }
    template <class Period>
    void fill(std::chrono::duration<std::int64_t, Period>& time) {
        time = std::chrono::duration<std::int64_t, Period>(1000 * next());
    }
    template <class T>
    void fill(std::optional<T>& value) {
        fill(value.emplace());
    }
    template <class T>
    void fill(std::vector<T>& list) {
        list.resize(2);
        for (T& one : list) fill(one);
    }

private:
    static wall_time noon(std::uint8_t seconds) {
        return wall_time(std::chrono::seconds(1'764'158'400 + seconds));  // of 2025-11-26
    }
    std::uint8_t next() noexcept { return ++last_; }

    std::uint8_t last_ = 0;
};

// As JSON: structures and lists are arrays, characters of texts are bytes.
class viewer {
public:
    template <class... Fields>
    void operator()(const Fields&... fields) {
        (show(fields), ...);
    }
    template <class T>
    void show(const T& value) {
        if (!text_.empty() && text_.back() != '[') text_ += ',';
        show_it(value);
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    template <class Structure>
        requires requires(viewer& to, const Structure& value) { describe(to, value); }
    void show_it(const Structure& value) {
        text_ += '[';
        describe(*this, value);
        text_ += ']';
    }
    void show_it(bool value) { text_ += value ? "true" : "false"; }
    template <number T>
    void show_it(T value) {
        text_ += std::to_string(value);
    }
    template <class T>
        requires std::is_enum_v<T>
    void show_it(T value) {
        text_ += std::to_string(static_cast<std::underlying_type_t<T>>(value));
    }
    void show_it(std::string_view text) {
        text_ += '"';
        for (const char one : text) {
            const auto byte = static_cast<unsigned char>(one);
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            if (byte < 0x20 || byte > 0x7e || one == '"' || one == '\\')
                text_ += escaped;
            else
                text_ += one;
        }
        text_ += '"';
    }
    void show_it(const std::string& text) { show_it(std::string_view(text)); }
    void show_it(bytes_view data) { show_it(as_text(data)); }
    void show_it(transaction_id id) { text_ += std::to_string(id.value()); }
    void show_it(wall_time time) { text_ += std::to_string(time.time_since_epoch().count()); }
    template <class Period>
    void show_it(std::chrono::duration<std::int64_t, Period> time) {
        text_ += std::to_string(time.count());
    }
    template <class T>
    void show_it(const std::optional<T>& value) {
        if (value)
            show_it(*value);
        else
            text_ += "null";
    }
    template <class T>
    void show_it(const std::vector<T>& list) {
        text_ += '[';
        for (const T& one : list) show(one);
        text_ += ']';
    }

    std::string text_;
};

template <class T>
std::string shown(const T& value) {
    viewer view;
    view.show(value);
    return view.text();
}

}  // namespace tstreams::wire::test
