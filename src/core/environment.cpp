#include "core/environment.hpp"

namespace tstreams::core {

weave::task<void> sleep_until(environment& world, ports::steady_time when) {
    if (world.stopping) co_return;
    weave::event reached(world.executor);
    const std::uint64_t number = ++world.sleepers;
    world.sleeping.emplace(number, &reached);
    const ports::clock::timer timer = world.clock.call_at(when, [&reached] { reached.set(); });
    co_await reached.wait();
    world.clock.cancel(timer);
    world.sleeping.erase(number);
}

}  // namespace tstreams::core
