#include "remote/store.hpp"

#include "access/files.hpp"
#include "remote/service.hpp"

#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <utility>

namespace tstreams::remote {

namespace {

// A server with thousands of clients that are idle would be busy with more frequent ones. A connection that is closed,
// or a server that has ended, is noticed at once; these find what is silent without closing.
constexpr std::chrono::seconds connection_heartbeat{15};
constexpr std::chrono::seconds connection_dead_after{30};

class served_store final : public detail::store {
public:
    served_store(service_options options, weave::executor& executor, ports::clock& clock)
        : service_(std::move(options), executor, clock) {}
    [[nodiscard]] core::service& service() noexcept override { return service_; }
    [[nodiscard]] std::chrono::microseconds ahead() const noexcept override { return service_.ahead(); }
    weave::task<void> stop() override { return service_.stop(); }

private:
    remote::service service_;
};

[[noreturn]] void refuse(const std::string& endpoint, const std::string& why) {
    throw error(errc::invalid_argument, "store '" + endpoint + "': " + why);
}

int digit_of(char one) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::size_t found = digits.find(one >= 'A' && one <= 'F' ? static_cast<char>(one - 'A' + 'a') : one);
    return found == std::string_view::npos ? -1 : static_cast<int>(found);
}

std::string unescaped(const std::string& endpoint, std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : digit_of(text[i + 2]);
        if (low < 0) refuse(endpoint, "a % is followed by two hexadecimal digits");
        plain += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return plain;
}

// Takes the parameters off the endpoint.
void read_parameters(std::string& endpoint, client_options& options) {
    const std::size_t question = endpoint.find('?');
    if (question == std::string::npos) return;
    const std::string parameters = endpoint.substr(question + 1);
    endpoint.erase(question);
    for (std::size_t from = 0; from < parameters.size();) {
        const std::size_t end = std::min(parameters.find('&', from), parameters.size());
        const std::string_view one = std::string_view(parameters).substr(from, end - from);
        from = end + 1;
        const std::size_t equals = std::min(one.find('='), one.size());
        const std::string_view name = one.substr(0, equals);
        std::string value = unescaped(endpoint, one.substr(std::min(equals + 1, one.size())));
        if (name == "key_file")
            options.key_file = std::move(value);
        else if (name == "server_key")
            options.server_key = std::move(value);
        else
            refuse(endpoint, "it knows the parameters key_file and server_key, not '" + std::string(name) + "'");
    }
}

}  // namespace

weave::task<std::unique_ptr<detail::store>> open_store(detail::store_place place, client_options options,
                                                       weave::executor& executor, ports::clock& clock) {
    service_options chosen;
    chosen.endpoint = place.scheme + ":" + place.rest;
    read_parameters(chosen.endpoint, options);
    if (options.key_file.empty() != options.server_key.empty())
        refuse(chosen.endpoint, "key_file and server_key go together");
    if (!options.key_file.empty())
        chosen.transport.security = moebius::client_security{access::read_keys(options.key_file), options.server_key};
    chosen.patience = options.request_timeout;
    chosen.first_patience = std::min<std::chrono::milliseconds>(options.request_timeout, std::chrono::seconds(5));
    chosen.transport.name = options.name;
    chosen.transport.heartbeat = connection_heartbeat;
    chosen.transport.dead_after = connection_dead_after;
    const std::string endpoint = chosen.endpoint;
    try {
        co_return std::make_unique<served_store>(std::move(chosen), executor, clock);
    } catch (const moebius::error& failure) {
        refuse(endpoint, failure.what());
    }
}

}  // namespace tstreams::remote
