// What a fresh broker reads of everything when all others have stopped.
#pragma once

#include "sim/clients.hpp"
#include "sim/cluster.hpp"
#include "sim/history.hpp"

namespace tstreams::sim {

// Throws std::runtime_error where a partition cannot be read to its end in time.
[[nodiscard]] final_state audit(cluster& world, const host_ptr& auditor, const scene& shared);

}  // namespace tstreams::sim
