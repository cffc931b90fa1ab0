// The conformance suite over the memory engine: exclusive, shared, and shared with delays and passing
// failures of settle. All in virtual time.
#include "engines/conformance/suite.hpp"
#include "engines/memory/engine.hpp"
#include "engines/memory/simulation.hpp"

#include <array>

namespace {

using namespace tstreams;
using namespace std::chrono_literals;

class memory_under_test final : public conformance::engine_under_test {
public:
    memory_under_test(bool exclusive, const memory::fault_rates& rates)
        : storage_(world_.add_node()),
          store_(storage_.clock(), options(exclusive, rates)),
          nodes_{node_state(world_.add_node(), store_), node_state(world_.add_node(), store_)} {}

    conformance::connection node(std::size_t index) override {
        node_state& state = nodes_.at(index);
        return {&state.place.executor(), &state.place.clock(), &state.rows, &state.blobs, &state.coordination};
    }
    std::size_t nodes() const override { return store_.exclusive() ? 1 : 2; }
    void drive(const std::atomic<bool>& done) override {
        const bool in_time = world_.run_until([&done] { return done.load(); }, 24h);
        if (!in_time) throw std::runtime_error("the simulated engine came to rest without an answer");
    }
    void advance(std::chrono::milliseconds time) override { world_.run_for(time); }
    bool can_fail_commits() const override { return !store_.exclusive(); }
    void fail_next_commit(conformance::commit_fault fault) override { store_.faults().next_commit(translate(fault)); }

private:
    struct node_state {
        node_state(memory::simulated_node& node, memory::store& shared)
            : place(node),
              rows(shared, node.clock()),
              blobs(shared, node.clock()),
              coordination(shared, node.clock()) {}
        memory::simulated_node& place;
        memory::key_value rows;
        memory::blob_store blobs;
        memory::coordinator coordination;
    };

    static memory::store_options options(bool exclusive, const memory::fault_rates& rates) {
        memory::store_options result;
        result.exclusive = exclusive;
        const bool faulty = rates.delay > 0;
        if (faulty) result.faults = memory::fault_plan(rates, 1);
        return result;
    }
    static memory::commit_fault translate(conformance::commit_fault fault) {
        switch (fault) {
            case conformance::commit_fault::unavailable:
                return memory::commit_fault::unavailable;
            case conformance::commit_fault::unknown_applied:
                return memory::commit_fault::unknown_applied;
            case conformance::commit_fault::unknown_not_applied:
                return memory::commit_fault::unknown_not_applied;
            case conformance::commit_fault::unknown_applied_later:
                break;
        }
        return memory::commit_fault::unknown_applied_later;
    }

    memory::simulation world_;
    memory::simulated_node& storage_;
    memory::store store_;
    std::array<node_state, 2> nodes_;
};

std::unique_ptr<conformance::engine_under_test> exclusive() {
    return std::make_unique<memory_under_test>(true, memory::fault_rates{});
}

std::unique_ptr<conformance::engine_under_test> shared() {
    return std::make_unique<memory_under_test>(false, memory::fault_rates{});
}

memory::fault_rates slow_rates() {
    memory::fault_rates rates;
    rates.delay = 0.7;
    rates.delay_max = 5ms;
    rates.settle = 0.2;
    return rates;
}

std::unique_ptr<conformance::engine_under_test> slow_exclusive() {
    return std::make_unique<memory_under_test>(true, slow_rates());
}

std::unique_ptr<conformance::engine_under_test> slow_shared() {
    return std::make_unique<memory_under_test>(false, slow_rates());
}

TSTREAMS_CONFORMANCE(rows_suite, exclusive, exclusive);
TSTREAMS_CONFORMANCE(exclusive_suite, exclusive, exclusive);
TSTREAMS_CONFORMANCE(atomic_suite, exclusive, exclusive);
TSTREAMS_CONFORMANCE(blobs_suite, exclusive, exclusive);

TSTREAMS_CONFORMANCE(rows_suite, slow_exclusive, slow_exclusive);
TSTREAMS_CONFORMANCE(exclusive_suite, slow_exclusive, slow_exclusive);
TSTREAMS_CONFORMANCE(atomic_suite, slow_exclusive, slow_exclusive);
TSTREAMS_CONFORMANCE(blobs_suite, slow_exclusive, slow_exclusive);

TSTREAMS_CONFORMANCE(rows_suite, shared, shared);
TSTREAMS_CONFORMANCE(fences_suite, shared, shared);
TSTREAMS_CONFORMANCE(unknown_suite, shared, shared);
TSTREAMS_CONFORMANCE(blobs_suite, shared, shared);
TSTREAMS_CONFORMANCE(coordinator_suite, shared, shared);

TSTREAMS_CONFORMANCE(rows_suite, slow_shared, slow_shared);
TSTREAMS_CONFORMANCE(fences_suite, slow_shared, slow_shared);
TSTREAMS_CONFORMANCE(unknown_suite, slow_shared, slow_shared);
TSTREAMS_CONFORMANCE(blobs_suite, slow_shared, slow_shared);
TSTREAMS_CONFORMANCE(coordinator_suite, slow_shared, slow_shared);

}  // namespace
