#include "server/authority.hpp"

#include <tstreams/error.hpp>

#include <utility>

namespace tstreams::server {

namespace {

using access::right;

demand of_id(access::rights rights, core::stream_id stream) {
    return demand{rights, stream, {}, false};
}

demands one_id(access::rights rights, core::stream_id stream) {
    return {of_id(rights, stream)};
}

demands one_name(access::rights rights, const std::string& name) {
    return {demand{rights, 0, name, false}};
}

demands of_consumer(core::stream_id stream, const std::string& consumer) {
    return one_id(consumer.empty() ? right::read : right::offsets, stream);
}

std::string needed(access::rights any) {
    if (any == access::rights::all()) return "any right";
    const std::string text = to_string(any);
    return (text.find(',') == std::string::npos ? "the right " : "one of the rights ") + text;
}

demands of_operator() {
    return {demand{right::admin, 0, {}, true}};
}

}  // namespace

// What concerns the client's own session only.
demands demands_of(const wire::heartbeat_call&) {
    return {};
}
demands demands_of(const wire::cancel_wait_call&) {
    return {};
}
// Whoever knows the 128 random bits of a request made it.
demands demands_of(const wire::find_commit_call&) {
    return {};
}
demands demands_of(const wire::retention_call&) {
    return {};
}
// The answer holds what the client has rights for.
demands demands_of(const wire::list_streams_call&) {
    return {};
}
demands demands_of(const wire::accept_clock_call&) {
    return of_operator();
}
// They tell of everybody's streams and clients.
demands demands_of(const wire::list_open_call&) {
    return of_operator();
}
demands demands_of(const wire::server_status_call&) {
    return of_operator();
}
demands demands_of(const wire::server_clients_call&) {
    return of_operator();
}

demands demands_of(const wire::create_stream_call& call) {
    return one_name(right::create, call.request.options.name);
}
demands demands_of(const wire::find_stream_call& call) {
    return one_name(access::rights::all(), call.name);
}
demands demands_of(const wire::update_stream_call& call) {
    return one_name(right::admin, call.name);
}
demands demands_of(const wire::delete_stream_call& call) {
    return one_name(right::admin, call.name);
}

demands demands_of(const wire::open_call& call) {
    return one_id(right::write, call.request.stream);
}
demands demands_of(const wire::write_call& call) {
    return one_id(right::write, call.transaction.stream);
}
// Of every member, before the first one is touched.
demands demands_of(const wire::commit_call& call) {
    demands wanted;
    wanted.reserve(call.request.transactions.size() + call.request.offsets.size() + call.request.sources.size());
    for (const core::decision& one : call.request.transactions) {
        const bool opened = one.transaction.id != transaction_id();
        wanted.push_back(of_id(right::write, opened ? one.transaction.stream : one.open.stream));
    }
    for (const core::offset_update& one : call.request.offsets) wanted.push_back(of_id(right::offsets, one.stream));
    for (const core::source_update& one : call.request.sources) wanted.push_back(of_id(right::write, one.stream));
    return wanted;
}
demands demands_of(const wire::cancel_call& call) {
    demands wanted;
    for (const core::transaction_ref& one : call.transactions) wanted.push_back(of_id(right::write, one.stream));
    return wanted;
}
demands demands_of(const wire::attach_producer_call& call) {
    return one_id(right::write, call.request.stream);
}

demands demands_of(const wire::read_call& call) {
    return one_id(right::read, call.request.stream);
}
demands demands_of(const wire::wait_readable_call& call) {
    return one_id(right::read, call.stream);
}
demands demands_of(const wire::follow_call& call) {
    return one_id(right::read, call.stream);
}
demands demands_of(const wire::watch_call& call) {
    return one_id(right::read, call.request.stream);
}
demands demands_of(const wire::resolve_call& call) {
    return one_id(right::read, call.stream);
}
demands demands_of(const wire::last_call& call) {
    return one_id(right::read, call.stream);
}
// A producer asks what became of its own; the items are for those who may read (routes.cpp).
demands demands_of(const wire::find_transaction_call& call) {
    return one_id(right::read | right::write, call.stream);
}
demands demands_of(const wire::scan_call& call) {
    return one_id(right::read | right::write | right::admin, call.request.stream);
}

demands demands_of(const wire::attach_consumer_call& call) {
    demands wanted = one_id(right::read, call.request.stream);
    if (!call.request.consumer.empty()) wanted.push_back(of_id(right::offsets, call.request.stream));
    return wanted;
}
demands demands_of(const wire::detach_consumer_call& call) {
    return of_consumer(call.stream, call.consumer);
}
demands demands_of(const wire::abort_call& call) {
    return one_id(right::admin, call.stream);
}
demands demands_of(const wire::list_offsets_call& call) {
    return one_id(right::offsets | right::admin, call.stream);
}
demands demands_of(const wire::set_offset_call& call) {
    return one_id(right::offsets, call.stream);
}
demands demands_of(const wire::delete_offset_call& call) {
    return one_id(right::offsets, call.stream);
}

access::rights authority::rights_of(std::string_view user, std::string_view stream) const {
    return list_ ? list_->of(user, stream) : access::rights::all();
}

// The list may be another one after the wait: the rights are those of that moment.
weave::task<access::rights> authority::rights_of_id(std::string user, core::stream_id stream) {
    if (!list_) co_return access::rights::all();
    const std::string name = co_await broker_.stream_name(stream);
    co_return rights_of(user, name);
}

weave::task<void> authority::check(std::string user, demands wanted) {
    if (!list_) co_return;
    for (const demand& one : wanted) {
        std::string name = one.name;
        if (one.stream != 0) {
            try {
                name = co_await broker_.stream_name(one.stream);
            } catch (const error& failure) {
                if (failure.code() != errc::stream_deleted) throw;
                continue;
            }
        }
        const access::rights has = !list_            ? access::rights::all()
                                   : one.whole_store ? list_->of_store(user)
                                                     : list_->of(user, name);
        if (has.any_of(one.rights)) continue;
        // A name is told to those only who may know it.
        const std::string where = one.whole_store                   ? "the whole store"
                                  : one.stream == 0 || !has.empty() ? "stream '" + name + "'"
                                                                    : "stream " + std::to_string(one.stream);
        throw error(errc::unauthorized, "client '" + user + "' needs " + needed(one.rights) + " for " + where +
                                            "; see the server's file of clients");
    }
}

}  // namespace tstreams::server
