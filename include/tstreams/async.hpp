// Asynchronous twins of the blocking calls, by Asio completion tokens.
//
//     tstreams::async_send(producer, {"a"}, [](std::exception_ptr failure, tstreams::transaction_id) { ... });
//     auto txn = co_await tstreams::async_begin(producer, boost::asio::use_awaitable);
//     std::future<void> done = tstreams::async_checkpoint(txn, boost::asio::use_future);
//
// Completes when the blocking call would return or throw; signature void(std::exception_ptr[, T]). The
// handler runs once, never inside the initiating call: on the executor associated with it, or else on the
// client's own pool (client_options::handler_threads), never on the broker. Handlers of the pool begin in the
// order of completion and must not throw. Errors and outcomes as the blocking call. An empty handle throws
// invalid_state from the initiating call. Lifetime: the handle (client, producer, ...) may move or go away
// meanwhile, with one exception: a transaction destroyed while its put is under way is cancelled. Threads: an
// object that is for one thread at a time is for one call at a time: await the end of one operation before
// the next one on the same transaction, consumer or group.
//
// Cancellation: async_next of a consumer, by the slot associated with the handler, all types. It then ends with
// errc::cancelled, or as usual where that was faster; a transaction is never lost: when it ends with cancelled the
// consumer stands where it stood. All other operations end by themselves, and all of them when the client closes.
// Items of a received transaction: async_next_items of an item_reader; iterating blocks where a frame has to be
// fetched, which a handler without an executor of its own may do.
#pragma once

#include <tstreams/detail/access.hpp>
#include <tstreams/detail/async_initiate.hpp>
#include <tstreams/detail/async_start.hpp>
#include <tstreams/tstreams.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tstreams {

// On threads of their own: what waits for other threads, or has no client yet. At most 64 at a time in a process;
// one more ends with overloaded. A handler without an executor of its own runs there, too.

template <class Token>
auto async_open(std::string uri, client_options options, Token&& token) {
    return detail::initiate<client, Token>(
        token, [uri = std::move(uri), options = std::move(options)](detail::heard_by<client> heard) mutable {
            detail::async_start::open(std::move(uri), std::move(options), std::move(heard));
        });
}

template <class Token>
auto async_verify(std::string uri, std::function<void(std::uint64_t, std::uint64_t)> progress, Token&& token) {
    return detail::initiate<verify_report, Token>(
        token, [uri = std::move(uri), progress = std::move(progress)](detail::heard_by<verify_report> heard) mutable {
            detail::async_start::verify(std::move(uri), std::move(progress), std::move(heard));
        });
}

template <class Token>
auto async_close(client& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::close(state, std::move(heard));
    });
}

template <class Token>
auto async_stop(subscriber& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::stop(state, std::move(heard));
    });
}

template <class Token>
auto async_stop(watcher& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::stop(state, std::move(heard));
    });
}

template <class Token>
auto async_checkpoint(subscriber& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::checkpoint(state, std::move(heard));
    });
}

// client

template <class Token>
auto async_create_stream(client& on, stream_options options, Token&& token) {
    return detail::initiate<stream_info, Token>(
        token,
        [state = detail::access::state(on), options = std::move(options)](detail::heard_by<stream_info> heard) mutable {
            detail::async_start::create_stream(state, std::move(options), std::move(heard));
        });
}

template <class Token>
auto async_open_or_create(client& on, stream_options options, Token&& token) {
    return detail::initiate<stream_info, Token>(
        token,
        [state = detail::access::state(on), options = std::move(options)](detail::heard_by<stream_info> heard) mutable {
            detail::async_start::open_or_create(state, std::move(options), std::move(heard));
        });
}

template <class Token>
auto async_find_stream(client& on, std::string name, Token&& token) {
    return detail::initiate<std::optional<stream_info>, Token>(
        token, [state = detail::access::state(on),
                name = std::move(name)](detail::heard_by<std::optional<stream_info>> heard) mutable {
            detail::async_start::find_stream(state, std::move(name), std::move(heard));
        });
}

template <class Token>
auto async_stream(client& on, std::string name, Token&& token) {
    return detail::initiate<stream_info, Token>(token, [state = detail::access::state(on), name = std::move(name)](
                                                           detail::heard_by<stream_info> heard) mutable {
        detail::async_start::stream(state, std::move(name), std::move(heard));
    });
}

template <class Token>
auto async_stream_exists(client& on, std::string name, Token&& token) {
    return detail::initiate<bool, Token>(
        token, [state = detail::access::state(on), name = std::move(name)](detail::heard_by<bool> heard) mutable {
            detail::async_start::stream_exists(state, std::move(name), std::move(heard));
        });
}

