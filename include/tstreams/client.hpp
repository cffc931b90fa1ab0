// The way in: a client of one store.
//
//     auto client = tstreams::client::open("file:/var/lib/tstreams");
//     client.create_stream({.name = "orders", .partitions = 4, .ttl = 24h});
#pragma once

#include <tstreams/checkpoint_group.hpp>
#include <tstreams/consumer.hpp>
#include <tstreams/error.hpp>
#include <tstreams/producer.hpp>
#include <tstreams/subscriber.hpp>
#include <tstreams/types.hpp>
#include <tstreams/watcher.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tstreams {

namespace detail {
class client_state;
}

struct client_options {
    std::string name{};                 // shown to others, e.g. by blocked_by(); default: the program's name and pid
    bool create = true;                 // file: make the store where there is none (else store_not_found)
    std::uint32_t handler_threads = 1;  // 1 to 64: the pool that runs asynchronous handlers
    std::size_t memory_bytes_max = std::size_t{256} << 20;                 // budget of all buffers together
    std::size_t item_bytes_max = std::size_t{16} << 20;                    // 1 to 64 MiB
    std::chrono::milliseconds session_timeout = std::chrono::seconds(30);  // 1 s to 1 h; a server may allow less
    // Served stores, for one call: 100 ms to 1 h. Meanwhile a lost connection is made again and the call is repeated,
    // so that it is done once; then it fails with unavailable, or outcome_unknown where it may have been done. Opening
    // waits for at most 5 s of it.
    std::chrono::milliseconds request_timeout = std::chrono::seconds(30);
    // Served stores whose server wants keys: the file of this client's keys that `tstreams key new` wrote, which only
    // its owner may read, and the server's public key, 40 characters. Both or none. In the URI they are parameters:
    // tcp://HOST:PORT?key_file=PATH&server_key=KEY, with %XX for what is neither letter, digit nor one of -._~/
    std::string key_file{};
    std::string server_key{};
    // Told, in a sentence, what a person should know: retention holds, or goes on. It must not throw, block, or call
    // the client. Default: a line on standard error.
    std::function<void(const std::string&)> on_notice{};
};

// Threads: all calls from any thread. The client's state outlives it: producers, consumers, transactions and groups
// that it made go on working after it is destroyed or moved; the store closes with the last of them, or at close().
// Blocking calls made by code that runs inside the broker throw would_deadlock.
class client {
public:
    // "file:PATH" (a directory; made when missing, file:///PATH is the same) or "memory:" (a store of its own, gone
    // with the client), or a tstreamsd's: "tcp://HOST:PORT", "ipc:///PATH".
    // Throws locked (names the process), not_a_store, format_newer, corrupt, read_only, no_space, unsupported
    // (an unknown scheme), invalid_argument (keys that are not good included), store_not_found, unavailable (nobody
    // serves there, or only for clients with keys), unauthorized (the server does not accept this key), too_large (the
    // session_timeout is longer than the server allows).
    [[nodiscard]] static client open(std::string_view uri, client_options options = {});

    client() noexcept = default;
    client(client&&) noexcept = default;
    client& operator=(client&&) noexcept = default;
    ~client() = default;

    // Cancels open transactions, ends subscribers, closes the store. Later calls on anything of this client throw
    // shutting_down. Idempotent. Waits for callbacks and handlers that run, but for the one that calls it; while one
    // thread closes, a call from a callback or handler returns at once. Throws storage_failed, no_space when what
    // levels below sync had not stored yet could not be stored; the client is closed all the same.
    void close();

