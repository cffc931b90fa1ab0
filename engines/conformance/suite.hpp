// The conformance suite: what every engine must do, whatever it is built on.
//
//     std::unique_ptr<tstreams::conformance::engine_under_test> make() { return ...; }   // in a fresh place
//     TSTREAMS_CONFORMANCE(rows_suite, my_engine, make);
//     TSTREAMS_CONFORMANCE(exclusive_suite, my_engine, make);
//     TSTREAMS_CONFORMANCE(blobs_suite, my_engine, make);
//     TSTREAMS_CONFORMANCE(reopen_suite, my_engine, make);
//
// A test program names the suites that fit its engine and links conformance_suite:
//   rows_suite         key_value: every engine
//   exclusive_suite    caps().exclusive: fences are taken as met
//   fences_suite       not exclusive: fences, operation ids, several connections
//   atomic_suite       caps().atomic_shards: commit_all
//   unknown_suite      can_fail_commits(): what `unknown` means, and settle
//   blobs_suite        blob_store
//   reopen_suite       persistent(): what was committed is there after reopen()
//   coordinator_suite  connection::coordination
#pragma once

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/coordinator.hpp>
#include <tstreams/ports/key_value.hpp>
#include <weave/executor.hpp>
#include <weave/spawn.hpp>
#include <weave/task.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::conformance {

// One node's way to the engine. Pointers belong to the engine under test.
struct connection {
    weave::executor* executor = nullptr;
    ports::clock* clock = nullptr;  // the clock that the engine was constructed with
    ports::key_value* rows = nullptr;
    ports::blob_store* blobs = nullptr;
    ports::coordinator* coordination = nullptr;  // null: the engine has none
};

// What the next commit of a scripted engine does instead of the ordinary.
enum class commit_fault : std::uint8_t {
    unavailable,
    unknown_applied,
    unknown_not_applied,
    unknown_applied_later,  // a good while after the answer, unless settled or superseded
};

// An engine opened in a fresh, empty place of its own; the destructor closes it and removes what it left.
class engine_under_test {
public:
    virtual ~engine_under_test() = default;

    // Connections to the same store; the second one exists only where nodes() > 1.
    [[nodiscard]] virtual connection node(std::size_t index) = 0;
    [[nodiscard]] virtual std::size_t nodes() const { return 1; }

    // Runs jobs of the executors, here or on threads of their own, until `done` is set by one of them. With
    // threads, `done.wait(false)` does it. Throws when nothing can set it any more.
    virtual void drive(const std::atomic<bool>& done) = 0;

    // The engine's wall and steady time move on by at least this much: a clock moved by hand, or a sleep.
    virtual void advance(std::chrono::milliseconds time) = 0;

    // Closes the engine in an orderly way and opens it again in the same place. What node() gave before is
    // gone.
    [[nodiscard]] virtual bool persistent() const { return false; }
    virtual void reopen() { throw std::logic_error("this engine keeps nothing"); }

    [[nodiscard]] virtual bool can_fail_commits() const { return false; }
    virtual void fail_next_commit(commit_fault) { throw std::logic_error("this engine has no scripted faults"); }

    // Runs `work` on a node's executor until it is done and returns its result or throws its exception.
    template <class T>
    T run(std::size_t node_index, weave::task<T> work) {
        struct state {
            std::optional<weave::outcome_of<T>> result;
            std::atomic<bool> done = false;
        };
        auto shared = std::make_shared<state>();
        weave::spawn(*node(node_index).executor, std::move(work), [shared](weave::outcome_of<T> result) {
            shared->result.emplace(std::move(result));
            shared->done.store(true);
            shared->done.notify_all();
        });
        drive(shared->done);
        return shared->result->get();
    }
    template <class T>
    T run(weave::task<T> work) {
        return run(0, std::move(work));
    }
};

// The same bytes for the same seed.
[[nodiscard]] std::string random_bytes(std::size_t size, std::uint64_t seed);

using engine_factory = std::unique_ptr<engine_under_test> (*)();

// What the suites share: an engine, and its calls made blocking.
class engine_test : public ::testing::TestWithParam<engine_factory> {
protected:
    void SetUp() override { engine_ = GetParam()(); }
    void TearDown() override { engine_.reset(); }

    [[nodiscard]] engine_under_test& engine() { return *engine_; }
    [[nodiscard]] ports::key_value& rows(std::size_t node = 0) { return *engine_->node(node).rows; }
    [[nodiscard]] ports::blob_store& blobs(std::size_t node = 0) { return *engine_->node(node).blobs; }
    [[nodiscard]] wall_time wall_now();

    // A batch without conditions and fence, with an operation id that no other batch of this test has.
    [[nodiscard]] ports::batch new_batch(std::string shard);
    [[nodiscard]] ports::batch put_batch(std::string shard, std::string key, std::string value);

    std::optional<std::string> get(std::string shard, std::string key, std::size_t node = 0);
    std::vector<ports::row> scan(ports::scan_range range, std::size_t node = 0);
    ports::commit_result commit(ports::batch change, std::size_t node = 0);
    ports::commit_result commit_all(std::vector<ports::batch> changes);
    // Each for itself, all under way at the same time.
    void commit_each(std::vector<ports::batch> changes);
    ports::commit_result settle(std::string shard, ports::operation_id operation, std::size_t node = 0);
    // Writes the row and expects that to succeed.
    void put(std::string shard, std::string key, std::string value);

private:
    std::unique_ptr<engine_under_test> engine_;
    std::uint64_t operations_ = 0;
};

// The suites. `link` does nothing but bring their tests, which are in a library, into the program.
#define TSTREAMS_CONFORMANCE_SUITE(suite) \
    class suite : public engine_test {    \
    public:                               \
        static bool link() noexcept;      \
    }
TSTREAMS_CONFORMANCE_SUITE(rows_suite);
TSTREAMS_CONFORMANCE_SUITE(exclusive_suite);
TSTREAMS_CONFORMANCE_SUITE(fences_suite);
TSTREAMS_CONFORMANCE_SUITE(atomic_suite);
TSTREAMS_CONFORMANCE_SUITE(unknown_suite);
TSTREAMS_CONFORMANCE_SUITE(blobs_suite);
TSTREAMS_CONFORMANCE_SUITE(reopen_suite);
TSTREAMS_CONFORMANCE_SUITE(coordinator_suite);
#undef TSTREAMS_CONFORMANCE_SUITE

}  // namespace tstreams::conformance

// Runs `suite` over the engines that `factory`, a function, makes: one for each test. At namespace scope.
#define TSTREAMS_CONFORMANCE(suite, name, factory)                                                       \
    [[maybe_unused]] static const bool name##_##suite##_linked = ::tstreams::conformance::suite::link(); \
    using ::tstreams::conformance::suite;                                                                \
    INSTANTIATE_TEST_SUITE_P(name, suite, ::testing::Values(&(factory)))
