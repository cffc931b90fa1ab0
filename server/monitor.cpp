#include "server/monitor.hpp"

#include "server/exposition.hpp"
#include "server/process.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <tstreams/error.hpp>

#include <charconv>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace tstreams::server {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http_ = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr std::size_t connections_max = 32;
constexpr std::uint32_t header_bytes_max = 8192;
constexpr auto request_time = std::chrono::seconds(5);

[[noreturn]] void refuse(const std::string& address, const std::string& what) {
    throw error(errc::invalid_argument, "metrics at '" + address + "': " + what);
}

tcp::endpoint parse_address(const monitor_options& options) {
    const std::string& text = options.address;
    const std::size_t colon = text.rfind(':');
    std::string host = colon == std::string::npos ? "127.0.0.1" : text.substr(0, colon);
    const std::string port_text = colon == std::string::npos ? text : text.substr(colon + 1);
    if (host == "localhost") host = "127.0.0.1";
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    std::uint16_t port = 0;
    const char* const end = port_text.data() + port_text.size();
    const auto parsed = std::from_chars(port_text.data(), end, port);
    boost::system::error_code failure;
    const asio::ip::address address = asio::ip::make_address(host, failure);
    if (parsed.ec != std::errc{} || parsed.ptr != end || failure) refuse(text, "write PORT or ADDRESS:PORT");
    if (!address.is_loopback() && !options.beyond_loopback)
        refuse(text,
               "other machines reach this address, and the metrics name streams and clients; "
               "add --metrics-beyond-loopback if they may read that");
    return {address, port};
}

std::string process_text() {
    const process_figures now = process_figures_now();
    exposition text;
    text.counter("process_cpu_seconds_total", "Time on a processor.", now.cpu_seconds);
    text.gauge("process_resident_memory_bytes", "Memory that is in RAM.", now.resident_bytes);
    text.gauge("process_virtual_memory_bytes", "Address space.", now.virtual_bytes);
    text.gauge("process_open_fds", "Open file descriptors.", now.descriptors);
    text.gauge("process_max_fds", "How many there may be.", now.descriptors_max);
    return text.take();
}

}  // namespace

void check(const monitor_options& options) {
    std::ignore = parse_address(options);
}