    // Streams. Throws stream_exists, invalid_name, invalid_argument, too_large (partitions, description, max_open).
    stream_info create_stream(const stream_options& options);
    // The existing stream, whatever its settings, or a new one.
    stream_info open_or_create(const stream_options& options);
    [[nodiscard]] std::optional<stream_info> find_stream(std::string_view name) const;
    [[nodiscard]] stream_info stream(std::string_view name) const;  // throws stream_not_found
    [[nodiscard]] bool stream_exists(std::string_view name) const { return find_stream(name).has_value(); }
    // At most `limit` (1 to 10,000) streams whose names begin with `prefix` and come after `after`.
    [[nodiscard]] stream_page list_streams(std::string_view prefix = {}, std::string_view after = {},
                                           std::uint32_t limit = 1000) const;
    stream_info update_stream(std::string_view name, const stream_changes& changes);
    // Cancels its open transactions; its agents get stream_deleted; its space comes back in the background.
    void delete_stream(std::string_view name);

    // Agents. Throws stream_not_found, invalid_argument, invalid_name, partition_not_found, offset_not_found. A named
    // consumer or subscriber that got only some of its partitions fails with outcome unknown: older instances are
    // fenced there, and the same call again goes on from the positions that are stored.
    [[nodiscard]] producer make_producer(std::string_view stream, producer_options options = {});
    [[nodiscard]] consumer make_consumer(std::string_view stream, consumer_options options = {});
    [[nodiscard]] subscriber make_subscriber(std::string_view stream, subscriber_options options,
                                             subscriber_callback callback);
    [[nodiscard]] checkpoint_group make_checkpoint_group();
    // Tells of what happens to the stream's transactions from the moment of return on. Also throws overloaded where too
    // much is watched already, unsupported by an older server.
    [[nodiscard]] watcher watch(std::string_view stream, watch_options options, watch_callback callback);

    // Reading without a consumer.
    // One transaction by its id: its state and, where it is checkpointed, its items.
    [[nodiscard]] received_transaction get(std::string_view stream, partition_number partition,
                                           transaction_id id) const;
    // Checkpointed ones from `from` to `to`, both included, in order; stops before the first undecided one.
    [[nodiscard]] std::vector<received_transaction> get_range(std::string_view stream, partition_number partition,
                                                              transaction_id from, transaction_id to,
                                                              std::uint32_t limit = 1000) const;
    // The last checkpointed one that is visible.
    [[nodiscard]] std::optional<received_transaction> last(std::string_view stream, partition_number partition) const;
    // Open and checkpointed ones by id range and state, without items.
    [[nodiscard]] std::vector<transaction_info> scan(std::string_view stream, partition_number partition,
                                                     transaction_id from, transaction_id to,
                                                     const std::vector<transaction_state>& states = {},
                                                     std::uint32_t limit = 1000) const;
    [[nodiscard]] transaction_state state(std::string_view stream, partition_number partition, transaction_id id) const;
    // What became of a checkpoint of a group (checkpoint_group::last_request): checkpointed, or not_checkpointed.
    // Both are final: asking settles it, and a checkpoint with this id that is still under way is then refused.
    // Known for an hour; `gone` for an id that is older. Throws invalid_argument for the id of anything else.
    [[nodiscard]] transaction_state commit_state(request_id request) const;

    // Administration.
    // Whether retention holds because the clock has jumped; and the operator's word that the clock is right, by
    // which retention goes on at once: what is older than its ttl by this clock is then removed.
    [[nodiscard]] retention_info retention() const;
    retention_info accept_clock();
    void abort(std::string_view stream, partition_number partition, transaction_id id);
    [[nodiscard]] std::vector<offset_info> offsets(std::string_view stream, std::string_view consumer = {}) const;
    // Throws consumer_live while an instance of the name is at work, unless `take_over`, which fences it.
    // Partitions are written one after the other: where a later one fails, the outcome is unknown, and the same again
    // finishes it.
    void set_offset(std::string_view stream, std::string_view consumer,
                    const std::vector<partition_position>& positions, bool take_over = false);
    void delete_offset(std::string_view stream, std::string_view consumer, bool take_over = false);

    [[nodiscard]] const std::string& uri() const;

private:
    friend struct detail::access;
    explicit client(std::shared_ptr<detail::client_state> state) noexcept;
    std::shared_ptr<detail::client_state> state_;
};

}  // namespace tstreams
