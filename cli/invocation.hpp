// One call of the tool: what the command line asked for. Parsing it does nothing yet; main() runs the action.
#pragma once

#include "cli/encoding.hpp"
#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "cli/store_place.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

namespace tstreams::cli {

// What an action works with.
struct surroundings {
    const store_place& place;
    output& out;
    subject& about;  // the action fills it in, so that a failure can show the command to type next
};

struct invocation {
    std::optional<std::string> at;
    std::function<exit_code(const surroundings&)> action;
};

// For the numbers of partitions, and how many there are: what fits, before it is turned into a number.
[[nodiscard]] inline std::string check_number(const std::string& text) {
    const std::optional<std::uint64_t> number = decimal(text);
    return number && *number <= std::numeric_limits<std::uint32_t>::max()
               ? std::string()
               : "'" + text + "' is not a whole number in range";
}

// For options that count something: a whole number above zero.
[[nodiscard]] inline std::string check_positive(const std::string& text) {
    return decimal(text).value_or(0) == 0 ? "'" + text + "' is not a whole number above zero" : std::string();
}

// Each adds the commands of one group; the parsed command leaves its action in `call`, which outlives `app`.
void add_stream_commands(CLI::App& app, invocation& call);
void add_produce_command(CLI::App& app, invocation& call);
void add_consume_command(CLI::App& app, invocation& call);
void add_txn_commands(CLI::App& app, invocation& call);
void add_watch_command(CLI::App& group, invocation& call);  // of txn
void add_offset_commands(CLI::App& app, invocation& call);
void add_retention_commands(CLI::App& app, invocation& call);
void add_server_commands(CLI::App& app, invocation& call);
void add_verify_command(CLI::App& app, invocation& call);
void add_key_commands(CLI::App& app, invocation& call);

}  // namespace tstreams::cli
