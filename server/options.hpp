// The settings of tstreamsd: on the command line, in the environment, in a file; the first of these counts.
#pragma once

#include "server/daemon.hpp"
#include "server/usage_error.hpp"

#include <string>

namespace tstreams::server {

struct invocation {
    daemon_options options{};
    bool default_listen = false;  // no endpoint was given
    bool check_only = false;
    std::string print;  // for standard output, and nothing else is to be done
};

// Throws usage_error: a line that says what to write instead.
[[nodiscard]] invocation parse(int argc, const char* const* argv);

}  // namespace tstreams::server
