#include "server/daemon.hpp"

#include "client/store.hpp"
#include "server/loop_clock.hpp"
#include "server/metrics.hpp"
#include "server/monitor.hpp"
#include "server/overview.hpp"
#include "server/process.hpp"
#include "server/routes.hpp"

#include <moebius/server.hpp>
#include <moebius/task.hpp>
#include <tstreams/error.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace tstreams::server {

namespace {

constexpr std::chrono::seconds housekeeping_period{1};
constexpr std::size_t request_overhead = 64 * 1024;  // what a request holds beside an item

moebius::loop_options loop_options_of(const daemon_options& options) {
    moebius::loop_options chosen;
    chosen.log = options.log;
    return chosen;
}

moebius::server_options server_options_of(const daemon_options& options) {
    moebius::server_options chosen;
    chosen.limits.clients = options.clients_max;
    chosen.limits.body_bytes = options.item_bytes_max + request_overhead;
    chosen.limits.message_bytes = chosen.limits.body_bytes + 4096;
    chosen.name = "tstreamsd";
    chosen.version = TSTREAMS_VERSION;
    return chosen;
}

class daemon {
public:
    explicit daemon(daemon_options options)
        : options_(std::move(options)), loop_(loop_options_of(options_)), clock_(loop_) {}

    void run() {
        if (!options_.metrics.empty()) watch();
        store_ = loop_.run(open());
        std::exception_ptr failure;
        try {
            serve();
        } catch (...) {
            failure = std::current_exception();
        }
        loop_.run(store_->stop());
        store_.reset();
        if (failure) std::rethrow_exception(failure);
    }

private:
    weave::task<std::unique_ptr<detail::store>> open() {
        client_options chosen;
        chosen.on_notice = [this](const std::string& text) { loop_.log(text); };
        detail::store_place place = detail::parse_uri(options_.store);
        return detail::open_store(std::move(place), std::move(chosen), loop_, clock_);
    }

    void watch() {
        monitor_options chosen;
        chosen.address = options_.metrics;
        chosen.beyond_loopback = options_.metrics_beyond_loopback;
        monitor_.emplace(chosen);
        if (chosen.beyond_loopback) loop_.log("the metrics may be read by everybody who reaches their address");
        loop_.log("metrics at " + monitor_->endpoint() + "/metrics");
    }

    void serve() {
        routes_options chosen;
        chosen.limits.sessions = options_.clients_max;
        chosen.request_bytes_max = options_.item_bytes_max + request_overhead;
        chosen.server = "tstreamsd " TSTREAMS_VERSION;
        routes calls(store_->service(), loop_, clock_, std::move(chosen));
        moebius::server server(loop_, calls.router(), server_options_of(options_));
        std::vector<std::string> bound;
        for (const std::string& endpoint : options_.listen) bound.push_back(server.bind(endpoint).endpoint());
        overview all({"tstreamsd " TSTREAMS_VERSION, options_.store, bound}, *store_, server, calls, clock_);
        calls.show(all);
        server.every(housekeeping_period, [&] {
            server.spawn(calls.end_silent_sessions());
            tell(all);
        });
        loop_.on_signal([&](int) { stop(server, calls); });
        tell(all);
        if (monitor_) monitor_->become(phase::ready);
        notify_manager("READY=1");
        if (options_.ready) options_.ready(bound);
        server.run();
    }

    // Every second: the loop turns, and this is what it has done.
    void tell(overview& all) {
        constexpr std::uint32_t top = 5;
        if (monitor_) monitor_->publish(metrics_text(all.now(top)));
        if (watched_) notify_manager("WATCHDOG=1");
    }

    // The first signal lets what is in flight end, the second does not.
    void stop(moebius::server& server, routes& calls) {
        if (std::exchange(stopping_, true)) return server.stop(std::chrono::seconds(0));
        notify_manager("STOPPING=1");
        if (monitor_) monitor_->become(phase::stopping);
        if (options_.stopping) options_.stopping();
        calls.end_waits();
        server.stop(options_.drain);
    }

    const daemon_options options_;
    moebius::loop loop_;
    loop_clock clock_;
    std::unique_ptr<detail::store> store_;
    std::optional<monitor> monitor_;
    const bool watched_ = manager_watches();
    bool stopping_ = false;
};

}  // namespace

void run_daemon(daemon_options options) {
    daemon(std::move(options)).run();
}

}  // namespace tstreams::server
