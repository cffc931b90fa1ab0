#include "flights.hpp"

#include <tstreams/types.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <new>
#include <stdexcept>

namespace flights {

namespace {

constexpr std::size_t record_bytes = 14;

std::uint32_t little_endian(const char* bytes, int count) {
    std::uint32_t value = 0;
    for (int i = count - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

// The reverse of format_minute.
std::uint32_t parse_minute(std::string_view text) {
    using namespace std::chrono;
    if (text.size() != 16) throw std::runtime_error("not a time: " + std::string(text));
    const auto number = [&](std::size_t at, std::size_t count) {
        return static_cast<int>(to_number(text.substr(at, count)));
    };
    const auto day = year(number(0, 4)) / month(static_cast<unsigned>(number(5, 2))) / static_cast<int>(number(8, 2));
    const auto time = sys_days(day) + hours(number(11, 2)) + minutes(number(14, 2));
    return static_cast<std::uint32_t>(duration_cast<minutes>(time.time_since_epoch()).count());
}

}  // namespace

std::vector<flight> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file.is_open() || data.empty() || data.size() % record_bytes != 0) {
        throw std::runtime_error(path + ": not a file of flights; give its path with --data");
    }
    std::vector<flight> result;
    result.reserve(data.size() / record_bytes);
    for (const char* at = data.data(); at != data.data() + data.size(); at += record_bytes) {
        result.push_back({.minute = little_endian(at, 4),
                          .delay = static_cast<std::int16_t>(little_endian(at + 4, 2)),
                          .miles = little_endian(at + 6, 2),
                          .origin = std::string(at + 8, 3),
                          .destination = std::string(at + 11, 3)});
    }
    return result;
}

std::uint32_t partition_of(std::string_view airport) noexcept {
    std::uint32_t hash = 2166136261U;
    for (const char letter : airport) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619U;
    return hash % partitions;
}

std::string format_minute(std::uint32_t minute) {
    using namespace std::chrono;
    const auto time = sys_time<minutes>(minutes(minute));
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);
    char text[32];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()));
    return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> fields;
    for (std::size_t end = 0; (end = text.find(separator)) != std::string_view::npos; text.remove_prefix(end + 1)) {
        fields.push_back(text.substr(0, end));
    }
    fields.push_back(text);
    return fields;
}

std::int64_t to_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size()) {
        throw std::runtime_error("not a number: " + std::string(text));
    }
    return value;
}

status& make_status(const std::string& path) {
    static status in_memory;
    if (path.empty()) return in_memory;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    void* memory = MAP_FAILED;
    if (file >= 0 && ::ftruncate(file, sizeof(status)) == 0) {
        memory = ::mmap(nullptr, sizeof(status), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (file >= 0) ::close(file);
    if (memory == MAP_FAILED) throw std::runtime_error(path + ": cannot be mapped; give another --status");
    return *new (memory) status;
}

}  // namespace flights

std::string tstreams::codec<flights::flight>::encode(const flights::flight& value) {
    return flights::format_minute(value.minute) + ',' + value.origin + ',' + value.destination + ',' +
           std::to_string(value.delay) + ',' + std::to_string(value.miles);
}

flights::flight tstreams::codec<flights::flight>::decode(bytes_view bytes) {
    const auto fields = flights::split(as_text(bytes), ',');
    if (fields.size() != 5) throw std::runtime_error("not a flight: " + std::string(as_text(bytes)));
    return {.minute = flights::parse_minute(fields[0]),
            .delay = static_cast<std::int32_t>(flights::to_number(fields[3])),
            .miles = static_cast<std::uint32_t>(flights::to_number(fields[4])),
            .origin = std::string(fields[1]),
            .destination = std::string(fields[2])};
}
