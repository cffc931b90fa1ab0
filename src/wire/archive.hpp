// How values become bytes and come back. docs/wire-format.md describes the result byte by byte.
//
// Numbers are little-endian and of fixed size. A text or list is its length (4 bytes) and what it holds; an optional
// value one byte and, after a 1, the value. A structure is its length in bytes (4 bytes) and its fields: a reader skips
// what stands behind the fields that it knows, so that a later minor version can add some at the end.
//
// What a structure holds is said once, for both directions, by an overload of describe(archive, value).
#pragma once

#include <tstreams/error.hpp>
#include <tstreams/types.hpp>

#include <bit>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tstreams::wire {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

// The latest minor version that docs/wire-format.md describes. A build of a higher one is for tests: each of its
// structures ends with one more field, as those of a later version may.
inline constexpr unsigned latest_minor = 0;
inline constexpr bool has_later_field = TSTREAMS_WIRE_MINOR > latest_minor;
inline constexpr std::uint64_t later_field = 0x726574616c;  // "later"

template <class T>
concept number = std::unsigned_integral<T> && !std::same_as<T, bool>;

class encoder {
public:
    explicit encoder(std::size_t bytes_expected = 128) { bytes_.reserve(bytes_expected); }

    template <class... Fields>
    void operator()(const Fields&... fields) {
        (put(fields), ...);
    }
    // A structure's fields without its length: what a whole message is made of.
    template <class Structure>
    void fields_of(const Structure& value) {
        describe(*this, value);
        if constexpr (has_later_field) put(later_field);
    }
    [[nodiscard]] std::string take() noexcept { return std::move(bytes_); }

private:
    template <number T>
    void put(T value) {
        char raw[sizeof value];
        std::memcpy(raw, &value, sizeof value);
        bytes_.append(raw, sizeof raw);
    }
    void put(bool value) { put(static_cast<std::uint8_t>(value)); }
    template <class T>
        requires std::is_enum_v<T>
    void put(T value) {
        put(static_cast<std::underlying_type_t<T>>(value));
    }
    void put(std::string_view text) {
        put_length(text.size());
        bytes_.append(text);
    }
    void put(const std::string& text) { put(std::string_view(text)); }
    void put(bytes_view data) { put(as_text(data)); }
    void put(transaction_id id) { put(id.value()); }
    void put(wall_time time) { put(static_cast<std::uint64_t>(time.time_since_epoch().count())); }
    template <class Period>
    void put(std::chrono::duration<std::int64_t, Period> time) {
        put(static_cast<std::uint64_t>(time.count()));
    }
    template <class T>
    void put(const std::optional<T>& value) {
        put(value.has_value());
        if (value) put(*value);
    }
    template <class T>
    void put(const std::vector<T>& list) {
        put_length(list.size());
        for (const T& one : list) put(one);
    }
    template <class T>
        requires std::is_class_v<T> && requires(encoder& to, const T& value) { describe(to, value); }
    void put(const T& value) {
        const std::size_t start = bytes_.size();
        put(std::uint32_t{0});
        fields_of(value);
        const auto length = checked_length(bytes_.size() - start - sizeof(std::uint32_t));
        std::memcpy(bytes_.data() + start, &length, sizeof length);
    }
    static std::uint32_t checked_length(std::size_t length) {
        if (length > UINT32_MAX) throw error(errc::too_large, "a message of more than 4 GiB");
        return static_cast<std::uint32_t>(length);
    }
    void put_length(std::size_t length) { put(checked_length(length)); }

    std::string bytes_;
};

// Throws error(malformed_message) for bytes that hold less than the fields say. A length is compared with what is left
// before anything is allocated for it.
class decoder {
public:
    explicit decoder(std::string_view bytes) noexcept : rest_(bytes) {}

    template <class... Fields>
    void operator()(Fields&... fields) {
        (get(fields), ...);
    }
    template <class Structure>
    void fields_of(Structure& value) {
        describe(*this, value);
        if constexpr (has_later_field)
            if (!at_end() && read<std::uint64_t>() != later_field)
                throw error(errc::malformed_message, "a field of a later version that is not what it should be");
    }
    // For fields that an older minor version does not send.
    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

private:
    [[noreturn]] static void throw_short() {
        throw error(errc::malformed_message, "a message that ends before its fields do");
    }
    std::string_view take(std::size_t length) {
        if (length > rest_.size()) throw_short();
        const std::string_view taken = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return taken;
    }
    template <number T>
    void get(T& value) {
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
    }
    template <class T>
    [[nodiscard]] T read() {
        T value{};
        get(value);
        return value;
    }
    void get(bool& value) { value = read<std::uint8_t>() != 0; }
    template <class T>
        requires std::is_enum_v<T>
    void get(T& value) {
        value = static_cast<T>(read<std::underlying_type_t<T>>());
    }
    void get(std::string_view& text) { text = take(read<std::uint32_t>()); }
    void get(std::string& text) { text = take(read<std::uint32_t>()); }
    void get(bytes_view& data) { data = as_bytes(take(read<std::uint32_t>())); }
    void get(transaction_id& id) { id = transaction_id(read<std::uint64_t>()); }
    void get(wall_time& time) {
        time = wall_time(std::chrono::microseconds(static_cast<std::int64_t>(read<std::uint64_t>())));
    }
    template <class Period>
    void get(std::chrono::duration<std::int64_t, Period>& time) {
        time = std::chrono::duration<std::int64_t, Period>(static_cast<std::int64_t>(read<std::uint64_t>()));
    }
    template <class T>
    void get(std::optional<T>& value) {
        value.reset();
        if (read<bool>()) get(value.emplace());
    }
    template <class T>
    void get(std::vector<T>& list) {
        const auto count = read<std::uint32_t>();
        if (count > rest_.size()) throw_short();  // every element takes a byte at least
        list.clear();
        for (std::uint32_t i = 0; i < count; ++i) get(list.emplace_back());
    }
    template <class T>
        requires std::is_class_v<T> && requires(decoder& from, T& value) { describe(from, value); }
    void get(T& value) {
        decoder inner(take(read<std::uint32_t>()));
        inner.fields_of(value);
    }

    std::string_view rest_;
};

// For describe(): `T` is the structure, const in one of the directions.
template <class T, class Structure>
concept form_of = std::same_as<std::remove_const_t<T>, Structure>;

}  // namespace tstreams::wire
