// What a client asks about streams and single transactions by name, as coroutines on the executor. They look for the
// store when they run, and not when they are made: the client may have closed by then.
#pragma once

#include "client/client_state.hpp"

#include <tstreams/received_transaction.hpp>
#include <tstreams/types.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::detail {

weave::task<stream_info> create_stream(client_state& client, stream_options options);
weave::task<stream_info> open_or_create(client_state& client, stream_options options);
weave::task<std::optional<stream_info>> find_stream(client_state& client, std::string name);
weave::task<stream_info> get_stream(client_state& client, std::string name);  // throws stream_not_found
weave::task<bool> stream_exists(client_state& client, std::string name);
weave::task<stream_page> list_streams(client_state& client, std::string prefix, std::string after, std::uint32_t limit);
weave::task<stream_info> update_stream(client_state& client, std::string name, stream_changes changes);
weave::task<void> delete_stream(client_state& client, std::string name);
weave::task<tstreams::transaction_state> commit_state(client_state& client, request_id request);

weave::task<received_transaction> get_transaction(std::shared_ptr<client_state> client, std::string stream,
                                                  partition_number partition, transaction_id id);
weave::task<std::vector<received_transaction>> get_range(std::shared_ptr<client_state> client, std::string stream,
                                                         partition_number partition, transaction_id from,
                                                         transaction_id to, std::uint32_t limit);
weave::task<std::optional<received_transaction>> last_transaction(std::shared_ptr<client_state> client,
                                                                  std::string stream, partition_number partition);
weave::task<std::vector<transaction_info>> scan(client_state& client, std::string stream, partition_number partition,
                                                transaction_id from, transaction_id to,
                                                std::vector<tstreams::transaction_state> states, std::uint32_t limit);

weave::task<void> abort(client_state& client, std::string stream, partition_number partition, transaction_id id);
weave::task<std::vector<offset_info>> offsets(client_state& client, std::string stream, std::string consumer);
weave::task<void> set_offset(client_state& client, std::string stream, std::string consumer,
                             std::vector<partition_position> positions, bool take_over);
weave::task<void> delete_offset(client_state& client, std::string stream, std::string consumer, bool take_over);

}  // namespace tstreams::detail