template <class Token>
auto async_list_streams(client& on, std::string prefix, std::string after, std::uint32_t limit, Token&& token) {
    return detail::initiate<stream_page, Token>(
        token, [state = detail::access::state(on), prefix = std::move(prefix), after = std::move(after),
                limit](detail::heard_by<stream_page> heard) mutable {
            detail::async_start::list_streams(state, std::move(prefix), std::move(after), limit, std::move(heard));
        });
}

template <class Token>
auto async_update_stream(client& on, std::string name, stream_changes changes, Token&& token) {
    return detail::initiate<stream_info, Token>(
        token, [state = detail::access::state(on), name = std::move(name),
                changes = std::move(changes)](detail::heard_by<stream_info> heard) mutable {
            detail::async_start::update_stream(state, std::move(name), std::move(changes), std::move(heard));
        });
}

template <class Token>
auto async_delete_stream(client& on, std::string name, Token&& token) {
    return detail::initiate<void, Token>(
        token, [state = detail::access::state(on), name = std::move(name)](detail::heard_by<void> heard) mutable {
            detail::async_start::delete_stream(state, std::move(name), std::move(heard));
        });
}

template <class Token>
auto async_make_producer(client& on, std::string stream, producer_options options, Token&& token) {
    return detail::initiate<producer, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream),
                options = std::move(options)](detail::heard_by<producer> heard) mutable {
            detail::async_start::make_producer(state, std::move(stream), std::move(options), std::move(heard));
        });
}

template <class Token>
auto async_make_consumer(client& on, std::string stream, consumer_options options, Token&& token) {
    return detail::initiate<consumer, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream),
                options = std::move(options)](detail::heard_by<consumer> heard) mutable {
            detail::async_start::make_consumer(state, std::move(stream), std::move(options), std::move(heard));
        });
}

template <class Token>
auto async_make_subscriber(client& on, std::string stream, subscriber_options options, subscriber_callback callback,
                           Token&& token) {
    return detail::initiate<subscriber, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), options = std::move(options),
                callback = std::move(callback)](detail::heard_by<subscriber> heard) mutable {
            detail::async_start::make_subscriber(state, std::move(stream), std::move(options), std::move(callback),
                                                 std::move(heard));
        });
}

template <class Token>
auto async_watch(client& on, std::string stream, watch_options options, watch_callback callback, Token&& token) {
    return detail::initiate<watcher, Token>(token, [state = detail::access::state(on), stream = std::move(stream),
                                                    options = std::move(options), callback = std::move(callback)](
                                                       detail::heard_by<watcher> heard) mutable {
        detail::async_start::watch(state, std::move(stream), std::move(options), std::move(callback), std::move(heard));
    });
}

template <class Token>
auto async_get(client& on, std::string stream, partition_number partition, transaction_id id, Token&& token) {
    return detail::initiate<received_transaction, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), partition,
                id](detail::heard_by<received_transaction> heard) mutable {
            detail::async_start::get(state, std::move(stream), partition, id, std::move(heard));
        });
}

template <class Token>
auto async_get_range(client& on, std::string stream, partition_number partition, transaction_id from, transaction_id to,
                     std::uint32_t limit, Token&& token) {
    return detail::initiate<std::vector<received_transaction>, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), partition, from, to,
                limit](detail::heard_by<std::vector<received_transaction>> heard) mutable {
            detail::async_start::get_range(state, std::move(stream), partition, from, to, limit, std::move(heard));
        });
}

template <class Token>
auto async_last(client& on, std::string stream, partition_number partition, Token&& token) {
    return detail::initiate<std::optional<received_transaction>, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream),
                partition](detail::heard_by<std::optional<received_transaction>> heard) mutable {
            detail::async_start::last(state, std::move(stream), partition, std::move(heard));
        });
}

template <class Token>
auto async_scan(client& on, std::string stream, partition_number partition, transaction_id from, transaction_id to,
                std::vector<transaction_state> states, std::uint32_t limit, Token&& token) {
    return detail::initiate<std::vector<transaction_info>, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), partition, from, to,
                states = std::move(states), limit](detail::heard_by<std::vector<transaction_info>> heard) mutable {
            detail::async_start::scan(state, std::move(stream), partition, from, to, std::move(states), limit,
                                      std::move(heard));
        });
}

