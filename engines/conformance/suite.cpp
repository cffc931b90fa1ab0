#include "engines/conformance/suite.hpp"

#include <weave/sync.hpp>

#include <random>
#include <tuple>

namespace tstreams::conformance {

namespace {

weave::task<wall_time> read_wall_clock(ports::clock& clock) {
    co_return clock.wall_now();
}

weave::task<void> commit_together(connection at, std::vector<ports::batch> changes) {
    std::vector<weave::task<ports::commit_result>> begun;
    for (ports::batch& change : changes) begun.push_back(at.rows->commit(std::move(change), durability::process()));
    weave::task<std::vector<weave::outcome_of<ports::commit_result>>> all =
        weave::when_all(*at.executor, std::move(begun));
    std::ignore = co_await all;
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
    engine_->run(commit_together(engine_->node(0), std::move(changes)));
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
