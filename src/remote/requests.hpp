// Calls as messages, and what is particular to some.
#pragma once

#include "remote/link.hpp"
#include "wire/envelope.hpp"

#include <moebius/message.hpp>
#include <tstreams/error.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

namespace tstreams::remote {

// How many bytes a request takes beside the usual.
template <class Call>
std::size_t bulk_of(const Call&) {
    return 0;
}
inline std::size_t bulk_of(const wire::write_call& call) {
    return call.data.size();
}
inline std::size_t bulk_of(const wire::commit_call& call) {
    std::size_t bytes = 0;
    for (const core::decision& one : call.request.transactions) bytes += 160 + one.inline_items.size();
    return bytes;
}

// Calls whose effect outlives the session in which they are asked, and which have no id by which another server knows
// them. (Checkpoints and created streams have; what is open ends with the session.) A new instance of a name has fenced
// the older one for good.
template <class Call>
bool nobody_remembers(const Call&) noexcept {
    return std::same_as<Call, wire::update_stream_call> || std::same_as<Call, wire::delete_stream_call> ||
           std::same_as<Call, wire::set_offset_call> || std::same_as<Call, wire::delete_offset_call> ||
           std::same_as<Call, wire::abort_call> || std::same_as<Call, wire::accept_clock_call> ||
           std::same_as<Call, wire::attach_producer_call>;
}
inline bool nobody_remembers(const wire::attach_consumer_call& call) noexcept {
    return !call.request.consumer.empty();  // without a name nothing is stored
}

// Many checkpoints may be under way.
template <class Call>
constexpr departure departure_of = std::same_as<Call, wire::commit_call> ? departure::in_company : departure::at_once;

// Said before the server looks whether it knows the request, or because it cannot: of an earlier attempt, made in
// another session, it says nothing.
template <class Call>
constexpr bool refused_unseen(errc code) noexcept {
    constexpr bool known_by_id = std::same_as<Call, wire::commit_call> || std::same_as<Call, wire::create_stream_call>;
    return known_by_id && (code == errc::unauthorized || code == errc::overloaded || code == errc::too_large ||
                           code == errc::stream_deleted || code == errc::shutting_down || code == errc::unavailable ||
                           code == errc::storage_failed || code == errc::corrupt);
}

// A frame on its way: its memory comes with it.
struct write_in_place : wire::write_call {
    core::frame_data frame;
};

template <class Call>
moebius::message encode(const wire::request_head& head, const Call& call) {
    return moebius::message::adopt(wire::encode_request(head, call, 128 + bulk_of(call)));
}
// Not copied, unless it has to be asked again before libzmq is done with the first message.
inline moebius::message encode(const wire::request_head& head, const write_in_place& call) {
    const wire::write_call& plain = call;
    if (wire::has_later_field) return encode(head, plain);
    auto whole = call.frame.in_one_piece(wire::encode_write_front(head, plain));
    if (!whole.release) return encode(head, plain);
    return moebius::message::adopt(whole.bytes, std::move(whole.release));
}

}  // namespace tstreams::remote
