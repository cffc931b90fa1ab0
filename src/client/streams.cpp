#include "client/streams.hpp"

#include "client/handles.hpp"
#include "client/received_state.hpp"

#include <algorithm>

namespace tstreams::detail {

namespace {

received_transaction receive(std::shared_ptr<client_state> client, const stream_info& stream,
                             partition_number partition, core::stored_transaction stored,
                             tstreams::transaction_state state) {
    auto made = std::make_shared<received_state>();
    made->client = std::move(client);
    made->stream = stream.id;
    made->partition = partition;
    made->stored = std::move(stored);
    made->state = state;
    return access::make<received_transaction>(std::shared_ptr<const received_state>(std::move(made)));
}

void check_limit(std::uint32_t limit) {
    if (limit < 1 || limit > 10'000)
        throw error(errc::invalid_argument, "a limit of " + std::to_string(limit) + ": use 1 to 10000");
}

}  // namespace

weave::task<stream_info> create_stream(client_state& client, stream_options options) {
    core::create_request request;
    request.options = std::move(options);
    request.request = client.new_request();
    co_return co_await client.service().create_stream(std::move(request));
}

weave::task<stream_info> open_or_create(client_state& client, stream_options options) {
    // Between the two calls somebody else may create or delete it.
    for (int attempts = 3;; --attempts) {
        const std::optional<stream_info> found = co_await client.service().find_stream(options.name);
        if (found) co_return *found;
        try {
            co_return co_await create_stream(client, options);
        } catch (const error& refused) {
            if (refused.code() != errc::stream_exists || attempts == 0) throw;
        }
    }
}

weave::task<std::optional<stream_info>> find_stream(client_state& client, std::string name) {
    co_return co_await client.service().find_stream(std::move(name));
}

weave::task<stream_info> get_stream(client_state& client, std::string name) {
    const std::optional<stream_info> found = co_await client.service().find_stream(name);
    if (!found) throw stream_not_found(name);
    co_return *found;
}

weave::task<bool> stream_exists(client_state& client, std::string name) {
    const std::optional<stream_info> found = co_await client.service().find_stream(std::move(name));
    co_return found.has_value();
}

weave::task<stream_page> list_streams(client_state& client, std::string prefix, std::string after,
                                      std::uint32_t limit) {
    check_limit(limit);
    co_return co_await client.service().list_streams(std::move(prefix), std::move(after), limit);
}

weave::task<stream_info> update_stream(client_state& client, std::string name, stream_changes changes) {
    co_return co_await client.service().update_stream(std::move(name), std::move(changes));
}

weave::task<void> delete_stream(client_state& client, std::string name) {
    co_await client.service().delete_stream(std::move(name));
}

weave::task<tstreams::transaction_state> commit_state(client_state& client, request_id request) {
    co_return co_await client.service().find_commit(request);
}

weave::task<received_transaction> get_transaction(std::shared_ptr<client_state> client, std::string stream,
                                                  partition_number partition, transaction_id id) {
    const stream_info info = co_await get_stream(*client, std::move(stream));
    check_partition(info, partition);
    core::service::found_transaction found = co_await client->service().find_transaction(info.id, partition, id);
    core::stored_transaction stored;
    if (found.stored) {
        stored = std::move(*found.stored);
    } else {
        stored.id = id;
        stored.expires = found.info.expires;
    }
    co_return receive(std::move(client), info, partition, std::move(stored), found.info.state);
}

weave::task<std::vector<received_transaction>> get_range(std::shared_ptr<client_state> client, std::string stream,
                                                         partition_number partition, transaction_id from,
                                                         transaction_id to, std::uint32_t limit) {
    check_limit(limit);
    const stream_info info = co_await get_stream(*client, std::move(stream));
    check_partition(info, partition);
    std::vector<received_transaction> result;
    core::read_request request;
    request.stream = info.id;
    request.partition = partition;
    // What retention has removed of the range is not there, which is no failure here.
    const core::start_point oldest_there;
    const transaction_id oldest = co_await client->service().resolve(info.id, partition, oldest_there);
    request.after = std::max(oldest, transaction_id(from.value() == 0 ? 0 : from.value() - 1));
    request.up_to = to;
    while (result.size() < limit && request.after < to) {
        request.transactions_max = static_cast<std::uint32_t>(limit - result.size());
        core::read_reply reply = co_await client->service().read(request);
        for (core::stored_transaction& one : reply.transactions) {
            request.after = one.id;
            result.push_back(
                receive(client, info, partition, std::move(one), tstreams::transaction_state::checkpointed));
        }
        if (reply.end || reply.transactions.empty()) break;
    }
    co_return result;
}

weave::task<std::optional<received_transaction>> last_transaction(std::shared_ptr<client_state> client,
                                                                  std::string stream, partition_number partition) {
    const stream_info info = co_await get_stream(*client, std::move(stream));
    check_partition(info, partition);
    std::optional<core::stored_transaction> found = co_await client->service().last(info.id, partition);
    if (!found) co_return std::nullopt;
    co_return receive(std::move(client), info, partition, std::move(*found), tstreams::transaction_state::checkpointed);
}

weave::task<std::vector<transaction_info>> scan(client_state& client, std::string stream, partition_number partition,
                                                transaction_id from, transaction_id to,
                                                std::vector<tstreams::transaction_state> states, std::uint32_t limit) {
    check_limit(limit);
    const stream_info info = co_await get_stream(client, std::move(stream));
    check_partition(info, partition);
    const auto wants = [&](tstreams::transaction_state state) {
        return states.empty() || std::find(states.begin(), states.end(), state) != states.end();
    };
    core::scan_request request;
    request.stream = info.id;
    request.partition = partition;
    request.from = from;
    request.to = to;
    request.open = wants(tstreams::transaction_state::open);
    request.checkpointed = wants(tstreams::transaction_state::checkpointed);
    request.limit = limit;
    co_return co_await client.service().scan(request);
}

weave::task<void> abort(client_state& client, std::string stream, partition_number partition, transaction_id id) {
    const stream_info info = co_await get_stream(client, std::move(stream));
    check_partition(info, partition);
    co_await client.service().abort(info.id, partition, id);
}

weave::task<std::vector<offset_info>> offsets(client_state& client, std::string stream, std::string consumer) {
    const stream_info info = co_await get_stream(client, std::move(stream));
    co_return co_await client.service().list_offsets(info.id, std::move(consumer));
}

weave::task<void> set_offset(client_state& client, std::string stream, std::string consumer,
                             std::vector<partition_position> positions, bool take_over) {
    check_name("consumer name", consumer);
    const stream_info info = co_await get_stream(client, std::move(stream));
    for (const partition_position& one : positions) check_partition(info, one.partition);
    co_await client.service().set_offset(info.id, std::move(consumer), std::move(positions), take_over);
}

weave::task<void> delete_offset(client_state& client, std::string stream, std::string consumer, bool take_over) {
    check_name("consumer name", consumer);
    const stream_info info = co_await get_stream(client, std::move(stream));
    co_await client.service().delete_offset(info.id, std::move(consumer), take_over);
}

}  // namespace tstreams::detail
