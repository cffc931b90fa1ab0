#include "moebius/json_scan.hpp"

#include <array>
#include <bit>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace moebius::detail {
namespace {

constexpr unsigned depth_max = 128;

// Bytes inside a string that need a look: its end, an escape, control characters, and all that is not ASCII.
constexpr std::array<bool, 256> special = [] {
    std::array<bool, 256> table{};
    for (std::size_t i = 0; i < 256; ++i) table[i] = i < 0x20 || i >= 0x80 || i == '"' || i == '\\';
    return table;
}();

// The place of the first special byte among eight, or 8. A subtraction leaves the highest bit of a byte that is below
// what is subtracted; its borrow may mark bytes above that one too, so only the lowest mark counts.
std::size_t first_special(std::uint64_t word) {
    static_assert(std::endian::native == std::endian::little);
    constexpr std::uint64_t each = 0x0101010101010101U;
    const std::uint64_t quote = word ^ each * '"';
    const std::uint64_t backslash = word ^ each * '\\';
    const std::uint64_t low = (word - each * 0x20) & ~word;
    const std::uint64_t marks = low | ((quote - each) & ~quote) | ((backslash - each) & ~backslash) | word;
    return static_cast<std::size_t>(std::countr_zero(marks & each * 0x80)) / 8;
}

// The first special byte at or behind `at`, or the end.
std::size_t find_special(std::string_view text, std::size_t at) {
    std::uint64_t word = 0;
    constexpr std::size_t width = sizeof word;
    for (; text.size() - at >= width; at += width) {
        std::memcpy(&word, text.data() + at, width);
        if (const std::size_t place = first_special(word); place < width) return at + place;
    }
    const std::size_t rest = text.size() - at;
    if (rest == 0) return at;
    if (text.size() >= width) {
        // The last eight bytes without those before `at`. The zeros that follow them are special.
        std::memcpy(&word, text.data() + text.size() - width, width);
        return at + first_special(word >> 8 * (width - rest));
    }
    while (at < text.size() && !special[static_cast<std::uint8_t>(text[at])]) ++at;
    return at;
}

// The length of the UTF-8 sequence that begins at `at`; 0 for none. Overlong forms, surrogates and numbers above
// U+10FFFF are none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return at + i < text.size() ? static_cast<std::uint8_t>(text[at + i]) : std::uint8_t{0};
    };
    const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const bool bad = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F);
        return !bad && follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const bool bad = (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F);
        return !bad && follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

void append_utf8(std::string& to, std::uint32_t point) {
    const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
    if (point < 0x80) return put(point);
    if (point < 0x800) {
        put(0xC0 | point >> 6);
        return put(0x80 | (point & 0x3F));
    }
    if (point < 0x10000) {
        put(0xE0 | point >> 12);
    } else {
        put(0xF0 | point >> 18);
        put(0x80 | (point >> 12 & 0x3F));
    }
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
}

class scanner {
public:
    explicit scanner(std::string_view text) : text_(text) {}

    // A string as it is written, without its quotes.
    struct raw_string {
        std::string_view written;
        bool escaped = false;
    };

    bool object(raw_string& command, bool& found);
    [[nodiscard]] bool at_end() {
        skip_space();
        return at_ == text_.size();
    }

private:
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char wanted) {
        skip_space();
        if (peek() != wanted || at_ == text_.size()) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
            ++at_;
    }
    bool string(raw_string& found) {
        if (!take('"')) return false;
        const std::size_t end = find_special(text_, at_);
        if (end == text_.size() || text_[end] != '"') return long_string(found);
        found = {{text_.data() + at_, end - at_}, false};
        at_ = end + 1;
        return true;
    }
    bool long_string(raw_string& found);  // behind its first quote
    bool escape();
    bool number();
    bool digits();
    bool word(std::string_view wanted) {
        if (text_.substr(at_, wanted.size()) != wanted) return false;
        at_ += wanted.size();
        return true;
    }
    bool scalar();
    bool value();  // any, without recursion

    std::string_view text_;
    std::size_t at_ = 0;
};

bool scanner::long_string(raw_string& found) {
    const std::size_t begin = at_;
    found.escaped = false;
    for (;;) {
        at_ = find_special(text_, at_);
        if (at_ == text_.size()) return false;
        const auto byte = static_cast<std::uint8_t>(text_[at_]);
        if (byte == '"') break;
        if (byte < 0x20) return false;
        if (byte == '\\') {
            found.escaped = true;
            if (!escape()) return false;
            continue;
        }
        const std::size_t length = utf8_length(text_, at_);
        if (length == 0) return false;
        at_ += length;
    }
    found.written = text_.substr(begin, at_ - begin);
    ++at_;
    return true;
}

