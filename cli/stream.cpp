// tstreams stream create|list|show|update|delete
#include "cli/invocation.hpp"

#include "cli/duration.hpp"
#include "cli/encoding.hpp"
#include "cli/table.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <optional>

namespace tstreams::cli {
namespace {

// The store refuses others, too; here it is a mistake in the command line.
std::string a_number_of_partitions(const std::string& text) {
    const std::uint64_t number = decimal(text).value_or(0);
    return number >= 1 && number <= 1024 ? "" : "'" + text + "' is not a whole number from 1 to 1024";
}

void print_json(output& out, const stream_info& stream) {
    nlohmann::ordered_json object;
    object["name"] = stream.name;
    object["id"] = std::to_string(stream.id);
    object["partitions"] = stream.partitions;
    object["ttl_seconds"] = stream.ttl.count();
    object["durability"] = to_string(stream.durability);
    object["max_open_seconds"] = stream.max_open.count();
    object["description"] = stream.description;
    object["created_at"] = format_timestamp(stream.created_at);
    out.line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_facts(output& out, const stream_info& stream) {
    out.line("name         " + stream.name);
    out.line("id           " + std::to_string(stream.id));
    out.line("partitions   " + std::to_string(stream.partitions));
    out.line("ttl          " + format_duration(stream.ttl));
    out.line("durability   " + to_string(stream.durability));
    out.line("max open     " + format_duration(stream.max_open));
    out.line("created      " + format_timestamp(stream.created_at));
    out.line("description  " + printable(stream.description));
}

std::string summary(const stream_info& stream) {
    return counted(stream.partitions, "partition") + ", ttl " + format_duration(stream.ttl) + ", durability " +
           to_string(stream.durability);
}

struct create_request {
    stream_options stream;
    std::string ttl;
    std::string durability;
    std::string max_open;
    bool if_missing = false;
};

void add_create(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<create_request>();
    CLI::App* command = group.add_subcommand("create", "Create a stream (and the store, where there is none yet)");
    command->add_option("NAME", request->stream.name, "Letters, digits, '.', '_' and '-', at most 128")->required();
    command->add_option("--partitions", request->stream.partitions, "How many partitions; default 1")
        ->type_name("N")
        ->check(a_number_of_partitions);
    command->add_option("--ttl", request->ttl, "How long transactions are kept, for example 90s, 24h, 7d; default 24h")
        ->type_name("TIME");
    command
        ->add_option("--durability", request->durability,
                     "What a checkpoint waits for: sync (on disk; the default), interval:50ms, process")
        ->type_name("LEVEL");
    command->add_option("--description", request->stream.description, "A text for people")->type_name("TEXT");
    command
        ->add_option("--max-open", request->max_open,
                     "How long a transaction may stay open, at most half of the ttl; default 10m")
        ->type_name("TIME");
    command->add_flag("--if-missing", request->if_missing, "An existing stream of that name is left as it is");
    command->footer("Example:\n  tstreams stream create orders --partitions 4 --ttl 24h --durability sync");
    command->callback([request, &call] {
        stream_options& stream = request->stream;
        if (!request->ttl.empty()) stream.ttl = parse_seconds(request->ttl, "--ttl");
        if (!request->max_open.empty()) stream.max_open = parse_seconds(request->max_open, "--max-open");
        call.action = [request](const surroundings& here) {
            here.about.stream = request->stream.name;
            if (!request->durability.empty()) request->stream.durability = parse_durability(request->durability);
            client store = here.place.open_or_create();
            const stream_info made =
                request->if_missing ? store.open_or_create(request->stream) : store.create_stream(request->stream);
            here.out.line("stream " + made.name + ": " + summary(made));
            return exit_code::success;
        };
    });
}

void add_list(CLI::App& group, invocation& call) {
    struct list_request {
        std::string prefix;
        bool json = false;
    };
    const auto request = std::make_shared<list_request>();
    CLI::App* command = group.add_subcommand("list", "List streams by name");
    command->add_option("PREFIX", request->prefix, "Only names that begin with this");
    command->add_flag("--json", request->json, "One JSON object a line");
    command->footer("Example:\n  tstreams stream list orders. --json");
    command->callback([request, &call] {
        call.action = [request](const surroundings& here) {
            client store = here.place.open();
            table rows(here.out, {"NAME", "PARTITIONS", "TTL", "DURABILITY", "DESCRIPTION"});
            std::string after;
            bool any = false;
            do {
                const stream_page page = store.list_streams(request->prefix, after);
                for (const stream_info& stream : page.streams) {
                    any = true;
                    if (request->json)
                        print_json(here.out, stream);
                    else
                        rows.row({stream.name, std::to_string(stream.partitions), format_duration(stream.ttl),
                                  to_string(stream.durability), stream.description});
                }
                after = page.next;
            } while (!after.empty());
            rows.finish();
            if (!any && !request->json && here.out.terminal())
                std::fprintf(stderr, "tstreams: no streams%s; create one with: %s stream create NAME\n",
                             request->prefix.empty() ? "" : " of that prefix", here.about.program.c_str());
            return exit_code::success;
        };
    });
}

void add_show(CLI::App& group, invocation& call) {
    struct show_request {
        std::string name;
        bool json = false;
    };
    const auto request = std::make_shared<show_request>();
    CLI::App* command = group.add_subcommand("show", "Show the settings of a stream");
    command->add_option("NAME", request->name)->required();
    command->add_flag("--json", request->json, "As one JSON object");
    command->footer("Example:\n  tstreams stream show orders");
    command->callback([request, &call] {
        call.action = [request](const surroundings& here) {
            here.about.stream = request->name;
            const client store = here.place.open();
            const stream_info stream = store.stream(request->name);
            if (request->json) {
                print_json(here.out, stream);
                return exit_code::success;
            }
            print_facts(here.out, stream);
            if (store.retention().holding)
                here.out.line("retention    holds, see: " + here.about.program + " retention show");
            return exit_code::success;
        };
    });
}

void add_update(CLI::App& group, invocation& call) {
    struct update_request {
        std::string name;
        std::string ttl;
        std::optional<std::string> description;
        std::optional<std::uint32_t> partitions;
    };
    const auto request = std::make_shared<update_request>();
    CLI::App* command = group.add_subcommand("update", "Change the settings of a stream");
    command->add_option("NAME", request->name)->required();
    command->add_option("--ttl", request->ttl, "For transactions opened from now on")->type_name("TIME");
    command->add_option("--description", request->description, "A text for people")->type_name("TEXT");
    command
        ->add_option("--partitions", request->partitions,
                     "The new number, not below the present one. Keys are routed by this number: they move to other "
                     "partitions")
        ->type_name("N")
        ->check(a_number_of_partitions);
    command->footer("Example:\n  tstreams stream update orders --ttl 7d --partitions 8");
    command->callback([request, &call] {
        stream_changes changes;
        if (!request->ttl.empty()) changes.ttl = parse_seconds(request->ttl, "--ttl");
        changes.description = request->description;
        changes.partitions = request->partitions;
        if (!changes.ttl && !changes.description && !changes.partitions)
            throw usage_error("nothing to change: give --ttl, --description or --partitions");
        call.action = [request, changes](const surroundings& here) {
            here.about.stream = request->name;
            client store = here.place.open();
            const std::uint32_t partitions_before = store.stream(request->name).partitions;
            const stream_info changed = store.update_stream(request->name, changes);
            here.out.line("stream " + changed.name + ": " + summary(changed));
            if (changed.partitions != partitions_before)
                std::fprintf(stderr, "tstreams: keys now go to other partitions: %u instead of %u\n",
                             changed.partitions, partitions_before);
            return exit_code::success;
        };
    });
}

void add_delete(CLI::App& group, invocation& call) {
    const auto name = std::make_shared<std::string>();
    CLI::App* command = group.add_subcommand("delete", "Delete a stream with all its data and offsets");
    command->add_option("NAME", *name)->required();
    command->footer("Example:\n  tstreams stream delete orders");
    command->callback([name, &call] {
        call.action = [name](const surroundings& here) {
            here.about.stream = *name;
            here.place.open().delete_stream(*name);
            here.out.line("stream " + *name + " deleted");
            return exit_code::success;
        };
    });
}

}  // namespace

void add_stream_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("stream", "Create, list, show, update and delete streams");
    group->require_subcommand(1);
    group->footer("Example:\n  tstreams stream create orders");
    add_create(*group, call);
    add_list(*group, call);
    add_show(*group, call);
    add_update(*group, call);
    add_delete(*group, call);
}

}  // namespace tstreams::cli
