#include "remote/feed.hpp"

#include <moebius/error.hpp>
#include <weave/context.hpp>
#include <weave/sync.hpp>

#include <limits>
#include <utility>

namespace tstreams::remote {

namespace {

// Runs `what` once on `where`.
template <class What>
void run_on(weave::executor& where, What what) {
    struct posted : weave::job {
        explicit posted(What of)
            : job([](weave::job& self) noexcept {
                  const std::unique_ptr<posted> once(static_cast<posted*>(&self));
                  once->work();
              }),
              work(std::move(of)) {}
        What work;
    };
    where.post(*new posted(std::move(what)));
}

}  // namespace

struct feed::state : std::enable_shared_from_this<state> {
    using outcome = weave::outcome_of<std::optional<moebius::message>>;

    state(link& carrier, std::size_t most)
        : over(carrier), items_max(most), chain(carrier.loop_), room(carrier.loop_), finished(*this) {}

    // -- on the loop --
    void begin() {
        if (!over.requester_) return end(std::make_exception_ptr(moebius::error(moebius::errc::peer_gone)));
        running = shared_from_this();
        work = receive(this);
        if (!work.start(chain, finished)) finish();
    }
    static weave::task<void> receive(state* self) {
        moebius::stream_window window;
        window.messages = static_cast<std::uint32_t>(self->items_max);
        window.bytes = std::numeric_limits<std::int32_t>::max();
        moebius::stream items = self->over.requester_->open(self->command, std::move(self->body), {}, window);
        for (;;) {
            while (self->unread >= self->items_max && !self->chain.stop_requested()) {
                self->room.reset();
                co_await self->room.wait();
            }
            std::optional<moebius::message> next = co_await items.next();
            if (!next) co_return;
            ++self->unread;
            self->deliver(outcome(std::move(next)), false);
        }
    }
    void finish() {
        std::exception_ptr failure;
        try {
            work.result();
        } catch (...) {
            failure = std::current_exception();
        }
        work = {};
        end(failure);
    }
    void end(const std::exception_ptr& failure) {
        ended = true;
        deliver(failure ? outcome(failure) : outcome(std::optional<moebius::message>()), true);
        running.reset();  // what is delivered holds it, too
    }
    void stop() {
        if (ended) return;
        chain.request_stop();
        room.set();
    }
    void grant(std::size_t items) {
        unread -= items;
        room.set();
    }
    void deliver(outcome what, bool last) {
        run_on(over.home_, [self = shared_from_this(), what = std::move(what), last]() mutable noexcept {
            if (last) self->over.ended();
            if (self->heard) self->heard(std::move(what));
        });
    }
    struct finished_job : weave::job {
        explicit finished_job(state& of) noexcept
            : job([](weave::job& self) noexcept { static_cast<finished_job&>(self).owner.finish(); }), owner(of) {}
        state& owner;
    };

    link& over;
    const std::size_t items_max;
    weave::context chain;
    weave::event room;
    finished_job finished;
    std::string_view command;
    moebius::message body;
    weave::task<void> work;
    std::shared_ptr<state> running;  // itself, while the work does
    std::size_t unread = 0;
    bool ended = false;

    listener heard;  // the executor's
};

feed::feed(link& over, std::string_view command, moebius::message body, std::size_t items_max, listener heard)
    : state_(std::make_shared<state>(over, items_max)) {
    state_->command = command;
    state_->body = std::move(body);
    state_->heard = std::move(heard);
    if (over.in_flight_++ == 0) over.idle_.reset();
    run_on(over.loop_, [self = state_]() noexcept { self->begin(); });
}

// A listener may end its own feed: it is moved out before it goes.
feed::~feed() {
    const listener last = std::exchange(state_->heard, nullptr);
    run_on(state_->over.loop_, [self = state_]() noexcept { self->stop(); });
}

void feed::done_with(std::size_t items) {
    run_on(state_->over.loop_, [self = state_, items]() noexcept { self->grant(items); });
}

}  // namespace tstreams::remote
