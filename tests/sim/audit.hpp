// What a fresh broker reads of everything when all others have stopped.
#pragma once

#include "sim/clients.hpp"
#include "sim/cluster.hpp"
#include "sim/history.hpp"

namespace tstreams::sim {

// Fills in the end of the history. Throws std::runtime_error where a partition cannot be read to its end in time.
void audit(cluster& world, const host_ptr& auditor, scene& shared);

// After audit(), of an exclusive store: lets pass what a brief stream lives, and returns what is wrong with what
// retention did with it.
[[nodiscard]] std::vector<std::string> audit_retention(cluster& world, const host_ptr& auditor, const scene& shared);

}  // namespace tstreams::sim
