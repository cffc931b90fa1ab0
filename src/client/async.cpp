// The library's end of the asynchronous calls: each starts the coroutine that the blocking twin runs.
#include "client/client_state.hpp"
#include "client/consumer_state.hpp"
#include "client/group_state.hpp"
#include "client/handles.hpp"
#include "client/producer_state.hpp"
#include "client/received_state.hpp"
#include "client/side_threads.hpp"
#include "client/streams.hpp"
#include "client/subscriber_state.hpp"
#include "client/transaction_state.hpp"
#include "client/watcher_state.hpp"

#include <tstreams/detail/async_start.hpp>

namespace tstreams::detail {

namespace {

template <class State>
State& need(const std::shared_ptr<State>& state) {
    if (!state) throw error(errc::invalid_state, "an asynchronous call on a handle that is empty");
    return *state;
}

// What fails while the task is made is heard as well.
template <class T, class Make>
void start(client_state& client, heard_by<T> heard, Make make) {
    weave::task<T> work;
    try {
        work = make();
    } catch (...) {
        operation<T>& failed = *heard.release();
        failed.failure = std::current_exception();
        client.deliver_now(failed);
        return;
    }
    client.start(std::move(work), std::move(heard));
}

template <class Handle, class State>
weave::task<Handle> as_handle(weave::task<std::shared_ptr<State>> making) {
    std::shared_ptr<State> made = co_await making;
    co_return access::make<Handle>(std::move(made));
}

partition_number chosen(producer_state& producer, std::optional<partition_number> partition) {
    return partition ? producer.checked_partition(*partition) : producer.next_partition();
}

weave::task<transaction_id> send_to(const std::shared_ptr<producer_state>& producer, partition_number target,
                                    std::vector<std::string> items) {
    if (std::optional<packed_items> small = pack_inline(items))
        return producer_state::send(producer, target, std::move(*small));
    return producer_state::send_items(producer, target, std::move(items));
}

std::optional<partition_number> checked(const producer_state& producer, std::optional<partition_number> partition) {
    if (partition) std::ignore = producer.checked_partition(*partition);
    return partition;
}

weave::task<void> set_consumer_position(std::shared_ptr<consumer_state> consumer, tstreams::start to) {
    co_await consumer->set_position(std::move(to));
}

weave::task<subscriber> as_started_subscriber(weave::task<std::shared_ptr<subscriber_state>> making) {
    std::shared_ptr<subscriber_state> made = co_await making;
    made->start();
    co_return access::make<subscriber>(std::move(made));
}

weave::task<tstreams::transaction_state> state_of_transaction(std::shared_ptr<client_state> client, std::string stream,
                                                              partition_number partition, transaction_id id) {
    const received_transaction found = co_await get_transaction(std::move(client), std::move(stream), partition, id);
    co_return found.state();
}

weave::task<std::vector<blocker>> subscriber_blocked_by(std::shared_ptr<subscriber_state> subscriber) {
    co_return co_await subscriber->blocked_by();
}

// Runs a call that blocks on a thread of its own, which also tells of its end.
template <class T, class Call>
void run_aside(heard_by<T> heard, Call call) {
    side_threads::run([waiting = heard.get(), call = std::move(call)] {
        try {
            if constexpr (std::is_void_v<T>) {
                call();
            } else {
                waiting->value.emplace(call());
            }
        } catch (...) {
            waiting->failure = std::current_exception();
        }
        waiting->deliver();
    });
    std::ignore = heard.release();
}

weave::task<std::vector<blocker>> consumer_blocked_by(std::shared_ptr<consumer_state> consumer) {
    co_return co_await consumer->blocked_by();
}

}  // namespace

// -- client -------------------------------------------------------------------------------------------------

void async_start::create_stream(const client_ptr& on, stream_options options, heard_by<stream_info> heard) {
    need(on).start(detail::create_stream(*on, std::move(options)), std::move(heard));
}

void async_start::open_or_create(const client_ptr& on, stream_options options, heard_by<stream_info> heard) {
    need(on).start(detail::open_or_create(*on, std::move(options)), std::move(heard));
}

void async_start::find_stream(const client_ptr& on, std::string name, heard_by<std::optional<stream_info>> heard) {
    need(on).start(detail::find_stream(*on, std::move(name)), std::move(heard));
}

void async_start::stream(const client_ptr& on, std::string name, heard_by<stream_info> heard) {
    need(on).start(get_stream(*on, std::move(name)), std::move(heard));
}

void async_start::stream_exists(const client_ptr& on, std::string name, heard_by<bool> heard) {
    need(on).start(detail::stream_exists(*on, std::move(name)), std::move(heard));
}

void async_start::list_streams(const client_ptr& on, std::string prefix, std::string after, std::uint32_t limit,
                               heard_by<stream_page> heard) {
    need(on).start(detail::list_streams(*on, std::move(prefix), std::move(after), limit), std::move(heard));
}

void async_start::update_stream(const client_ptr& on, std::string name, stream_changes changes,
                                heard_by<stream_info> heard) {
    need(on).start(detail::update_stream(*on, std::move(name), std::move(changes)), std::move(heard));
}

void async_start::delete_stream(const client_ptr& on, std::string name, heard_by<void> heard) {
    need(on).start(detail::delete_stream(*on, std::move(name)), std::move(heard));
}

void async_start::make_producer(const client_ptr& on, std::string stream, producer_options options,
                                heard_by<producer> heard) {
    need(on).start(as_handle<producer>(producer_state::make(on, std::move(stream), std::move(options))),
                   std::move(heard));
}

void async_start::make_consumer(const client_ptr& on, std::string stream, consumer_options options,
                                heard_by<consumer> heard) {
    need(on).start(as_handle<consumer>(consumer_state::make(on, std::move(stream), std::move(options))),
                   std::move(heard));
}

void async_start::make_subscriber(const client_ptr& on, std::string stream, subscriber_options options,
                                  subscriber_callback callback, heard_by<subscriber> heard) {
    need(on).start(
        as_started_subscriber(subscriber_state::make(on, std::move(stream), std::move(options), std::move(callback))),
        std::move(heard));
}

void async_start::watch(const client_ptr& on, std::string stream, watch_options options, watch_callback callback,
                        heard_by<watcher> heard) {
    need(on).start(
        as_handle<watcher>(watcher_state::make(on, std::move(stream), std::move(options), std::move(callback))),
        std::move(heard));
}

void async_start::get(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                      heard_by<received_transaction> heard) {
    need(on).start(get_transaction(on, std::move(stream), partition, id), std::move(heard));
}

void async_start::get_range(const client_ptr& on, std::string stream, partition_number partition, transaction_id from,
                            transaction_id to, std::uint32_t limit, heard_by<std::vector<received_transaction>> heard) {
    need(on).start(detail::get_range(on, std::move(stream), partition, from, to, limit), std::move(heard));
}

void async_start::last(const client_ptr& on, std::string stream, partition_number partition,
                       heard_by<std::optional<received_transaction>> heard) {
    need(on).start(last_transaction(on, std::move(stream), partition), std::move(heard));
}

void async_start::scan(const client_ptr& on, std::string stream, partition_number partition, transaction_id from,
                       transaction_id to, std::vector<tstreams::transaction_state> states, std::uint32_t limit,
                       heard_by<std::vector<transaction_info>> heard) {
    need(on).start(detail::scan(*on, std::move(stream), partition, from, to, std::move(states), limit),
                   std::move(heard));
}

void async_start::state(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                        heard_by<tstreams::transaction_state> heard) {
    need(on).start(state_of_transaction(on, std::move(stream), partition, id), std::move(heard));
}

void async_start::retention(const client_ptr& on, heard_by<retention_info> heard) {
    need(on).start(on->service().retention(), std::move(heard));
}

void async_start::accept_clock(const client_ptr& on, heard_by<retention_info> heard) {
    need(on).start(on->service().accept_clock(), std::move(heard));
}

void async_start::commit_state(const client_ptr& on, request_id request, heard_by<tstreams::transaction_state> heard) {
    need(on).start(detail::commit_state(*on, request), std::move(heard));
}

void async_start::abort(const client_ptr& on, std::string stream, partition_number partition, transaction_id id,
                        heard_by<void> heard) {
    need(on).start(detail::abort(*on, std::move(stream), partition, id), std::move(heard));
}

void async_start::offsets(const client_ptr& on, std::string stream, std::string consumer,
                          heard_by<std::vector<offset_info>> heard) {
    need(on).start(detail::offsets(*on, std::move(stream), std::move(consumer)), std::move(heard));
}

void async_start::set_offset(const client_ptr& on, std::string stream, std::string consumer,
                             std::vector<partition_position> positions, bool take_over, heard_by<void> heard) {
    need(on).start(detail::set_offset(*on, std::move(stream), std::move(consumer), std::move(positions), take_over),
                   std::move(heard));
}

void async_start::delete_offset(const client_ptr& on, std::string stream, std::string consumer, bool take_over,
                                heard_by<void> heard) {
    need(on).start(detail::delete_offset(*on, std::move(stream), std::move(consumer), take_over), std::move(heard));
}

// -- producer -----------------------------------------------------------------------------------------------

void async_start::begin(const producer_ptr& on, std::optional<partition_number> partition,
                        heard_by<transaction> heard) {
    start(need(on).client(), std::move(heard),
          [&] { return as_handle<transaction>(producer_state::begin(on, chosen(*on, partition))); });
}

void async_start::begin_for_key(const producer_ptr& on, const std::string& key, heard_by<transaction> heard) {
    start(need(on).client(), std::move(heard),
          [&] { return as_handle<transaction>(producer_state::begin(on, on->partition_for_key(key))); });
}

void async_start::send(const producer_ptr& on, std::optional<partition_number> partition,
                       std::vector<std::string> items, heard_by<transaction_id> heard) {
    start(need(on).client(), std::move(heard), [&] { return send_to(on, chosen(*on, partition), std::move(items)); });
}

void async_start::send_for_key(const producer_ptr& on, const std::string& key, std::vector<std::string> items,
                               heard_by<transaction_id> heard) {
    start(need(on).client(), std::move(heard),
          [&] { return send_to(on, on->partition_for_key(key), std::move(items)); });
}

void async_start::checkpoint(const producer_ptr& on, std::optional<partition_number> partition, heard_by<void> heard) {
    start(need(on).client(), std::move(heard), [&] { return on->begin_checkpoint(checked(*on, partition)); });
}

void async_start::cancel(const producer_ptr& on, std::optional<partition_number> partition, heard_by<void> heard) {
    start(need(on).client(), std::move(heard), [&] { return producer_state::cancel(on, checked(*on, partition)); });
}

// -- transaction --------------------------------------------------------------------------------------------

void async_start::put(const transaction_ptr& on, std::string item, heard_by<void> heard) {
    need(on).client().start(transaction_state::put(on, std::move(item)), std::move(heard));
}

void async_start::checkpoint(const transaction_ptr& on, std::optional<std::string> source, heard_by<void> heard) {
    start(need(on).client(), std::move(heard), [&] { return on->begin_checkpoint(std::move(source)); });
}

void async_start::cancel(const transaction_ptr& on, heard_by<void> heard) {
    need(on).client().start(transaction_state::cancel(on), std::move(heard));
}

// -- consumer -----------------------------------------------------------------------------------------------

void async_start::next(const consumer_ptr& on, std::optional<partition_number> partition,
                       std::chrono::milliseconds timeout, cancellation_ptr cancel,
                       heard_by<std::optional<received_transaction>> heard) {
    client_state& client = need(on).client();
    if (cancel)
        client.start(consumer_state::next_unless(on, partition, timeout, std::move(cancel)), std::move(heard));
    else
        client.start(consumer_state::next(on, partition, timeout, nullptr), std::move(heard));
}

void async_start::checkpoint(const consumer_ptr& on, heard_by<void> heard) {
    need(on).client().start(consumer_state::checkpoint(on), std::move(heard));
}

void async_start::set_position(const consumer_ptr& on, tstreams::start to, heard_by<void> heard) {
    need(on).client().start(set_consumer_position(on, std::move(to)), std::move(heard));
}

void async_start::blocked_by(const consumer_ptr& on, heard_by<std::vector<blocker>> heard) {
    need(on).client().start(consumer_blocked_by(on), std::move(heard));
}

void async_start::blocked_by(const subscriber_ptr& on, heard_by<std::vector<blocker>> heard) {
    need(on).client().start(subscriber_blocked_by(on), std::move(heard));
}

void async_start::next_items(const cursor_ptr& on, heard_by<std::vector<item>> heard) {
    need(on).client().start(item_cursor::next_items(on), std::move(heard));
}

// -- on threads of their own --------------------------------------------------------------------------------

void async_start::open(std::string uri, client_options options, heard_by<client> heard) {
    run_aside<client>(std::move(heard),
                      [uri = std::move(uri), options = std::move(options)] { return client::open(uri, options); });
}

void async_start::verify(std::string uri, std::function<void(std::uint64_t, std::uint64_t)> progress,
                         heard_by<verify_report> heard) {
    run_aside<verify_report>(std::move(heard), [uri = std::move(uri), progress = std::move(progress)] {
        return tstreams::verify(uri, progress);
    });
}

void async_start::close(const client_ptr& on, heard_by<void> heard) {
    std::ignore = need(on);
    run_aside<void>(std::move(heard), [on] { on->close(); });
}

void async_start::stop(const subscriber_ptr& on, heard_by<void> heard) {
    std::ignore = need(on);
    run_aside<void>(std::move(heard), [on] { on->stop(); });
}

void async_start::stop(const watcher_ptr& on, heard_by<void> heard) {
    std::ignore = need(on);
    run_aside<void>(std::move(heard), [on] { on->stop(); });
}

void async_start::checkpoint(const subscriber_ptr& on, heard_by<void> heard) {
    std::ignore = need(on);
    run_aside<void>(std::move(heard), [on] { on->checkpoint(); });
}

// -- group --------------------------------------------------------------------------------------------------

void async_start::checkpoint(const group_ptr& on, heard_by<void> heard) {
    need(on).client().start(group_state::checkpoint(on, std::nullopt), std::move(heard));
}

void async_start::cancel(const group_ptr& on, heard_by<void> heard) {
    need(on).client().start(group_state::cancel(on, false), std::move(heard));
}

}  // namespace tstreams::detail
