#include "sim/run.hpp"

#include "sim/audit.hpp"
#include "sim/clients.hpp"

namespace tstreams::sim {
namespace {

constexpr std::size_t clients_count = 3;
constexpr auto chaos_time = 10s;
constexpr auto settling_time = 120s;

tstreams::stream_info make_stream(cluster& world, const std::string& name) {
    core::create_request request;
    request.options.name = name;
    request.options.partitions = 2;
    request.options.max_open = 6s;
    if (world.exclusive()) request.options.ttl = 24h * 60;
    request.request = {1, world.choices.next()};
    const host_ptr there = world.at(world.below(world.addresses()));
    return world.simulation.run(there->node, there->broker->create_stream(std::move(request)));
}

class performance {
public:
    performance(std::uint64_t seed, kind of, planted mistakes, bool verbose) : world_(seed, of, mistakes, verbose) {}

    result play() {
        result made;
        try {
            act(made.violations);
        } catch (const std::exception& failure) {
            made.violations.push_back(std::string("the run ended with: ") + failure.what());
        }
        world_.counted.steps = world_.simulation.steps();
        made.counted = world_.counted;
        made.trace_hash = world_.simulation.trace_hash();
        return made;
    }

    [[nodiscard]] bool hangs() const noexcept { return !ended_; }

private:
    void act(std::vector<std::string>& violations) {
        world_.simulation.run_for(1ms);
        shared_.input = make_stream(world_, "input");
        shared_.output = make_stream(world_, "output");
        shared_.seen.copier = "copier";
        if (world_.exclusive()) {
            shared_.seen.feeder = "feeder";
            shared_.seen.free_names = {"drifter", "marker", "passer"};
        }
        for (partition_number number = 0; number < 2; ++number)
            shared_.seen.inputs.push_back({shared_.input.id, number});
        for (std::size_t number = 0; number < clients_count; ++number)
            clients_.push_back(std::make_unique<client>(world_, shared_, number));
        world_.begin_chaos();
        for (const auto& one : clients_) begin(*one);
        if (world_.exclusive()) begin_exclusive();
        world_.simulation.run_for(chaos_time);
        world_.heal();
        if (!world_.simulation.run_until([this] { return running_ == 0; }, settling_time)) {
            violations.push_back("liveness: " + std::to_string(running_) +
                                 " clients are not done long after all is well, of them " +
                                 std::to_string(shared_.producers_at_work) + " that write");
            return;
        }
        if (!failure_.empty()) violations.push_back(failure_);
        if (!world_.end_all()) {
            violations.push_back("liveness: a broker does not stop");
            return;
        }
        const host_ptr auditor = world_.start_auditor();
        audit(world_, auditor, shared_);
        std::vector<std::string> kept;
        if (world_.exclusive()) kept = audit_retention(world_, auditor, shared_);
        if (!world_.stop(auditor)) violations.push_back("liveness: the auditing broker does not stop");
        ended_ = true;
        for (std::string& one : check(shared_.seen)) violations.push_back(std::move(one));
        for (std::string& one : kept) violations.push_back(std::move(one));
        // One may become readable at that very moment.
        if (world_.counted.woken_late > 2)
            violations.push_back(std::to_string(world_.counted.woken_late) +
                                 " readers found something at their deadlines and had not been woken by it");
        if (const std::uint64_t early = world_.store.unsynced_covers())
            violations.push_back(std::to_string(early) + " blobs were made visible before they were synced");
    }

    void begin(client& one) {
        begin(one, one.produce(), true);
        begin(one, one.copy(), true);
        begin(one, one.tally(), true);
        begin(one, one.keep_alive(), false);
        begin(one, one.read(false), false);
        if (world_.chance(0.3)) begin(one, one.read(true), false);
    }

    void begin_exclusive() {
        for (const auto& one : clients_) {
            begin(*one, one->ingest(), true);
            begin(*one, one->read_brief(), false);
            begin(*one, one->drift(), true);
        }
        client& first = *clients_.at(0);
        client& second = *clients_.at(1);
        begin(first, first.rebuild(), true);
        begin(first, first.mark(), true);
        begin(first, first.pass(), true);
        begin(second, second.meddle(), true);
        begin(second, second.mark(), true);
        begin(second, second.pass(), true);
    }

    void begin(client& one, weave::task<void> work, bool writes) {
        ++running_;
        if (writes) ++shared_.producers_at_work;
        weave::spawn(one.node().executor(), std::move(work), [this, writes](weave::outcome_of<void> ended) {
            try {
                ended.get();
            } catch (const std::exception& failure) {
                failure_ = std::string("a client ended with: ") + failure.what();
            }
            --running_;
            if (writes) --shared_.producers_at_work;
        });
    }

    cluster world_;
    scene shared_;
    std::vector<std::unique_ptr<client>> clients_;
    std::size_t running_ = 0;
    bool ended_ = false;
    std::string failure_;
};

}  // namespace

result run(std::uint64_t seed, kind of, planted mistakes, bool verbose) {
    // What hangs cannot be taken down in order: it stays, in sight of the leak checker.
    static auto& hanging = *new std::vector<std::unique_ptr<performance>>();
    auto one = std::make_unique<performance>(seed, of, mistakes, verbose);
    result made = one->play();
    if (one->hangs()) hanging.push_back(std::move(one));
    return made;
}

}  // namespace tstreams::sim
