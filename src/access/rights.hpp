// What a client may do with a stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::access {

enum class right : std::uint8_t {
    create = 1,   // make a stream of this name
    write = 2,    // open, fill and decide transactions; attach named producers
    read = 4,     // read transactions and their items
    offsets = 8,  // attach named consumers; store, list, set and delete their offsets
    admin = 16,   // change and delete the stream; abort transactions of others
};

class rights {
public:
    constexpr rights() noexcept = default;
    constexpr rights(right one) noexcept : bits_(static_cast<std::uint8_t>(one)) {}  // NOLINT: one right is a set
    [[nodiscard]] static constexpr rights all() noexcept {
        rights every;
        every.bits_ = 31;
        return every;
    }

    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    // At least one of them.
    [[nodiscard]] constexpr bool any_of(rights wanted) const noexcept { return (bits_ & wanted.bits_) != 0; }
    [[nodiscard]] constexpr bool all_of(rights wanted) const noexcept { return (bits_ & wanted.bits_) == wanted.bits_; }
    constexpr rights& operator|=(rights more) noexcept {
        bits_ = static_cast<std::uint8_t>(bits_ | more.bits_);
        return *this;
    }
    friend constexpr rights operator|(rights one, rights other) noexcept { return one |= other; }
    friend constexpr bool operator==(rights, rights) noexcept = default;

private:
    std::uint8_t bits_ = 0;
};

[[nodiscard]] constexpr rights operator|(right one, right other) noexcept {
    return rights(one) | rights(other);
}

// "read,offsets" or "all", in the order of the enumeration; and back. Nothing for words that are no rights.
[[nodiscard]] std::string to_string(rights set);
[[nodiscard]] std::optional<rights> parse_rights(std::string_view text);

}  // namespace tstreams::access
