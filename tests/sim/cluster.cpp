#include "sim/cluster.hpp"

#include "core/rows.hpp"

#include <algorithm>
#include <cstdio>

namespace tstreams::sim {
namespace {

memory::simulation_options simulation_options_of(std::uint64_t seed) {
    memory::simulation_options options;
    options.seed = seed;
    constexpr std::array orders{memory::job_order::fifo, memory::job_order::shuffle_nodes,
                                memory::job_order::shuffle_nodes, memory::job_order::shuffle_jobs};
    options.order = orders.at(seed % orders.size());
    options.steps_max = 5'000'000;
    return options;
}

memory::store_options store_options_of(memory::simulation& simulation, std::uint64_t seed, kind of) {
    memory::store_options options;
    options.exclusive = of == kind::exclusive;
    options.faults = memory::fault_plan(memory::fault_rates{}, seed ^ 0x5eed);
    options.trace = [&simulation](std::string_view what) { simulation.trace(what); };
    return options;
}

}  // namespace

namespace {

struct counter {
    const char* name;
    std::uint64_t totals::* value;
};

constexpr counter counters[] = {
    {"opens", &totals::opens},
    {"commits", &totals::commits},
    {"groups", &totals::groups},
    {"spread_groups", &totals::spread_groups},
    {"refused", &totals::refused},
    {"unsettled", &totals::unsettled},
    {"cancels", &totals::cancels},
    {"attaches", &totals::attaches},
    {"reads", &totals::reads},
    {"skipped", &totals::skipped},
    {"waits", &totals::waits},
    {"woken", &totals::woken},
    {"woken_late", &totals::woken_late},
    {"slots_taken", &totals::slots_taken},
    {"slots_moved", &totals::slots_moved},
    {"partitions_claimed", &totals::partitions_claimed},
    {"rolls", &totals::rolls},
    {"unavailable", &totals::unavailable},
    {"unknown", &totals::unknown},
    {"settled_applied", &totals::settled_applied},
    {"settled_not_applied", &totals::settled_not_applied},
    {"fenced", &totals::fenced},
    {"failed_reads", &totals::failed_reads},
    {"calls", &totals::calls},
    {"calls_lost", &totals::calls_lost},
    {"calls_repeated", &totals::calls_repeated},
    {"pauses", &totals::pauses},
    {"crashes", &totals::crashes},
    {"leases_lost", &totals::leases_lost},
    {"silences", &totals::silences},
    {"found", &totals::found},
    {"background_failures", &totals::background_failures},
    {"steps", &totals::steps},
    {"restarts", &totals::restarts},
    {"storage_failures", &totals::storage_failures},
    {"clocks_set", &totals::clocks_set},
    {"clocks_accepted", &totals::clocks_accepted},
    {"held", &totals::held},
    {"named", &totals::named},
    {"sources", &totals::sources},
    {"tools", &totals::tools},
    {"expired", &totals::expired},
    {"created", &totals::created},
    {"deleted", &totals::deleted},
    {"removed_segments", &totals::removed_segments},
};

}  // namespace

totals& totals::operator+=(const totals& other) {
    for (const counter& one : counters) this->*one.value += other.*one.value;
    return *this;
}

std::string totals::text() const {
    std::string out;
    for (const counter& one : counters) {
        if (!out.empty()) out.push_back(' ');
        out.append(one.name).append("=").append(std::to_string(this->*one.value));
    }
    return out;
}

// ---- watched_rows

weave::task<std::optional<ports::bytes>> watched_rows::get(ports::bytes shard, ports::bytes key) {
    const bool is_slot = shard.front() == 'e';
    std::optional<ports::bytes> value;
    try {
        value = co_await rows_.get(std::move(shard), std::move(key));
    } catch (const error&) {
        ++world_.counted.failed_reads;
        throw;
    }
    if (is_slot && value && world_.mistakes.reused_ids) {
        core::slot_row row = core::decode<core::slot_row>(*value);
        row.ceiling = 0;
        value = core::encode(row);
    }
    co_return value;
}

weave::task<std::vector<ports::row>> watched_rows::scan(ports::scan_range range) {
    std::vector<ports::row> rows;
    try {
        rows = co_await rows_.scan(std::move(range));
    } catch (const error&) {
        ++world_.counted.failed_reads;
        throw;
    }
    co_return rows;
}

weave::task<ports::commit_result> watched_rows::commit(ports::batch change, durability level) {
    if (world_.mistakes.no_fences && change.fence.check == ports::fence::mode::equal)
        change.fence.check = ports::fence::mode::none;
    // Nobody must notice that the row read was another one.
    if (world_.mistakes.reused_ids && change.shard.front() == 'e') change.conditions.clear();
    const ports::batch sent = change;
    ports::commit_result result = co_await rows_.commit(std::move(change), level);
    switch (result.status) {
        case ports::commit_status::applied:
            count(sent);
            break;
        case ports::commit_status::unavailable:
            ++world_.counted.unavailable;
            break;
        case ports::commit_status::fenced:
            ++world_.counted.fenced;
            break;
        case ports::commit_status::unknown:
            ++world_.counted.unknown;
            if (world_.mistakes.unknown_is_applied) result.status = ports::commit_status::applied;
            break;
        case ports::commit_status::condition_failed:
            break;
    }
    co_return result;
}

weave::task<ports::commit_result> watched_rows::commit_all(std::vector<ports::batch> changes, durability level) {
    if (world_.mistakes.torn_batches && changes.size() > 2 && world_.chance(0.1)) changes.erase(changes.begin() + 1);
    const std::vector<ports::batch> sent = changes;
    ports::commit_result result;
    try {
        result = co_await rows_.commit_all(std::move(changes), level);
    } catch (const error& failure) {
        if (failure.outcome() == outcome::unknown) ++world_.counted.unknown;
        if (world_.mistakes.lying_failure) throw error(failure.code(), failure.what());
        throw;
    }
    if (result.status == ports::commit_status::unavailable) ++world_.counted.unavailable;
    if (result.status == ports::commit_status::applied) {
        for (const ports::batch& one : sent) count(one);
    }
    co_return result;
}

weave::task<ports::commit_result> watched_rows::settle(ports::bytes shard, ports::operation_id operation) {
    const ports::commit_result result = co_await rows_.settle(std::move(shard), operation);
    if (result.status == ports::commit_status::applied) ++world_.counted.settled_applied;
    if (result.status == ports::commit_status::condition_failed) ++world_.counted.settled_not_applied;
    co_return result;
}

void watched_rows::count(const ports::batch& change) {
    totals& counted = world_.counted;
    const char kind = change.shard.front();
    if (kind == 'h' && change.fence.check == ports::fence::mode::raise) ++counted.partitions_claimed;
    for (const ports::mutation& one : change.mutations) {
        if (kind == 'h' && one.key.front() == 's' && one.value) ++counted.rolls;
        if (kind == 'h' && one.key.front() == 's' && !one.value) ++counted.removed_segments;
        if (kind != 'e' || !one.value) continue;
        const core::slot_row row = core::decode<core::slot_row>(*one.value);
        const std::string taken = row.owner + "/" + std::to_string(row.epoch);
        std::string& before = world_.slot_owners[change.shard];
        if (before == taken) continue;
        ++counted.slots_taken;
        if (!before.empty() && before.substr(0, before.find('/')) != row.owner) ++counted.slots_moved;
        before = taken;
    }
}

ports::machine_time process_clock::machine() const {
    ports::machine_time said;
    said.system = node_.wall_now() + machine_.set;
    said.synchronised = machine_.synchronised;
    said.boot = machine_.boot;
    said.since_boot = node_.now().time_since_epoch();
    return said;
}

// ---- router

weave::task<core::participant*> router::owner_of(partition_key) {
    co_return this;
}

weave::task<void> router::prepare(core::prepare_request request) {
    if (world_.mistakes.lost_member && world_.chance(0.1)) co_return;
    for (std::size_t tries = 0;; ++tries) {
        const std::size_t address = (self_.address + tries) % world_.addresses();
        const host_ptr owner = world_.at(address);
        try {
            if (owner.get() == &self_) {
                co_await self_.broker->prepare(request);
            } else {
                std::function<weave::task<void>(core::broker&)> work = [request](core::broker& there) {
                    return there.prepare(request);
                };
                co_await world_.ask<void>(self_.node, owner, std::move(work));
            }
            co_return;
        } catch (const error& failure) {
            if (failure.code() != errc::not_owner || tries + 1 == world_.addresses()) throw;
        }
    }
}

weave::task<void> router::resolve(request_id group, std::vector<partition_key> parts, core::group_row decided) {
    for (std::size_t tries = 0; tries < world_.addresses(); ++tries) {
        const host_ptr owner = world_.at((self_.address + tries) % world_.addresses());
        try {
            if (owner.get() == &self_) {
                co_await self_.broker->resolve(group, parts, decided);
            } else {
                std::function<weave::task<void>(core::broker&)> work = [=](core::broker& there) {
                    return there.resolve(group, parts, decided);
                };
                co_await world_.ask<void>(self_.node, owner, std::move(work));
            }
        } catch (const error&) {
            // It settles the group by itself.
        }
    }
}

host::host(cluster& world, memory::simulation& simulation, memory::store& shared, std::string its_name,
           std::size_t its_address, std::chrono::microseconds skew)
    : name(std::move(its_name)),
      address(its_address),
      node(simulation.add_node(skew)),
      clock(node.clock(), world.machine),
      rows(world, shared, node.clock()),
      blobs(shared, node.clock()),
      coordinator(shared, node.clock()),
      peers(world, *this) {}

// ---- cluster

cluster::cluster(std::uint64_t seed, kind of, planted wanted, bool verbose)
    : mistakes(wanted),
      simulation(simulation_options_of(seed)),
      choices(seed * 0x9e3779b97f4a7c15U + 1),
      service_node(simulation.add_node()),
      store_clock(service_node.clock(), machine),
      store(store_clock, store_options_of(simulation, seed, of)),
      kind_(of),
      verbose_(verbose) {
    options_.segment_transactions_max = static_cast<std::uint32_t>(2 + below(4));
    options_.lease_duration = 1s + std::chrono::milliseconds(below(2000));
    options_.group_deadline = 1s + std::chrono::milliseconds(below(2000));
    options_.ids_ahead = std::chrono::milliseconds(500 + below(3000));
    if (exclusive()) {
        options_.retention_interval = std::chrono::milliseconds(300 + below(1500));
        // Few enough that partitions are given up and loaded again all the time, in half of the runs.
        if (chance(0.5)) options_.partitions_cached_max = static_cast<std::uint32_t>(2 + below(3));
        if (chance(0.5)) machine.boot = "this run of the machine";
        machine.synchronised = mistakes.believed_clock;
        store.faults().set_rates({});
    }
    live_.resize(exclusive() ? 1 : 2);
    for (std::size_t address = 0; address < addresses(); ++address) live_.at(address) = start(address);
}

cluster::~cluster() = default;

moment cluster::now() {
    return ++moments_;
}

void cluster::log(const std::string& who, const std::string& what) {
    if (!verbose_) return;
    const auto micros = (simulation.now().time_since_epoch() - 1000s).count();
    std::printf("%11.6f %-12s %s\n", static_cast<double>(micros) / 1e6, who.c_str(), what.c_str());
}

host_ptr cluster::start(std::size_t address) {
    std::string name = (address < addresses() ? std::string(1, static_cast<char>('A' + address)) : "auditor-") +
                       std::to_string(++started_);
    const auto skew = exclusive() ? 0us : choices.up_to(4s) - 2s;
    auto made = std::make_shared<host>(*this, simulation, store, std::move(name), address, skew);
    hosts_.push_back(made);
    store_clock.anchor();
    begin(made);
    log(made->name, "starts");
    return made;
}

void cluster::begin(const host_ptr& made) {
    core::broker_options options = options_;
    options.executor = &made->node.executor();
    options.clock = &made->clock;
    options.rows = &made->rows;
    options.blobs = &made->blobs;
    options.coordinator = &made->coordinator;
    options.peers = &made->peers;
    options.node = made->name;
    options.on_notice = [this, made = made.get()](const std::string& what) {
        ++counted.held;
        log(made->name, what);
    };
    auto started = [this, made](weave::outcome_of<std::unique_ptr<core::broker>> result) {
        try {
            made->broker = result.get();
        } catch (const error& failure) {
            log(made->name, std::string("cannot start: ") + failure.what());
            service_node.clock().call_at(simulation.now() + 100ms, [this, made] {
                if (!made->dead) begin(made);
            });
        }
    };
    weave::spawn(made->node.executor(), core::broker::start(std::move(options)), std::move(started));
}

weave::task<void> cluster::pause(memory::simulated_node& node, std::chrono::microseconds time) {
    weave::event over(node.executor());
    node.clock().call_at(node.clock().now() + time, [&over] { over.set(); });
    co_await over.wait();
}

bool cluster::end_all() {
    ending_ = true;
    if (!simulation.run_until([this] { return at_work_ == 0; }, 60s)) return false;
    log("", "---- the dead come back");
    for (const host_ptr& one : hosts_) one->node.resume();
    simulation.run_for(20s);
    log("", "---- all brokers stop");
    bool ended = true;
    for (const host_ptr& one : hosts_) ended = stop(one) && ended;
    return ended;
}

bool cluster::stop(const host_ptr& one) {
    if (!one->broker) return true;
    bool stopped = false;
    weave::spawn(one->node.executor(), one->broker->stop(), [&](weave::outcome_of<void> ended) {
        ended.get();
        stopped = true;
    });
    const bool in_time = simulation.run_until([&] { return stopped && one->calls == 0; }, 60s);
    counted.background_failures += one->broker->counters().background_failures;
    if (in_time) one->broker.reset();
    return in_time;
}

host_ptr cluster::start_auditor() {
    for (const host_ptr& one : hosts_) {
        if (exclusive()) sever(one);
    }
    const host_ptr auditor = start(addresses());
    simulation.run_until([&] { return auditor->broker != nullptr; }, 1s);
    return auditor;
}

}  // namespace tstreams::sim
