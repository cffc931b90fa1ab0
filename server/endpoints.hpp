// Where a tstreamsd listens.
#pragma once

#include <string>
#include <vector>

namespace tstreams::server {

enum class reach {
    owner,    // a Unix socket: whom its directory lets in
    machine,  // loopback: every user of this machine
    network,  // other machines
};

// Throws error(invalid_argument) for what is no endpoint that a server can have.
[[nodiscard]] reach reach_of(const std::string& endpoint);

// Throws error(invalid_argument) where one of them stands twice, or has a path where this process can make no socket;
// the directory of the default endpoint may be made later.
void check_places(const std::vector<std::string>& endpoints);

// A Unix socket in a directory for this user alone: $RUNTIME_DIRECTORY (systemd's), else tstreams in $XDG_RUNTIME_DIR,
// else /run/tstreams.
[[nodiscard]] std::string default_endpoint();
// Makes the directory of the default endpoint, with mode 0700. Throws error(invalid_argument) where others may enter
// it.
void make_default_directory();

}  // namespace tstreams::server
