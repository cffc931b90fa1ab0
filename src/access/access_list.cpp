#include "access/access_list.hpp"

#include "access/files.hpp"

#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace tstreams::access {

namespace {

constexpr std::size_t name_bytes_max = 128;
constexpr std::size_t file_bytes_max = std::size_t{16} << 20;

constexpr std::array<std::pair<right, std::string_view>, 5> words{{{right::create, "create"},
                                                                   {right::write, "write"},
                                                                   {right::read, "read"},
                                                                   {right::offsets, "offsets"},
                                                                   {right::admin, "admin"}}};

[[noreturn]] void refuse(const std::string& what) {
    throw error(errc::invalid_argument, what);
}

bool is_name_character(char one) noexcept {
    return (one >= 'A' && one <= 'Z') || (one >= 'a' && one <= 'z') || (one >= '0' && one <= '9') || one == '.' ||
           one == '_' || one == '-';
}

rights sum_of(const std::vector<access_list::grant>& grants, std::string_view stream) {
    rights sum;
    for (const access_list::grant& one : grants) {
        const auto fits = [&](const std::string& pattern) { return matches(pattern, stream); };
        if (std::any_of(one.patterns.begin(), one.patterns.end(), fits)) sum |= one.rights;
    }
    return sum;
}

}  // namespace

std::string to_string(rights set) {
    if (set == rights::all()) return "all";
    std::string text;
    for (const auto& [one, word] : words)
        if (set.any_of(one)) text.append(text.empty() ? "" : ",").append(word);
    return text;
}

std::optional<rights> parse_rights(std::string_view text) {
    if (text == "all") return rights::all();
    rights found;
    for (std::size_t from = 0; from <= text.size();) {
        const std::size_t comma = std::min(text.find(',', from), text.size());
        const std::string_view word = text.substr(from, comma - from);
        const auto known =
            std::find_if(words.begin(), words.end(), [&](const auto& one) { return one.second == word; });
        if (known == words.end()) return std::nullopt;
        found |= known->first;
        from = comma + 1;
    }
    return found;
}

bool matches(std::string_view pattern, std::string_view name) noexcept {
    std::size_t at = 0, in_name = 0;
    std::size_t star = std::string_view::npos, taken = 0;  // the last star, and how far what it stands for goes
    while (in_name < name.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            taken = in_name;
        } else if (at < pattern.size() && pattern[at] == name[in_name]) {
            ++at;
            ++in_name;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            in_name = ++taken;
        } else {
            return false;
        }
    }
    return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(at), pattern.end(),
                       [](char one) { return one == '*'; });
}

bool is_client_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= name_bytes_max && std::all_of(name.begin(), name.end(), is_name_character);
}

bool is_pattern(std::string_view pattern) noexcept {
    return !pattern.empty() && pattern.size() <= name_bytes_max &&
           std::all_of(pattern.begin(), pattern.end(), [](char one) { return one == '*' || is_name_character(one); });
}

std::vector<std::string_view> words_of(std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    std::vector<std::string_view> found;
    for (std::size_t from = line.find_first_not_of(blanks); from != std::string_view::npos;) {
        const std::size_t behind = std::min(line.find_first_of(blanks, from), line.size());
        found.push_back(line.substr(from, behind - from));
        from = line.find_first_not_of(blanks, behind);
    }
    return found;
}

void access_list::add_key(const std::vector<std::string_view>& line) {
    if (line.size() != 3) refuse("write: key PUBLIC-KEY NAME");
    if (!is_client_name(line[2])) refuse("a client's name is 1 to 128 letters, digits, dots, underscores and hyphens");
    try {
        keys_.add(line[1], line[2]);
    } catch (const moebius::error& failure) {
        refuse(failure.what());
    }
    clients_[std::string(line[2])].keys.emplace_back(line[1]);
}

void access_list::add_grant(const std::vector<std::string_view>& line) {
    if (line.size() < 4) refuse("write: allow NAME RIGHTS PATTERN...");
    const std::optional<rights> given = parse_rights(line[2]);
    if (!given)
        refuse("'" + std::string(line[2]) + "' are no rights: write all, or some of create,write,read,offsets,admin");
    grant made{*given, {}};
    for (std::size_t i = 3; i < line.size(); ++i) {
        if (!is_pattern(line[i])) refuse("'" + std::string(line[i]) + "' matches no stream name");
        made.patterns.emplace_back(line[i]);
    }
    if (line[1] == "*")
        for_all_.push_back(std::move(made));
    else if (is_client_name(line[1]))
        clients_[std::string(line[1])].grants.push_back(std::move(made));
    else
        refuse("'" + std::string(line[1]) + "' is no name of a client");
}

access_list access_list::parse(std::string_view text, const std::string& where) {
    access_list made;
    std::size_t number = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::vector<std::string_view> line = words_of(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        try {
            if (line.empty() || line.front().starts_with('#')) continue;
            if (line.front() == "key")
                made.add_key(line);
            else if (line.front() == "allow")
                made.add_grant(line);
            else
                refuse("a line begins with key, allow or #");
        } catch (const error& failure) {
            refuse(where + ":" + std::to_string(number) + ": " + failure.what());
        }
    }
    for (const auto& [name, one] : made.clients_)
        if (one.keys.empty()) refuse(where + ": client '" + name + "' has rights and no key");
    return made;
}

access_list access_list::read(const std::string& path) {
    return parse(read_file(path, file_privacy::others_read, file_bytes_max), path);
}

rights access_list::of(std::string_view client, std::string_view stream) const {
    const auto found = clients_.find(client);
    if (found == clients_.end()) return {};
    return sum_of(found->second.grants, stream) | sum_of(for_all_, stream);
}

rights access_list::of_store(std::string_view client) const {
    const auto found = clients_.find(client);
    if (found == clients_.end()) return {};
    rights sum;
    for (const std::vector<grant>* grants : {&found->second.grants, &for_all_})
        for (const grant& one : *grants)
            if (std::find(one.patterns.begin(), one.patterns.end(), "*") != one.patterns.end()) sum |= one.rights;
    return sum;
}

}  // namespace tstreams::access
