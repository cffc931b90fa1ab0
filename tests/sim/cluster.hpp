// The cluster under test: brokers over one faulty memory store, the network between clients and brokers, and the chaos
// that pauses, crashes and replaces brokers. All in one thread, all from one seed.
//
// Two kinds. Shared: two addresses with a broker each, over a shared store. Exclusive: one address, whose broker has
// the store for itself, as `memory:` and `file:` do; it is stopped, killed and started anew, its storage fails, and the
// clock of its machine is set. What was sent to an address arrives at whoever is there by then.
#pragma once

#include "core/broker.hpp"
#include "engines/memory/engine.hpp"
#include "engines/memory/simulation.hpp"
#include "sim/history.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tstreams::sim {

using namespace std::chrono_literals;

enum class kind : std::uint8_t { shared, exclusive };

// Mistakes made on purpose, to see that the checker finds them.
struct planted {
    bool no_fences = false;           // the engine lets every owner write
    bool unknown_is_applied = false;  // a write whose fate is unknown counts as done
    bool reused_ids = false;          // a new owner does not start at the ceiling
    bool readers_pass_open = false;   // a reader does not stop at an open transaction
    bool lost_member = false;         // an owner says that it prepared a member, and did not
    bool any_instance = false;        // an older instance of a consumer is taken for the newest
    bool new_request_ids = false;     // who asks again asks for something new
    bool always_fresh = false;        // who asks again says that it never asked before
    bool other_numbers = false;       // who asks again says another number of its first call
    bool torn_batches = false;        // a batch over several shards leaves one out
    bool lying_failure = false;       // a storage that fails says of what is under way that it was not applied
    bool any_producer = false;        // an older instance of a named producer is taken for the newest
    bool believed_clock = false;      // every clock is believed at once
};

struct totals {
    std::uint64_t opens = 0, commits = 0, groups = 0, spread_groups = 0, refused = 0, unsettled = 0, cancels = 0;
    std::uint64_t attaches = 0, reads = 0, skipped = 0, waits = 0, woken = 0, woken_late = 0;
    std::uint64_t slots_taken = 0, slots_moved = 0, partitions_claimed = 0, rolls = 0;
    std::uint64_t unavailable = 0, unknown = 0, settled_applied = 0, settled_not_applied = 0, fenced = 0;
    std::uint64_t failed_reads = 0;
    std::uint64_t calls = 0, calls_lost = 0, calls_repeated = 0;
    std::uint64_t pauses = 0, crashes = 0, leases_lost = 0, silences = 0, found = 0, background_failures = 0, steps = 0;
    std::uint64_t restarts = 0, storage_failures = 0, clocks_set = 0, clocks_accepted = 0, held = 0;
    std::uint64_t named = 0, sources = 0, tools = 0, expired = 0, created = 0, deleted = 0, removed_segments = 0;
    totals& operator+=(const totals& other);
    [[nodiscard]] std::string text() const;
};

class cluster;
struct host;

// A connection to the store that counts, and that can be told to lie.
class watched_rows final : public ports::key_value {
public:
    watched_rows(cluster& world, memory::store& shared, ports::clock& clock) : world_(world), rows_(shared, clock) {}
    [[nodiscard]] ports::key_value_caps caps() const noexcept override { return rows_.caps(); }
    weave::task<std::optional<ports::bytes>> get(ports::bytes shard, ports::bytes key) override;
    weave::task<std::vector<ports::row>> scan(ports::scan_range range) override;
    weave::task<ports::commit_result> commit(ports::batch change, durability level) override;
    weave::task<ports::commit_result> commit_all(std::vector<ports::batch> changes, durability level) override;
    weave::task<ports::commit_result> settle(ports::bytes shard, ports::operation_id operation) override;
    void hold_expiry(std::optional<wall_time> at) override { rows_.hold_expiry(at); }

private:
    void count(const ports::batch& change);
    cluster& world_;
    memory::key_value rows_;

public:
    void sever() noexcept { rows_.sever(); }
};

// What the machine says of its time of day.
struct machine_clock {
    std::chrono::microseconds set{0};  // by somebody
    std::string boot;
    bool synchronised = false;
};

