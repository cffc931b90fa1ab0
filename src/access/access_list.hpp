// The clients of a server: their keys, what each is called, and its rights per pattern of stream names.
//
// A text file, a line per statement; docs/operations.md describes it for operators:
//
//     key   PUBLIC-KEY  NAME               this key is the client NAME; a client may have several keys
//     allow NAME RIGHTS PATTERN...         NAME may do that with streams whose names match; "*": every client
//
// Without a line that allows it nothing is allowed.
#pragma once

#include "access/rights.hpp"

#include <moebius/security.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams::access {

// "*" stands for any number of any characters, everything else for itself.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name) noexcept;

// A value, not changed once it is made.
class access_list {
public:
    // Throws error(invalid_argument), which says `where` and the line, for anything that is not as above: an unknown
    // word, a key that is none or is there twice, a name that has no key, a pattern that no stream name can match.
    [[nodiscard]] static access_list parse(std::string_view text, const std::string& where);
    // The same for a file; also for one that is a link, that others may write, or that belongs to somebody else.
    [[nodiscard]] static access_list read(const std::string& path);

    [[nodiscard]] const moebius::allowlist& keys() const noexcept { return keys_; }
    [[nodiscard]] bool knows(std::string_view client) const { return clients_.contains(client); }
    [[nodiscard]] rights of(std::string_view client, std::string_view stream) const;
    // Over the whole store: what it has for the pattern "*".
    [[nodiscard]] rights of_store(std::string_view client) const;

    struct grant {
        access::rights rights;
        std::vector<std::string> patterns;
    };
    struct entry {
        std::vector<std::string> keys;
        std::vector<grant> grants;
    };
    [[nodiscard]] const std::map<std::string, entry, std::less<>>& clients() const noexcept { return clients_; }
    [[nodiscard]] const std::vector<grant>& for_all() const noexcept { return for_all_; }

private:
    void add_key(const std::vector<std::string_view>& words);
    void add_grant(const std::vector<std::string_view>& words);

    moebius::allowlist keys_;
    std::map<std::string, entry, std::less<>> clients_;
    std::vector<grant> for_all_;
};

// What a client may be called: as streams and consumers, [A-Za-z0-9._-]{1,128}.
[[nodiscard]] bool is_client_name(std::string_view name) noexcept;
[[nodiscard]] bool is_pattern(std::string_view pattern) noexcept;
// The words of a line, which stand between blanks.
[[nodiscard]] std::vector<std::string_view> words_of(std::string_view line);

}  // namespace tstreams::access
