#include "access/clients_file.hpp"

#include "access/access_list.hpp"
#include "access/files.hpp"

#include <tstreams/error.hpp>

#include <unistd.h>
#include <algorithm>

namespace tstreams::access {

namespace {

constexpr std::size_t file_bytes_max = std::size_t{16} << 20;

std::string read_or_begin(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0) return "# key PUBLIC-KEY NAME\n# allow NAME RIGHTS PATTERN...\n";
    std::string text = read_file(path, file_privacy::others_read, file_bytes_max);
    if (!text.empty() && text.back() != '\n') text += '\n';
    return text;
}

void check_and_replace(const std::string& path, const std::string& text) {
    std::ignore = access_list::parse(text, path);
    replace_file(path, text);
}

}  // namespace

bool allow(const std::string& path, const permission& given) {
    std::string text = read_or_begin(path);
    const access_list before = access_list::parse(text, path);
    if (given.public_key.empty() && !before.knows(given.client)) return false;
    const std::string* const owner = given.public_key.empty() ? nullptr : before.keys().find(given.public_key);
    if (owner && *owner != given.client)
        throw error(errc::invalid_argument, path + ": the key is that of client '" + *owner + "' already");
    if (!given.public_key.empty() && !owner) text += "key " + given.public_key + " " + given.client + "\n";
    if (!given.rights.empty()) {
        text += "allow " + given.client + " " + to_string(given.rights);
        for (const std::string& pattern : given.patterns) text += " " + pattern;
        text += "\n";
    }
    check_and_replace(path, text);
    return true;
}

std::size_t revoke(const std::string& path, std::string_view key_or_client) {
    const std::string text = read_file(path, file_privacy::others_read, file_bytes_max);
    const access_list before = access_list::parse(text, path);
    const std::string* const owner = before.keys().find(key_or_client);
    const std::string client = owner ? *owner : std::string(key_or_client);
    if (!before.knows(client)) return 0;
    const bool whole = !owner || before.clients().find(client)->second.keys.size() == 1;
    std::string left;
    std::size_t keys = 0;
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = std::min(text.find('\n', from), text.size() - 1) + 1;
        const std::string_view line = std::string_view(text).substr(from, end - from);
        const std::vector<std::string_view> words = words_of(line.substr(0, line.find('\n')));
        from = end;
        const bool is_key =
            words.size() == 3 && words[0] == "key" && (whole ? words[2] == client : words[1] == key_or_client);
        const bool is_grant = whole && words.size() > 3 && words[0] == "allow" && words[1] == client;
        if (is_key) ++keys;
        if (!is_key && !is_grant) left += line;
    }
    check_and_replace(path, left);
    return keys;
}

}  // namespace tstreams::access
