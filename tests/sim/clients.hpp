// The clients of a simulated cluster: producers, copiers, a tally and readers, each a coroutine with its own
// routing, each writing down what it saw.
#pragma once

#include "sim/cluster.hpp"
#include "sim/history.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::sim {

// What all clients share: the streams, and the history that they write.
struct scene {
    tstreams::stream_info input;
    tstreams::stream_info output;
    history seen;
    std::map<std::pair<partition_key, std::string>, std::uint64_t> newest_instances;  // for a planted mistake
    std::uint64_t producers_at_work = 0;                                              // coroutines that may still write
    // Of an exclusive store: a stream that is deleted and made again, if there is one now.
    std::optional<tstreams::stream_info> brief;
    bool deletion_at_large = false;                         // one was never answered
    std::map<std::string, std::uint64_t> newest_producers;  // for a planted mistake
    std::uint64_t marks = 0;                                // positions of a source that are given only once
};

inline constexpr int items_per_transaction = 2;

// An id with its place, for logs.
[[nodiscard]] std::string show(const partition_key& key, transaction_id id);
// The same call may do better later.
[[nodiscard]] bool passing(errc code);
// Whoever gets it opens a session anew and asks again there.
[[nodiscard]] bool ends_session(errc code);
// The payload of packed items, or a text that says what is wrong with them.
[[nodiscard]] std::string unpack(const std::string& frames);

class client {
public:
    client(cluster& world, scene& shared, std::size_t number);
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    // Each runs until the cluster is healed and its last operation is settled; a reader until it has read all.
    weave::task<void> produce();
    weave::task<void> copy();
    weave::task<void> tally();
    weave::task<void> read(bool skipping);
    weave::task<void> keep_alive();
    // Of an exclusive store.
    weave::task<void> ingest();      // from a source outside, under a name that others take over
    weave::task<void> mark();        // overlapping checkpoints of source positions
    weave::task<void> drift();       // a consumer that tools meddle with
    weave::task<void> meddle();      // the tools
    weave::task<void> rebuild();     // deletes and makes the brief stream
    weave::task<void> read_brief();  // reads it, whatever expires
    weave::task<void> pass();        // consumes it

    [[nodiscard]] memory::simulated_node& node() noexcept { return node_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    // An open transaction, and where it was opened.
    struct held {
        core::transaction_ref ref;
        host_ptr owner;
        core::session_id session = 0;
        std::string payload;
        std::vector<std::pair<partition_key, transaction_id>> copies;
        std::vector<std::uint64_t> ingested;
        std::string producer;
        std::uint64_t instance = 0;
        bool framed = false;
        moment asked = 0;
    };
    struct feeding {
        core::stream_id stream = 0;
        std::string producer;
        std::uint64_t instance = 0;
        std::uint64_t position = 0;
        bool attached = false;
    };
    struct consuming {
        partition_key where;
        std::string consumer;
        std::uint64_t instance = 0;
        transaction_id position;
        transaction_id before;  // of a move: where it starts
        bool attached = false;
    };
    enum class verdict { done, refused, unknown };

    template <class T>
    using request_of = std::function<weave::task<T>(core::broker&, core::session_id)>;
    // One attempt at the address that is taken for the owner of `key`.
    template <class T>
    weave::task<T> ask(partition_key key, request_of<T> work, bool* repeated = nullptr, bool once = false);
    [[nodiscard]] host_ptr owner_of(const partition_key& key);
    void learn(const partition_key& key, const error& failure);
    weave::task<core::session_id> session_at(host_ptr there);
    weave::task<void> rest(std::chrono::microseconds time);

    weave::task<std::optional<held>> open(partition_key where, std::string payload,
                                          std::optional<feeding> by = std::nullopt);
    weave::task<bool> write_frames(held& transaction);
    weave::task<void> cancel(held transaction);
    // Asks until the answer is final, or gives up while there is chaos.
    weave::task<verdict> commit(std::vector<held> transactions, std::optional<consuming> offset,
                                std::optional<feeding> source = std::nullopt);
    weave::task<verdict> commit_in_one_step(partition_key where);
    weave::task<verdict> settle(core::commit_request request, partition_key first, std::size_t record);
    void note_done(std::size_t record, const core::commit_reply& reply);
    weave::task<void> attach(consuming& agent, std::optional<transaction_id> reset = std::nullopt);
    weave::task<void> attach_producer(feeding& agent);
    [[nodiscard]] std::uint64_t instance_of(const feeding& agent) const;
    weave::task<bool> ingest_some(feeding& agent);
    weave::task<void> drift_some(consuming& agent);
    weave::task<void> set_offset(partition_number partition);
    weave::task<void> delete_offset();
    weave::task<void> list_offsets();
    weave::task<void> make_brief();
    weave::task<void> delete_brief();
    // Sets the position behind what has expired. False: nothing was to be read, for whatever reason.
    weave::task<bool> read_brief_step(reading& one);
    weave::task<void> pass_some(consuming& agent);
    template <class T>
    weave::task<T> ask_once(std::function<weave::task<T>(core::broker&)> work);
    weave::task<std::optional<core::read_reply>> read_once(partition_key where, transaction_id after,
                                                           std::uint32_t count, bool skipping);
    weave::task<std::optional<std::string>> payload_of(core::stored_transaction stored);
    weave::task<void> wait_for_more(partition_key where, transaction_id after, bool skipping);
    weave::task<bool> read_step(reading& one, bool skipping);
    weave::task<void> produce_some();
    weave::task<void> find_some();
    weave::task<bool> copy_some(consuming& agent);

    core::decision decide(const held& transaction) const;
    [[nodiscard]] std::string next_payload();
    [[nodiscard]] request_id next_request(bool answer_kept = false);
    [[nodiscard]] partition_key somewhere();
    [[nodiscard]] partition_key input(std::uint64_t partition) const;
    [[nodiscard]] partition_key output(std::uint64_t partition) const;
    void log(const std::string& what) { world_.log(name_, what); }

    cluster& world_;
    scene& shared_;
    const std::string name_;
    memory::simulated_node& node_;
    std::map<host*, core::session_id> sessions_;
    std::map<partition_key, std::size_t> routes_;
    std::uint64_t payloads_ = 0;
    std::uint64_t waits_ = 0;
    const core::session_id first_session_;  // by which calls are numbered
    std::uint64_t numbers_ = 0;
};

template <class T>
weave::task<T> client::ask(partition_key key, request_of<T> work, bool* repeated, bool once) {
    const host_ptr there = owner_of(key);
    std::exception_ptr failure;
    try {
        const core::session_id session = co_await session_at(there);
        std::function<weave::task<T>(core::broker&)> bound = [work, session](core::broker& broker) {
            return work(broker, session);
        };
        weave::task<T> asked = world_.ask<T>(node_, there, std::move(bound), repeated, once);
        co_return co_await asked;
    } catch (const error& refused) {
        learn(key, refused);
        if (ends_session(refused.code())) sessions_.erase(there.get());
        failure = std::current_exception();
    }
    std::rethrow_exception(failure);
}

template <class T>
weave::task<T> client::ask_once(std::function<weave::task<T>(core::broker&)> work) {
    weave::task<T> asked = world_.ask<T>(node_, world_.at(0), std::move(work), nullptr, true);
    co_return co_await asked;
}

}  // namespace tstreams::sim
