#include <moebius/client.hpp>

#include "moebius/server_core.hpp"

namespace moebius {

detail::client_state* client::get() const noexcept {
    return state_ && state_->generation == generation_ ? state_ : nullptr;
}

bool client::connected() const noexcept {
    const detail::client_state* one = get();
    return one && one->connected;
}

std::string_view client::id() const noexcept {
    return get() ? std::string_view(state_->id) : std::string_view();
}
std::string_view client::name() const noexcept {
    return get() ? std::string_view(state_->name) : std::string_view();
}
std::string_view client::user_id() const noexcept {
    return get() ? std::string_view(state_->user_id) : std::string_view();
}
std::string_view client::address() const noexcept {
    return get() ? std::string_view(state_->address) : std::string_view();
}

std::size_t client::queued_requests() const noexcept {
    return get() ? state_->waiting_count : 0;
}
std::size_t client::outbound_bytes() const noexcept {
    return get() ? state_->outbound_bytes : 0;
}

errc client::try_send(message body) {
    if (!connected()) return errc::peer_gone;
    return state_->core.try_send(*state_, std::move(body));
}

send_op client::send(message body) {
    if (!connected()) return send_op(errc::peer_gone);
    return state_->core.send_to(*state_, std::move(body));
}

void client::subscribe(std::string_view topic) {
    if (connected()) state_->core.subscribe(*state_, topic);
}

void client::unsubscribe(std::string_view topic) {
    if (get()) state_->core.unsubscribe(*state_, topic);
}

void client::close() {
    if (connected()) state_->core.close_client(*state_);
}

std::any& client::user_state() {
    if (!get()) throw error(errc::peer_gone, "the client has departed");
    return state_->user;
}

}  // namespace moebius
