#include "server/options.hpp"

#include "server/endpoints.hpp"
#include "server/settings_file.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>
#include <utility>

namespace tstreams::server {

namespace {

struct typed {
    std::string config;
    std::string log_format = "text";
    std::uint64_t session_timeout = 3600;
    std::uint64_t open_time = 86'400;
    std::uint64_t handshake = 5;
    std::uint64_t silence = 30;
    std::uint64_t drain = 5;
    bool print_config = false;
};

// --client-bytes is TSTREAMSD_CLIENT_BYTES.
CLI::Option* add(CLI::App& app, const std::string& name, CLI::Option* made) {
    std::string variable = "TSTREAMSD_" + name.substr(2);
    for (char& one : variable)
        one = one == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(one)));
    std::ignore = app;
    return made->envname(variable);
}

const CLI::Validator at_least_one(
    [](const std::string& given) {
        const bool digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
        const bool zero = given.find_first_not_of('0') == std::string::npos;
        return digits && !zero && given.size() < 19 ? "" : "'" + given + "' is not a whole number from 1";
    },
    "");

const CLI::Validator a_size(
    [](std::string& given) -> std::string {
        const std::string as_given = given;
        try {
            if (CLI::AsSizeValue(false)(given).empty() && at_least_one(given).empty()) return "";
        } catch (const CLI::Error&) {
        }
        return "'" + as_given + "' is not a size from 1: bytes, or a number with KiB, MiB, GiB";
    },
    "");

template <class T>
void add_number(CLI::App& app, const std::string& name, T& value, const std::string& about) {
    add(app, name, app.add_option(name, value, about))->check(at_least_one)->group("Limits")->capture_default_str();
}

template <class T>
void add_bytes(CLI::App& app, const std::string& name, T& value, const std::string& about) {
    add(app, name, app.add_option(name, value, about))
        ->transform(a_size)
        ->group("Limits")
        ->type_name("BYTES")
        ->capture_default_str();
}

void add_limits(CLI::App& app, daemon_limits& limits, typed& words) {
    add_number(app, "--clients", limits.clients, "Connected clients");
    add_number(app, "--user-sessions", limits.user_sessions, "Sessions of one name of the file of clients");
    add_number(app, "--client-transactions", limits.client_transactions, "Open transactions of one client");
    add_number(app, "--all-transactions", limits.all_transactions, "Open transactions of all clients");
    add_number(app, "--open-time", words.open_time, "Seconds: the longest time that a stream may let one be open");
    add_number(app, "--stream-partitions", limits.stream_partitions, "Of one stream; at most 1024");
    add_bytes(app, "--transaction-bytes", limits.transaction_bytes, "Of one transaction");
    add_bytes(app, "--item-bytes", limits.item_bytes, "Of one item; at most 64 MiB");
    add_number(app, "--group-members", limits.group_members, "Transactions and positions in one checkpoint");
    add_number(app, "--client-answers", limits.client_answers,
               "Calls of one client under way, or answered and not read");
    add_bytes(app, "--client-bytes", limits.client_bytes, "Of the calls of one client that are under way");
    add_bytes(app, "--all-bytes", limits.all_bytes, "Of the calls of all clients that are under way");
    add_bytes(app, "--client-unread-bytes", limits.client_unread_bytes, "Of answers that one client does not read");
    add_bytes(app, "--all-unread-bytes", limits.all_unread_bytes, "Of answers that clients do not read");
    add_number(app, "--session-timeout", words.session_timeout,
               "Seconds: the longest silence after which a client may ask to be given up");
    add_number(app, "--handshake", words.handshake, "Seconds: a connection that takes longer for it is cut");
    add_number(app, "--silence", words.silence,
               "Seconds: after this silence of a connection it is asked, and after as much again it is cut");
}

