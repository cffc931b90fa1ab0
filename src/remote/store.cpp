#include "remote/store.hpp"

#include "remote/service.hpp"

#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <utility>

namespace tstreams::remote {

namespace {

class served_store final : public detail::store {
public:
    served_store(service_options options, weave::executor& executor, ports::clock& clock)
        : service_(std::move(options), executor, clock) {}
    [[nodiscard]] core::service& service() noexcept override { return service_; }
    [[nodiscard]] std::chrono::microseconds ahead() const noexcept override { return service_.ahead(); }
    [[nodiscard]] bool outlives_broker() const noexcept override { return true; }
    weave::task<void> stop() override { return service_.stop(); }

private:
    remote::service service_;
};

}  // namespace

weave::task<std::unique_ptr<detail::store>> open_store(detail::store_place place, client_options options,
                                                       weave::executor& executor, ports::clock& clock) {
    service_options chosen;
    chosen.endpoint = place.scheme + ":" + place.rest;
    chosen.patience = options.request_timeout;
    chosen.first_patience = std::min<std::chrono::milliseconds>(options.request_timeout, std::chrono::seconds(5));
    chosen.transport.name = options.name;
    try {
        co_return std::make_unique<served_store>(std::move(chosen), executor, clock);
    } catch (const moebius::error& failure) {
        throw error(errc::invalid_argument, "store '" + place.scheme + ":" + place.rest + "': " + failure.what());
    }
}

}  // namespace tstreams::remote
