#include "moebius/server_core.hpp"

#include "moebius/loop_impl.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

namespace moebius::detail {
namespace {

constexpr std::chrono::seconds sweep_period{1};
constexpr std::chrono::seconds self_test_limit{2};
constexpr std::chrono::seconds cancel_grace{1};  // for handlers that were told to stop
constexpr int linger_ms = 1000;                  // for what libzmq has taken

std::uint64_t random_number() {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
}

int as_option(std::chrono::milliseconds time) {
    return static_cast<int>(time.count());
}

}  // namespace

// A task beside the handlers. It deletes itself at its end.
struct server_core::background final : weave::context, weave::job, list_node {
    background(server_core& of, task<> what)
        : context(of.home),
          job([](weave::job& self) noexcept { static_cast<background&>(self).end(); }),
          core(of),
          work(std::move(what)) {}

    void end() noexcept {
        try {
            work.result();
        } catch (const cancelled&) {
            // By stop(), or by itself.
        } catch (...) {
            core.home.log_failure("a background task");
        }
        work = {};
        server_core& owner = core;
        delete this;
        owner.maybe_close();
    }

    server_core& core;
    task<> work;
};

struct server_core::ticker final : timer {
    ticker(server_core& of, duration how_often, std::function<void()> what)
        : core(of), period(how_often), tick(std::move(what)) {}
    ~ticker() { core.home.parts().disarm(*this); }
    void expired() noexcept override {
        core.home.parts().arm(*this, std::chrono::steady_clock::now() + period);
        try {
            tick();
        } catch (...) {
            core.home.log_failure("a periodic function");
        }
    }
    server_core& core;
    duration period;
    std::function<void()> tick;
};

server_core::clock_timer::~clock_timer() {
    core_.home.parts().disarm(*this);
}

void server_core::clock_timer::arm(duration from_now) {
    core_.home.parts().arm(*this, std::chrono::steady_clock::now() + from_now);
}

server_core::server_core(loop& on, router& by, server_options with, role as)
    : home(on),
      rules_(by),
      options_(std::move(with)),
      worker_(as == role::worker),
      socket_(on.parts().zmq, worker_ ? ZMQ_DEALER : ZMQ_ROUTER),
      pump_(on, socket_, *this, options_.limits.drain_batch),
      clients_(*this),
      instance_(random_number()) {
    configure();
}

server_core::~server_core() {
    close();
    home.parts().forget(errands_);  // stop() after the end posts one more
}

void server_core::configure() {
    if (!worker_) {
        socket_.set(ZMQ_ROUTER_MANDATORY, 1);
        socket_.set(ZMQ_ROUTER_HANDOVER, options_.handover && !options_.security ? 1 : 0);
    }
    socket_.set(ZMQ_SNDHWM, options_.send_queue);
    socket_.set(ZMQ_RCVHWM, options_.receive_queue);
    const std::size_t frame_bytes = std::max(options_.limits.message_bytes, batch_bytes_max);
    socket_.set(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(frame_bytes));
    socket_.set(ZMQ_HEARTBEAT_IVL, as_option(options_.heartbeat));
    socket_.set(ZMQ_HEARTBEAT_TIMEOUT, as_option(options_.dead_after));
    socket_.set(ZMQ_HEARTBEAT_TTL, as_option(options_.dead_after));
    socket_.set(ZMQ_HANDSHAKE_IVL, as_option(options_.handshake_limit));
    socket_.set(ZMQ_BACKLOG, options_.backlog);
    if (!options_.security) return;
    server_security given = std::move(*options_.security);
    options_.security.reset();
    server_key_ = public_key_of(given.secret_key);
    guard_ = std::make_unique<zap_domain>(home, std::move(given.clients));
    set_server_keys(socket_, given.secret_key, guard_->name);
    wipe(given.secret_key);
}

void server_core::bind(const std::string& where) {
    if (closed_ || stopping_) throw error(errc::invalid_state, "the server has stopped");
    if (!guard_ && !stays_on_this_machine(where))
        throw error(errc::unprotected, where +
                                           ": other machines reach it: set server_options::security, the server's "
                                           "key and the clients that may come; or bind to 127.0.0.1 or ipc");
    const bool inproc = where.starts_with("inproc:");
    if (!watch_) {
        watch_.emplace(home, home.parts().zmq, socket_, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED,
                       [this](connection_event event) { connection_changed(event); });
    }
    refuse_taken(where);
    socket_.bind(where);
    files_.emplace_back(where);
    std::string bound = socket_.last_endpoint();
    if (guard_ && !inproc) {
        try {
            prove_refusal(home.parts().zmq, bound, server_key_, guard_->handler.get(), self_test_limit);
        } catch (...) {
            zmq_unbind(socket_.get(), bound.c_str());
            files_.pop_back();
            throw;
        }
    }
    endpoint = std::move(bound);
    inproc_ |= inproc;
    if (!sweeper_.armed()) sweeper_.arm(sweep_period);
    pump_.start();
}

void server_core::join(const std::string& front, const std::string& id, std::chrono::milliseconds heartbeat) {
    socket_.set(ZMQ_ROUTING_ID, id);
    socket_.connect(front);
    endpoint = front;
    if (!sweeper_.armed()) sweeper_.arm(sweep_period);
    pump_.start();
    say_hello();
    every(heartbeat, [this] { say_hello(); });
}

// One that finds no room is not needed: the front has enough to hear from this worker.
void server_core::say_hello() {
    client_state front(*this);
    front.id = worker_envelope;
    header top;
    top.kind = kind::hello;
    outgoing what = with_header(top, {}, {});
    (void)send_now(front, what.head, nullptr, 1);
}

call& server_core::spare_call() {
    if (free_calls_.empty()) {
        free_calls_.reserve(calls_.size() + 1);
        free_calls_.push_back(calls_.emplace_back(std::make_unique<call>(*this)).get());
    }
    return *free_calls_.back();
}

bool server_core::receive_one() noexcept {
    if (batch_.from) {
        next_of_batch();
        return true;
    }
    std::array<char, 256> id;
    int id_bytes = 0;
    while ((id_bytes = zmq_recv(socket_.get(), id.data(), id.size(), ZMQ_DONTWAIT)) < 0)
        if (zmq_errno() != EINTR) return false;
    // A raw peer may call itself by more bytes than the format allows, and libzmq lets it.
    const bool no_id = static_cast<std::size_t>(id_bytes) > id.size() - 1;
    try {
        call& carrier = spare_call();
        if (!frame_access::receive(socket_.get(), carrier.body, 0)) return false;
        ++counts_.received;
        counts_.bytes_in += carrier.body.size();
        const bool more = frame_access::more(carrier.body);
        if (no_id)
            drop(more);
        else
            accept({id.data(), static_cast<std::size_t>(id_bytes)}, carrier, more);
    } catch (...) {
        home.log_failure("a message");
    }
    return true;
}

void server_core::drop(bool more) noexcept {
    ++counts_.malformed;
    while (more) {
        message frame;
        more = frame_access::receive(socket_.get(), frame, 0) && frame_access::more(frame);
    }
}

// The carrier is a free call with the first frame; whoever makes a request of it takes it off the free ones.
void server_core::accept(std::string_view id, call& carrier, bool more) {
    message tail;
    bool excess = false;
    for (bool rest = more, first = true; rest; first = false) {
        message frame;
        if (!frame_access::receive(socket_.get(), frame, 0)) return;
        rest = frame_access::more(frame);
        counts_.bytes_in += frame.size();
        excess |= !first;
        if (first) tail = std::move(frame);
    }
    client_state* from = clients_.find(id);
    if (from && guard_ && !same_key(*from, carrier.body)) {
        leave(*from, errc::cancelled);
        from = nullptr;
    }
    if (!from) from = arrive(id, carrier.body);
    if (!from) return;
    from->last_seen = tick_;
    // An id that libzmq gave stays with its connection; one that the client chose may come from another.
    if (from->check_origin || !from->anonymous()) bind_origin(*from, carrier.body);
    if (excess) {
        carrier.from = from;
        from->binary = carrier.binary = is_binary(carrier.body.bytes());
        if (const auto top = decode(carrier.body.bytes())) carrier.correlation = top->correlation;
        return malformed(carrier, "more than two frames");
    }
    take(*from, carrier, std::move(tail), more);
}

void server_core::begin_batch(client_state& from, call& carrier) noexcept {
    --counts_.received;  // its messages count
    batch_.whole = std::move(carrier.body);
    carrier.renew();
    batch_.messages = batch_reader(batch_.whole.text().substr(header_bytes));
    batch_.from = &from;
    batch_.generation = from.generation;
    next_of_batch();
}

// Behind a message with which its client leaves nothing is looked at any more.
void server_core::next_of_batch() noexcept {
    client_state& from = *batch_.from;
    const bool here = from.connected && from.generation == batch_.generation;
    const std::optional<std::string_view> one = here ? batch_.messages.next() : std::nullopt;
    if (!one) {
        if (here && batch_.messages.broken()) ++counts_.malformed;
        batch_.from = nullptr;
        batch_.whole = message();
        return;
    }
    ++counts_.received;
    try {
        call& carrier = spare_call();
        carrier.body = message(*one);
        take(from, carrier, {}, false);
    } catch (...) {
        home.log_failure("a message");
    }
}

void server_core::take(client_state& from, call& carrier, message&& tail, bool two_frames) {
    if (carrier.body.empty() && !two_frames) return;  // a probe
    carrier.from = &from;
    from.binary = carrier.binary = is_binary(carrier.body.bytes());
    if (carrier.binary) return accept_binary(from, carrier, std::move(tail), two_frames);
    if (two_frames) return malformed(carrier, "a second frame behind a text");
    dispatch(carrier, {});
}

void server_core::accept_binary(client_state& from, call& carrier, message&& tail, bool two_frames) {
    const std::optional<header> top = decode(carrier.body.bytes());
    if (!top || top->name_bytes > name_bytes_max) return malformed(carrier, "no valid header");
    carrier.correlation = top->correlation;
    if ((top->flags & flag_batches) != 0) from.batches = true;
    const std::size_t prefix = header_bytes + top->name_bytes;
    if (two_frames && carrier.body.size() != prefix) return malformed(carrier, "a body in two places");
    if (top->kind == kind::batch && !two_frames && !batch_.from) return begin_batch(from, carrier);
    if (top->kind != kind::request && top->kind != kind::one_way) {
        control(from, *top, carrier.body.text().substr(header_bytes, top->name_bytes));
        carrier.renew();
        return;
    }
    carrier.one_way = top->kind == kind::one_way;
    carrier.stream = (top->flags & flag_stream) != 0;
    carrier.credit_messages = top->credit_messages;
    carrier.credit_bytes = top->credit_bytes;
    if (!two_frames) {
        const std::string_view name = carrier.body.text().substr(header_bytes, top->name_bytes);
        frame_access::set_offset(carrier.body, prefix);
        return dispatch(carrier, name);
    }
    carrier.head = std::move(carrier.body);
    carrier.body = std::move(tail);
    dispatch(carrier, carrier.head.text().substr(header_bytes, top->name_bytes));
}

void server_core::control(client_state& from, const header& top, std::string_view name) {
    const auto found = [&](auto&& is_it) -> call* {
        const auto [begin, end] = from.by_number.equal_range(top.correlation);
        const auto place = std::find_if(begin, end, [&](const auto& any) { return is_it(*any.second); });
        return place == end ? nullptr : place->second;
    };
    switch (top.kind) {
        case kind::hello:
            from.name = name;
            return;
        case kind::bye:
            if (worker_) return begin_stop(std::chrono::milliseconds(top.credit_messages));
            send_queued(from);
            leave(from, errc::peer_gone);
            return;
        case kind::credit:
            if (call* one = found([](const call& of) { return !of.waiting; })) {
                // A client that grants more than it could ever use gains nothing by it.
                constexpr std::int64_t credit_max = std::int64_t{1} << 40;
                one->credit_messages = std::min(one->credit_messages + top.credit_messages, credit_max);
                one->credit_bytes = std::min(one->credit_bytes + top.credit_bytes, credit_max);
                retry_senders(from);
            }
            return;
        case kind::cancel:
            if (call* one = found([](const call& of) { return of.running && !of.stop_requested(); }))
                one->stop(errc::cancelled);
            else if (call* queued = found([](const call& of) { return of.waiting; }))
                refuse(*queued, errc::cancelled);
            return;
        default:
            ++counts_.malformed;
            return;
    }
}

server_core::errands::errands(server_core& of) noexcept
    : job([](weave::job& self) noexcept {
          errands& one = static_cast<errands&>(self);
          std::vector<std::function<void()>> now;
          {
              const std::scoped_lock lock(one.mutex);
              now.swap(one.waiting);
          }
          for (const auto& errand : now) errand();
      }),
      core(of) {}

void server_core::run_on_loop(std::function<void()> what) noexcept {
    bool first = false;
    {
        const std::scoped_lock lock(errands_.mutex);
        first = errands_.waiting.empty();
        errands_.waiting.push_back(std::move(what));
    }
    if (first) home.post(errands_);
}

void server_core::start_background(task<> work) {
    if (closed_ || stopping_) return;
    auto* one = new background(*this, std::move(work));
    backgrounds_.push_back(*one);
    if (!one->work.start(*one, *one)) one->end();
}

void server_core::every(duration period, std::function<void()> tick) {
    if (period <= duration::zero()) throw error(errc::invalid_state, "a period of nothing");
    if (closed_ || stopping_) return;
    tickers_.push_back(std::make_unique<ticker>(*this, period, std::move(tick)));
    home.parts().arm(*tickers_.back(), std::chrono::steady_clock::now() + period);
}

void server_core::begin_stop(duration drain) noexcept {
    if (closed_) return;
    if (!stopping_) {
        // The endpoints stay bound: libzmq's unbind would cut the connections, and the answers with them.
        stopping_ = true;
        tickers_.clear();
        backgrounds_.for_each([](background& one) { one.request_stop(); });
    }
    stopper_.arm(drain);
    maybe_close();
}

// First the handlers are cancelled, and after a grace nobody is waited for.
void server_core::stop_step() {
    if (std::exchange(cancelled_at_stop_, true)) return close();
    clients_.for_each([this](client_state& one) {
        drop_waiting(one, errc::stopping);
        one.running.for_each([](call& running) { running.stop(errc::stopping); });
    });
    stopper_.arm(cancel_grace);
}

void server_core::maybe_close() noexcept {
    if (!stopping_ || closed_) return;
    const bool sending = outbound_bytes_ > 0 || !held_.empty();
    if (handlers_ == 0 && waiting_ == 0 && !sending && backgrounds_.empty()) close();
}

void server_core::close() noexcept {
    if (std::exchange(closed_, true)) return;
    stopping_ = true;
    files_.clear();
    pump_.stop();
    home.parts().disarm(stopper_);
    home.parts().disarm(sweeper_);
    home.parts().forget(errands_);
    home.parts().forget(flush_);
    tickers_.clear();
    // What still runs is destroyed where it is suspended; its destructors run and find a closed server.
    while (!backgrounds_.empty()) {
        background& one = backgrounds_.front();
        home.parts().forget(one);
        delete &one;
    }
    for (const auto& one : calls_) {
        home.parts().disarm(*one);
        home.parts().forget(*one);
        one->work = {};
    }
    clients_.for_each([this](client_state& one) {
        one.connected = false;
        if (one.posted) home.parts().forget(one);
    });
    watch_.reset();
    // A worker is told to end when nobody listens to it any more.
    const int linger = worker_ ? 0 : linger_ms;
    zmq_setsockopt(socket_.get(), ZMQ_LINGER, &linger, sizeof linger);
    socket_.close();
    if (stops_loop) home.stop();
}

server_metrics server_core::metrics() const noexcept {
    server_metrics now = counts_;
    const pump_counters& pumped_so_far = pump_.counters();
    now.turns = pumped_so_far.turns;
    now.rechecks = pumped_so_far.rechecks;
    now.recheck_hits = pumped_so_far.recheck_hits;
    now.safety_turns = pumped_so_far.safety_turns;
    now.safety_hits = pumped_so_far.safety_hits;
    now.refused_keys = guard_ ? guard_->refused : 0;
    now.clients = clients_.size();
    now.handlers = handlers_;
    now.queued = waiting_;
    now.outbound_bytes = outbound_bytes_;
    return now;
}

}  // namespace moebius::detail
