// tstreams: the command-line tool. Parses the command line, runs the action, turns failures into one line and
// an exit code.
#include "cli/invocation.hpp"

#include "cli/encoding.hpp"
#include "cli/help.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <sstream>

namespace tstreams::cli {
namespace {

// A process started with a standard descriptor closed would give its number to a file of the store. The
// stand-ins fail in the direction that is wanted, so that lost output is not taken for written output.
void reserve_standard_descriptors() {
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
        if (::fcntl(descriptor, F_GETFD) == -1 && errno == EBADF)
            ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

exit_code fail(const std::string& line, exit_code code) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return code;
}

// Help for a command: what all of them share.
void mention_store(CLI::App& level) {
    for (CLI::App* command : level.get_subcommands([](const CLI::App*) { return true; })) {
        mention_store(*command);
        if (command->get_require_subcommand_min() == 0)
            command->footer(command->get_footer() +
                            "\n\nThe store is the one of --at URI, else of TSTREAMS_URI: see tstreams --help");
    }
}

void describe(CLI::App& app, invocation& call) {
    app.formatter(std::make_shared<help_formatter>());
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--at", call.at,
                   "The store, for example file:/var/lib/tstreams, or of a tstreamsd tcp://HOST:7420. Default: the "
                   "environment's TSTREAMS_URI, else a directory of your own data. Keys for a server: "
                   "TSTREAMS_KEY_FILE and TSTREAMS_SERVER_KEY")
        ->type_name("URI");
    app.set_version_flag("--version", "tstreams " TSTREAMS_VERSION, "Print the version");
    add_stream_commands(app, call);
    add_produce_command(app, call);
    add_consume_command(app, call);
    add_txn_commands(app, call);
    add_offset_commands(app, call);
    add_retention_commands(app, call);
    add_server_commands(app, call);
    add_verify_command(app, call);
    mention_store(app);  // those behind need none
#if TSTREAMS_WITH_REMOTE
    add_key_commands(app, call);
#endif
    CLI::App* version = app.add_subcommand("version", "Print the version");
    version->footer("Example:\n  tstreams version");
    version->callback([&call] {
        call.action = [](const surroundings& here) {
            here.out.line("tstreams " TSTREAMS_VERSION);
            return exit_code::success;
        };
    });
    app.footer(
        "Begin with:\n"
        "  tstreams stream create orders\n"
        "  printf 'one\\ntwo\\n' | tstreams produce orders\n"
        "  tstreams consume orders --name billing\n\n"
        "Each command has its own help: tstreams consume --help\n"
        "Exit status: 0 done, 1 failure, 2 usage, 3 not found, 4 fenced or locked.");
}

// Of an option without its value, or given twice.
std::string mismatch(const std::string& text) {
    const std::string option = text.substr(0, text.find(':'));
    if (text.ends_with("missing")) return option + " needs a value";
    if (text.find("At Most") != std::string::npos) return option + " can be given only once";
    return text;
}

// What is wrong with the command line, and where its help is.
std::string usage_line(const CLI::App& app, const std::exception& failure) {
    std::string words = "tstreams";
    const CLI::App* level = &app;
    while (!level->get_subcommands().empty()) {
        level = level->get_subcommands().front();
        words += " " + level->get_name();
    }
    const bool incomplete = dynamic_cast<const CLI::RequiredError*>(&failure) != nullptr;
    const bool extra = dynamic_cast<const CLI::ExtrasError*>(&failure) != nullptr;
    const std::vector<std::string> rest = app.remaining(true);
    const auto option =
        std::find_if(rest.begin(), rest.end(), [](const std::string& word) { return word.starts_with("-"); });
    std::string what = failure.what();
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&failure) != nullptr) what = mismatch(what);
    if ((incomplete || extra) && option != rest.end())
        what = "there is no option " + *option;
    else if (incomplete && level->get_require_subcommand_min() != 0)
        what = rest.empty() ? "a command is required" : "there is no command '" + words + " " + rest.front() + "'";
    else if (extra && !rest.empty())
        what = "there is one argument too many: '" + rest.front() + "'";
    return "tstreams: " + printable(what) + "; see: " + words + " --help";
}

exit_code print(const std::string& text) {
    output out(STDOUT_FILENO);
    out.write(text);
    out.flush();
    return exit_code::success;
}

// Runs an action, and turns its failure into a line and an exit code.
template <class Action>
exit_code settled(const subject& about, Action action) {
    try {
        return action();
    } catch (const output_closed&) {
        return exit_code::failure;
    } catch (const usage_error& failure) {
        return fail("tstreams: " + printable(failure.what()), exit_code::usage);
    } catch (const not_found_error& failure) {
        return fail("tstreams: " + printable(failure.what()), exit_code::not_found);
    } catch (const error& failure) {
        return fail(error_line(failure, about), exit_code_of(failure.code()));
    } catch (const std::exception& failure) {
        return fail("tstreams: " + printable(failure.what()), exit_code::failure);
    }
}

exit_code run(const invocation& call) {
    subject about;
    return settled(about, [&] {
        const store_place place(call.at);
        about.program = place.program();
        output out(STDOUT_FILENO);
        const exit_code code = call.action(surroundings{place, out, about});
        out.flush();
        return code;
    });
}

exit_code parse_and_run(int argc, char** argv) {
    invocation call;
    CLI::App app("Transactional persistent queues: streams that are written and read exactly once", "tstreams");
    describe(app, call);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& failure) {
        if (failure.get_exit_code() == 0) {  // --help, --version
            std::ostringstream text;
            app.exit(failure, text, text);
            return settled(subject(), [&] { return print(text.str()); });
        }
        return fail(usage_line(app, failure), exit_code::usage);
    } catch (const usage_error& failure) {
        return fail(usage_line(app, failure), exit_code::usage);
    }
    return run(call);
}

}  // namespace
}  // namespace tstreams::cli

int main(int argc, char** argv) {
    tstreams::cli::reserve_standard_descriptors();
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is then an error of write(), seen where it matters
    return static_cast<int>(tstreams::cli::parse_and_run(argc, argv));
}
