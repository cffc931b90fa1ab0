// One simulated history from a seed: a cluster, its clients, chaos, healing, an audit, and the checker's verdict.
#pragma once

#include "sim/cluster.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tstreams::sim {

struct result {
    std::vector<std::string> violations;
    totals counted;
    std::uint64_t trace_hash = 0;
};

[[nodiscard]] result run(std::uint64_t seed, kind of, planted mistakes = {}, bool verbose = false);

}  // namespace tstreams::sim
