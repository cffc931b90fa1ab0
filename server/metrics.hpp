// The figures of a server as Prometheus reads them. docs/operations.md says what each means.
#pragma once

#include "server/overview.hpp"

#include <string>

namespace tstreams::server {

[[nodiscard]] std::string metrics_text(const figures& now);

}  // namespace tstreams::server
