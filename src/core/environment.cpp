#include "core/environment.hpp"

namespace tstreams::core {

weave::task<void> sleep_until(environment& world, ports::steady_time when) {
    weave::event reached(world.executor);
    world.clock.call_at(when, [&reached] { reached.set(); });
    co_await reached.wait();
}

}  // namespace tstreams::core
