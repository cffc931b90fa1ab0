// tstreams txn list|show|abort; watch.cpp has the fourth
#include "cli/invocation.hpp"

#include "cli/duration.hpp"
#include "cli/starting_point.hpp"
#include "cli/table.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>
#include <tstreams/admin.hpp>

#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace tstreams::cli {
namespace {

constexpr transaction_id last_id(std::numeric_limits<std::uint64_t>::max());

void print_json(output& out, const std::string& stream, const transaction_info& info) {
    nlohmann::ordered_json object;
    object["stream"] = stream;
    object["partition"] = info.partition;
    object["transaction"] = std::to_string(info.id.value());
    object["state"] = name(info.state);
    object["time"] = format_timestamp(info.id.time());
    if (info.state == transaction_state::checkpointed) {
        object["items"] = info.items;
        object["bytes"] = info.bytes;
    }
    if (info.state == transaction_state::open) object["client"] = info.client;
    if (info.expires != wall_time{}) object["expires"] = format_timestamp(info.expires);
    out.line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

// Only the producer knows what is in an open transaction, so that is left empty.
std::vector<std::string> cells(const transaction_info& info) {
    const bool known = info.state == transaction_state::checkpointed;
    return {std::to_string(info.partition),
            std::to_string(info.id.value()),
            std::string(name(info.state)),
            known ? std::to_string(info.items) : std::string(),
            known ? std::to_string(info.bytes) : std::string(),
            format_timestamp(info.id.time()),
            info.expires == wall_time{} ? std::string() : format_timestamp(info.expires),
            info.client};
}

const std::vector<std::string> heading = {"PARTITION", "TRANSACTION", "STATE",   "ITEMS",
                                          "BYTES",     "OPENED",      "EXPIRES", "CLIENT"};

struct list_request {
    std::string stream;
    std::optional<partition_number> partition;
    std::string state;
    std::uint32_t limit = 100;
    bool json = false;
};

// Without a stream: what is open in all of them.
exit_code run_list_open(const list_request& request, const surroundings& here) {
    if (request.state == "checkpointed") throw usage_error("--state checkpointed needs a STREAM");
    table rows(here.out, {"STREAM", "PARTITION", "TRANSACTION", "OPENED", "AGE", "EXPIRES", "CLIENT"});
    for (const open_transaction_info& one : open_transactions(here.place.open(), request.limit)) {
        const transaction_info& info = one.transaction;
        if (request.json) {
            print_json(here.out, one.stream, info);
            continue;
        }
        rows.row({one.stream, std::to_string(info.partition), std::to_string(info.id.value()),
                  format_timestamp(info.id.time()), format_duration(one.age), format_timestamp(info.expires),
                  info.client});
    }
    rows.finish();
    return exit_code::success;
}

exit_code run_list(const list_request& request, const surroundings& here) {
    if (request.stream.empty()) return run_list_open(request, here);
    constexpr std::uint32_t page_max = 1000;
    here.about.stream = request.stream;
    client store = here.place.open();
    std::vector<transaction_state> states;
    if (request.state == "open") states = {transaction_state::open};
    if (request.state == "checkpointed") states = {transaction_state::checkpointed};
    const partition_number first = request.partition.value_or(0);
    const partition_number end = request.partition ? first + 1 : store.stream(request.stream).partitions;
    table rows(here.out, heading);
    for (partition_number partition = first; partition < end; ++partition) {
        transaction_id from;
        for (;;) {
            const auto page = store.scan(request.stream, partition, from, last_id, states, page_max);
            for (const transaction_info& info : page) {
                if (request.json)
                    print_json(here.out, request.stream, info);
                else
                    rows.row(cells(info));
            }
            if (page.size() < page_max) break;
            from = transaction_id(page.back().id.value() + 1);
        }
    }
    rows.finish();
    return exit_code::success;
}

struct one_request {
    std::string stream;
    partition_number partition = 0;
    std::string id_text;
    transaction_id id;
    bool json = false;
};

// STREAM PARTITION ID, and reading the id strictly.
void add_place(CLI::App& command, one_request& request) {
    command.add_option("STREAM", request.stream)->required();
    command.add_option("PARTITION", request.partition)->required()->check(check_number);
    command.add_option("ID", request.id_text, "The transaction, as 'txn list' prints it")->required();
}

exit_code run_show(const one_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    client store = here.place.open();
    transaction_info info;
    const auto found = store.scan(request.stream, request.partition, request.id, request.id);
    if (found.empty()) {
        info.partition = request.partition;
        info.id = request.id;
        info.state = store.state(request.stream, request.partition, request.id);
    } else {
        info = found.front();
    }
    if (request.json) {
        print_json(here.out, request.stream, info);
        return exit_code::success;
    }
    const std::vector<std::string> values = cells(info);
    constexpr std::size_t name_width = 13;
    constexpr std::string_view names[] = {"partition", "transaction", "state",   "items",
                                          "bytes",     "opened",      "expires", "client"};
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i].empty()) continue;
        std::string text(names[i]);
        text.resize(name_width, ' ');
        here.out.line(text + values[i]);
    }
    return exit_code::success;
}

void add_list(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<list_request>();
    CLI::App* command = group.add_subcommand(
        "list", "List the transactions of a stream; without one, the open ones of all streams, oldest first");
    command->add_option("STREAM", request->stream, "Its open and its checkpointed ones");
    command->add_option("PARTITION", request->partition, "Only of this one; default: all")->check(check_number);
    command->add_option("--state", request->state, "Only these: open or checkpointed")
        ->type_name("STATE")
        ->check(CLI::IsMember({"open", "checkpointed"}));
    command->add_option("--limit", request->limit, "Without a STREAM: at most this many, 1 to 10000; default: 100")
        ->type_name("NUMBER")
        ->check(CLI::Range(1, 10'000));
    command->add_flag("--json", request->json, "One JSON object a line");
    command->footer("Examples:\n  tstreams txn list orders --state open\n  tstreams txn list");
    command->callback(
        [request, &call] { call.action = [request](const surroundings& here) { return run_list(*request, here); }; });
}

void add_show(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<one_request>();
    CLI::App* command = group.add_subcommand(
        "show", "Show one transaction: open, checkpointed, not_checkpointed, or gone (older than retention)");
    add_place(*command, *request);
    command->add_flag("--json", request->json, "As one JSON object");
    command->footer("Example:\n  tstreams txn show orders 0 1804567890123456789");
    command->callback([request, &call] {
        request->id = parse_id(request->id_text, "ID");
        call.action = [request](const surroundings& here) { return run_show(*request, here); };
    });
}

void add_abort(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<one_request>();
    CLI::App* command = group.add_subcommand("abort", "Cancel an open transaction, whoever holds it");
    add_place(*command, *request);
    command->footer("Example:\n  tstreams txn abort orders 0 1804567890123456789");
    command->callback([request, &call] {
        request->id = parse_id(request->id_text, "ID");
        call.action = [request](const surroundings& here) {
            here.about.stream = request->stream;
            here.place.open().abort(request->stream, request->partition, request->id);
            here.out.line("transaction " + std::to_string(request->id.value()) + " cancelled");
            return exit_code::success;
        };
    });
}

}  // namespace

void add_txn_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("txn", "List, show, watch and abort transactions");
    group->require_subcommand(1);
    group->footer("Example:\n  tstreams txn list orders");
    add_list(*group, call);
    add_show(*group, call);
    add_abort(*group, call);
    add_watch_command(*group, call);
}

}  // namespace tstreams::cli