template <class Token>
auto async_state(client& on, std::string stream, partition_number partition, transaction_id id, Token&& token) {
    return detail::initiate<transaction_state, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), partition,
                id](detail::heard_by<transaction_state> heard) mutable {
            detail::async_start::state(state, std::move(stream), partition, id, std::move(heard));
        });
}

template <class Token>
auto async_commit_state(client& on, request_id request, Token&& token) {
    return detail::initiate<transaction_state, Token>(
        token, [state = detail::access::state(on), request](detail::heard_by<transaction_state> heard) {
            detail::async_start::commit_state(state, request, std::move(heard));
        });
}

template <class Token>
auto async_retention(client& on, Token&& token) {
    return detail::initiate<retention_info, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<retention_info> heard) {
            detail::async_start::retention(state, std::move(heard));
        });
}

template <class Token>
auto async_accept_clock(client& on, Token&& token) {
    return detail::initiate<retention_info, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<retention_info> heard) {
            detail::async_start::accept_clock(state, std::move(heard));
        });
}

template <class Token>
auto async_abort(client& on, std::string stream, partition_number partition, transaction_id id, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on), stream = std::move(stream),
                                                 partition, id](detail::heard_by<void> heard) mutable {
        detail::async_start::abort(state, std::move(stream), partition, id, std::move(heard));
    });
}

template <class Token>
auto async_offsets(client& on, std::string stream, std::string consumer, Token&& token) {
    return detail::initiate<std::vector<offset_info>, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream),
                consumer = std::move(consumer)](detail::heard_by<std::vector<offset_info>> heard) mutable {
            detail::async_start::offsets(state, std::move(stream), std::move(consumer), std::move(heard));
        });
}

template <class Token>
auto async_set_offset(client& on, std::string stream, std::string consumer, std::vector<partition_position> positions,
                      bool take_over, Token&& token) {
    return detail::initiate<void, Token>(
        token, [state = detail::access::state(on), stream = std::move(stream), consumer = std::move(consumer),
                positions = std::move(positions), take_over](detail::heard_by<void> heard) mutable {
            detail::async_start::set_offset(state, std::move(stream), std::move(consumer), std::move(positions),
                                            take_over, std::move(heard));
        });
}

template <class Token>
auto async_delete_offset(client& on, std::string stream, std::string consumer, bool take_over, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on), stream = std::move(stream),
                                                 consumer = std::move(consumer),
                                                 take_over](detail::heard_by<void> heard) mutable {
        detail::async_start::delete_offset(state, std::move(stream), std::move(consumer), take_over, std::move(heard));
    });
}

// producer

template <class Token>
auto async_begin(producer& on, Token&& token) {
    return detail::initiate<transaction, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<transaction> heard) {
            detail::async_start::begin(state, std::nullopt, std::move(heard));
        });
}

template <class Token>
auto async_begin(producer& on, partition_number partition, Token&& token) {
    return detail::initiate<transaction, Token>(
        token, [state = detail::access::state(on), partition](detail::heard_by<transaction> heard) {
            detail::async_start::begin(state, partition, std::move(heard));
        });
}

template <class Token>
auto async_begin_for_key(producer& on, std::string key, Token&& token) {
    return detail::initiate<transaction, Token>(
        token, [state = detail::access::state(on), key = std::move(key)](detail::heard_by<transaction> heard) mutable {
            detail::async_start::begin_for_key(state, std::move(key), std::move(heard));
        });
}

template <class Token>
auto async_send(producer& on, std::vector<std::string> items, Token&& token) {
    return detail::initiate<transaction_id, Token>(token, [state = detail::access::state(on), items = std::move(items)](
                                                              detail::heard_by<transaction_id> heard) mutable {
        detail::async_start::send(state, std::nullopt, std::move(items), std::move(heard));
    });
}

template <class Token>
auto async_send(producer& on, partition_number partition, std::vector<std::string> items, Token&& token) {
    return detail::initiate<transaction_id, Token>(
        token, [state = detail::access::state(on), partition,
                items = std::move(items)](detail::heard_by<transaction_id> heard) mutable {
            detail::async_start::send(state, partition, std::move(items), std::move(heard));
        });
}

template <class Token>
auto async_send_for_key(producer& on, std::string key, std::vector<std::string> items, Token&& token) {
    return detail::initiate<transaction_id, Token>(
        token, [state = detail::access::state(on), key = std::move(key),
                items = std::move(items)](detail::heard_by<transaction_id> heard) mutable {
            detail::async_start::send_for_key(state, key, std::move(items), std::move(heard));
        });
}

