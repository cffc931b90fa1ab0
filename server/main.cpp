// tstreamsd: serves a store to clients on this machine and others.
#include "server/daemon.hpp"

#include <CLI/CLI.hpp>
#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <cstdio>
#include <exception>
#include <string>

namespace {

enum exit_code { done = 0, failed = 1, usage = 2 };

void say(std::string_view line) {
    std::fprintf(stderr, "tstreamsd: %.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace

int main(int argc, char** argv) {
    tstreams::server::daemon_options options;
    CLI::App app("Serves a T-streams store", "tstreamsd");
    app.add_option("--store", options.store, "The store, for example file:/var/lib/tstreams")->required();
    app.add_option("--listen", options.listen, "ipc:///run/tstreams/socket, tcp://127.0.0.1:7420")->required();
    app.add_option("--metrics", options.metrics,
                   "Metrics for Prometheus, /healthz and /readyz over HTTP at [ADDRESS:]PORT; default: nowhere");
    app.add_flag("--metrics-beyond-loopback", options.metrics_beyond_loopback,
                 "--metrics may name an address that other machines reach");
    app.set_version_flag("--version", "tstreamsd " TSTREAMS_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& failure) {
        return app.exit(failure) == 0 ? done : usage;
    }
    options.log = say;
    options.ready = [](const std::vector<std::string>& endpoints) {
        for (const std::string& one : endpoints) say("listening on " + one);
        say("ready");
    };
    options.stopping = [] { say("stopping"); };
    try {
        tstreams::server::run_daemon(std::move(options));
    } catch (const std::exception& failure) {
        say(failure.what());
        return failed;
    }
    return done;
}
