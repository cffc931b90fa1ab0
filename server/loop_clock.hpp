// The clock of a broker that lives on a Moebius loop.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <moebius/loop.hpp>
#include <tstreams/ports/clock.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace tstreams::server {

// Made before the loop runs; the loop outlives it.
class loop_clock final : public ports::clock {
public:
    explicit loop_clock(moebius::loop& home);

    [[nodiscard]] ports::steady_time now() const noexcept override;
    [[nodiscard]] wall_time wall_now() const noexcept override;
    [[nodiscard]] ports::machine_time machine() const override;
    timer call_at(ports::steady_time when, std::function<void()> callback) override;
    void cancel(timer which) noexcept override;
    [[nodiscard]] std::uint64_t random() noexcept override;

private:
    void set_alarm();
    void ring();

    boost::asio::steady_timer alarm_;
    ports::steady_time alarm_at_ = ports::steady_time::max();
    std::map<std::pair<ports::steady_time, timer>, std::function<void()>> due_;
    std::map<timer, ports::steady_time> times_;
    timer last_timer_ = 0;
    const std::chrono::microseconds boot_anchor_;
    const wall_time wall_anchor_;
};

}  // namespace tstreams::server