void describe(CLI::App& app, invocation& call, typed& words) {
    daemon_options& options = call.options;
    add(app, "--store", app.add_option("--store", options.store, "The store, for example file:/var/lib/tstreams"))
        ->type_name("URI");
    add(app, "--must-exist",
        app.add_flag("--must-exist", options.must_exist, "Do not make a store where there is none: fail"));
    add(app, "--listen",
        app.add_option("--listen", options.listen,
                       "Where clients find it, several times for several: ipc:///PATH, tcp://127.0.0.1:7420, with keys "
                       "tcp://ADDRESS:PORT. Default: a Unix socket in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/tstreams or "
                       "/run/tstreams"))
        ->type_name("ENDPOINT")
        ->delimiter(',')
        ->default_str(default_endpoint());
    add(app, "--key-file",
        app.add_option("--key-file", options.key_file, "The server's keys, as 'tstreams key new' writes them"))
        ->type_name("FILE");
    add(app, "--clients-file",
        app.add_option("--clients-file", options.clients_file,
                       "Which keys may come, and their rights: 'tstreams key allow' writes it. SIGHUP reads it again"))
        ->type_name("FILE");
    add(app, "--metrics",
        app.add_option("--metrics", options.metrics,
                       "Metrics for Prometheus, /healthz and /readyz over HTTP at [ADDRESS:]PORT; default: nowhere"))
        ->type_name("PLACE");
    add(app, "--metrics-beyond-loopback",
        app.add_flag("--metrics-beyond-loopback", options.metrics_beyond_loopback,
                     "--metrics may name an address that other machines reach"));
    add(app, "--drain", app.add_option("--drain", words.drain, "Seconds for what is in flight, when it is to stop"))
        ->capture_default_str();
    add(app, "--log-format", app.add_option("--log-format", words.log_format, "text or json, a line per event"))
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    add_limits(app, options.limits, words);
    add(app, "--config",
        app.add_option("--config", words.config, "A TOML file with any of these: item-bytes = 1048576"))
        ->type_name("FILE")
        ->configurable(false);
    app.add_flag("--check-config", call.check_only, "Check all of this, open nothing; exit with 0 or 2")
        ->configurable(false);
    app.add_flag("--print-config", words.print_config, "Print all settings as TOML")->configurable(false);
    app.set_version_flag("--version", "tstreamsd " TSTREAMS_VERSION);
    app.footer(
        "Every option may be a line of the file, and a variable: TSTREAMSD_ITEM_BYTES. The command line counts first,\n"
        "then the environment, then the file. BYTES are a number, or one with KiB, MiB or GiB: 16MiB.\n"
        "Exit status: 0 stopped, 1 failure, 2 usage or configuration.");
}

// Only what neither the command line nor the environment has said.
void read_config(CLI::App& app, const std::string& path) {
    for (const setting& one : read_settings(path)) {
        CLI::Option* const option = app.get_option_no_throw("--" + one.name);
        if (option == nullptr || !option->get_configurable())
            throw usage_error(path + ": there is no setting '" + one.name + "'");
        if (option->count() != 0) continue;
        try {
            for (const std::string& value : one.values) option->add_result(value);
            option->run_callback();
        } catch (const CLI::Error& failure) {
            throw usage_error(path + ": " + failure.what());
        }
    }
}

std::vector<setting> settings_of(const CLI::App& app) {
    std::vector<setting> settings;
    for (const CLI::Option* const one : app.get_options()) {
        if (!one->get_configurable() || one->get_lnames().empty()) continue;
        std::vector<std::string> values{one->get_default_str()};
        if (one->count() != 0) values = one->reduced_results();
        if (one->get_expected_max() == 0 && values.front().empty()) values.front() = "false";
        settings.push_back({one->get_lnames().front(), std::move(values)});
    }
    return settings;
}

constexpr std::uint64_t longest_seconds = 86'400;

std::chrono::seconds seconds_of(const char* option, std::uint64_t given, std::uint64_t most = longest_seconds) {
    if (given > most) throw usage_error(std::string(option) + " is at most " + std::to_string(most) + " seconds");
    return std::chrono::seconds(given);
}

void settle(invocation& call, const typed& words) {
    daemon_options& options = call.options;
    if (options.store.empty()) throw usage_error("say which store: --store file:/var/lib/tstreams");
    if (options.limits.item_bytes > std::size_t{64} << 20) throw usage_error("--item-bytes is at most 64 MiB");
    if (options.limits.stream_partitions > core::partitions_max)
        throw usage_error("--stream-partitions is at most " + std::to_string(core::partitions_max));
    options.limits.session_timeout = seconds_of("--session-timeout", words.session_timeout);
    options.limits.open_time = seconds_of("--open-time", words.open_time, 100 * 366 * longest_seconds);
    options.limits.handshake = seconds_of("--handshake", words.handshake);
    options.limits.silence = seconds_of("--silence", words.silence);
    options.drain = seconds_of("--drain", words.drain, 3600);
    options.log = event_log(words.log_format == "json" ? log_format::json : log_format::text);
    call.default_listen = options.listen.empty();
    if (call.default_listen) options.listen.push_back(default_endpoint());
}

}  // namespace

invocation parse(int argc, const char* const* argv) {
    invocation call;
    typed words;
    CLI::App app("Serves a T-streams store to other processes and machines", "tstreamsd");
    describe(app, call, words);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& failure) {
        if (failure.get_exit_code() != 0) throw usage_error(std::string(failure.what()) + "; see tstreamsd --help");
        std::ostringstream text;
        app.exit(failure, text, text);
        call.print = text.str();
        return call;
    }
    if (!words.config.empty()) read_config(app, words.config);
    settle(call, words);
    if (words.print_config) call.print = as_toml(settings_of(app));
    return call;
}

}  // namespace tstreams::server
