#include <moebius/server.hpp>

#include "moebius/server_core.hpp"

namespace moebius {
server::server(loop& home, router& rules, server_options options)
    : core_(std::make_shared<detail::server_core>(home, rules, std::move(options))) {}

server::~server() {
    core_->close();
}

server& server::bind(const std::string& endpoint) {
    core_->bind(endpoint);
    return *this;
}

const std::string& server::endpoint() const noexcept {
    return core_->endpoint;
}

void server::run() {
    core_->stops_loop = true;
    while (!core_->closed()) core_->home.run();
}

void server::stop(duration drain) noexcept {
    core_->run_on_loop([core = core_.get(), drain] { core->begin_stop(drain); });
}

void server::stop_on_signals(duration drain) {
    core_->home.on_signal([core = core_, drain, heard = false](int) mutable {
        core->begin_stop(std::exchange(heard, true) ? duration::zero() : drain);
    });
}

bool server::stopped() const noexcept {
    return core_->closed();
}

void server::spawn(task<> background) {
    auto work = std::make_shared<task<>>(std::move(background));
    core_->run_on_loop([core = core_.get(), work] { core->start_background(std::move(*work)); });
}

void server::every(duration period, std::function<void()> tick) {
    core_->every(period, std::move(tick));
}

std::size_t server::broadcast(message body, const std::function<bool(const client&)>& filter) {
    return core_->broadcast(std::move(body), filter);
}

std::size_t server::publish(std::string_view topic, message body) {
    return core_->publish(topic, std::move(body));
}

void server::for_each_client(const std::function<void(client)>& visit) {
    core_->for_each_client(visit);
}

void server::allow(allowlist clients) {
    core_->allow(std::move(clients));
}

void server::on_connect(std::function<void(client)> hook) {
    core_->hook.connected = std::move(hook);
}
void server::on_disconnect(std::function<void(client)> hook) {
    core_->hook.disconnected = std::move(hook);
}
void server::on_message_error(std::function<void(client, const message&, const error&)> hook) {
    core_->hook.message_error = std::move(hook);
}
void server::on_handler_error(std::function<void(client, std::string_view, std::exception_ptr)> hook) {
    core_->hook.handler_error = std::move(hook);
}
void server::on_undelivered(std::function<void(client, errc)> hook) {
    core_->hook.undelivered = std::move(hook);
}

server_metrics server::metrics() const noexcept {
    return core_->metrics();
}
loop& server::home() noexcept {
    return core_->home;
}

}  // namespace moebius