// The clock of a process: its time of day is the machine's when it starts, and goes on evenly from there.
class process_clock final : public ports::clock {
public:
    process_clock(ports::clock& node, const machine_clock& machine) : node_(node), machine_(machine) { anchor(); }
    void anchor() noexcept { set_ = machine_.set; }
    [[nodiscard]] ports::steady_time now() const noexcept override { return node_.now(); }
    [[nodiscard]] wall_time wall_now() const noexcept override { return node_.wall_now() + set_; }
    [[nodiscard]] ports::machine_time machine() const override;
    timer call_at(ports::steady_time when, std::function<void()> callback) override {
        return node_.call_at(when, std::move(callback));
    }
    void cancel(timer which) noexcept override { node_.cancel(which); }
    [[nodiscard]] std::uint64_t random() noexcept override { return node_.random(); }

private:
    ports::clock& node_;
    const machine_clock& machine_;
    std::chrono::microseconds set_{0};
};

// How a broker reaches the others: it tries, and goes on where the owner is another one.
class router final : public core::peers, public core::participant {
public:
    router(cluster& world, host& self) : world_(world), self_(self) {}
    weave::task<core::participant*> owner_of(partition_key key) override;
    weave::task<void> prepare(core::prepare_request request) override;
    weave::task<void> resolve(request_id group, std::vector<partition_key> parts, core::group_row decided) override;

private:
    cluster& world_;
    host& self_;
};

// One broker process.
struct host {
    host(cluster& world, memory::simulation& simulation, memory::store& shared, std::string its_name,
         std::size_t its_address, std::chrono::microseconds skew);

    const std::string name;
    const std::size_t address;
    memory::simulated_node& node;
    process_clock clock;
    watched_rows rows;
    memory::blob_store blobs;
    memory::coordinator coordinator;
    router peers;
    std::unique_ptr<core::broker> broker;
    std::uint64_t calls = 0;  // under way
    bool dead = false;        // crashed: it sleeps until all is over
};
using host_ptr = std::shared_ptr<host>;

struct network_rates {
    double lost = 0;      // of requests, and of replies
    double repeated = 0;  // of requests
    std::chrono::microseconds delay_max = 3ms;
};

class cluster {
public:
    cluster(std::uint64_t seed, kind of, planted mistakes, bool verbose);
    ~cluster();
    cluster(const cluster&) = delete;
    cluster& operator=(const cluster&) = delete;

    // Runs `work` at the broker and brings back its answer. Throws what it throws, and timed_out (outcome unknown)
    // when no answer comes in time. Sets `repeated` when the request arrives twice, perhaps late, which it does not
    // where it is to arrive but once.
    template <class T>
    weave::task<T> ask(memory::simulated_node& from, host_ptr to, std::function<weave::task<T>(core::broker&)> work,
                       bool* repeated = nullptr, bool once = false);

    [[nodiscard]] bool exclusive() const noexcept { return kind_ == kind::exclusive; }
    [[nodiscard]] std::size_t addresses() const noexcept { return live_.size(); }
    [[nodiscard]] host_ptr at(std::size_t address) const { return live_.at(address); }
    // Begins the bad weather and the chaos; heal() ends both.
    void begin_chaos();
    void heal();
    [[nodiscard]] bool healed() const noexcept { return healed_; }
    // The dead come back for a while, then every broker stops. False: one did not end in time.
    bool end_all();
    // A fresh broker, after end_all().
    host_ptr start_auditor();
    bool stop(const host_ptr& one);

    [[nodiscard]] bool chance(double probability) { return choices.chance(probability); }
    [[nodiscard]] std::uint64_t below(std::uint64_t end) { return choices.below(end); }
    [[nodiscard]] weave::task<void> pause(memory::simulated_node& node, std::chrono::microseconds time);
    [[nodiscard]] moment now();
    [[nodiscard]] bool logging() const noexcept { return verbose_; }
    // The time of day as a process that starts now would have it; of all clients of an exclusive store.
    [[nodiscard]] wall_time wall_now() { return service_node.clock().wall_now() + machine.set; }
    // The latest time by which retention could ever have gone so far: what is not expired by then must not be removed.
    [[nodiscard]] wall_time believable() { return service_node.clock().wall_now() + believed_; }
    // Somebody says that the clock is right. False: it is so far ahead that nobody would say so.
    [[nodiscard]] bool believe_clock();
    // Puts the machine's clock right again; the broker must be started anew to see it.
    void correct_clock();
    // A fresh broker in the place of the one that is there, which ends properly, or dies; exclusive only.
    weave::task<void> restart(bool properly);
    void log(const std::string& who, const std::string& what);

