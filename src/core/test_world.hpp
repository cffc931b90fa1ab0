// A broker on the memory engine and a simulated clock, for the tests of this folder.
#pragma once

#include "core/broker.hpp"
#include "core/frames.hpp"
#include "engines/memory/engine.hpp"
#include "engines/memory/simulation.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::core {

using namespace std::chrono_literals;

// The node's clock, whose time of day can be set, and which can say more of its machine.
class settable_clock final : public ports::clock {
public:
    explicit settable_clock(ports::clock& behind) : behind_(behind) {}
    [[nodiscard]] ports::steady_time now() const noexcept override { return behind_.now(); }
    [[nodiscard]] wall_time wall_now() const noexcept override { return behind_.wall_now() + shift; }
    [[nodiscard]] ports::machine_time machine() const override {
        ports::machine_time said;
        said.system = wall_now() + set_since;
        said.synchronised = synchronised;
        said.boot = boot;
        said.since_boot = behind_.now().time_since_epoch();
        return said;
    }
    timer call_at(ports::steady_time when, std::function<void()> callback) override {
        return behind_.call_at(when, std::move(callback));
    }
    void cancel(timer which) noexcept override { behind_.cancel(which); }
    [[nodiscard]] std::uint64_t random() noexcept override { return behind_.random(); }

    std::chrono::microseconds shift{0};
    std::chrono::microseconds set_since{0};  // the machine's own clock, which the store does not follow
    bool synchronised = false;
    std::string boot;

private:
    ports::clock& behind_;
};

class test_world {
public:
    explicit test_world(broker_options chosen = {}) : chosen_(std::move(chosen)) {
        start();
        session = run(service->open_session("tester", 30s));
    }
    ~test_world() { stop(); }
    test_world(const test_world&) = delete;
    test_world& operator=(const test_world&) = delete;

    void start() {
        broker_options options = chosen_;
        options.executor = &node.executor();
        options.clock = &clock;
        if (options.rows == nullptr) options.rows = &rows;
        if (options.blobs == nullptr) options.blobs = &blobs;
        owned_ = run(broker::start(std::move(options)));
        service = owned_.get();
    }
    void stop() {
        if (owned_) run(owned_->stop());
        owned_.reset();
        service = nullptr;
    }
    // As after a crash: nothing of what was open is known any more.
    void restart() {
        stop();
        start();
        session = run(service->open_session("tester", 30s));
    }

    // A new broker, on another connection to the same store.
    void restart_on(ports::key_value& others) {
        chosen_.rows = &others;
        restart();
    }

    template <class T>
    T run(weave::task<T> work) {
        return simulation.run(node, std::move(work));
    }

    stream_info make_stream(const std::string& name, std::uint32_t partitions = 1, std::chrono::seconds ttl = 24h) {
        create_request request;
        request.options.name = name;
        request.options.partitions = partitions;
        request.options.ttl = ttl;
        return run(service->create_stream(request));
    }
    transaction_ref open(const stream_info& stream, partition_number partition = 0) {
        open_request request;
        request.session = session;
        request.stream = stream.id;
        request.partition = partition;
        return run(service->open(request)).transaction;
    }
    request_id next_request(bool answer_kept = false) {
        const std::uint64_t high = clock.random();
        return make_request_id(clock.wall_now(), answer_kept, high, clock.random());
    }

    decision decide(const transaction_ref& transaction, const std::vector<std::string>& items) {
        decision made;
        made.transaction = transaction;
        for (const std::string& item : items) {
            pack_item(made.inline_items, as_bytes(item));
            made.bytes += item.size();
        }
        made.items = items.size();
        return made;
    }
    commit_reply checkpoint(const transaction_ref& transaction, const std::vector<std::string>& items) {
        commit_request request = empty_commit();
        request.transactions.push_back(decide(transaction, items));
        return run(service->commit(request));
    }
    commit_request empty_commit() {
        commit_request request;
        request.session = session;
        request.request = next_request();
        return request;
    }
    transaction_id send(const stream_info& stream, const std::string& item, partition_number partition = 0) {
        const transaction_ref transaction = open(stream, partition);
        checkpoint(transaction, {item});
        return transaction.id;
    }
    read_reply read(const stream_info& stream, transaction_id after = {}, partition_number partition = 0,
                    bool skip_open = false) {
        read_request request;
        request.stream = stream.id;
        request.partition = partition;
        request.after = after;
        request.skip_open = skip_open;
        return run(service->read(request));
    }
    std::vector<std::string> texts(const read_reply& reply) {
        std::vector<std::string> found;
        for (const stored_transaction& one : reply.transactions) {
            frame_reader items(one.inline_items);
            while (const auto item = items.next()) found.emplace_back(as_text(*item));
        }
        return found;
    }
    attached_partition attach(const stream_info& stream, const std::string& consumer, start_point start = {},
                              partition_number partition = 0) {
        attach_consumer_request request;
        request.session = session;
        request.stream = stream.id;
        request.consumer = consumer;
        request.partitions.push_back(partition);
        request.starts.push_back(start);
        return run(service->attach_consumer(request)).front();
    }

    memory::simulation simulation;
    memory::simulated_node& node = simulation.add_node();
    settable_clock clock{node.clock()};
    memory::store store{clock};
    memory::key_value rows{store, clock};
    memory::blob_store blobs{store, clock};
    broker* service = nullptr;
    session_id session = 0;

private:
    broker_options chosen_;
    std::unique_ptr<broker> owned_;
};

// The code that `call` throws; fails the test when it throws nothing.
template <class Call>
errc code_of(Call call) {
    try {
        call();
    } catch (const error& failure) {
        return failure.code();
    }
    ADD_FAILURE() << "nothing was thrown";
    return errc::invalid_state;
}

}  // namespace tstreams::core
