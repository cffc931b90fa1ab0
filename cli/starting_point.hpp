// Where reading begins, as the command line says it.
#pragma once

#include <tstreams/consumer.hpp>

#include <string_view>

namespace tstreams::cli {

// oldest, newest, stored, an RFC 3339 time, or a transaction id: that transaction is then the first one read.
// `option` names where the text comes from. Throws usage_error.
[[nodiscard]] start parse_start(std::string_view text, std::string_view option);

// A transaction id in decimal digits. Throws usage_error.
[[nodiscard]] transaction_id parse_id(std::string_view text, std::string_view option);

// The position right before `id`: reading on from it begins with `id`.
[[nodiscard]] constexpr transaction_id before(transaction_id id) noexcept {
    return transaction_id(id.value() == 0 ? 0 : id.value() - 1);
}

}  // namespace tstreams::cli
