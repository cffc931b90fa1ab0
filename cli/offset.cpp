// tstreams offset list|show|set|delete
#include "cli/invocation.hpp"

#include "cli/encoding.hpp"
#include "cli/table.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <optional>

namespace tstreams::cli {
namespace {

struct offset_request {
    std::string stream;
    std::string consumer;
    std::string where;
    start from;
    std::optional<partition_number> partition;
    bool take_over = false;
    bool json = false;
};

void print(output& out, const offset_request& request, const std::vector<offset_info>& offsets) {
    table rows(out, {"CONSUMER", "PARTITION", "POSITION", "POSITION TIME", "STORED", "LIVE"});
    for (const offset_info& one : offsets) {
        const std::string position = std::to_string(one.position.value());
        if (!request.json) {
            const bool any = one.position.value() != 0;  // else nothing is processed, so there is no time
            rows.row({one.consumer, std::to_string(one.partition), position,
                      any ? format_timestamp(one.position.time()) : "-", format_timestamp(one.updated_at),
                      one.live ? "live" : "-"});
            continue;
        }
        nlohmann::ordered_json object;
        object["stream"] = request.stream;
        object["consumer"] = one.consumer;
        object["partition"] = one.partition;
        object["position"] = position;
        object["updated_at"] = format_timestamp(one.updated_at);
        object["live"] = one.live;
        out.line(object.dump());
    }
    rows.finish();
}

exit_code run_show(const offset_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    const auto offsets = here.place.open().offsets(request.stream, request.consumer);
    if (offsets.empty() && !request.consumer.empty()) throw no_offset(request.stream, request.consumer);
    print(here.out, request, offsets);
    return exit_code::success;
}

exit_code run_set(const offset_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    client store = here.place.open();
    // A reader without a name turns words and times into one position per partition, and leaves nothing
    // behind.
    consumer_options options;
    options.start = request.from;
    if (request.partition) options.partitions = {*request.partition};
    const auto positions = store.make_consumer(request.stream, std::move(options)).positions();
    store.set_offset(request.stream, request.consumer, positions, request.take_over);
    here.out.line("offset of " + request.consumer + " set in " + counted(positions.size(), "partition"));
    return exit_code::success;
}

start parse_position(const std::string& text) {
    if (const auto id = decimal(text)) return after(transaction_id(*id));
    if (text == "oldest") return oldest;
    if (text == "newest") return newest;
    if (const auto time = parse_timestamp(text)) return at(*time);
    throw usage_error("POSITION '" + text +
                      "': use a transaction id, oldest, newest, or a time with its zone like 2026-01-31T12:00:00Z");
}

void add_reading(CLI::App& group, invocation& call, bool one_consumer) {
    const auto request = std::make_shared<offset_request>();
    CLI::App* command = one_consumer ? group.add_subcommand("show", "Show the offsets of one consumer")
                                     : group.add_subcommand("list", "List the offsets of all consumers of a stream");
    command->add_option("STREAM", request->stream)->required();
    if (one_consumer) command->add_option("CONSUMER", request->consumer)->required();
    command->add_flag("--json", request->json, "One JSON object a line");
    command->footer(one_consumer ? "Example:\n  tstreams offset show orders billing"
                                 : "Example:\n  tstreams offset list orders --json");
    command->callback(
        [request, &call] { call.action = [request](const surroundings& here) { return run_show(*request, here); }; });
}

void add_set(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<offset_request>();
    CLI::App* command = group.add_subcommand("set", "Say where a consumer goes on");
    command->add_option("STREAM", request->stream)->required();
    command->add_option("CONSUMER", request->consumer)->required();
    command
        ->add_option("POSITION", request->where,
                     "The id of the last transaction that counts as processed; or oldest (nothing is processed), "
                     "newest, a time like 2026-01-31T12:00:00Z (all before it)")
        ->required();
    command->add_option("--partition", request->partition, "Only of this one; default: all")
        ->type_name("P")
        ->check(check_number);
    command->add_flag(
        "--take-over", request->take_over,
        "Also when a consumer of that name is at work: it is fenced, and ends with an error at its next checkpoint");
    command->footer("Example:\n  tstreams offset set orders billing oldest");
    command->callback([request, &call] {
        request->from = parse_position(request->where);
        call.action = [request](const surroundings& here) { return run_set(*request, here); };
    });
}

void add_delete(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<offset_request>();
    CLI::App* command = group.add_subcommand("delete", "Forget a consumer: its name begins anew");
    command->add_option("STREAM", request->stream)->required();
    command->add_option("CONSUMER", request->consumer)->required();
    command->add_flag(
        "--take-over", request->take_over,
        "Also when a consumer of that name is at work: it is fenced, and ends with an error at its next checkpoint");
    command->footer("Example:\n  tstreams offset delete orders billing");
    command->callback([request, &call] {
        call.action = [request](const surroundings& here) {
            here.about.stream = request->stream;
            here.place.open().delete_offset(request->stream, request->consumer, request->take_over);
            here.out.line("offset of " + request->consumer + " deleted");
            return exit_code::success;
        };
    });
}

}  // namespace

void add_offset_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("offset", "List, show, set and delete the offsets of consumers");
    group->require_subcommand(1);
    group->footer("Example:\n  tstreams offset list orders");
    add_reading(*group, call, false);
    add_reading(*group, call, true);
    add_set(*group, call);
    add_delete(*group, call);
}

}  // namespace tstreams::cli
