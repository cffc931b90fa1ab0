// Events of a server's transactions: a feed that is opened again when it was lost, and then says so.
#include "remote/service.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

namespace tstreams::remote {

namespace {

constexpr std::size_t feed_items_max = 8;  // messages on their way or unread; the rest waits at the server
constexpr std::chrono::milliseconds pause_first{20};
constexpr std::chrono::milliseconds pause_most{1000};

}  // namespace

class service::watching final : public core::event_source {
public:
    watching(service& over, core::watch_request request) : over_(over), changed_(over.home_) {
        call_.request = std::move(request);
    }

    // Until the server has said that it watches, or this was stopped.
    weave::task<void> begin();
    weave::task<core::event_batch> next() override;
    void stop() noexcept override {
        stopped_ = true;
        items_.reset();
        changed_.set();
    }

private:
    void open_feed();
    weave::task<void> await_begun(ports::steady_time until);
    void heard(weave::outcome_of<std::optional<moebius::message>> outcome);
    void throw_if_final();

    service& over_;
    wire::watch_call call_;
    std::shared_ptr<session> in_;  // in which it was asked last
    std::unique_ptr<feed> items_;
    weave::event changed_;
    std::deque<core::event_batch> came_;  // at most feed_items_max
    std::exception_ptr failure_;          // that ended the feed; null: the server did
    bool begun_ = false;
    bool ended_ = false;  // the feed; to be begun again
    bool stopped_ = false;
};

weave::task<std::shared_ptr<core::event_source>> service::watch(core::watch_request request) {
    const auto made = std::make_shared<watching>(*this, std::move(request));
    co_await made->begin();
    co_return made;
}

void service::watching::open_feed() {
    begun_ = ended_ = false;
    failure_ = nullptr;
    wire::request_head head;
    head.session = in_->id;
    head.answered_below = in_->answered_below();
    items_ =
        std::make_unique<feed>(over_.link_, call_.command, moebius::message::adopt(wire::encode_request(head, call_)),
                               feed_items_max, [this](auto outcome) { heard(std::move(outcome)); });
}

void service::watching::heard(weave::outcome_of<std::optional<moebius::message>> outcome) {
    if (ended_) return;
    changed_.set();
    try {
        const std::optional<moebius::message> item = outcome.get();
        if (item) {
            core::event_batch batch = wire::decode_reply<core::event_batch>(item->text());
            if (std::exchange(begun_, true))
                came_.push_back(std::move(batch));
            else
                items_->done_with(1);
            return;
        }
    } catch (...) {
        failure_ = std::current_exception();
    }
    ended_ = true;
}

weave::task<void> service::watching::await_begun(ports::steady_time until) {
    const ports::clock::timer alarm = over_.clock_.call_at(until, [this] { changed_.set(); });
    while (!begun_ && !ended_ && !stopped_ && over_.clock_.now() < until) {
        changed_.reset();
        co_await changed_.wait();
    }
    over_.clock_.cancel(alarm);
}

weave::task<void> service::watching::begin() {
    const ports::steady_time until = over_.clock_.now() + over_.options_.patience;
    for (std::chrono::milliseconds between = pause_first; !stopped_; between = std::min(2 * between, pause_most)) {
        in_ = co_await over_.current(until);
        if (stopped_) co_return;
        open_feed();
        co_await await_begun(until);
        if (begun_ || stopped_) co_return;
        if (ended_) throw_if_final();
        items_.reset();
        ended_ = true;
        if (over_.closing_ || over_.clock_.now() + between >= until)
            throw error(errc::unavailable, over_.options_.endpoint + ": no answer in time whether it watches");
        co_await over_.pause(between);
    }
}

// A lost connection, a server that stops, and a session that is not known any more are no reason to give up.
void service::watching::throw_if_final() {
    if (!failure_) return;
    try {
        std::rethrow_exception(failure_);
    } catch (const moebius::error& failure) {
        over_.throw_if_refused(failure);
        if (failure.code() == moebius::errc::unroutable)
            throw error(errc::unsupported, over_.options_.endpoint + ": the server cannot tell what happens in it");
    } catch (const error& failure) {
        if (failure.code() != errc::session_ended || over_.closing_) throw;
        over_.forget(in_);
    }
}

weave::task<core::event_batch> service::watching::next() {
    while (came_.empty() && !ended_ && !stopped_) {
        changed_.reset();
        co_await changed_.wait();
    }
    core::event_batch batch;
    if (stopped_) co_return batch;
    if (!came_.empty()) {
        batch = std::move(came_.front());
        came_.pop_front();
        if (items_) items_->done_with(1);
        co_return batch;
    }
    throw_if_final();
    co_await begin();
    batch.interrupted = !stopped_;
    co_return batch;
}

}  // namespace tstreams::remote
