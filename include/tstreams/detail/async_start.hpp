// What the asynchronous calls ask of the library; the templates of <tstreams/async.hpp> call these.
#pragma once

#include <tstreams/detail/operation.hpp>
#include <tstreams/tstreams.hpp>
#include <tstreams/verify.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::detail {

template <class T>
using heard_by = std::unique_ptr<operation<T>>;

// Each takes the state behind a handle, so that the handle may move or go away. The operation hears of the end,
// whatever it is; only an empty handle throws, invalid_state, at once.
struct async_start {
    using client_ptr = std::shared_ptr<client_state>;
    using producer_ptr = std::shared_ptr<producer_state>;
    using transaction_ptr = std::shared_ptr<transaction_state>;
    using consumer_ptr = std::shared_ptr<consumer_state>;
    using group_ptr = std::shared_ptr<group_state>;
    using subscriber_ptr = std::shared_ptr<subscriber_state>;
    using watcher_ptr = std::shared_ptr<watcher_state>;
    using cursor_ptr = std::shared_ptr<item_cursor>;
    using cancellation_ptr = std::shared_ptr<cancellation>;  // null: nobody can ask

    // What waits for threads has a thread of its own.
    static void open(std::string uri, client_options options, heard_by<client> heard);
    static void verify(std::string uri, std::function<void(std::uint64_t, std::uint64_t)> progress,
                       heard_by<verify_report> heard);
    static void close(const client_ptr& on, heard_by<void> heard);
    static void stop(const subscriber_ptr& on, heard_by<void> heard);
    static void stop(const watcher_ptr& on, heard_by<void> heard);
    static void checkpoint(const subscriber_ptr& on, heard_by<void> heard);

    static void create_stream(const client_ptr& on, stream_options options, heard_by<stream_info> heard);
    static void open_or_create(const client_ptr& on, stream_options options, heard_by<stream_info> heard);
    static void find_stream(const client_ptr& on, std::string name, heard_by<std::optional<stream_info>> heard);
    static void stream(const client_ptr& on, std::string name, heard_by<stream_info> heard);
    static void stream_exists(const client_ptr& on, std::string name, heard_by<bool> heard);
    static void list_streams(const client_ptr& on, std::string prefix, std::string after, std::uint32_t limit,
                             heard_by<stream_page> heard);
    static void update_stream(const client_ptr& on, std::string name, stream_changes changes,
                              heard_by<stream_info> heard);
    static void delete_stream(const client_ptr& on, std::string name, heard_by<void> heard);
    static void make_producer(const client_ptr& on, std::string stream, producer_options options,
                              heard_by<producer> heard);
    static void make_consumer(const client_ptr& on, std::string stream, consumer_options options,
                              heard_by<consumer> heard);
    static void make_subscriber(const client_ptr& on, std::string stream, subscriber_options options,
                                subscriber_callback callback, heard_by<subscriber> heard);
    static void watch(const client_ptr& on, std::string stream, watch_options options, watch_callback callback,
                      heard_by<watcher> heard);
    static void get(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                    heard_by<received_transaction> heard);
    static void get_range(const client_ptr& on, std::string stream, partition_number partition, transaction_id from,
                          transaction_id to, std::uint32_t limit, heard_by<std::vector<received_transaction>> heard);
    static void last(const client_ptr& on, std::string stream, partition_number partition,
                     heard_by<std::optional<received_transaction>> heard);
    static void scan(const client_ptr& on, std::string stream, partition_number partition, transaction_id from,
                     transaction_id to, std::vector<tstreams::transaction_state> states, std::uint32_t limit,
                     heard_by<std::vector<transaction_info>> heard);
    static void state(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                      heard_by<tstreams::transaction_state> heard);
    static void commit_state(const client_ptr& on, request_id request, heard_by<tstreams::transaction_state> heard);
    static void retention(const client_ptr& on, heard_by<retention_info> heard);
    static void accept_clock(const client_ptr& on, heard_by<retention_info> heard);
    static void abort(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                      heard_by<void> heard);
    static void offsets(const client_ptr& on, std::string stream, std::string consumer,
                        heard_by<std::vector<offset_info>> heard);
    static void set_offset(const client_ptr& on, std::string stream, std::string consumer,
                           std::vector<partition_position> positions, bool take_over, heard_by<void> heard);
    static void delete_offset(const client_ptr& on, std::string stream, std::string consumer, bool take_over,
                              heard_by<void> heard);

    static void begin(const producer_ptr& on, std::optional<partition_number> partition, heard_by<transaction> heard);
    static void begin_for_key(const producer_ptr& on, const std::string& key, heard_by<transaction> heard);
    static void send(const producer_ptr& on, std::optional<partition_number> partition, std::vector<std::string> items,
                     heard_by<transaction_id> heard);
    static void send_for_key(const producer_ptr& on, const std::string& key, std::vector<std::string> items,
                             heard_by<transaction_id> heard);
    static void checkpoint(const producer_ptr& on, std::optional<partition_number> partition, heard_by<void> heard);
    static void cancel(const producer_ptr& on, std::optional<partition_number> partition, heard_by<void> heard);

    static void put(const transaction_ptr& on, std::string item, heard_by<void> heard);
    static void checkpoint(const transaction_ptr& on, std::optional<std::string> source, heard_by<void> heard);
    static void cancel(const transaction_ptr& on, heard_by<void> heard);

    static void next(const consumer_ptr& on, std::optional<partition_number> partition,
                     std::chrono::milliseconds timeout, cancellation_ptr cancel,
                     heard_by<std::optional<received_transaction>> heard);
    static void checkpoint(const consumer_ptr& on, heard_by<void> heard);
    static void set_position(const consumer_ptr& on, start to, heard_by<void> heard);
    static void blocked_by(const consumer_ptr& on, heard_by<std::vector<blocker>> heard);
    static void blocked_by(const subscriber_ptr& on, heard_by<std::vector<blocker>> heard);

    static void next_items(const cursor_ptr& on, heard_by<std::vector<item>> heard);

    static void checkpoint(const group_ptr& on, heard_by<void> heard);
    static void cancel(const group_ptr& on, heard_by<void> heard);
};

}  // namespace tstreams::detail
