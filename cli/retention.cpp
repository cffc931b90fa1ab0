// tstreams retention show|accept
#include "cli/invocation.hpp"

#include "cli/duration.hpp"
#include "cli/encoding.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace tstreams::cli {
namespace {

void print_json(output& out, const retention_info& state) {
    nlohmann::ordered_json object;
    object["holding"] = state.holding;
    object["clock"] = format_timestamp(state.clock);
    object["believed"] = format_timestamp(state.believed);
    if (state.holding) {
        object["jump_seconds"] = state.jump.count();
        object["since"] = format_timestamp(state.since);
        object["ends"] = state.ends ? nlohmann::ordered_json(format_timestamp(*state.ends)) : nullptr;
        object["reason"] = state.reason;
    }
    out.line(object.dump());
}

void print_facts(output& out, const surroundings& here, const retention_info& state) {
    out.line("retention    " + std::string(state.holding ? "holds: nothing expires or is removed" : "works"));
    out.line("clock        " + format_timestamp(state.clock));
    if (!state.holding) return;
    out.line("believed     " + format_timestamp(state.believed));
    out.line("why          " + state.reason);
    out.line("goes on      " + (state.ends ? format_timestamp(*state.ends) + ", if the clock stays like this"
                                           : std::string("when the clock is right again, or is accepted")));
    out.line("if right     " + here.about.program + " retention accept");
}

void add_show(CLI::App& group, invocation& call) {
    const auto json = std::make_shared<bool>(false);
    CLI::App* command =
        group.add_subcommand("show", "Whether retention holds, because the clock has jumped, and until when");
    command->add_flag("--json", *json, "As one JSON object");
    command->footer("Example:\n  tstreams retention show");
    command->callback([json, &call] {
        call.action = [json](const surroundings& here) {
            const retention_info state = here.place.open().retention();
            if (*json)
                print_json(here.out, state);
            else
                print_facts(here.out, here, state);
            return exit_code::success;
        };
    });
}

void add_accept(CLI::App& group, invocation& call) {
    CLI::App* command = group.add_subcommand(
        "accept", "Say that the clock is right: what is older than its ttl by this clock is then removed");
    command->footer("Example:\n  tstreams retention accept");
    command->callback([&call] {
        call.action = [](const surroundings& here) {
            const retention_info state = here.place.open().accept_clock();
            here.out.line("retention works, by the clock: " + format_timestamp(state.clock));
            return exit_code::success;
        };
    });
}

}  // namespace

void add_retention_commands(CLI::App& app, invocation& call) {
    CLI::App* group = app.add_subcommand("retention", "See whether retention holds, and let it go on");
    group->require_subcommand(1);
    group->footer("Example:\n  tstreams retention show");
    add_show(*group, call);
    add_accept(*group, call);
}

}  // namespace tstreams::cli
