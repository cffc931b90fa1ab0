#include "engines/conformance/suite.hpp"

#include <random>

namespace tstreams::conformance {

namespace {

weave::task<wall_time> read_wall_clock(ports::clock& clock) {
    co_return clock.wall_now();
}

}  // namespace

std::string random_bytes(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

wall_time engine_test::wall_now() {
    weave::task<wall_time> ask = read_wall_clock(*engine_->node(0).clock);
    return engine_->run(std::move(ask));
}

ports::batch engine_test::new_batch(std::string shard) {
    ports::batch change;
    change.shard = std::move(shard);
    change.operation = {0x636f6e666f726dU, ++operations_};
    return change;
}

ports::batch engine_test::put_batch(std::string shard, std::string key, std::string value) {
    ports::batch change = new_batch(std::move(shard));
    change.mutations.push_back({std::move(key), std::move(value), std::nullopt});
    return change;
}

std::optional<std::string> engine_test::get(std::string shard, std::string key, std::size_t node) {
    return engine_->run(node, rows(node).get(std::move(shard), std::move(key)));
}

std::vector<ports::row> engine_test::scan(ports::scan_range range, std::size_t node) {
    return engine_->run(node, rows(node).scan(std::move(range)));
}

ports::commit_result engine_test::commit(ports::batch change, std::size_t node) {
    return engine_->run(node, rows(node).commit(std::move(change), durability::process()));
}

ports::commit_result engine_test::commit_all(std::vector<ports::batch> changes) {
    return engine_->run(rows().commit_all(std::move(changes), durability::process()));
}

void engine_test::commit_each(std::vector<ports::batch> changes) {
    struct state {
        std::size_t left = 0;
        std::atomic<bool> done = false;
    };
    const auto shared = std::make_shared<state>();
    shared->left = changes.size();
    for (ports::batch& change : changes) {
        weave::task<ports::commit_result> one = rows().commit(std::move(change), durability::process());
        weave::spawn(*engine_->node(0).executor, std::move(one), [shared](weave::outcome_of<ports::commit_result>) {
            if (--shared->left != 0) return;
            shared->done.store(true);
            shared->done.notify_all();
        });
    }
    engine_->drive(shared->done);
}

// Asks until there is an answer, 1,000 times at most.
ports::commit_result engine_test::settle(std::string shard, ports::operation_id operation, std::size_t node) {
    ports::commit_result result;
    for (int attempt = 0; attempt < 1000; ++attempt) {
        result = engine_->run(node, rows(node).settle(shard, operation));
        if (result.status != ports::commit_status::unavailable) break;
    }
    return result;
}

void engine_test::put(std::string shard, std::string key, std::string value) {
    const ports::commit_result result = commit(put_batch(std::move(shard), std::move(key), std::move(value)));
    ASSERT_EQ(result.status, ports::commit_status::applied);
}

}  // namespace tstreams::conformance
