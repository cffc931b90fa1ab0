#include "server/routes.hpp"

#include "server/interruption.hpp"
#include "server/overview.hpp"
#include "server/performing.hpp"
#include "wire/envelope.hpp"

#include <moebius/task.hpp>
#include <tstreams/error.hpp>

#include <algorithm>
#include <concepts>
#include <memory>
#include <span>
#include <utility>

namespace tstreams::server {

namespace {

constexpr std::uint64_t server_wait = std::uint64_t{1} << 63;  // waits that the server itself begins
constexpr std::chrono::milliseconds follow_slice = std::chrono::minutes(1);
constexpr std::chrono::milliseconds decision_pause{2};
constexpr std::size_t copied_bytes_max = 4096;  // a longer answer is handed to libzmq without being copied

moebius::message to_message(std::string bytes) {
    if (bytes.size() <= copied_bytes_max) return moebius::message(bytes);
    auto* const owned = new std::string(std::move(bytes));
    return moebius::message::adopt(std::as_writable_bytes(std::span(owned->data(), owned->size())),
                                   [owned] { delete owned; });
}

}  // namespace

routes::routes(core::service& broker, weave::executor& home, ports::clock& clock, routes_options options)
    : broker_(broker), clock_(clock), options_(std::move(options)), sessions_(home, clock, options_.limits) {
    add<wire::open_session_call>();
    add<wire::heartbeat_call>();
    add<wire::close_session_call>();
    add<wire::create_stream_call>();
    add<wire::find_stream_call>();
    add<wire::list_streams_call>();
    add<wire::update_stream_call>();
    add<wire::delete_stream_call>();
    add<wire::open_call>();
    add<wire::write_call>();
    add<wire::commit_call>();
    add<wire::cancel_call>();
    add<wire::attach_producer_call>();
    add<wire::read_call>();
    add<wire::read_frame_call>();
    add<wire::wait_readable_call>();
    add<wire::cancel_wait_call>();
    const auto follower = [this](moebius::request asked) { return follow(std::move(asked)); };
    rules_.on(std::string(wire::follow_call::command), follower, moebius::strategy::concurrent);
    add<wire::resolve_call>();
    add<wire::last_call>();
    add<wire::find_transaction_call>();
    add<wire::scan_call>();
    add<wire::find_commit_call>();
    add<wire::attach_consumer_call>();
    add<wire::detach_consumer_call>();
    add<wire::retention_call>();
    add<wire::accept_clock_call>();
    add<wire::abort_call>();
    add<wire::list_offsets_call>();
    add<wire::set_offset_call>();
    add<wire::delete_offset_call>();
    add<wire::list_open_call>();
    add<wire::server_status_call>();
    add<wire::server_clients_call>();
}

template <class Call>
void routes::add() {
    const auto handler = [this](moebius::request asked) { return serve<Call>(std::move(asked)); };
    rules_.on(std::string(Call::command), handler, moebius::strategy::concurrent);
}

template <class Call>
weave::task<void> routes::serve(moebius::request asked) {
    moebius::message body;
    try {
        body = co_await answer<Call>(&asked);
    } catch (...) {
        body = refuse(std::current_exception());
    }
    try {
        co_await asked.reply(std::move(body));  // waits for room in the client's budget
    } catch (const moebius::error& failure) {
        // One that is gone asks again over its next connection.
        if (failure.code() != moebius::errc::peer_gone) throw;
    }
}

template <class Call>
weave::task<moebius::message> routes::answer(const moebius::request* asked) {
    if constexpr (std::same_as<Call, wire::open_session_call>)
        return open_session(asked);
    else if constexpr (std::same_as<Call, wire::close_session_call>)
        return close_session(asked);
    else
        return answer_in_session<Call>(asked);
}

template <class Call>
weave::task<moebius::message> routes::answer_in_session(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    Call call;
    from.fields_of(call);
    if constexpr (!Call::acts) {
        co_return to_message(wire::encode_reply(co_await perform(of->id, std::move(call))));
    } else {
        const sessions::numbered known = sessions_.number(*of, head);
        if (!known.first) {
            co_await known.answer->ready.wait();
            co_return known.answer->body.share();
        }
        const ports::steady_time begun = clock_.now();
        try {
            known.answer->body = to_message(wire::encode_reply(co_await perform(of->id, std::move(call))));
            if constexpr (std::same_as<Call, wire::commit_call>)
                counted_.commit_microseconds.add(static_cast<std::uint64_t>((clock_.now() - begun).count()));
        } catch (...) {
            known.answer->body = refuse(std::current_exception());
        }
        known.answer->ready.set();
        co_return known.answer->body.share();
    }
}

weave::task<moebius::message> routes::open_session(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    std::ignore = wire::decode_head(from);
    wire::open_session_call call;
    from.fields_of(call);
    sessions_.check_room();
    wire::opened_session opened;
    opened.session = co_await broker_.open_session(call.client, call.timeout);
    opened.minor = wire::minor_version;
    opened.now = clock_.wall_now();
    opened.request_bytes_max = options_.request_bytes_max;
    opened.server = options_.server;
    sessions_.begin(opened.session, std::move(call.client), call.timeout, asked->peer());
    co_return to_message(wire::encode_reply(opened));
}

// A session that is not known is closed already.
weave::task<moebius::message> routes::close_session(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    sessions_.end(of->id);
    co_await broker_.close_session(of->id);
    co_return to_message(wire::encode_reply(wire::nothing{}));
}

template <class Call>
weave::task<typename Call::reply> routes::perform(core::session_id session, Call call) {
    if constexpr (std::same_as<Call, wire::wait_readable_call>) {
        return wait_readable(session, std::move(call));
    } else if constexpr (std::same_as<Call, wire::server_status_call>) {
        return status();
    } else if constexpr (std::same_as<Call, wire::server_clients_call>) {
        return list_clients(call.limit);
    } else {
        const performer with{broker_, session, clock_.now()};
        return with(std::move(call));
    }
}

weave::task<std::vector<partition_number>> routes::wait_readable(core::session_id session,
                                                                 wire::wait_readable_call call) {
    std::vector<partition_number> readable;
    weave::context* const chain = co_await this_context();
    if (stopping_ || (chain && chain->stop_requested())) co_return readable;
    const std::uint64_t wait = call.wait;
    const on_stop hook(chain, [this, session, wait] { broker_.cancel_wait(session, wait); });
    const auto place = waits_.emplace(session, wait);
    std::exception_ptr failure;
    try {
        const performer with{broker_, session, clock_.now()};
        readable = co_await with(std::move(call));
    } catch (...) {
        failure = std::current_exception();
    }
    waits_.erase(place);
    if (failure) std::rethrow_exception(failure);
    co_return readable;
}

// -- following ----------------------------------------------------------------------------------------------

weave::task<void> routes::follow(moebius::request asked) {
    moebius::message failure;
    try {
        co_await follow_until_stopped(&asked);
    } catch (const moebius::error&) {
        co_return;  // the follower has left
    } catch (...) {
        failure = refuse(std::current_exception());
    }
    if (!failure.empty()) co_await asked.write(std::move(failure));
    co_await asked.finish();
}

weave::task<void> routes::follow_until_stopped(moebius::request* asked) {
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    wire::follow_call call;
    from.fields_of(call);
    std::map<partition_number, transaction_id> after;
    for (const partition_position& one : call.positions) after[one.partition] = one.after;
    const weave::context* const chain = co_await this_context();
    while (!after.empty() && !stopping_ && !(chain && chain->stop_requested())) {
        wire::wait_readable_call wait;
        wait.wait = server_wait | ++last_wait_;
        wait.stream = call.stream;
        wait.patience = follow_slice;
        for (const auto& [partition, position] : after) wait.positions.push_back({partition, position, false, {}});
        const std::vector<partition_number> readable = co_await wait_readable(of->id, std::move(wait));
        bool some = false;
        for (const partition_number partition : readable) {
            wire::followed item = co_await next_of(call, partition, after[partition]);
            if (item.broken) {
                after.erase(partition);
            } else if (item.read.transactions.empty()) {
                continue;
            } else {
                after[partition] = item.read.transactions.back().id;
            }
            some = true;
            co_await asked->write(to_message(wire::encode_reply(item, 512)));
        }
        // What is being decided at this moment is not there yet.
        if (!readable.empty() && !some) co_await moebius::sleep_for(decision_pause);
    }
}

weave::task<wire::followed> routes::next_of(const wire::follow_call& call, partition_number partition,
                                            transaction_id after) {
    wire::followed item;
    item.partition = partition;
    item.previous = after;
    core::read_request request;
    request.stream = call.stream;
    request.partition = partition;
    request.after = after;
    request.transactions_max = std::clamp(call.transactions_max, 1U, 4096U);
    request.bytes_max = std::clamp<std::uint64_t>(call.bytes_max, 1, 1U << 20);
    try {
        item.read = co_await broker_.read(std::move(request));
    } catch (const error&) {
        item.broken = true;  // the follower hears why when it reads
    }
    co_return item;
}

weave::task<server_status> routes::status() {
    co_return overview_->status();
}

weave::task<std::vector<server_client>> routes::list_clients(std::uint32_t limit) {
    co_return overview_->clients(std::clamp(limit, 1u, 10'000u));
}

moebius::message routes::refuse(const std::exception_ptr& failure) {
    counted_.count_refusal(failure);
    return to_message(wire::encode_failure(failure));
}

void routes::end_waits() {
    stopping_ = true;
    for (const auto& [session, wait] : waits_) broker_.cancel_wait(session, wait);
}

weave::task<void> routes::end_silent_sessions() {
    for (const core::session_id id : sessions_.silent()) {
        sessions_.end(id);
        co_await broker_.close_session(id);
    }
}

}  // namespace tstreams::server
