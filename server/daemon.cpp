#include "server/daemon.hpp"

#include "access/access_list.hpp"
#include "access/files.hpp"
#include "client/store.hpp"
#include "server/endpoints.hpp"
#include "server/loop_clock.hpp"
#include "server/metrics.hpp"
#include "server/monitor.hpp"
#include "server/overview.hpp"
#include "server/process.hpp"
#include "server/routes.hpp"

#include <boost/asio/signal_set.hpp>
#include <moebius/server.hpp>
#include <moebius/task.hpp>
#include <tstreams/error.hpp>

#include <strings.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace tstreams::server {

namespace {

constexpr std::chrono::seconds housekeeping_period{1};
constexpr std::size_t request_overhead = 64 * 1024;                 // what a request holds beside an item
constexpr std::size_t frame_bytes = std::size_t{2} << 20;           // a frame of small items is not larger
constexpr std::size_t member_bytes = core::inline_bytes_max + 256;  // of a commit

// The largest request that a client within its limits sends.
std::size_t request_bytes_max(const daemon_limits& limits) {
    return std::max({limits.item_bytes, frame_bytes, limits.group_members * member_bytes}) + request_overhead;
}

// The server's secret key while it is needed.
class keys {
public:
    explicit keys(const std::string& path) : pair_(access::read_keys(path)) {}
    ~keys() { ::explicit_bzero(pair_.secret_key.data(), pair_.secret_key.size()); }
    keys(const keys&) = delete;
    keys& operator=(const keys&) = delete;
    [[nodiscard]] const std::string& secret() const noexcept { return pair_.secret_key; }

private:
    moebius::key_pair pair_;
};

std::shared_ptr<const access::access_list> read_clients(const daemon_options& options) {
    return std::make_shared<const access::access_list>(access::access_list::read(options.clients_file));
}

moebius::server_options server_options_of(const daemon_limits& limits) {
    moebius::server_options chosen;
    chosen.limits.clients = limits.clients;
    chosen.handshake_limit = limits.handshake;
    chosen.heartbeat = limits.silence;
    chosen.dead_after = limits.silence;
    chosen.limits.body_bytes = request_bytes_max(limits);
    chosen.limits.message_bytes = chosen.limits.body_bytes + 4096;
    chosen.limits.queued_bytes = limits.all_bytes;
    chosen.limits.outbound_bytes = limits.client_unread_bytes;
    chosen.limits.all_outbound_bytes = limits.all_unread_bytes;
    chosen.name = "tstreamsd";
    chosen.version = TSTREAMS_VERSION;
    return chosen;
}

routes_options routes_options_of(const daemon_limits& limits) {
    routes_options chosen;
    chosen.limits.sessions = limits.clients;
    chosen.limits.user_sessions = limits.user_sessions;
    chosen.limits.answers = limits.client_answers;
    chosen.limits.answer_bytes = limits.client_unread_bytes;
    chosen.calls.item_bytes = limits.item_bytes;
    chosen.calls.group_members = limits.group_members;
    chosen.calls.stream_partitions = limits.stream_partitions;
    chosen.calls.open_time = limits.open_time;
    chosen.client_bytes_max = limits.client_bytes;
    chosen.client_answer_bytes_max = limits.client_unread_bytes;
    chosen.answer_bytes_max = limits.all_unread_bytes;
    chosen.session_timeout_max = limits.session_timeout;
    chosen.request_bytes_max = request_bytes_max(limits);
    chosen.server = "tstreamsd " TSTREAMS_VERSION;
    return chosen;
}

monitor_options monitor_options_of(const daemon_options& options) {
    monitor_options chosen;
    chosen.address = options.metrics;
    chosen.beyond_loopback = options.metrics_beyond_loopback;
    return chosen;
}

// At its end nobody calls it any more.
class forgotten {
public:
    explicit forgotten(std::function<void()>& of) noexcept : of_(of) {}
    ~forgotten() { of_ = nullptr; }
    forgotten(const forgotten&) = delete;
    forgotten& operator=(const forgotten&) = delete;

private:
    std::function<void()>& of_;
};

class daemon {
public:
    explicit daemon(daemon_options options)
        : options_(std::move(options)), loop_(loop_options()), clock_(loop_), hang_up_(loop_.io(), SIGHUP) {}

