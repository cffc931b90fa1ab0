// Looking at a store as its operator. A client made with client::open() is asked; from any thread.
//
//     const tstreams::server_status now = tstreams::status(client);
#pragma once

#include <tstreams/client.hpp>
#include <tstreams/status.hpp>

#include <cstdint>
#include <vector>

namespace tstreams {

// Of a served store; for others both throw unsupported.
[[nodiscard]] server_status status(const client& of);
// At most `limit` (1 to 10,000) of them, those with the most open transactions first.
[[nodiscard]] std::vector<server_client> clients(const client& of, std::uint32_t limit = 1000);

// Open transactions of all streams, oldest first, at most `limit` (1 to 10,000).
[[nodiscard]] std::vector<open_transaction_info> open_transactions(const client& of, std::uint32_t limit = 100);

}  // namespace tstreams