    const planted mistakes;
    memory::simulation simulation;
    memory::random_source choices;
    memory::simulated_node& service_node;
    machine_clock machine;
    process_clock store_clock;
    memory::store store;
    totals counted;
    network_rates network;
    std::map<std::string, std::string> slot_owners;

private:
    template <class T>
    struct call;
    template <class T>
    void deliver(memory::simulated_node& from, host_ptr to, std::function<weave::task<T>(core::broker&)> work,
                 std::shared_ptr<call<T>> asked, std::chrono::microseconds late);
    template <class T>
    static weave::task<T> run_at(host_ptr to, std::function<weave::task<T>(core::broker&)> work);

    host_ptr start(std::size_t address);
    void begin(const host_ptr& made);
    weave::task<void> chaos();
    void disturb_shared(std::size_t address);
    void disturb_exclusive();
    weave::task<void> tend();
    void set_clock();
    void in_background(weave::task<void> work);
    weave::task<void> pause_host(host_ptr one);
    void crash(std::size_t address);
    void lose_a_lease();
    static void sever(const host_ptr& one);
    void set_weather(bool bad);

    const kind kind_;
    const bool verbose_;
    moment moments_ = 0;
    bool healed_ = false;
    bool ending_ = false;
    bool restarting_ = false;
    std::size_t at_work_ = 0;                // coroutines of the chaos
    std::chrono::microseconds believed_{0};  // the most that the machine's clock was ahead while it could be believed
    std::uint64_t started_ = 0;
    std::vector<host_ptr> live_;
    std::vector<host_ptr> hosts_;
    core::broker_options options_;
};

// ---- calls

template <class T>
struct cluster::call {
    explicit call(weave::executor& home) : answered(home) {}
    weave::event answered;
    std::optional<weave::outcome_of<T>> result;
};

template <class T>
weave::task<T> cluster::run_at(host_ptr to, std::function<weave::task<T>(core::broker&)> work) {
    struct counter {
        explicit counter(std::uint64_t& of) : calls(of) { ++calls; }
        ~counter() { --calls; }
        std::uint64_t& calls;
    };
    const counter under_way(to->calls);
    if (!to->broker) throw error(errc::unavailable, "no broker is there");
    weave::task<T> running = work(*to->broker);
    co_return co_await running;
}

template <class T>
void cluster::deliver(memory::simulated_node& from, host_ptr to, std::function<weave::task<T>(core::broker&)> work,
                      std::shared_ptr<call<T>> asked, std::chrono::microseconds late) {
    const auto there = late + choices.up_to(network.delay_max);
    const auto back = choices.up_to(network.delay_max);
    const bool request_lost = chance(network.lost);
    const bool reply_lost = chance(network.lost);
    if (request_lost) return;
    auto answer = [&from, asked, back, reply_lost](weave::outcome_of<T> result) {
        if (reply_lost) return;
        auto carried = std::make_shared<weave::outcome_of<T>>(std::move(result));
        from.clock().call_at(from.clock().now() + back, [asked, carried] {
            if (!asked->result) asked->result.emplace(std::move(*carried));
            asked->answered.set();
        });
    };
    // The network of an exclusive store does not know which process is behind the address.
    ports::clock& way = exclusive() ? service_node.clock() : to->node.clock();
    way.call_at(way.now() + there, [this, to, work, answer] {
        const host_ptr receiver = exclusive() && !ending_ ? live_.front() : to;
        weave::spawn(receiver->node.executor(), run_at<T>(receiver, work), answer);
    });
}

template <class T>
weave::task<T> cluster::ask(memory::simulated_node& from, host_ptr to,
                            std::function<weave::task<T>(core::broker&)> work, bool* repeated, bool once) {
    auto asked = std::make_shared<call<T>>(from.executor());
    ++counted.calls;
    deliver<T>(from, to, work, asked, 0us);
    if (!once && chance(network.repeated)) {
        ++counted.calls_repeated;
        if (repeated) *repeated = true;
        // Some come when everything else has moved on.
        const auto late = chance(0.3) ? choices.up_to(8s) : 0us;
        deliver<T>(from, to, work, asked, late);
    }
    const auto patience = 1s + choices.up_to(2s);
    const ports::clock::timer timer =
        from.clock().call_at(from.clock().now() + patience, [asked] { asked->answered.set(); });
    co_await asked->answered.wait();
    from.clock().cancel(timer);
    if (!asked->result) {
        ++counted.calls_lost;
        throw error(errc::timed_out, "no answer came from " + to->name, outcome::unknown);
    }
    co_return asked->result->get();
}

}  // namespace tstreams::sim
