#include "server/settings_file.hpp"

#include "server/usage_error.hpp"

#include <toml++/toml.h>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace tstreams::server {

namespace {

[[noreturn]] void refuse(const std::string& path, const toml::source_region& where, const std::string& why) {
    throw usage_error(path + ", line " + std::to_string(where.begin.line) + ": " + why);
}

toml::table parse_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in || std::filesystem::is_directory(path)) throw usage_error(path + ": cannot be read");
    try {
        return toml::parse(text.view());
    } catch (const toml::parse_error& failure) {
        refuse(path, failure.source(), std::string(failure.description()));
    }
}

std::string as_word(const std::string& path, const toml::node& value) {
    if (const auto* text = value.as_string()) return text->get();
    if (const auto* number = value.as_integer()) return std::to_string(number->get());
    if (const auto* yes = value.as_boolean()) return yes->get() ? "true" : "false";
    refuse(path, value.source(), "a setting is a text, a whole number, true or false, or an array of these");
}

std::optional<std::int64_t> whole_number(const std::string& word) {
    std::int64_t number = 0;
    const char* const end = word.data() + word.size();
    const auto parsed = std::from_chars(word.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end || std::to_string(number) != word) return std::nullopt;
    return number;
}

template <class Add>
void add_word(const std::string& word, const Add& add) {
    if (const auto number = whole_number(word)) return add(*number);
    if (word == "true" || word == "false") return add(word == "true");
    add(word);
}

}  // namespace

std::vector<setting> read_settings(const std::string& path) {
    const toml::table file = parse_file(path);
    std::vector<setting> settings;
    for (const auto& [key, value] : file) {
        setting one{std::string(key.str()), {}};
        if (const toml::array* const several = value.as_array()) {
            for (const toml::node& each : *several) one.values.push_back(as_word(path, each));
        } else {
            one.values.push_back(as_word(path, value));
        }
        settings.push_back(std::move(one));
    }
    return settings;
}

std::string as_toml(const std::vector<setting>& settings) {
    toml::table file;
    for (const setting& one : settings) {
        if (one.values.size() == 1) {
            add_word(one.values.front(), [&](const auto& value) { file.insert(one.name, value); });
            continue;
        }
        toml::array several;
        for (const std::string& word : one.values) add_word(word, [&](const auto& value) { several.push_back(value); });
        file.insert(one.name, std::move(several));
    }
    std::ostringstream text;
    text << toml::toml_formatter(file) << '\n';
    return text.str();
}

}  // namespace tstreams::server
