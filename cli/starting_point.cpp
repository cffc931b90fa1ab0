#include "cli/starting_point.hpp"

#include "cli/encoding.hpp"
#include "cli/failure.hpp"
#include "cli/timestamp.hpp"

namespace tstreams::cli {

start parse_start(std::string_view text, std::string_view option) {
    if (text == "oldest") return oldest;
    if (text == "newest") return newest;
    if (text == "stored") return stored;
    if (const auto id = decimal(text)) return after(before(transaction_id(*id)));
    if (const auto time = parse_timestamp(text)) return at(*time);
    throw usage_error(std::string(option) + " '" + std::string(text) +
                      "': use oldest, newest, stored, a time with its zone like 2026-01-31T12:00:00Z, or a "
                      "transaction id");
}

transaction_id parse_id(std::string_view text, std::string_view option) {
    if (const auto id = decimal(text)) return transaction_id(*id);
    throw usage_error(std::string(option) + " '" + std::string(text) +
                      "': a transaction id is a decimal number, as 'txn list' prints it");
}

}  // namespace tstreams::cli