    void run() {
        say(log_level::info, "starting",
            {{"version", TSTREAMS_VERSION}, {"store", options_.store}, {"pid", std::to_string(::getpid())}});
        make_room();
        if (!options_.metrics.empty()) watch();
        open_store();
        std::exception_ptr failure;
        try {
            serve();
        } catch (...) {
            failure = std::current_exception();
        }
        loop_.run(store_->stop());
        store_.reset();
        if (failure) std::rethrow_exception(failure);
        say(log_level::info, "stopped", {{"text", "the store is closed"}});
    }

private:
    moebius::loop_options loop_options() {
        moebius::loop_options chosen;
        chosen.log = [this](std::string_view text) {
            say(log_level::warning, "transport", {{"text", std::string(text)}});
        };
        return chosen;
    }

    // Whether there was one is said: after a mount that failed, an empty store is not what clients look for.
    void open_store() {
        const auto begun = std::chrono::steady_clock::now();
        bool made = false;
        try {
            store_ = loop_.run(open(false));
        } catch (const error& failure) {
            if (failure.code() != errc::store_not_found || options_.must_exist) throw;
            store_ = loop_.run(open(true));
            made = true;
        }
        if (made) return say(log_level::warning, "created", {{"store", options_.store}});
        const auto took = std::chrono::steady_clock::now() - begun;
        say(log_level::info, "opened",
            {{"store", options_.store},
             {"ms", std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())}});
    }

    weave::task<std::unique_ptr<detail::store>> open(bool create) {
        client_options chosen;
        chosen.create = create;
        chosen.on_notice = [this](const std::string& text) { say(log_level::warning, "notice", {{"text", text}}); };
        detail::store_place place = detail::parse_uri(options_.store);
        detail::store_limits limits;
        limits.client_transactions = options_.limits.client_transactions;
        limits.all_transactions = options_.limits.all_transactions;
        limits.transaction_bytes = options_.limits.transaction_bytes;
        limits.open_time = options_.limits.open_time;
        return detail::open_store(std::move(place), std::move(chosen), loop_, clock_, limits);
    }

    // A connection that finds no descriptor left waits unseen, and costs the transport a core's fifth.
    void make_room() {
        constexpr std::uint64_t own = 256;  // the store's files, endpoints, metrics
        const std::uint64_t most = raise_descriptor_limit();
        if (most < options_.limits.clients + own)
            say(log_level::warning, "descriptors",
                {{"limit", std::to_string(most)},
                 {"text", "too few open files are allowed for --clients: raise LimitNOFILE, or ulimit -n"}});
    }

    void watch() {
        const monitor_options chosen = monitor_options_of(options_);
        monitor_.emplace(chosen);
        if (chosen.beyond_loopback)
            say(log_level::warning, "unprotected",
                {{"endpoint", monitor_->endpoint()}, {"text", "everybody who reaches this address reads the metrics"}});
        say(log_level::info, "metrics", {{"endpoint", monitor_->endpoint() + "/metrics"}});
    }

    void serve() {
        routes_options chosen = routes_options_of(options_.limits);
        moebius::server_options with = server_options_of(options_.limits);
        std::shared_ptr<const access::access_list> clients;
        if (!options_.key_file.empty()) {
            const keys own(options_.key_file);
            clients = read_clients(options_);
            with.security = moebius::server_security{own.secret(), clients->keys()};
            chosen.seal_secret = own.secret();
        }
        routes calls(store_->service(), loop_, clock_, std::move(chosen));
        moebius::server server(loop_, calls.router(), std::move(with));
        if (clients) loop_.run(calls.use(std::move(clients)));
        std::vector<std::string> bound;
        for (const std::string& endpoint : options_.listen) bound.push_back(listen(server, endpoint));
        overview all({"tstreamsd " TSTREAMS_VERSION, options_.store, bound}, *store_, server, calls, clock_);
        calls.show(all);
        server.every(housekeeping_period, [&] {
            server.spawn(calls.end_silent_sessions());
            tell(all);
            tell_refusals(server, calls);
        });
        // A signal may still come when both are gone and the store is being closed.
        stop_ = [&] { stop(server, calls); };
        const forgotten at_end(stop_);
        loop_.on_signal([this](int) {
            if (stop_) stop_();
        });
        await_hang_up(server, calls);
        tell(all);
        refused_keys_ = server.metrics().refused_keys;  // by itself, to see that it is refused
        if (monitor_) monitor_->become(phase::ready);
        notify_manager("READY=1");
        say(log_level::info, "ready");
        server.run();
        hang_up_.cancel();
    }