class monitor::http {
public:
    explicit http(const monitor_options& options) : options_(options), acceptor_(io_) {
        const tcp::endpoint place = parse_address(options);
        try {
            acceptor_.open(place.protocol());
            acceptor_.set_option(tcp::acceptor::reuse_address(true));
            acceptor_.bind(place);
            acceptor_.listen(static_cast<int>(connections_max));
        } catch (const boost::system::system_error& failure) {
            refuse(options.address, failure.code().message());
        }
        const tcp::endpoint bound = acceptor_.local_endpoint();
        const std::string host = bound.address().to_string();
        endpoint_ =
            "http://" + (bound.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(bound.port());
        accept();
        thread_ = std::thread([this] { run(); });
    }
    ~http() {
        io_.stop();
        thread_.join();
    }
    http(const http&) = delete;
    http& operator=(const http&) = delete;

    [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
    void become(phase now) {
        const std::lock_guard held(mutex_);
        phase_ = now;
        published_at_ = clock::now();
    }
    void publish(std::string metrics) {
        const auto fresh = std::make_shared<const std::string>(std::move(metrics));
        const std::lock_guard held(mutex_);
        metrics_ = fresh;
        published_at_ = clock::now();
    }

private:
    using clock = std::chrono::steady_clock;
    using answer = http_::response<http_::string_body>;

    // Lives until its answer is sent or its time is over.
    struct visit : std::enable_shared_from_this<visit> {
        visit(http& owner, tcp::socket socket) : home(owner), stream(std::move(socket)), buffer(header_bytes_max) {
            ++home.visits_;
        }
        ~visit() { --home.visits_; }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;

        void begin() {
            parser.header_limit(header_bytes_max);
            parser.body_limit(std::uint64_t{0});
            stream.expires_after(request_time);
            http_::async_read(stream, buffer, parser, [self = shared_from_this()](beast::error_code failure, size_t) {
                if (!failure) self->reply();
            });
        }
        void reply() {
            response = home.respond(parser.get());
            http_::async_write(stream, response, [self = shared_from_this()](beast::error_code, size_t) {
                beast::error_code ignored;
                self->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
            });
        }

        http& home;
        beast::tcp_stream stream;
        beast::flat_buffer buffer;
        http_::request_parser<http_::empty_body> parser;
        answer response;
    };

    // One answer that cannot be made is no reason to end a server.
    void run() noexcept {
        for (;;) {
            try {
                io_.run();
                return;
            } catch (const std::exception&) {
                continue;
            }
        }
    }

    void accept() {
        acceptor_.async_accept([this](beast::error_code failure, tcp::socket socket) {
            // One more than there may be is closed, so that the queue of the kernel does not fill up.
            if (!failure && visits_ < connections_max) std::make_shared<visit>(*this, std::move(socket))->begin();
            if (!failure) return accept();
            // No descriptor is free, for example: not again at once.
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait([this](beast::error_code) { accept(); });
        });
    }

    [[nodiscard]] answer respond(const http_::request<http_::empty_body>& asked) const {
        answer made;
        made.version(asked.version());
        made.keep_alive(false);
        made.set(http_::field::content_type, "text/plain; charset=utf-8");
        made.set(http_::field::cache_control, "no-store");
        if (asked.method() != http_::verb::get && asked.method() != http_::verb::head) {
            made.result(http_::status::method_not_allowed);
            made.set(http_::field::allow, "GET, HEAD");
        } else {
            answer_get(std::string_view(asked.target().data(), asked.target().size()), made);
        }
        made.prepare_payload();
        if (asked.method() == http_::verb::head) made.body().clear();
        return made;
    }

    void answer_get(std::string_view target, answer& made) const {
        const std::unique_lock held(mutex_);
        const phase now = phase_;
        const auto age = clock::now() - published_at_;
        const std::shared_ptr<const std::string> metrics = metrics_;
        target = target.substr(0, target.find('?'));
        constexpr const char* names[] = {"starting", "ready", "stopping"};
        const char* const name = names[static_cast<int>(now)];
        if (target == "/healthz") {
            const bool stuck = now == phase::ready && age > options_.stale_after;
            made.result(stuck ? http_::status::service_unavailable : http_::status::ok);
            made.body() = stuck ? "the loop stands still\n" : std::string("alive, ") + name + "\n";
        } else if (target == "/readyz") {
            made.result(now == phase::ready ? http_::status::ok : http_::status::service_unavailable);
            made.body() = std::string(name) + "\n";
        } else if (target == "/metrics") {
            made.set(http_::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
            exposition state;
            state.gauge("tstreams_ready", "1 while it serves; 0 while it starts or stops.",
                        now == phase::ready ? 1 : 0);
            state.gauge("tstreams_figures_age_seconds", "How old the other figures are; they come every second.",
                        std::chrono::duration<double>(age).count());
            made.body() = state.take() + process_text() + (metrics ? *metrics : std::string());
        } else {
            made.result(http_::status::not_found);
            made.body() = "here are /metrics, /healthz and /readyz\n";
        }
    }

    const monitor_options options_;
    std::size_t visits_ = 0;  // on the thread
    asio::io_context io_{1};  // with it the last visits go, and count themselves out
    tcp::acceptor acceptor_;
    asio::steady_timer pause_{io_};
    std::string endpoint_;
    mutable std::mutex mutex_;
    phase phase_ = phase::starting;
    std::shared_ptr<const std::string> metrics_;
    clock::time_point published_at_ = clock::now();
    std::thread thread_;
};

monitor::monitor(const monitor_options& options) : http_(std::make_unique<http>(options)) {}
monitor::~monitor() = default;

const std::string& monitor::endpoint() const noexcept {
    return http_->endpoint();
}

void monitor::become(phase now) {
    http_->become(now);
}

void monitor::publish(std::string metrics) {
    http_->publish(std::move(metrics));
}

}  // namespace tstreams::server
