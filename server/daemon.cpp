#include "server/daemon.hpp"

#include "client/store.hpp"
#include "server/loop_clock.hpp"
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

    void serve() {
        routes_options chosen;
        chosen.limits.sessions = options_.clients_max;
        chosen.request_bytes_max = options_.item_bytes_max + request_overhead;
        chosen.server = "tstreamsd " TSTREAMS_VERSION;
        routes calls(store_->service(), loop_, clock_, std::move(chosen));
        moebius::server server(loop_, calls.router(), server_options_of(options_));
        std::vector<std::string> bound;
        for (const std::string& endpoint : options_.listen) bound.push_back(server.bind(endpoint).endpoint());
        server.every(housekeeping_period, [&] { server.spawn(calls.end_silent_sessions()); });
        loop_.on_signal([&](int) { stop(server, calls); });
        if (options_.ready) options_.ready(bound);
        server.run();
    }

    // The first signal lets what is in flight end, the second does not.
    void stop(moebius::server& server, routes& calls) {
        if (std::exchange(stopping_, true)) return server.stop(std::chrono::seconds(0));
        if (options_.stopping) options_.stopping();
        calls.end_waits();
        server.stop(options_.drain);
    }

    const daemon_options options_;
    moebius::loop loop_;
    loop_clock clock_;
    std::unique_ptr<detail::store> store_;
    bool stopping_ = false;
};

}  // namespace

void run_daemon(daemon_options options) {
    daemon(std::move(options)).run();
}

}  // namespace tstreams::server