bool scanner::escape() {
    ++at_;
    const char what = peek();
    ++at_;
    if (what != 'u') return what != '\0' && std::string_view("\"\\/bfnrt").find(what) != std::string_view::npos;
    for (unsigned i = 0; i < 4; ++i, ++at_) {
        const char digit = peek();
        const bool hex =
            (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F');
        if (!hex) return false;
    }
    return true;
}

bool scanner::digits() {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > begin;
}

bool scanner::number() {
    if (peek() == '-') ++at_;
    if (peek() == '0')
        ++at_;
    else if (!digits())
        return false;
    if (peek() == '.') {
        ++at_;
        if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
        ++at_;
        if (peek() == '+' || peek() == '-') ++at_;
        if (!digits()) return false;
    }
    return true;
}

bool scanner::scalar() {
    raw_string ignored;
    switch (peek()) {
        case '"':
            return string(ignored);
        case 't':
            return word("true");
        case 'f':
            return word("false");
        case 'n':
            return word("null");
        default:
            return number();
    }
}

bool scanner::value() {
    std::bitset<depth_max> is_object;
    unsigned depth = 0;
    raw_string key;
    for (;;) {
        skip_space();
        const char first = peek();
        if (first == '{' || first == '[') {
            if (depth == depth_max) return false;
            ++at_;
            const bool object = first == '{';
            if (!take(object ? '}' : ']')) {
                is_object[depth++] = object;
                if (object && (!string(key) || !take(':'))) return false;
                continue;
            }
        } else if (!scalar()) {
            return false;
        }
        // After a value: what it is inside of goes on or ends.
        while (depth > 0 && take(is_object[depth - 1] ? '}' : ']')) --depth;
        if (depth == 0) return true;
        if (!take(',')) return false;
        if (is_object[depth - 1] && (!string(key) || !take(':'))) return false;
    }
}

std::uint32_t hex4(std::string_view text) {
    std::uint32_t value = 0;
    for (const char digit : text.substr(0, 4)) {
        const bool letter = digit > '9';
        value = value * 16 + static_cast<std::uint32_t>(letter ? (digit | 0x20) - 'a' + 10 : digit - '0');
    }
    return value;
}

// The text that a checked string means. A lone half of a surrogate pair means U+FFFD.
void unescape(std::string_view written, std::string& to) {
    to.clear();
    for (std::size_t i = 0; i < written.size(); ++i) {
        if (written[i] != '\\') {
            to += written[i];
            continue;
        }
        const char what = written[++i];
        constexpr std::string_view letters = "bfnrt";
        if (what != 'u') {
            const std::size_t place = letters.find(what);
            to += place == std::string_view::npos ? what : "\b\f\n\r\t"[place];
            continue;
        }
        std::uint32_t point = hex4(written.substr(i + 1));
        i += 4;
        const bool pair = point >= 0xD800 && point < 0xDC00 && written.substr(i + 1, 2) == "\\u";
        const std::uint32_t low = pair ? hex4(written.substr(i + 3)) : 0;
        if (low >= 0xDC00 && low < 0xE000) {
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
            i += 6;
        }
        append_utf8(to, point >= 0xD800 && point < 0xE000 ? 0xFFFD : point);
    }
}

bool scanner::object(raw_string& command, bool& found) {
    if (!take('{')) return false;
    if (take('}')) return true;
    std::string name;
    do {
        raw_string key;
        if (!string(key) || !take(':')) return false;
        if (key.escaped) unescape(key.written, name);
        skip_space();
        if ((key.escaped ? std::string_view(name) : key.written) == "command") {
            found = peek() == '"';
            if (found ? !string(command) : !value()) return false;
        } else if (!value()) {
            return false;
        }
    } while (take(','));
    return take('}');
}

}  // namespace

json_command find_command(std::string_view text, std::string& scratch) {
    scanner scan(text);
    scanner::raw_string command;
    bool found = false;
    if (!scan.object(command, found) || !scan.at_end()) return {errc::malformed, {}};
    if (!found) return {errc::unroutable, {}};
    if (!command.escaped) return {errc::none, command.written};
    unescape(command.written, scratch);
    return {errc::none, scratch};
}

void append_escaped(std::string& to, std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const std::size_t length = utf8_length(text, i);
        if (length == 0) {
            to += '?';
            ++i;
            continue;
        }
        if (byte == '"' || byte == '\\') {
            to += '\\';
            to += text[i];
        } else if (byte < 0x20) {
            std::array<char, 8> code{};
            std::snprintf(code.data(), code.size(), "\\u%04x", byte);
            to += code.data();
        } else {
            to += text.substr(i, length);
        }
        i += length;
    }
}

}  // namespace moebius::detail
