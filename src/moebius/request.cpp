#include <moebius/request.hpp>

#include "moebius/json_scan.hpp"
#include "moebius/server_core.hpp"

#include <array>
#include <chrono>
#include <cinttypes>
#include <cstdio>

namespace moebius {

std::string_view detail::server_core::asked_name(request& asked) noexcept {
    call& of = *asked.call_;
    if (!of.head.empty()) return of.head.text().substr(header_bytes);
    const std::size_t prefix = frame_access::offset(of.body);
    if (prefix < header_bytes) return {};
    const auto* begin = reinterpret_cast<const char*>(frame_access::frame_begin(of.body));
    return {begin + header_bytes, prefix - header_bytes};
}

void detail::server_core::pong(request& asked) {
    const server_core& self = asked.call_->core;
    const auto ms = [](std::chrono::system_clock::time_point when) {
        return std::to_string(std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count());
    };
    std::array<char, 17> instance{};
    std::snprintf(instance.data(), instance.size(), "%016" PRIx64, self.instance_);
    std::string text = R"({"name":")";
    append_escaped(text, self.options_.name);
    text += R"(","version":")";
    append_escaped(text, self.options_.version);
    text += R"(","instance":")" + std::string(instance.data());
    text += R"(","started_ms":)" + ms(self.started_);
    text += R"(,"now_ms":)" + ms(std::chrono::system_clock::now()) + "}";
    asked.reply(text);
}

void pong(request& asked) {
    detail::server_core::pong(asked);
}

client request::peer() const noexcept {
    return detail::server_core::handle(*call_->from);
}
std::string_view request::command() const noexcept {
    return call_->rule ? std::string_view(call_->rule->name) : std::string_view();
}
const message& request::body() const noexcept {
    return call_->body;
}
message request::take_body() noexcept {
    return std::move(call_->body);
}
std::uint64_t request::correlation_id() const noexcept {
    return call_->correlation;
}
bool request::one_way() const noexcept {
    return call_->one_way;
}
bool request::streaming() const noexcept {
    return call_->stream || !call_->binary;
}
bool request::binary() const noexcept {
    return call_->binary;
}
bool request::answered() const noexcept {
    return call_->answered;
}

send_op request::reply(message body) {
    return call_->core.answer(*call_, detail::kind::reply, std::move(body));
}

// The header's room is left in front of the text, so that this is the only copy.
send_op request::reply(std::string_view body) {
    if (!call_->binary) return reply(message(body));
    message framed = message::uninitialized(detail::header_bytes + body.size());
    detail::frame_access::set_offset(framed, detail::header_bytes);
    if (!body.empty()) std::memcpy(framed.data(), body.data(), body.size());
    return reply(std::move(framed));
}

send_op request::write(message item) {
    return call_->core.answer(*call_, detail::kind::item, std::move(item));
}

send_op request::finish() {
    return call_->core.answer(*call_, detail::kind::end, {});
}

send_op request::fail(errc code, std::string_view text) {
    message body(text.substr(0, detail::error_text_max));
    return call_->core.answer(*call_, detail::kind::failure, std::move(body), code);
}

void request::abandon() noexcept {
    if (detail::call* left = std::exchange(call_, nullptr)) left->core.abandoned(*left);
}

}  // namespace moebius
