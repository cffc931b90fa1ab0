// tstreams verify
#include "cli/invocation.hpp"

#include "cli/encoding.hpp"
#include "cli/progress.hpp"

#include <tstreams/verify.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace tstreams::cli {
namespace {

exit_code run_verify(bool json, const surroundings& here) {
    verify_report report;
    {
        progress bar("checking", true, std::chrono::milliseconds(0));
        report = verify(here.place.uri(), [&bar](std::uint64_t done, std::uint64_t all) { bar.bytes(done, all); });
    }
    if (json) {
        nlohmann::ordered_json object;
        object["sound"] = report.problems.empty();
        object["files"] = report.files;
        object["records"] = report.records;
        object["bytes"] = report.bytes;
        object["rows"] = report.rows;
        object["problems"] = report.problems;
        here.out.line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    } else {
        for (const std::string& problem : report.problems) here.out.line(printable(problem));
        here.out.line((report.problems.empty() ? "sound: " : "checked: ") + counted(report.files, "file") + ", " +
                      counted(report.records, "record") + ", " + counted(report.bytes, "byte") + ", " +
                      counted(report.rows, "row"));
    }
    if (report.problems.empty()) return exit_code::success;
    here.out.flush();
    std::fprintf(stderr, "tstreams: %s: %s found; keep a copy of the store as it is, then restore a sound one\n",
                 printable(here.place.uri()).c_str(), counted(report.problems.size(), "problem").c_str());
    return exit_code::failure;
}

}  // namespace

void add_verify_command(CLI::App& app, invocation& call) {
    const auto json = std::make_shared<bool>(false);
    CLI::App* command = app.add_subcommand(
        "verify", "Check every file, record and checksum of a store; changes nothing, needs the store for itself");
    command->add_flag("--json", *json, "As one JSON object");
    command->footer(
        "Prints each problem in a line; exit status 1 when there is any.\n\n"
        "Example:\n  tstreams --at file:/var/lib/tstreams verify");
    command->callback(
        [json, &call] { call.action = [json](const surroundings& here) { return run_verify(*json, here); }; });
}

}  // namespace tstreams::cli
