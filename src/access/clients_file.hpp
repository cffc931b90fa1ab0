// Changes to the file of clients, as the tool makes them: comments and the order of lines stay.
#pragma once

#include "access/rights.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace tstreams::access {

struct permission {
    std::string client;
    std::string public_key;  // empty: only rights are added, to a client that has a key
    access::rights rights;   // none: only the key is added
    std::vector<std::string> patterns;
};

// Each reads the file, changes the text, checks the result as a server would, and replaces the file in one step. They
// throw error(invalid_argument) and leave the file as it is. `allow` makes a file where there is none.
// False, and nothing is changed: rights alone, and no key of that client is there.
[[nodiscard]] bool allow(const std::string& path, const permission& given);
// Removes one key, or with a client's name all its keys and rights. Returns how many keys went; none: nothing is
// changed, there is no such key and no such client.
[[nodiscard]] std::size_t revoke(const std::string& path, std::string_view key_or_client);

}  // namespace tstreams::access
