#include "server/event_log.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>

namespace tstreams::server {

namespace {

std::string_view name_of(log_level level) noexcept {
    switch (level) {
        case log_level::info:
            return "info";
        case log_level::warning:
            return "warning";
        case log_level::error:
            break;
    }
    return "error";
}

std::string time_now() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::array<char, 16> rest{};
    std::snprintf(rest.data(), rest.size(), ".%03dZ", static_cast<int>(milliseconds % 1000));
    return std::string(text.data(), length) + rest.data();
}

nlohmann::ordered_json json_of(const std::string& text) {
    return nlohmann::ordered_json(text);
}

std::string dump(const nlohmann::ordered_json& value) {
    return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// As it is where it is one word, else as a JSON text: no value can begin a line of its own.
std::string word_of(const std::string& text) {
    const bool plain =
        !text.empty() && text.find_first_of(" \"=\\") == std::string::npos &&
        text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/_-+@,*[]()%") ==
            std::string::npos;
    return plain ? text : dump(json_of(text));
}

std::string line_of(log_format format, log_level level, std::string_view event,
                    std::initializer_list<event_log::field> fields) {
    if (format == log_format::json) {
        nlohmann::ordered_json object;
        object["time"] = time_now();
        object["level"] = name_of(level);
        object["event"] = event;
        for (const auto& [name, value] : fields) object[std::string(name)] = value;
        return dump(object) + "\n";
    }
    std::string line = time_now();
    line.append(" ").append(name_of(level)).append(" ").append(event);
    for (const auto& [name, value] : fields) line.append(" ").append(name).append("=").append(word_of(value));
    return line + "\n";
}

}  // namespace

void event_log::say(log_level level, std::string_view event, std::initializer_list<field> fields) const noexcept {
    try {
        const std::string line = line_of(format_, level, event, fields);
        std::ignore = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (const std::exception&) {
        // Out of memory: the event is not said.
    }
}

}  // namespace tstreams::server
