#include "remote/link.hpp"

#include <moebius/error.hpp>

namespace tstreams::remote {

// Goes to the loop's thread, and comes back: it belongs to one of the two at a time, but for `coroutine`, which is the
// executor's.
struct exchange::state {
    struct step : weave::job {
        explicit step(state& of, run_function work) noexcept : job(work), self(of) {}
        state& self;
    };

    struct company : crowd::member {
        explicit company(state& of) noexcept : member(&set_out), self(of) {}
        state& self;
    };

    explicit state(link& over) : owner(over), entering(*this), asking(*this, &ask), answered(*this, &come_back) {}

    static void set_out(weave::job& work) noexcept {
        state& self = static_cast<company&>(work).self;
        self.owner.there_.give(self.asking);
    }

    static void ask(weave::job& work) noexcept {
        state& self = static_cast<step&>(work).self;
        try {
            if (!self.owner.requester_) throw moebius::error(moebius::errc::peer_gone, "the client is being closed");
            self.owner.requester_->call(self.command, std::move(self.body), self.timeout,
                                        [&self](weave::outcome_of<moebius::message> outcome) noexcept {
                                            self.outcome.emplace(std::move(outcome));
                                            self.owner.back_.give(self.answered);
                                        });
        } catch (...) {
            self.outcome.emplace(std::current_exception());
            self.owner.back_.give(self.answered);
        }
    }
    static void come_back(weave::job& work) noexcept {
        state& self = static_cast<step&>(work).self;
        const std::shared_ptr<state> kept = std::move(self.in_flight);
        self.owner.crowd_.leave(self.entering);
        self.owner.ended();
        if (const std::coroutine_handle<> waiting = std::exchange(self.coroutine, nullptr)) waiting.resume();
    }
    static void abandoned(weave::job& work) noexcept {
        const auto self = std::move(static_cast<abandonment&>(work).of);
        if (const std::coroutine_handle<> waiting = std::exchange(self->coroutine, nullptr)) waiting.resume();
    }
    struct abandonment : weave::job {
        abandonment() noexcept : job(&abandoned) {}
        std::shared_ptr<state> of;
    };

    link& owner;
    company entering;
    step asking;
    step answered;
    abandonment giving_up;
    std::shared_ptr<state> in_flight;  // itself, while the loop or the executor holds one of its jobs
    std::string_view command;
    moebius::message body;
    std::chrono::milliseconds timeout{0};
    std::optional<weave::outcome_of<moebius::message>> outcome;
    std::coroutine_handle<> coroutine;
    departure when = departure::at_once;
    bool given_up = false;
};

exchange::exchange(link& over, std::string_view command, moebius::message body, std::chrono::milliseconds timeout,
                   departure when)
    : state_(std::make_shared<state>(over)) {
    state_->command = command;
    state_->body = std::move(body);
    state_->timeout = timeout;
    state_->when = when;
}

void exchange::await_suspend(std::coroutine_handle<> waiting) noexcept {
    state_->coroutine = waiting;
    state_->in_flight = state_;
    if (state_->owner.in_flight_++ == 0) state_->owner.idle_.reset();
    if (state_->when == departure::in_company)
        state_->owner.crowd_.join(state_->entering);
    else
        state_->owner.there_.give(state_->asking);
}

void exchange::give_up() noexcept {
    if (!state_->coroutine || std::exchange(state_->given_up, true)) return;
    state_->giving_up.of = state_;
    state_->owner.home_.post(state_->giving_up);
}

moebius::message exchange::await_resume() {
    if (state_->given_up) throw moebius::cancelled();
    return state_->outcome->get();
}

link::link(const std::string& endpoint, moebius::requester_options options, weave::executor& home, ports::clock& clock)
    : home_(home),
      there_(home, loop_),
      back_(loop_, home),
      crowd_(home, clock),
      idle_(home),
      closing_(*this),
      ending_(*this) {
    idle_.set();
    requester_.emplace(loop_, endpoint, std::move(options));
    thread_ = std::thread([this] { loop_.run(); });
}

link::~link() {
    loop_.post(ending_);
    thread_.join();
}

void link::ended() noexcept {
    if (--in_flight_ == 0) idle_.set();
}

link::ferry::ferry(weave::executor& from, weave::executor& to) noexcept
    : from_(from),
      to_(to),
      leaving_(*this, [](weave::job& self) noexcept { static_cast<leg&>(self).on.leave(); }),
      arriving_(*this, [](weave::job& self) noexcept { static_cast<leg&>(self).on.arrive(); }) {}

// The first one asks for a crossing, which stands behind all that is ready now.
void link::ferry::give(weave::job& work) noexcept {
    work.next = nullptr;
    (first_ ? last_->next : first_) = &work;
    if (first_ == &work) from_.post(leaving_);
    last_ = &work;
}

void link::ferry::leave() noexcept {
    weave::job* const first = std::exchange(first_, nullptr);
    const std::lock_guard lock(mutex_);
    const bool alone = !first_under_way_;
    (first_under_way_ ? last_under_way_->next : first_under_way_) = first;
    last_under_way_ = last_;
    if (alone) to_.post(arriving_);
}

void link::ferry::arrive() noexcept {
    weave::job* one = nullptr;
    {
        const std::lock_guard lock(mutex_);
        one = std::exchange(first_under_way_, nullptr);
    }
    while (one) {
        weave::job& now = *one;
        one = now.next;
        to_.post(now);
    }
}

weave::task<void> link::stop() {
    loop_.post(closing_);
    while (in_flight_ != 0) co_await idle_.wait();
}

link::close_job::close_job(link& of) noexcept
    : job([](weave::job& self) noexcept { static_cast<close_job&>(self).owner.requester_.reset(); }), owner(of) {}

link::end_job::end_job(link& of) noexcept
    : job([](weave::job& self) noexcept {
          link& ended = static_cast<end_job&>(self).owner;
          ended.requester_.reset();
          ended.loop_.stop();
      }),
      owner(of) {}

}  // namespace tstreams::remote
