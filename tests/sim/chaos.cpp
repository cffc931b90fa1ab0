// The weather, and what befalls brokers.
#include "core/records.hpp"
#include "sim/cluster.hpp"

namespace tstreams::sim {

void cluster::set_weather(bool bad) {
    memory::fault_rates rates;
    network = network_rates{};
    if (bad) {
        const double wind = 0.3 + 0.1 * static_cast<double>(below(8));
        rates.delay = 0.2;
        rates.delay_max = 30ms;
        rates.commit_unavailable = 0.02 * wind;
        rates.unknown_applied = 0.03 * wind;
        rates.unknown_not_applied = 0.03 * wind;
        rates.unknown_applied_later = 0.03 * wind;
        rates.later_max = 3s;
        rates.settle = 0.1 * wind;
        rates.read = 0.01 * wind;
        rates.blob_write = rates.blob_sync = rates.blob_read = 0.02 * wind;
        rates.coordination = 0.02 * wind;
        rates.lease_lost = 0.05 * wind;
        if (exclusive()) {
            // Each of these is the end of the process. Often several writes in a row are not taken.
            rates.unknown_applied = rates.unknown_not_applied = rates.unknown_applied_later = 0.0007 * wind;
            if (chance(0.3)) rates.commit_unavailable = 0.3;
            if (chance(0.3)) rates.delay = 0.8;
            rates.blob_drop = 0.02 * wind;
        }
        network.lost = 0.02 * wind;
        network.repeated = 0.05;
        if (chance(0.2)) network.delay_max = 200ms;
    }
    store.faults().set_rates(rates);
}

void cluster::in_background(weave::task<void> work) {
    ++at_work_;
    weave::spawn(service_node.executor(), std::move(work), [this](weave::outcome_of<void> ended) {
        --at_work_;
        ended.get();
    });
}

void cluster::begin_chaos() {
    set_weather(true);
    in_background(chaos());
    if (exclusive()) in_background(tend());
}

weave::task<void> cluster::chaos() {
    while (!healed_) {
        co_await pause(service_node, 200ms + choices.up_to(1300ms));
        if (healed_) co_return;
        exclusive() ? disturb_exclusive() : disturb_shared(below(addresses()));
    }
}

void cluster::disturb_shared(std::size_t address) {
    const std::uint64_t what = below(12);
    if (what < 5) {
        if (!live_.at(address)->node.paused()) in_background(pause_host(live_.at(address)));
    } else if (what < 7) {
        crash(address);
    } else if (what < 9) {
        lose_a_lease();
    } else {
        set_weather(chance(0.8));
    }
}

void cluster::disturb_exclusive() {
    const std::uint64_t what = below(12);
    const host_ptr one = live_.front();
    if (what < 2) {
        if (!one->node.paused() && !restarting_) in_background(pause_host(one));
    } else if (what < 5) {
        in_background(restart(chance(0.4)));
    } else if (what < 7) {
        set_clock();
        if (chance(0.5)) in_background(restart(chance(0.5)));
    } else {
        set_weather(chance(0.8));
    }
}

weave::task<void> cluster::pause_host(host_ptr one) {
    const auto time = chance(0.5) ? choices.up_to(300ms) : choices.up_to(6s);
    ++counted.pauses;
    log(one->name, "is paused");
    one->node.pause();
    const ports::steady_time until = simulation.now() + time;
    while (simulation.now() < until && !healed_) co_await pause(service_node, 20ms);
    if (one->dead) co_return;
    one->node.resume();
    log(one->name, "goes on");
}

// Its requests that are on their way arrive; it hears of nothing. Another node takes its place.
void cluster::crash(std::size_t address) {
    const host_ptr old = live_.at(address);
    ++counted.crashes;
    old->dead = true;
    old->node.pause();
    log(old->name, "crashes");
    live_.at(address) = start(address);
}

// Its holder does not hear of it: for a while two brokers take themselves for the owner.
void cluster::lose_a_lease() {
    if (slot_owners.empty()) return;
    auto chosen = slot_owners.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(below(slot_owners.size())));
    core::record_reader shard(chosen->first, "a slot's shard");
    shard.u8();
    const std::string name = "slot/" + std::to_string(shard.u16());
    ++counted.leases_lost;
    log(name, "is lost by its holder");
    store.lose_lease(name);
}

// A store whose storage has failed is opened anew by a new process, sooner or later.
weave::task<void> cluster::tend() {
    while (!ending_) {
        co_await pause(service_node, 50ms);
        if (!store.failed() || restarting_ || ending_) continue;
        ++counted.storage_failures;
        log("", "the storage has failed");
        co_await pause(service_node, choices.up_to(1500ms));
        weave::task<void> work = restart(chance(0.3));
        co_await work;
    }
}

weave::task<void> cluster::restart(bool properly) {
    if (std::exchange(restarting_, true)) co_return;
    const host_ptr old = live_.front();
    if (properly && old->broker) {
        ++counted.restarts;
        log(old->name, "is stopped");
        const auto stopped = std::make_shared<bool>(false);
        weave::spawn(old->node.executor(), old->broker->stop(), [stopped](weave::outcome_of<void> ended) {
            ended.get();
            *stopped = true;
        });
        const ports::steady_time until = simulation.now() + 5s;
        while (!*stopped && simulation.now() < until) co_await pause(service_node, 10ms);
    } else {
        ++counted.crashes;
        log(old->name, "is killed");
        old->node.pause();
        // What it had handed over arrives, or a part of it.
        const auto time = chance(0.5) ? choices.up_to(20ms) : 100ms;
        co_await pause(service_node, time);
    }
    old->dead = true;
    old->node.pause();
    sever(old);
    if (store.failed()) store.reopen();
    if (chance(0.2)) co_await pause(service_node, choices.up_to(2s));
    live_.front() = start(0);
    restarting_ = false;
}

void cluster::sever(const host_ptr& one) {
    one->rows.sever();
    one->blobs.sever();
}

// What is within an hour of the latest time that was believed is believed. The rest is not, for it does not stay for
// the day after which it would be; it is corrected, or set again.
void cluster::set_clock() {
    if (machine.set > believed_ && chance(0.5)) return correct_clock();
    ++counted.clocks_set;
    const std::uint64_t how = below(10);
    const std::chrono::microseconds before = machine.set;
    if (how < 4) {
        machine.set += choices.up_to(40min) - 20min;
    } else if (how < 7) {
        machine.set = std::min(machine.set + 2h + choices.up_to(10h), std::max(machine.set, believed_ + 20h));
    } else if (how < 8) {
        machine.set += 24h * (100 + below(3000));
    } else {
        machine.set = std::max(machine.set - 2h - choices.up_to(10h), believed_ - 20h);
    }
    if (machine.set <= believed_ + 1h) believed_ = std::max(believed_, machine.set);
    log("", "the clock is set by " + std::to_string((machine.set - before) / 1s) + " s");
}

bool cluster::believe_clock() {
    // The broker's own time is that of its start.
    const std::chrono::microseconds own = live_.front()->clock.wall_now() - service_node.clock().wall_now();
    const std::chrono::microseconds most = std::max(own, machine.set);
    if (most > believed_ + 13h) return false;
    believed_ = std::max(believed_, most);
    return true;
}

void cluster::correct_clock() {
    if (machine.set != believed_) ++counted.clocks_set;
    log("", "the clock is corrected");
    machine.set = believed_;
}

void cluster::heal() {
    healed_ = true;
    set_weather(false);
    network.lost = network.repeated = 0;
    if (exclusive()) correct_clock();
    log("", "---- all is well from here on");
}

}  // namespace tstreams::sim
