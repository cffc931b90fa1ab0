// tstreams server status|clients
#include "cli/invocation.hpp"

#include "cli/duration.hpp"
#include "cli/encoding.hpp"
#include "cli/table.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>
#include <tstreams/admin.hpp>

#include <memory>
#include <string>

namespace tstreams::cli {
namespace {

std::string dump(const nlohmann::ordered_json& object) {
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

double seconds(std::chrono::milliseconds time) {
    return std::chrono::duration<double>(time).count();
}

void print_json(output& out, const server_status& now) {
    nlohmann::ordered_json object;
    object["server"] = now.server;
    object["store"] = now.store;
    object["endpoints"] = now.endpoints;
    object["now"] = format_timestamp(now.now);
    object["started"] = format_timestamp(now.started_at);
    object["connections"] = now.connections;
    object["sessions"] = now.sessions;
    object["open_transactions"] = now.open_transactions;
    object["oldest_open_seconds"] = seconds(now.oldest_open);
    object["checkpointed"] = now.checkpointed;
    object["items_in"] = now.items_in;
    object["bytes_in"] = now.bytes_in;
    object["items_out"] = now.items_out;
    object["bytes_out"] = now.bytes_out;
    object["refusals"] = now.refusals;
    object["background_failures"] = now.background_failures;
    object["retention_holding"] = now.retention_holding;
    object["memory_bytes"] = now.memory_bytes;
    out.line(dump(object));
}

void print_facts(output& out, const server_status& now) {
    const auto fact = [&out](std::string name, const std::string& value) {
        name.resize(13, ' ');
        out.line(name + printable(value));
    };
    fact("server", now.server);
    fact("store", now.store);
    for (const std::string& one : now.endpoints) fact("listening", one);
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(now.now - now.started_at);
    fact("started", format_timestamp(now.started_at) + ", " + format_duration(up) + " ago");
    fact("clients", counted(now.sessions, "session") + ", " + counted(now.connections, "connection"));
    fact("open", counted(now.open_transactions, "transaction") +
                     (now.open_transactions == 0 ? "" : ", the oldest for " + format_duration(now.oldest_open)));
    fact("written", counted(now.checkpointed, "transaction") + ", " + counted(now.items_in, "item") + ", " +
                        counted(now.bytes_in, "byte"));
    fact("read", counted(now.items_out, "item") + ", " + counted(now.bytes_out, "byte"));
    fact("refused", counted(now.refusals, "call"));
    fact("failed", counted(now.background_failures, "background task"));
    fact("retention", now.retention_holding ? "holds; see: tstreams retention show" : "works");
    fact("memory", std::to_string(now.memory_bytes >> 20) + " MiB");
}

void add_status(CLI::App& group, invocation& call) {
    const auto json = std::make_shared<bool>(false);
    CLI::App* command = group.add_subcommand("status", "What the server says of itself; counts since its start");
    command->add_flag("--json", *json, "As one JSON object");
    command->footer("Example:\n  tstreams server status --at ipc:///run/tstreams/socket");
    command->callback([json, &call] {
        call.action = [json](const surroundings& here) {
            const server_status now = status(here.place.open());
            if (*json)
                print_json(here.out, now);
            else
                print_facts(here.out, now);
            return exit_code::success;
        };
    });
}

struct clients_request {
    std::uint32_t limit = 1000;
    bool json = false;
};

exit_code run_clients(const clients_request& request, const surroundings& here) {
    table rows(here.out, {"CLIENT", "KEY", "CONNECTED", "SILENT", "OPEN", "ANSWERS"});
    for (const server_client& one : clients(here.place.open(), request.limit)) {
        if (!request.json) {
            rows.row({one.name, one.user, one.connected ? "yes" : "no", format_duration(one.silent_for),
                      std::to_string(one.open_transactions), std::to_string(one.answers_kept)});
            continue;
        }
        nlohmann::ordered_json object;
        object["client"] = one.name;
        object["key"] = one.user;
        object["connected"] = one.connected;
        object["silent_seconds"] = seconds(one.silent_for);
        object["open_transactions"] = one.open_transactions;
        object["answers_kept"] = one.answers_kept;
        here.out.line(dump(object));
    }
    rows.finish();
    return exit_code::success;
}

void add_clients(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<clients_request>();
    CLI::App* command = group.add_subcommand("clients", "The clients, those with the most open transactions first");
    command->add_option("--limit", request->limit, "At most this many, 1 to 10000; default: 1000")
        ->type_name("NUMBER")
        ->check(CLI::Range(1, 10'000));
    command->add_flag("--json", request->json, "One JSON object a line");
    command->footer("Example:\n  tstreams server clients --at ipc:///run/tstreams/socket");
    command->callback([request, &call] {
        call.action = [request](const surroundings& here) { return run_clients(*request, here); };
    });
}

}  // namespace

void add_server_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("server", "Look at a running tstreamsd");
    group->require_subcommand(1);
    group->footer("Example:\n  tstreams server status --at ipc:///run/tstreams/socket");
    add_status(*group, call);
    add_clients(*group, call);
}

}  // namespace tstreams::cli
