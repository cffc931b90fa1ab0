#include "remote/service.hpp"

#include "remote/requests.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace tstreams::remote {

namespace {

constexpr core::session_id own_session = 1;
constexpr std::chrono::milliseconds pause_first{20};
constexpr std::chrono::milliseconds pause_most{1000};
constexpr std::chrono::milliseconds wait_slice{20'000};  // of one question whether there is something to read
constexpr std::chrono::milliseconds wait_slack{2'000};
constexpr std::size_t feed_items_max = 32;  // messages on their way or unread
constexpr std::chrono::seconds tidying_period{10};
constexpr int take_back_tries = 20;

}  // namespace

struct service::attempt {
    moebius::message answer;
    moebius::errc failure = moebius::errc::none;
    std::string text;

    [[nodiscard]] bool answered() const noexcept { return failure == moebius::errc::none; }
    // The server has surely not done it.
    [[nodiscard]] bool not_done() const noexcept {
        using moebius::errc;
        return failure == errc::overloaded || failure == errc::stopping || failure == errc::unroutable ||
               failure == errc::too_large || failure == errc::unauthorized;
    }
    [[nodiscard]] bool worth_repeating() const noexcept {
        using moebius::errc;
        return failure == errc::overloaded || failure == errc::stopping || failure == errc::peer_gone ||
               failure == errc::timed_out || failure == errc::unanswered;
    }
};

struct service::waiting {
    explicit waiting(weave::executor& home) : wake(home) {}
    weave::event wake;
    exchange* now = nullptr;  // the question that is under way
    bool cancelled = false;
};

struct service::asking {
    std::string_view command;
    bool acts = false;
    bool perhaps_done = false;  // an earlier attempt was not answered
    bool moved = false;         // and it was in an earlier session: this server does not know of it
};

// A call in a session. While it lives the server keeps the answer, if the call acts.
class service::numbered {
public:
    numbered() noexcept = default;
    numbered(std::shared_ptr<session> of, bool acts) : in(std::move(of)), sequence_(acts ? in->begin() : 0) {}
    numbered(numbered&& other) noexcept : in(std::move(other.in)), sequence_(std::exchange(other.sequence_, 0)) {}
    numbered& operator=(numbered&& other) noexcept {
        std::swap(in, other.in);
        std::swap(sequence_, other.sequence_);
        return *this;
    }
    ~numbered() {
        if (sequence_ != 0) in->unanswered.erase(sequence_);
    }
    [[nodiscard]] wire::request_head head() const noexcept {
        wire::request_head made;
        made.session = in->id;
        made.sequence = sequence_;
        made.answered_below = in->answered_below();
        return made;
    }
    // Before it moves to another session.
    void was_first_for(core::commit_request& asked) const noexcept {
        asked.fresh = false;
        if (asked.first_asked.session == 0) asked.first_asked = {in->id, sequence_};
    }

    std::shared_ptr<session> in;

private:
    std::uint64_t sequence_ = 0;
};

service::service(service_options options, weave::executor& home, ports::clock& clock)
    : home_(home),
      clock_(clock),
      options_(std::move(options)),
      beginning_(home),
      background_over_(home),
      followers_(clock, [this](const wire::follow_call& call,
                               feed::listener heard) { return open_feed(call, std::move(heard)); }),
      link_(options_.endpoint, options_.transport, home, clock) {}

weave::task<void> service::stop() {
    closing_ = true;
    clock_.cancel(std::exchange(tidying_, 0));
    followers_.clear();
    co_await link_.stop();
    while (background_ != 0) co_await background_over_.wait();
}

// -- asking -------------------------------------------------------------------------------------------------

weave::task<void> service::pause(std::chrono::milliseconds time) {
    const auto over = std::make_shared<weave::event>(home_);
    std::function<void()> ring = [over] { over->set(); };
    clock_.call_at(clock_.now() + time, std::move(ring));
    co_await over->wait();
}

weave::task<service::attempt> service::try_once(std::string_view command, moebius::message body,
                                                ports::steady_time until, departure when) {
    attempt made;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.now());
    exchange asked(link_, command, std::move(body), std::max(left, std::chrono::milliseconds(1)), when);
    try {
        made.answer = co_await asked;
    } catch (const moebius::error& failure) {
        made.failure = failure.code();
        made.text = failure.what();
    }
    co_return made;
}

void service::forget(const std::shared_ptr<session>& ended) noexcept {
    if (session_ == ended) session_ = nullptr;
}

void service::give_up(const attempt& last, const asking& about) const {
    using moebius::errc;
    const std::string where = std::string(about.command) + " at " + options_.endpoint + ": ";
    const bool unknown = about.acts && (about.perhaps_done || !last.not_done());
    const outcome result = unknown ? outcome::unknown : outcome::not_applied;
    switch (last.failure) {
        case errc::unroutable:
            throw error(tstreams::errc::unsupported, where + "the server does not know this call", result);
        case errc::unauthorized:
            throw error(tstreams::errc::unauthorized, where + "the server does not accept this client's key", result);
        case errc::too_large:
            throw error(tstreams::errc::too_large, where + "larger than the server takes", result);
        case errc::overloaded:
            throw error(tstreams::errc::overloaded, where + "the server is overloaded", result);
        case errc::malformed:
        case errc::not_a_stream:
            throw error(tstreams::errc::malformed_message, where + "that is no tstreamsd: " + last.text, result);
        default:
            break;
    }
    if (unknown)
        throw error(tstreams::errc::outcome_unknown, where + "no answer in time; it may have been done",
                    outcome::unknown);
    // Of one that timed out the text says how far it came.
    const std::string why = last.failure == errc::timed_out ? last.text : "no answer in time: " + last.text;
    throw error(tstreams::errc::unavailable, where + why);
}

// A call is numbered once per session, so that it is done once, and moves to a new session when the server does not
// know the former one any more.
template <class Call>
weave::task<typename Call::reply> service::ask(Call call, std::chrono::milliseconds patience) {
    numbered as;
    const ports::steady_time until = clock_.now() + patience;
    asking about{Call::command, Call::acts};
    std::chrono::milliseconds between = pause_first;
    for (;;) {
        std::shared_ptr<session> now = co_await current_for(&about, until);
        if (now != as.in) {
            about.moved = about.perhaps_done;
            if constexpr (std::same_as<Call, wire::commit_call>)
                if (as.in) as.was_first_for(call.request);
            as = numbered(std::move(now), Call::acts);
        }
        moebius::message body = encode(as.head(), call);
        if (body.size() > request_bytes_max_)
            throw error(errc::too_large,
                        "a request of " + std::to_string(body.size()) + " bytes: " + options_.endpoint + " takes " +
                            std::to_string(request_bytes_max_),
                        about.acts && about.perhaps_done ? outcome::unknown : outcome::not_applied);
        attempt made = co_await try_once(Call::command, std::move(body), until, departure_of<Call>);
        if (made.answered()) {
            try {
                co_return wire::decode_reply<typename Call::reply>(made.answer.text());
            } catch (const error& failure) {
                const bool over = failure.code() == errc::session_ended;
                if (!over || closing_) {
                    const bool elsewhere = nobody_remembers(call) || refused_unseen<Call>(failure.code());
                    const bool unsure = over ? about.perhaps_done : about.moved && elsewhere;
                    if (!about.acts || !unsure) throw;
                    throw error(failure.code(), failure.what(), outcome::unknown);
                }
            }
            forget(as.in);
            continue;
        }
        if (!made.worth_repeating() || closing_ || clock_.now() + between >= until) {
            if constexpr (std::same_as<Call, wire::open_call>) in_background(take_back(std::move(call), std::move(as)));
            give_up(made, about);
        }
        about.perhaps_done = about.perhaps_done || !made.not_done();
        co_await pause(between);
        between = std::min(2 * between, pause_most);
    }
}

// Nobody has the transaction that this may have opened, and its session lives: as long as the server knows it, the same
// question finds the answer.
weave::task<void> service::take_back(wire::open_call call, numbered as) {
    for (int tries = 0; !closing_ && session_ == as.in && tries < take_back_tries; ++tries) {
        const ports::steady_time until = clock_.now() + timeout_;
        moebius::message body = encode(as.head(), call);
        attempt made = co_await try_once(call.command, std::move(body), until);
        if (made.answered()) {
            const auto opened = wire::decode_reply<core::open_reply>(made.answer.text());
            wire::cancel_call cancel;
            cancel.transactions.push_back(opened.transaction);
            co_await ask_only(std::move(cancel));
            co_return;
        }
        co_await pause(pause_most);
    }
}

void service::in_background(weave::task<void> work) {
    if (background_++ == 0) background_over_.reset();
    weave::spawn(home_, std::move(work), [this](weave::outcome_of<void>) {
        if (--background_ == 0) background_over_.set();
    });
}

template <class Call>
weave::task<typename Call::reply> service::ask(Call call) {
    return ask(std::move(call), options_.patience);
}

template <class Call>
weave::task<void> service::ask_only(Call call) {
    co_await ask(std::move(call));
}

weave::task<std::shared_ptr<service::session>> service::current(ports::steady_time until) {
    if (!session_) {
        const weave::mutex::guard gate = co_await beginning_.lock();
        if (!session_) co_await begin_session(until);
    }
    co_return session_;
}

// Without a session an earlier attempt stays unanswered.
weave::task<std::shared_ptr<service::session>> service::current_for(const asking* about, ports::steady_time until) {
    try {
        co_return co_await current(until);
    } catch (const error& failure) {
        if (!about->acts || !about->perhaps_done) throw;
        throw error(errc::outcome_unknown,
                    std::string(about->command) + ": no answer; it may have been done. " + failure.what(),
                    outcome::unknown);
    }
}

weave::task<void> service::begin_session(ports::steady_time until) {
    wire::open_session_call call;
    call.client = client_;
    call.timeout = timeout_;
    asking about{call.command};
    for (std::chrono::milliseconds between = pause_first;; between = std::min(2 * between, pause_most)) {
        moebius::message body = encode(wire::request_head{}, call);
        attempt made = co_await try_once(call.command, std::move(body), until);
        if (made.answered()) {
            const auto opened = wire::decode_reply<wire::opened_session>(made.answer.text());
            session_ = std::make_shared<session>();
            session_->id = opened.session;
            request_bytes_max_ = opened.request_bytes_max;
            ahead_ = opened.now - clock_.wall_now();
            co_return;
        }
        if (!made.worth_repeating() || closing_ || clock_.now() + between >= until) give_up(made, about);
        co_await pause(between);
    }
}

// -- sessions -----------------------------------------------------------------------------------------------

weave::task<core::session_id> service::open_session(std::string client, std::chrono::milliseconds timeout) {
    client_ = std::move(client);
    timeout_ = timeout;
    co_await begin_session(clock_.now() + options_.first_patience);
    co_return own_session;
}

weave::task<void> service::heartbeat(core::session_id) {
    return ask_only(wire::heartbeat_call{});
}

// One that cannot be told ends by itself.
weave::task<void> service::close_session(core::session_id) {
    closing_ = true;
    if (!session_) co_return;
    try {
        wire::close_session_call call;
        co_await ask(std::move(call), std::min(options_.patience, pause_most));
    } catch (const error&) {
    }
}

// -- streams ------------------------------------------------------------------------------------------------

weave::task<stream_info> service::create_stream(core::create_request request) {
    return ask(wire::create_stream_call{std::move(request)});
}
weave::task<std::optional<stream_info>> service::find_stream(std::string name) {
    return ask(wire::find_stream_call{std::move(name)});
}
weave::task<stream_page> service::list_streams(std::string prefix, std::string after, std::uint32_t limit) {
    return ask(wire::list_streams_call{std::move(prefix), std::move(after), limit});
}
weave::task<stream_info> service::update_stream(std::string name, stream_changes changes) {
    return ask(wire::update_stream_call{std::move(name), std::move(changes)});
}
weave::task<void> service::delete_stream(std::string name) {
    return ask_only(wire::delete_stream_call{std::move(name)});
}

// -- writing ------------------------------------------------------------------------------------------------

weave::task<core::open_reply> service::open(core::open_request request) {
    return ask(wire::open_call{std::move(request)});
}
weave::task<void> service::write(core::session_id, core::transaction_ref transaction, core::frame_data data,
                                 std::uint32_t crc32c) {
    return ask_only(write_in_place{{transaction, crc32c, data.bytes}, std::move(data)});
}
weave::task<core::commit_reply> service::commit(core::commit_request request) {
    return ask(wire::commit_call{std::move(request)});
}
weave::task<void> service::cancel(core::session_id, std::vector<core::transaction_ref> transactions) {
    return ask_only(wire::cancel_call{std::move(transactions)});
}
weave::task<core::attached_producer> service::attach_producer(core::attach_producer_request request) {
    return ask(wire::attach_producer_call{std::move(request)});
}

// -- reading ------------------------------------------------------------------------------------------------

weave::task<core::read_reply> service::read(core::read_request request) {
    const bool plain = !request.skip_open && request.up_to.value() == ~std::uint64_t{0};
    std::optional<core::read_reply> here;
    if (plain) here = followers_.take(request);
    if (here) co_return std::move(*here);
    wire::read_call call{request};
    core::read_reply reply = co_await ask(std::move(call));
    if (plain) followers_.note_read(request, reply);
    co_return reply;
}
weave::task<std::string> service::read_frame(ports::blob_ref frame) {
    return ask(wire::read_frame_call{std::move(frame)});
}

weave::task<std::vector<partition_number>> service::wait_readable(core::wait_request request) {
    const std::uint64_t wait = request.wait;
    waiting self(home_);
    waits_[wait] = &self;
    std::vector<partition_number> readable;
    std::exception_ptr failure;
    try {
        // What stands behind open transactions is not sent ahead.
        const bool special = std::any_of(request.positions.begin(), request.positions.end(), [](const auto& one) {
            return one.skip_open || one.held_by != transaction_id();
        });
        if (!special && followers_.possible() && clock_.now() < request.until) {
            readable = co_await wait_for_push(std::move(request), &self);
        } else {
            readable = co_await wait_by_asking(std::move(request), &self);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    waits_.erase(wait);
    followers_.forget_waiter(self.wake);
    if (failure) std::rethrow_exception(failure);
    co_return readable;
}

weave::task<std::vector<partition_number>> service::wait_for_push(core::wait_request request, waiting* self) {
    const ports::clock::timer alarm = clock_.call_at(request.until, [self] { self->wake.set(); });
    std::vector<partition_number> readable;
    std::exception_ptr failure;
    try {
        readable = co_await wait_until_pushed(&request, self);
    } catch (...) {
        failure = std::current_exception();
    }
    clock_.cancel(alarm);
    if (failure) std::rethrow_exception(failure);
    // What was acknowledged before this call is found by it, also when the time is over: it may still be on its way.
    if (readable.empty() && !self->cancelled) co_return co_await wait_by_asking(std::move(request), self);
    co_return readable;
}

weave::task<std::vector<partition_number>> service::wait_until_pushed(const core::wait_request* request,
                                                                      waiting* self) {
    std::vector<partition_number> readable;
    while (!self->cancelled && !closing_ && followers_.possible()) {
        std::ignore = co_await current(clock_.now() + options_.patience);
        self->wake.reset();
        readable = followers_.ready(*request, self->wake);
        tidy_up_later();
        if (!readable.empty() || clock_.now() >= request->until || self->cancelled) break;
        const std::uint64_t ended = followers_.ended();
        co_await self->wake.wait();
        if (ended == followers_.ended()) continue;
        // A feed has ended: a question tells whether the connection was lost, the session, or a right.
        co_await pause(pause_first);
        wire::wait_readable_call call{request->wait, request->stream, request->positions, {}};
        auto found = co_await wait_once(self, std::move(call), clock_.now());
        if (found && !found->empty()) co_return std::move(*found);
    }
    co_return readable;
}

void service::throw_if_refused(const moebius::error& failure) const {
    if (failure.code() == moebius::errc::unauthorized)
        throw error(errc::unauthorized, options_.endpoint + ": the server does not accept this client's key");
}

std::unique_ptr<feed> service::open_feed(const wire::follow_call& call, feed::listener heard) {
    wire::request_head head;
    head.session = session_->id;
    head.answered_below = session_->answered_below();
    return std::make_unique<feed>(link_, call.command, moebius::message::adopt(wire::encode_request(head, call)),
                                  feed_items_max, std::move(heard));
}

void service::tidy_up_later() {
    if (tidying_ != 0 || !followers_.any() || closing_) return;
    tidying_ = clock_.call_at(clock_.now() + tidying_period, [this] {
        tidying_ = 0;
        followers_.end_unused();
        tidy_up_later();
    });
}

// Asked in slices, so that a question that was lost is asked again.
weave::task<std::vector<partition_number>> service::wait_by_asking(core::wait_request request, waiting* self) {
    const ports::steady_time until = std::max(request.until, clock_.now());
    const ports::steady_time last = until > ports::steady_time::max() - wait_slack ? until : until + wait_slack;
    std::optional<std::vector<partition_number>> readable;
    while (!readable && !self->cancelled && !closing_ && clock_.now() < last) {
        wire::wait_readable_call call{request.wait, request.stream, request.positions, wait_slice};
        readable = co_await wait_once(self, std::move(call), request.until);
        if (readable && readable->empty() && clock_.now() < request.until) readable.reset();
    }
    if (!readable && !self->cancelled && !closing_)
        throw error(errc::unavailable, options_.endpoint + ": no answer whether there is something to read");
    if (!readable) readable.emplace();
    co_return std::move(*readable);
}

// Nothing where there was no answer.
weave::task<std::optional<std::vector<partition_number>>> service::wait_once(waiting* self,
                                                                             wire::wait_readable_call call,
                                                                             ports::steady_time until) {
    const std::shared_ptr<session> in = co_await current(clock_.now() + options_.patience);
    if (self->cancelled) co_return std::nullopt;
    const auto left = std::min<std::chrono::microseconds>(until - clock_.now(), wait_slice);
    call.patience = std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
    wire::request_head head;
    head.session = in->id;
    head.answered_below = in->answered_below();
    exchange asked(link_, call.command, moebius::message::adopt(wire::encode_request(head, call)),
                   call.patience + wait_slack);
    self->now = &asked;
    std::optional<moebius::message> answer;
    try {
        answer = co_await asked;
    } catch (const moebius::error& failure) {
        throw_if_refused(failure);  // else it is asked again, over the next connection
    }
    self->now = nullptr;
    if (!answer) {
        if (!self->cancelled) co_await pause(pause_first);
        co_return std::nullopt;
    }
    try {
        co_return wire::decode_reply<std::vector<partition_number>>(answer->text());
    } catch (const error& failure) {
        if (failure.code() != errc::session_ended || closing_) throw;
    }
    forget(in);
    co_return std::nullopt;
}

void service::cancel_wait(core::session_id, std::uint64_t wait) {
    const auto found = waits_.find(wait);
    if (found == waits_.end() || std::exchange(found->second->cancelled, true)) return;
    found->second->wake.set();
    if (!found->second->now) return;
    found->second->now->give_up();
    in_background(end_wait_at_server(wait));
}

weave::task<void> service::end_wait_at_server(std::uint64_t wait) {
    if (closing_ || !session_) co_return;
    wire::cancel_wait_call call{wait};
    co_await ask(std::move(call), pause_most);
}

weave::task<transaction_id> service::resolve(core::stream_id stream, partition_number partition,
                                             core::start_point start) {
    return ask(wire::resolve_call{stream, partition, start});
}
weave::task<std::optional<core::stored_transaction>> service::last(core::stream_id stream, partition_number partition) {
    return ask(wire::last_call{stream, partition});
}
weave::task<service::found_transaction> service::find_transaction(core::stream_id stream, partition_number partition,
                                                                  transaction_id id) {
    return ask(wire::find_transaction_call{stream, partition, id});
}
weave::task<std::vector<transaction_info>> service::scan(core::scan_request request) {
    return ask(wire::scan_call{request});
}
weave::task<transaction_state> service::find_commit(tstreams::request_id request) {
    return ask(wire::find_commit_call{request});
}

// -- consumers ----------------------------------------------------------------------------------------------

weave::task<std::vector<core::attached_partition>> service::attach_consumer(core::attach_consumer_request request) {
    return ask(wire::attach_consumer_call{std::move(request)});
}
weave::task<void> service::detach_consumer(core::session_id, core::stream_id stream, std::string consumer) {
    return ask_only(wire::detach_consumer_call{stream, std::move(consumer)});
}

// -- administration -----------------------------------------------------------------------------------------

weave::task<retention_info> service::retention() {
    return ask(wire::retention_call{});
}
weave::task<retention_info> service::accept_clock() {
    return ask(wire::accept_clock_call{});
}
weave::task<void> service::abort(core::stream_id stream, partition_number partition, transaction_id id) {
    return ask_only(wire::abort_call{stream, partition, id});
}
weave::task<std::vector<offset_info>> service::list_offsets(core::stream_id stream, std::string consumer) {
    return ask(wire::list_offsets_call{stream, std::move(consumer)});
}
weave::task<void> service::set_offset(core::stream_id stream, std::string consumer,
                                      std::vector<partition_position> positions, bool take_over) {
    return ask_only(wire::set_offset_call{stream, std::move(consumer), std::move(positions), take_over});
}
weave::task<void> service::delete_offset(core::stream_id stream, std::string consumer, bool take_over) {
    return ask_only(wire::delete_offset_call{stream, std::move(consumer), take_over});
}

weave::task<std::vector<open_transaction_info>> service::list_open(std::uint32_t limit) {
    return ask(wire::list_open_call{limit});
}

weave::task<server_status> service::status() {
    return ask(wire::server_status_call{});
}

weave::task<std::vector<server_client>> service::list_clients(std::uint32_t limit) {
    return ask(wire::server_clients_call{limit});
}

}  // namespace tstreams::remote
