#include "server/routes.hpp"

#include "core/frames.hpp"
#include "server/client_use.hpp"
#include "server/interruption.hpp"
#include "server/overview.hpp"
#include "server/performing.hpp"
#include "wire/call_list.hpp"
#include "wire/envelope.hpp"

#include <moebius/task.hpp>
#include <tstreams/error.hpp>

#include <algorithm>
#include <concepts>
#include <memory>
#include <utility>

namespace tstreams::server {

namespace {

constexpr std::uint64_t server_wait = std::uint64_t{1} << 63;  // waits that the server itself begins
constexpr std::chrono::milliseconds follow_slice = std::chrono::minutes(1);
constexpr std::chrono::milliseconds decision_pause{2};
constexpr std::size_t client_name_bytes_max = 255;
constexpr std::size_t follows_max = 4096;  // of one client: streams on which it is sent what becomes readable
constexpr std::size_t watches_max = 64;    // of one client: streams on which it is told what happens
constexpr std::size_t page_bytes = std::size_t{1} << 20;        // of transactions read at once
constexpr std::size_t frame_bytes_max = std::size_t{64} << 20;  // what engines store as one

// Of TCP; that of a Unix socket names a user and a process.
bool is_address(std::string_view text) noexcept {
    return !text.empty() && text.find_first_not_of("0123456789abcdefABCDEF.:[]%") == std::string_view::npos;
}

// What an answer may need where that is much.
template <class Call>
std::size_t answer_bytes_of(std::string_view) {
    constexpr bool reads = std::same_as<Call, wire::read_call> || std::same_as<Call, wire::last_call> ||
                           std::same_as<Call, wire::find_transaction_call> || std::same_as<Call, wire::scan_call> ||
                           std::same_as<Call, wire::list_streams_call> || std::same_as<Call, wire::list_offsets_call>;
    return reads ? page_bytes : 0;
}
template <>
std::size_t answer_bytes_of<wire::read_frame_call>(std::string_view request) {
    wire::decoder from(request);
    std::ignore = wire::decode_head(from);
    wire::read_frame_call call;
    from.fields_of(call);
    return std::min<std::size_t>(call.frame.length, frame_bytes_max) + 1;
}

// So that a server that stops can wake it, whatever it waits for.
class listed_chain {
public:
    listed_chain(std::set<weave::context*>& list, weave::context* one) : list_(list), one_(one) { list_.insert(one_); }
    ~listed_chain() { list_.erase(one_); }
    listed_chain(const listed_chain&) = delete;
    listed_chain& operator=(const listed_chain&) = delete;

private:
    std::set<weave::context*>& list_;
    weave::context* const one_;
};

}  // namespace

routes::routes(core::service& broker, weave::executor& home, ports::clock& clock, routes_options options)
    : broker_(broker),
      home_(home),
      clock_(clock),
      options_(std::move(options)),
      authority_(broker),
      seals_(options_.seal_secret),
      sessions_(home, clock, options_.limits) {
    wire::all_calls::each([this]<class Call>() {
        if constexpr (std::same_as<Call, wire::follow_call>)
            add_sending<Call>(&routes::follow_until_stopped);
        else if constexpr (std::same_as<Call, wire::watch_call>)
            add_sending<Call>(&routes::watch_until_stopped);
        else
            add<Call>();
    });
}

template <class Call>
void routes::add() {
    const auto handler = [this](moebius::request asked) { return serve<Call>(std::move(asked)); };
    rules_.on(std::string(Call::command), handler, moebius::strategy::concurrent);
}

template <class Call>
void routes::add_sending(sending until_stopped) {
    const auto handler = [this, until_stopped](moebius::request asked) {
        return keep_sending(std::move(asked), until_stopped);
    };
    rules_.on(std::string(Call::command), handler, moebius::strategy::concurrent);
}

std::string routes::failure_of(const std::exception_ptr& failure) {
    counted_.count_refusal(failure);
    return wire::encode_failure(failure);
}

bool routes::answer_fits(const client_use& use, std::size_t expected) const noexcept {
    return use.answer_bytes == 0 || (use.answer_bytes + expected <= options_.client_answer_bytes_max &&
                                     answer_bytes_ + expected <= options_.answer_bytes_max);
}

void routes::take_answer_room(client_use& use, std::size_t expected) noexcept {
    use.answer_bytes += expected;
    answer_bytes_ += expected;
}

// An answer is made when there is room for it: it stays in memory until its client takes it. One has room in any case.
weave::task<void> routes::await_answer_room(client_use* use, std::size_t expected) {
    if (use->waits.empty() && answer_fits(*use, expected)) {
        take_answer_room(*use, expected);
        co_return;
    }
    const auto ready = std::make_shared<weave::event>(home_);
    use->waits.push_back({expected, ready});
    co_await ready->wait();  // whoever gave room has taken this one's
}

void routes::give_answer_room(client_use& use, std::size_t expected) {
    use.answer_bytes -= expected;
    answer_bytes_ -= expected;
    while (!use.waits.empty() && answer_fits(use, use.waits.front().expected)) {
        const client_use::waiting next = std::move(use.waits.front());
        use.waits.pop_front();
        take_answer_room(use, next.expected);
        next.ready->set();
    }
}

// One request has room in any case.
bool routes::has_room(const client_use& use, std::size_t bytes) {
    const bool few = use.calls < options_.limits.answers;
    if (few && (use.bytes == 0 || use.bytes + bytes <= options_.client_bytes_max)) return true;
    counted_.count_refusal(static_cast<std::size_t>(errc::overloaded));
    return false;
}

template <class Call>
weave::task<void> routes::serve(moebius::request asked) {
    const std::size_t bytes = asked.body().size();
    client_use& use = asked.peer().context<client_use>();
    const bool fits = has_room(use, bytes);
    const room taken(use, fits ? bytes : 0);
    moebius::message body;
    std::shared_ptr<const kept_answer> kept;  // in its place, of a call that acts
    std::size_t expected = 0;
    try {
        if constexpr (Call::acts) {
            if (fits) kept = co_await answer_once<Call>(&asked);
        } else if (fits) {
            const std::size_t wanted = answer_bytes_of<Call>(asked.body().text());
            if (wanted != 0) co_await await_answer_room(&use, wanted);
            expected = wanted;
            if (wanted == 0 || asked.peer().connected()) body = co_await answer<Call>(&asked);
        }
    } catch (...) {
        body = moebius::message::adopt(failure_of(std::current_exception()));
    }
    std::exception_ptr failure;
    try {
        // Both wait for room in the client's budget of answers. A client asks again by itself what had no room.
        if (kept)
            co_await asked.reply(std::string_view(kept->body));
        else if (fits)
            co_await asked.reply(std::move(body));
        else
            co_await asked.fail(moebius::errc::overloaded, "too many calls of this client are under way");
    } catch (const moebius::error& said) {
        // One that is gone asks again over its next connection.
        if (said.code() != moebius::errc::peer_gone) failure = std::current_exception();
    } catch (...) {
        failure = std::current_exception();
    }
    if (expected != 0) give_answer_room(use, expected);
    if (failure) std::rethrow_exception(failure);
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
    co_return moebius::message::adopt(wire::encode_reply(co_await perform(of, std::move(call))));
}

// Of a call that acts. Throws where it was not even begun.
template <class Call>
weave::task<std::shared_ptr<const kept_answer>> routes::answer_once(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    const ports::steady_time begun = of->last_seen;
    Call call;
    from.fields_of(call);
    const sessions::numbered known = sessions_.number(*of, head);
    if (!known.first) {
        co_await known.answer->ready.wait();
        co_return known.answer;
    }
    if constexpr (std::same_as<Call, wire::commit_call>) {
        // The same commit may have been asked again, and done, while this message was under way. What is fresh is asked
        // first now, whatever it says.
        call.request.fresh &= known.in_order;
        if (call.request.fresh || call.request.first_asked.session == 0)
            call.request.first_asked = {of->id, head.sequence};
    }
    std::string body;
    try {
        body = wire::encode_reply(co_await perform(of, std::move(call)));
        if constexpr (std::same_as<Call, wire::commit_call>)
            counted_.commit_microseconds.add(static_cast<std::uint64_t>((clock_.now() - begun).count()));
    } catch (...) {
        body = failure_of(std::current_exception());
    }
    sessions::keep(*of, *known.answer, std::move(body));
    co_return known.answer;
}

weave::task<moebius::message> routes::open_session(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    std::ignore = wire::decode_head(from);
    wire::open_session_call call;
    from.fields_of(call);
    sessions_.check_room(asked->peer());
    if (call.timeout > options_.session_timeout_max)
        throw error(errc::too_large, "a session's timeout of " + std::to_string(call.timeout.count()) +
                                         " ms: this server allows at most " +
                                         std::to_string(options_.session_timeout_max.count()) +
                                         " ms (--session-timeout)");
    if (call.client.size() > client_name_bytes_max) throw error(errc::too_large, "a client's name is over 255 bytes");
    if (authority_.everything() && is_address(asked->peer().address())) ++counted_.unprotected_sessions;
    wire::opened_session opened;
    opened.session = co_await broker_.open_session(call.client, call.timeout);
    opened.minor = wire::minor_version;
    opened.now = clock_.wall_now();
    opened.request_bytes_max = options_.request_bytes_max;
    opened.server = options_.server;
    sessions_.begin(opened.session, std::move(call.client), call.timeout, asked->peer());
    co_return moebius::message::adopt(wire::encode_reply(opened));
}

// A session that is not known is closed already.
weave::task<moebius::message> routes::close_session(const moebius::request* asked) {
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    sessions_.end(of->id);
    co_await broker_.close_session(of->id);
    co_return moebius::message::adopt(wire::encode_reply(wire::nothing{}));
}

template <class Call>
weave::task<typename Call::reply> routes::perform(std::shared_ptr<session> of, Call call) {
    if constexpr (std::same_as<Call, wire::read_frame_call>) {
        return read_frame(std::move(of), std::move(call));
    } else {
        check_limits(options_.calls, call);
        // Without keys there is nothing to check, and a small transaction is spared a coroutine.
        if constexpr (Call::acts) {
            const performer with{broker_, of->id, ports::steady_time{}};
            if (authority_.everything()) return with(std::move(call));
        }
        return perform_checked(std::move(of), std::move(call));
    }
}

template <class Call>
weave::task<typename Call::reply> routes::perform_checked(std::shared_ptr<session> of, Call call) {
    if (!authority_.everything()) {
        demands wanted = demands_of(call);
        co_await authority_.check(of->user, std::move(wanted));
    }
    if constexpr (std::same_as<Call, wire::wait_readable_call>) {
        co_return co_await wait_readable(of->id, std::move(call));
    } else if constexpr (std::same_as<Call, wire::server_status_call>) {
        co_return co_await status();
    } else if constexpr (std::same_as<Call, wire::server_clients_call>) {
        co_return co_await list_clients(call.limit);
    } else if constexpr (std::same_as<Call, wire::list_streams_call>) {
        co_return co_await list_streams(std::move(of), std::move(call));
    } else if constexpr (std::same_as<Call, wire::read_call> || std::same_as<Call, wire::last_call> ||
                         std::same_as<Call, wire::find_transaction_call>) {
        core::stream_id stream = 0;
        if constexpr (std::same_as<Call, wire::read_call>)
            stream = call.request.stream;
        else
            stream = call.stream;
        const performer with{broker_, of->id, clock_.now()};
        auto reply = co_await with(std::move(call));
        if constexpr (std::same_as<Call, wire::read_call>) {
            seals_.close(stream, reply);
        } else if constexpr (std::same_as<Call, wire::last_call>) {
            if (reply) seals_.close(stream, *reply);
        } else if (reply.stored) {
            const access::rights has = co_await authority_.rights_of_id(of->user, stream);
            if (!has.any_of(access::right::read)) reply.stored.reset();
            if (reply.stored) seals_.close(stream, *reply.stored);
        }
        co_return reply;
    } else {
        const performer with{broker_, of->id, clock_.now()};
        co_return co_await with(std::move(call));
    }
}

// A frame of references is sealed again as what it refers to. A reference outlives its stream, and for a while so does
// the frame. Asked behind the read: the stream may have been deleted meanwhile, and then that is why the frame is gone.
weave::task<std::string> routes::read_frame(std::shared_ptr<session> of, wire::read_frame_call call) {
    seals::opened asked = seals_.open(std::move(call.frame));
    demands wanted{demand{access::right::read, asked.stream, {}, false}};
    co_await authority_.check(of->user, std::move(wanted));
    std::string bytes;
    std::exception_ptr failure;
    try {
        bytes = co_await broker_.read_frame(std::move(asked.frame.blob));
    } catch (...) {
        failure = std::current_exception();
    }
    std::ignore = co_await broker_.stream_name(asked.stream);  // in the broker's memory, but for streams long unused
    if (failure) std::rethrow_exception(failure);
    if (asked.frame.level == 0) co_return bytes;
    std::vector<core::frame_ref> children = core::decode_index(bytes, asked.frame.level);
    for (core::frame_ref& one : children) seals_.close(asked.stream, one);
    co_return core::encode_index(children);
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

// -- following and watching ---------------------------------------------------------------------------------

weave::task<void> routes::keep_sending(moebius::request asked, sending until_stopped) {
    client_use& use = asked.peer().context<client_use>();
    const std::size_t bytes = asked.body().text().size();
    const bool fits = has_room(use, bytes);
    const room taken(use, fits ? bytes : 0);
    if (!fits) {
        co_await asked.fail(moebius::errc::overloaded, "too many calls of this client are under way");
        co_return;
    }
    weave::context* const chain = co_await this_context();
    const listed_chain listed(sending_, chain);
    try {
        moebius::message failure;
        try {
            co_await (this->*until_stopped)(&asked);
        } catch (const moebius::error&) {
            throw;
        } catch (...) {
            failure = moebius::message::adopt(failure_of(std::current_exception()));
        }
        if (!failure.empty()) co_await asked.write(std::move(failure));
    } catch (const moebius::error& said) {
        if (said.code() == moebius::errc::peer_gone || !asked.peer().connected()) co_return;
        if (!stopping_) throw;
        // It grants no credit: the end of a stream needs none.
    }
    co_await asked.finish();
}

weave::task<void> routes::follow_until_stopped(moebius::request* asked) {
    client_use& use = asked->peer().context<client_use>();
    if (use.follows >= follows_max) throw error(errc::overloaded, "this client follows too much at once");
    const one_more counted(use.follows);
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    wire::follow_call call;
    from.fields_of(call);
    check_limits(options_.calls, call);
    std::map<partition_number, transaction_id> after;
    for (const partition_position& one : call.positions) after[one.partition] = one.after;
    const weave::context* const chain = co_await this_context();
    while (!after.empty() && !stopping_ && !(chain && chain->stop_requested())) {
        demands wanted = demands_of(call);
        co_await authority_.check(of->user, std::move(wanted));  // it may have been taken away meanwhile
        wire::wait_readable_call wait;
        wait.wait = server_wait | ++last_wait_;
        wait.stream = call.stream;
        wait.patience = follow_slice;
        for (const auto& [partition, position] : after) wait.positions.push_back({partition, position, false, {}});
        const std::vector<partition_number> readable = co_await wait_readable(of->id, std::move(wait));
        demands still = demands_of(call);
        co_await authority_.check(of->user, std::move(still));
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
            co_await asked->write(moebius::message::adopt(wire::encode_reply(item, 512)));
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
        seals_.close(call.stream, item.read);
    } catch (const error&) {
        item.broken = true;  // the follower hears why when it reads
    }
    co_return item;
}

weave::task<std::shared_ptr<core::event_source>> routes::begin_watch(std::shared_ptr<session> of,
                                                                     core::watch_request request) {
    wire::watch_call call{std::move(request)};
    check_limits(options_.calls, call);
    demands wanted = demands_of(call);
    co_await authority_.check(of->user, std::move(wanted));
    co_return co_await broker_.watch(std::move(call.request));
}

// What the client grants no credit for waits in the source, which drops and counts.
weave::task<void> routes::watch_until_stopped(moebius::request* asked) {
    client_use& use = asked->peer().context<client_use>();
    if (use.watches >= watches_max) throw error(errc::overloaded, "this client watches too much at once");
    const one_more counted(use.watches);
    wire::decoder from(asked->body().text());
    const wire::request_head head = wire::decode_head(from);
    const std::shared_ptr<session> of = sessions_.get(head.session, asked->peer());
    wire::watch_call call;
    from.fields_of(call);
    const std::shared_ptr<core::event_source> source = co_await begin_watch(of, call.request);
    weave::context* const chain = co_await this_context();
    core::event_batch batch;  // the first one says that it has begun
    while (!stopping_ && !(chain && chain->stop_requested())) {
        demands wanted = demands_of(call);
        co_await authority_.check(of->user, std::move(wanted));  // it may have been taken away meanwhile
        co_await asked->write(moebius::message::adopt(wire::encode_reply(batch, 32 + 40 * batch.events.size())));
        if (stopping_ || (chain && chain->stop_requested())) break;
        const on_stop hook(chain, [&source] { source->stop(); });
        batch = co_await source->next();
    }
}

weave::task<server_status> routes::status() {
    co_return overview_->status();
}

// Those that the client may know of. It may have to pass over many that it may not.
weave::task<stream_page> routes::list_streams(std::shared_ptr<session> of, wire::list_streams_call call) {
    const std::size_t limit = call.limit;
    stream_page page;
    for (;;) {
        page = co_await broker_.list_streams(call.prefix, call.after, call.limit);
        call.after = page.next;
        call.limit = std::max(call.limit, 256U);
        std::erase_if(page.streams,
                      [&](const stream_info& one) { return authority_.rights_of(of->user, one.name).empty(); });
        if (!page.streams.empty() || page.next.empty() || stopping_) break;
        co_await moebius::yield();
    }
    const bool more = !page.next.empty() || page.streams.size() > limit;
    if (page.streams.size() > limit) page.streams.resize(limit);
    // It goes on behind a name that the client may know.
    if (more) page.next = page.streams.empty() ? std::string() : page.streams.back().name;
    co_return page;
}

weave::task<std::vector<server_client>> routes::list_clients(std::uint32_t limit) {
    co_return overview_->clients(std::clamp(limit, 1u, 10'000u));
}

weave::task<void> routes::use(std::shared_ptr<const access::access_list> list) {
    authority_.use(std::move(list));
    // They ask again, and are judged by the new list.
    for (const auto& [session, wait] : waits_) broker_.cancel_wait(session, wait);
    std::vector<core::session_id> over;
    for (const auto& [id, one] : sessions_.all())
        if (!authority_.knows(one->user)) over.push_back(id);
    for (const core::session_id id : over) {
        sessions_.end(id);
        co_await broker_.close_session(id);
    }
}

void routes::end_waits() {
    stopping_ = true;
    for (const auto& [session, wait] : waits_) broker_.cancel_wait(session, wait);
    for (weave::context* one : sending_) one->request_stop();
}

weave::task<void> routes::end_silent_sessions() {
    for (const core::session_id id : sessions_.silent()) {
        sessions_.end(id);
        co_await broker_.close_session(id);
    }
}

}  // namespace tstreams::server
