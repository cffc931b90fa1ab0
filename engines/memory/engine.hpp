// The memory engine: all ports, over a memory::store.
//
//     memory::store shared(clock, {.exclusive = false, .faults = memory::fault_plan(rates, seed)});
//     memory::key_value rows(shared, node.clock());     // one connection of each kind per node
//     memory::blob_store blobs(shared, node.clock());
//     memory::coordinator coordination(shared, node.clock());
//
// Without faults every call completes without suspending. With them a call may take its time, in the time of
// the store's clock on the way there and of the node's clock on the way back: a paused node's requests still
// arrive. Writes to an exclusive store arrive in their order. Connections live longer than the calls made on them.
#pragma once

#include "engines/memory/store.hpp"

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/coordinator.hpp>
#include <tstreams/ports/key_value.hpp>
#include <weave/task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tstreams::memory {

class key_value final : public ports::key_value {
public:
    // `clock` serves the executor on which this is called.
    key_value(store& shared, ports::clock& clock) noexcept : store_(shared), clock_(clock) {}

    [[nodiscard]] ports::key_value_caps caps() const noexcept override;
    weave::task<std::optional<ports::bytes>> get(ports::bytes shard, ports::bytes key) override;
    weave::task<std::vector<ports::row>> scan(ports::scan_range range) override;
    weave::task<ports::commit_result> commit(ports::batch change, durability level) override;
    weave::task<ports::commit_result> commit_all(std::vector<ports::batch> changes, durability level) override;
    weave::task<ports::commit_result> settle(ports::bytes shard, ports::operation_id operation) override;
    void hold_expiry(std::optional<wall_time> at) override;

    // As when its process dies: nothing that is on its way arrives any more, and every call throws storage_failed.
    void sever() noexcept { severed_ = true; }

private:
    weave::task<ports::commit_result> commit_exclusive(std::vector<ports::batch> changes);

    store& store_;
    ports::clock& clock_;
    bool severed_ = false;
};

class blob_store final : public ports::blob_store {
public:
    blob_store(store& shared, ports::clock& clock) noexcept : store_(shared), clock_(clock) {}

    // A shared store wants sync(); an exclusive one has commit_covers.
    [[nodiscard]] ports::blob_caps caps() const noexcept override;
    // Blobs stay until they are dropped, whatever `expires` says.
    weave::task<ports::blob_ref> write(ports::blob_name name, bytes_view data, std::uint32_t crc32c,
                                       wall_time expires) override;
    weave::task<void> sync(std::vector<ports::blob_ref> blobs, durability level) override;
    weave::task<std::string> read(ports::blob_ref blob) override;
    weave::task<void> drop(std::vector<ports::blob_ref> blobs) override;

    void sever() noexcept { severed_ = true; }

private:
    store& store_;
    ports::clock& clock_;
    bool severed_ = false;
};

class coordinator final : public ports::coordinator {
public:
    coordinator(store& shared, ports::clock& clock);
    coordinator(const coordinator&) = delete;
    coordinator& operator=(const coordinator&) = delete;
    ~coordinator() override;

    weave::task<std::optional<ports::lease>> acquire(std::string name, std::string holder,
                                                     std::chrono::milliseconds duration) override;
    weave::task<std::optional<ports::lease>> renew(ports::lease held, std::chrono::milliseconds duration) override;
    weave::task<void> release(ports::lease held) override;
    weave::task<void> join(ports::member self, std::chrono::milliseconds duration) override;
    weave::task<void> leave(std::string node) override;
    weave::task<std::vector<ports::member>> members() override;
    weave::task<void> publish(std::string topic, std::string message) override;
    std::uint64_t subscribe(std::string topic, std::function<void(const std::string&)> on_message) override;
    void unsubscribe(std::uint64_t subscription) override;

private:
    struct subscription {
        std::string topic;
        std::function<void(const std::string&)> on_message;
    };
    // Shared with the deliveries that are under way.
    struct subscriptions {
        std::uint64_t last = 0;
        std::map<std::uint64_t, std::shared_ptr<subscription>> by_number;
    };

    void hear(const std::string& topic, const std::string& message);
    void deliver(const std::string& topic, const std::string& message);

    store& store_;
    ports::clock& clock_;
    std::uint64_t listener_;
    std::shared_ptr<subscriptions> subscriptions_ = std::make_shared<subscriptions>();
};

}  // namespace tstreams::memory
