// Random bytes for the decoders of what clients send. MOEBIUS_FUZZ_SEED repeats a run.
#include "moebius/json_scan.hpp"
#include "moebius/wire.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace moebius;
using namespace moebius::detail;
using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds run_time{1500};

std::mt19937_64 seeded(const char* what) {
    const char* given = std::getenv("MOEBIUS_FUZZ_SEED");
    const std::uint64_t seed = given ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("%s: MOEBIUS_FUZZ_SEED=%llu\n", what, static_cast<unsigned long long>(seed));
    return std::mt19937_64(seed);
}

// The bytes in memory of exactly their size, so that a sanitizer sees what is read beyond it.
struct exact {
    std::unique_ptr<char[]> memory;
    std::string_view text;
    explicit exact(const std::string& from) : memory(new char[from.size()]), text(memory.get(), from.size()) {
        std::copy(from.begin(), from.end(), memory.get());
    }
};

TEST(fuzz, headers_decode_to_what_they_encode) {
    std::mt19937_64 random = seeded("headers");
    std::size_t runs = 0, valid = 0;
    for (const auto end = clock::now() + run_time; clock::now() < end; ++runs) {
        std::string bytes(random() % 64, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        if (!bytes.empty() && random() % 8 != 0) bytes[0] = static_cast<char>(wire_magic);
        if (bytes.size() > 5 && random() % 8 != 0) {
            bytes[1] = static_cast<char>(wire_version);
            bytes[5] = 0;
            bytes[4] = static_cast<char>(random() % 48);
        }
        const exact frame(bytes);
        const auto found = decode(std::as_bytes(std::span(frame.text)));
        if (!found) continue;
        ++valid;
        ASSERT_LE(header_bytes + found->name_bytes, bytes.size());
        std::array<std::byte, header_bytes> again{};
        encode(*found, again.data());
        ASSERT_EQ(bytes.substr(0, header_bytes), std::string(reinterpret_cast<char*>(again.data()), again.size()));
    }
    EXPECT_GT(valid, runs / 20);
}

// A JSON text that is valid by construction, with a command that is known.
class writer {
public:
    explicit writer(std::mt19937_64& random) : random_(random) {}
    std::string object(const std::string& command) {
        std::string text = space() + "{";
        const std::size_t others = random_() % 4;
        for (std::size_t i = 0; i < others; ++i) text += string() + space() + ":" + value(0) + ",";
        return text + "\"command\"" + space() + ":" + space() + "\"" + command + "\"" + space() + "}" + space();
    }

private:
    std::string space() { return std::string(random_() % 3, " \n\t\r"[random_() % 4]); }
    std::string string() {
        static const std::array<const char*, 10> pieces{"a", "\\n", "\\u00e9",          "\\\"",           "\\\\",
                                                        "/", "é",   "\xF0\x9F\x98\x80", "\\uD83D\\uDE00", "x y"};
        std::string text = "\"k";
        for (std::size_t i = random_() % 4; i > 0; --i) text += pieces[random_() % pieces.size()];
        return text + "\"";
    }
    std::string value(unsigned depth) {
        switch (random_() % (depth > 5 ? 4 : 6)) {
            case 0:
                return std::to_string(static_cast<std::int64_t>(random_()));
            case 1:
                return string();
            case 2:
                return random_() % 2 ? "true" : "null";
            case 3:
                return "-0.5e" + std::to_string(random_() % 1000);
            case 4:
                return "[" + value(depth + 1) + "," + space() + value(depth + 1) + "]";
            default:
                return "{" + string() + ":" + value(depth + 1) + "}";
        }
    }
    std::mt19937_64& random_;
};

TEST(fuzz, texts_are_read_as_they_were_written) {
    std::mt19937_64 random = seeded("texts");
    std::string scratch;
    writer make(random);
    for (const auto end = clock::now() + run_time; clock::now() < end;) {
        const std::string command = "c" + std::to_string(random() % 1000);
        const std::string text = make.object(command);
        const exact whole(text);
        const json_command found = find_command(whole.text, scratch);
        ASSERT_EQ(found.failure, errc::none) << text;
        ASSERT_EQ(found.name, command) << text;
        // Any part of it that lacks its end is no text.
        const std::size_t close = text.rfind('}');
        const exact part(text.substr(0, random() % (close + 1)));
        ASSERT_EQ(find_command(part.text, scratch).failure, errc::malformed) << part.text;
    }
}

TEST(fuzz, texts_with_wrong_bytes_are_read_within_their_bounds) {
    std::mt19937_64 random = seeded("wrong texts");
    std::string scratch, escaped;
    writer make(random);
    std::size_t runs = 0, refused = 0;
    for (const auto end = clock::now() + run_time; clock::now() < end; ++runs) {
        std::string text = make.object("c");
        for (std::size_t i = random() % 3 + 1; i > 0; --i) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text.insert(at, 1, "\"\\{}[]:,u\0\xFF"[random() % 11]);
                    break;
                case 2:
                    text.erase(at, random() % 4);
                    break;
                default:
                    text += text.substr(at);
                    break;
            }
            if (text.empty()) text = "{";
        }
        const exact whole(text);
        const json_command found = find_command(whole.text, scratch);
        ASSERT_TRUE(found.failure == errc::none || found.failure == errc::malformed ||
                    found.failure == errc::unroutable);
        refused += found.failure == errc::malformed;
        // Whatever it was, as the inside of a string it makes a valid text.
        escaped = "{\"command\":\"";
        append_escaped(escaped, whole.text);
        escaped += "\"}";
        ASSERT_EQ(find_command(escaped, scratch).failure, errc::none) << escaped;
    }
    EXPECT_GT(refused, runs / 3);
}

}  // namespace