    std::string listen(moebius::server& server, const std::string& endpoint) {
        std::string bound = server.bind(endpoint).endpoint();
        say(log_level::info, "listening", {{"endpoint", bound}});
        if (options_.key_file.empty() && reach_of(endpoint) == reach::machine)
            say(log_level::warning, "unprotected",
                {{"endpoint", bound},
                 {"text", "every user of this machine has all rights here; give keys, or listen on ipc://"}});
        return bound;
    }

    // Every second: the loop turns, and this is what it has done.
    void tell(overview& all) {
        constexpr std::uint32_t top = 5;
        if (monitor_) monitor_->publish(metrics_text(all.now(top)));
        if (watched_) notify_manager("WATCHDOG=1");
    }

    // Once a second at most, however many come.
    void tell_refusals(const moebius::server& server, const routes& calls) {
        const std::uint64_t keys = server.metrics().refused_keys + server.metrics().unauthorized;
        const std::uint64_t denied = calls.counters().refusals[static_cast<std::size_t>(errc::unauthorized)];
        if (const std::uint64_t more = keys - std::exchange(refused_keys_, keys); more != 0)
            say(log_level::warning, "refused_clients",
                {{"count", std::to_string(more)}, {"text", "their keys are not in the file of clients"}});
        if (const std::uint64_t more = denied - std::exchange(denied_calls_, denied); more != 0)
            say(log_level::warning, "refused_calls",
                {{"count", std::to_string(more)}, {"text", "their clients do not have the right for them"}});
    }

    // The first signal lets what is in flight end, the second does not.
    void stop(moebius::server& server, routes& calls) {
        if (std::exchange(stopping_, true)) return server.stop(std::chrono::seconds(0));
        notify_manager("STOPPING=1");
        if (monitor_) monitor_->become(phase::stopping);
        say(log_level::info, "stopping");
        calls.end_waits();
        server.stop(options_.drain);
    }

    void await_hang_up(moebius::server& server, routes& calls) {
        hang_up_.async_wait([this, &server, &calls](const boost::system::error_code& failure, int) {
            if (failure || stopping_) return;
            reload(server, calls);
            await_hang_up(server, calls);
        });
    }

    void reload(moebius::server& server, routes& calls) {
        if (options_.clients_file.empty())
            return say(log_level::info, "reloaded", {{"keys", "0"}, {"text", "there are no keys"}});
        try {
            std::shared_ptr<const access::access_list> clients = read_clients(options_);
            server.allow(clients->keys());
            say(log_level::info, "reloaded",
                {{"file", options_.clients_file}, {"keys", std::to_string(clients->keys().size())}});
            server.spawn(calls.use(std::move(clients)));
        } catch (const error& failure) {
            say(log_level::error, "reload_failed", {{"reason", failure.what()}, {"text", "the former list stays"}});
        }
    }

    void say(log_level level, std::string_view event, std::initializer_list<event_log::field> fields = {}) const {
        options_.log.say(level, event, fields);
    }

    const daemon_options options_;
    moebius::loop loop_;
    loop_clock clock_;
    boost::asio::signal_set hang_up_;
    std::unique_ptr<detail::store> store_;
    std::optional<monitor> monitor_;
    const bool watched_ = manager_watches();
    std::function<void()> stop_;
    bool stopping_ = false;
    std::uint64_t refused_keys_ = 0;
    std::uint64_t denied_calls_ = 0;
};

}  // namespace

void check(const daemon_options& options) {
    const detail::store_place place = detail::parse_uri(options.store);
    if (place.scheme != "file" && place.scheme != "memory")
        throw error(errc::invalid_argument, "store " + options.store + ": a server serves file:PATH or memory:");
    check_places(options.listen);
    if (!options.metrics.empty()) check(monitor_options_of(options));
    const daemon_limits& limits = options.limits;
    if (limits.client_bytes < limits.item_bytes || limits.all_bytes < limits.client_bytes)
        throw error(errc::invalid_argument,
                    "--client-bytes is at least --item-bytes, and --all-bytes at least --client-bytes");
    const bool with_keys = !options.key_file.empty();
    if (with_keys != !options.clients_file.empty())
        throw error(errc::invalid_argument, "--key-file and --clients-file go together");
    for (const std::string& endpoint : options.listen)
        if (reach_of(endpoint) == reach::network && !with_keys)
            throw error(errc::invalid_argument, "listen " + endpoint +
                                                    ": other machines reach it, so it needs keys: --key-file and "
                                                    "--clients-file (see tstreams key --help)");
    if (!with_keys) return;
    const keys own(options.key_file);
    std::ignore = read_clients(options);
}

void run_daemon(daemon_options options) {
    check(options);
    daemon(std::move(options)).run();
}

}  // namespace tstreams::server
