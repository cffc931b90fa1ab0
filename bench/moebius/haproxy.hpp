// HAProxy in front of servers, as the guide shows it.
#pragma once

#include "processes.hpp"

#include <string>
#include <vector>

namespace bench {

[[nodiscard]] bool has_haproxy();
// Serves on a free port of loopback, whose endpoint is written to `endpoint`; connections are spread over the servers.
[[nodiscard]] process start_haproxy(const std::vector<std::string>& servers, std::string& endpoint);

}  // namespace bench