template <class Token>
auto async_checkpoint(producer& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::checkpoint(state, std::nullopt, std::move(heard));
    });
}

template <class Token>
auto async_checkpoint(producer& on, partition_number partition, Token&& token) {
    return detail::initiate<void, Token>(token,
                                         [state = detail::access::state(on), partition](detail::heard_by<void> heard) {
                                             detail::async_start::checkpoint(state, partition, std::move(heard));
                                         });
}

template <class Token>
auto async_cancel(producer& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::cancel(state, std::nullopt, std::move(heard));
    });
}

template <class Token>
auto async_cancel(producer& on, partition_number partition, Token&& token) {
    return detail::initiate<void, Token>(token,
                                         [state = detail::access::state(on), partition](detail::heard_by<void> heard) {
                                             detail::async_start::cancel(state, partition, std::move(heard));
                                         });
}

// transaction

template <class Token>
auto async_put(transaction& on, std::string item, Token&& token) {
    return detail::initiate<void, Token>(
        token, [state = detail::access::state(on), item = std::move(item)](detail::heard_by<void> heard) mutable {
            detail::async_start::put(state, std::move(item), std::move(heard));
        });
}

template <class Token>
auto async_checkpoint(transaction& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::checkpoint(state, std::nullopt, std::move(heard));
    });
}

template <class Token>
auto async_checkpoint(transaction& on, std::string source_position, Token&& token) {
    return detail::initiate<void, Token>(
        token, [state = detail::access::state(on),
                source_position = std::move(source_position)](detail::heard_by<void> heard) mutable {
            detail::async_start::checkpoint(state, std::move(source_position), std::move(heard));
        });
}

template <class Token>
auto async_cancel(transaction& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::cancel(state, std::move(heard));
    });
}

// consumer

template <class Token>
auto async_next(consumer& on, std::chrono::milliseconds timeout, Token&& token) {
    return detail::initiate_cancellable<std::optional<received_transaction>, Token>(
        token, [state = detail::access::state(on), timeout](detail::heard_by<std::optional<received_transaction>> heard,
                                                            std::shared_ptr<detail::cancellation> cancel) {
            detail::async_start::next(state, std::nullopt, timeout, std::move(cancel), std::move(heard));
        });
}

template <class Token>
auto async_next(consumer& on, partition_number partition, std::chrono::milliseconds timeout, Token&& token) {
    return detail::initiate_cancellable<std::optional<received_transaction>, Token>(
        token,
        [state = detail::access::state(on), partition, timeout](
            detail::heard_by<std::optional<received_transaction>> heard, std::shared_ptr<detail::cancellation> cancel) {
            detail::async_start::next(state, partition, timeout, std::move(cancel), std::move(heard));
        });
}

template <class Token>
auto async_checkpoint(consumer& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::checkpoint(state, std::move(heard));
    });
}

template <class Token>
auto async_set_position(consumer& on, start to, Token&& token) {
    return detail::initiate<void, Token>(
        token, [state = detail::access::state(on), to = std::move(to)](detail::heard_by<void> heard) mutable {
            detail::async_start::set_position(state, std::move(to), std::move(heard));
        });
}

template <class Token>
auto async_blocked_by(consumer& on, Token&& token) {
    return detail::initiate<std::vector<blocker>, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<std::vector<blocker>> heard) {
            detail::async_start::blocked_by(state, std::move(heard));
        });
}

// subscriber

template <class Token>
auto async_blocked_by(subscriber& on, Token&& token) {
    return detail::initiate<std::vector<blocker>, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<std::vector<blocker>> heard) {
            detail::async_start::blocked_by(state, std::move(heard));
        });
}

// received transaction

// The items of the next frame, valid until the next call on the reader or its end; none at the end. Errors as moving
// an iterator on; the reader is then at its end.
template <class Token>
auto async_next_items(item_reader& on, Token&& token) {
    return detail::initiate<std::vector<item>, Token>(
        token, [state = detail::access::state(on)](detail::heard_by<std::vector<item>> heard) {
            detail::async_start::next_items(state, std::move(heard));
        });
}

// checkpoint group

template <class Token>
auto async_checkpoint(checkpoint_group& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::checkpoint(state, std::move(heard));
    });
}

template <class Token>
auto async_cancel(checkpoint_group& on, Token&& token) {
    return detail::initiate<void, Token>(token, [state = detail::access::state(on)](detail::heard_by<void> heard) {
        detail::async_start::cancel(state, std::move(heard));
    });
}

}  // namespace tstreams
