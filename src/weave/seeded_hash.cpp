#include <weave/seeded_hash.hpp>

#include <random>

namespace weave::detail {

std::array<wide, 3> draw_seed() {
    std::random_device from;
    std::array<wide, 3> drawn{};
    for (wide& one : drawn)
        for (int part = 0; part < 4; ++part) one = one << 32 | static_cast<std::uint32_t>(from());
    return drawn;
}

}  // namespace weave::detail
