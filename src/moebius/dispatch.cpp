// Requests become handlers: routing, strategies, and the one place where an exception becomes an answer.
#include "moebius/json_scan.hpp"
#include "moebius/loop_impl.hpp"
#include "moebius/server_core.hpp"

#include <algorithm>

namespace moebius::detail {
namespace {

constexpr unsigned advance_batch = 16;
constexpr std::string_view ping_command = "moebius.ping";

}  // namespace

call::call(server_core& of) noexcept
    : context(of.home),
      job([](weave::job& self) noexcept {
          call& one = static_cast<call&>(self);
          one.core.ended(one);
      }),
      core(of) {}

void call::renew() noexcept {
    clear_stop();
    if (!body.empty() || frame_access::offset(body) != 0) body = message();
    if (!head.empty()) head = message();
    from = nullptr;
    rule = nullptr;
    stop_reason = errc::cancelled;
    correlation = 0;  // an answer to what has none must not look like one to the request before
    credit_messages = credit_bytes = 0;
    binary = one_way = stream = answered = held = waiting = running = false;
}

// The carrier becomes a request from here on.
void server_core::dispatch(call& one, std::string_view name) {
    free_calls_.pop_back();
    ++one.from->calls;
    one.held = true;
    request asked(one);
    if (stopping_) return refuse(one, errc::stopping, "the server stops");
    if (one.body.size() > options_.limits.body_bytes) {
        ++counts_.malformed;
        return message_trouble(one, error(errc::too_large, "the body is over the server's limit"));
    }
    try {
        if (one.binary && name == ping_command) return pong(asked);
        const routing found = rules_.match(name, asked);
        if (found.to) {
            one.rule = found.to;
            return place(one, std::move(asked), found.to->when_busy);
        }
        ++(found.refusal == errc::malformed ? counts_.malformed : counts_.unroutable);
        message_trouble(one, error(found.refusal, found.refusal == errc::malformed ? "no valid JSON object"
                                                                                   : "no rule for this request"));
    } catch (const error& failure) {
        message_trouble(one, failure);
    } catch (const std::exception& failure) {
        message_trouble(one, error(errc::handler_failed, failure.what()));
    }
}

void server_core::place(call& one, request&& asked, strategy how) {
    client_state& from = *one.from;
    if (handlers_ >= options_.limits.handlers && one.rule->start)
        return refuse(one, errc::overloaded, "too many handlers run");
    const bool at_once = worker_ || how == strategy::concurrent || (!from.active && from.waiting.empty());
    if (!at_once && how == strategy::ignore) return refuse(one, errc::ignored, "a handler of this client runs");
    if (!at_once && how == strategy::queue && from.waiting_count >= options_.limits.queued_requests)
        return refuse(one, errc::overloaded, "too many requests wait");
    if ((!at_once || one.rule->start) && !hold(one))
        return refuse(one, errc::overloaded, "the requests that wait and run have too many bytes");
    if (at_once) return run(one, std::move(asked));
    if (how == strategy::replace) {
        counts_.replaced += from.waiting_count + (from.active ? 1 : 0);
        drop_waiting(from, errc::replaced);
        if (from.active) from.active->stop(errc::replaced);
    }
    enqueue(one, std::move(asked));
}

// Counts the body until the call ends, if there is room for it.
bool server_core::hold(call& one) noexcept {
    if (held_bytes_ + one.body.size() > options_.limits.queued_bytes) return false;
    one.held_bytes = one.body.size();
    held_bytes_ += one.held_bytes;
    return true;
}

void server_core::enqueue(call& one, request&& asked) noexcept {
    asked.call_ = nullptr;  // the queue holds the call until its turn
    one.held = false;
    one.waiting = true;
    number(one);
    one.from->waiting.push_back(one);
    ++one.from->waiting_count;
    ++waiting_;
}

// `running` pins the call until the handler has returned, or its coroutine has ended.
void server_core::run(call& one, request&& asked) noexcept {
    one.running = true;
    try {
        if (one.rule->call)
            one.rule->call(asked);
        else
            one.work = one.rule->start(std::move(asked));
    } catch (...) {
        failed(one, std::current_exception());
    }
    if (!one.work.empty()) return start(one);
    one.running = false;
    if (one.held && !asked.call_) number(one);  // it is kept, to be answered later
    release(one);                               // not while `asked`, or what it was moved to, holds it
}

void server_core::start(call& one) noexcept {
    client_state& from = *one.from;
    from.running.push_back(one);
    if (!worker_ && one.rule->when_busy != strategy::concurrent) from.active = &one;
    ++handlers_;
    if (!one.work.start(one, one)) return finish(one);
    number(one);
    if (one.rule->time_limit) home.parts().arm(one, std::chrono::steady_clock::now() + *one.rule->time_limit);
}

// From now on its client can grant it credit, or cancel it.
void server_core::number(call& one) noexcept {
    // A number of what has no answer means nothing, but for the requests of a front.
    if (!one.binary || (one.one_way && !worker_) || one.numbered) return;
    auto& all = one.from->by_number;
    if (all.count(one.correlation) >= client_state::same_number_max) return;
    all.emplace(one.correlation, &one);
    one.numbered = true;
}

void server_core::ended(call& one) noexcept {
    finish(one);
}

void server_core::finish(call& one) noexcept {
    client_state& from = *one.from;
    if (one.armed()) home.parts().disarm(one);
    try {
        one.work.result();
    } catch (...) {
        failed(one, std::current_exception());
    }
    one.work = {};  // the frame, and usually the request in it
    one.running = false;
    if (one.held) number(one);
    one.unlink();
    --handlers_;
    if (from.active == &one) from.active = nullptr;
    release(one);
    if (!from.waiting.empty()) advance(from);
    if (stopping_) maybe_close();
}

// Runs what waits, in order, until a handler suspends; a long queue of short handlers lets others have their turn.
void server_core::advance(client_state& one) noexcept {
    if (std::exchange(one.advancing, true)) return;
    for (unsigned begun = 0; begun < advance_batch && !one.active && !one.waiting.empty(); ++begun) {
        call& next = one.waiting.front();
        next.unlink();
        --one.waiting_count;
        --waiting_;
        next.waiting = false;
        next.held = true;
        run(next, request(next));
    }
    one.advancing = false;
    if (!one.active && !one.waiting.empty() && !std::exchange(one.posted, true)) home.post(one);
}

void server_core::drop_waiting(client_state& of, errc why) noexcept {
    while (!of.waiting.empty()) refuse(of.waiting.front(), why);
}

// An error answer instead of a handler. A call that waits leaves the queue; one that has a handle is left to that.
void server_core::refuse(call& one, errc why, std::string_view text) noexcept {
    if (why == errc::overloaded) ++counts_.overloaded;
    if (why == errc::ignored) ++counts_.ignored;
    if (why == errc::cancelled) ++counts_.cancelled;
    // A text client knows nothing of these: it is served as ever, by silence.
    const bool silent = !one.binary && (why == errc::ignored || why == errc::replaced || why == errc::cancelled);
    try {
        if (silent)
            one.answered = true;
        else if (one.wants_answer())
            answer(one, kind::failure, message(text.substr(0, error_text_max)), why);
    } catch (...) {
        home.log_failure("an error answer");
    }
    if (!one.waiting) return;
    one.unlink();
    one.waiting = false;
    --one.from->waiting_count;
    --waiting_;
    release(one);
}

void server_core::failed(call& one, std::exception_ptr failure) noexcept {
    errc code = errc::handler_failed;
    std::string text = "the handler failed";
    try {
        std::rethrow_exception(failure);
    } catch (const cancelled&) {
        if (one.stop_requested()) {
            if (one.stop_reason == errc::timed_out) ++counts_.timed_out;
            return refuse(one, one.stop_reason);
        }
        code = errc::cancelled;
    } catch (const error& known) {
        code = known.code();
        text = known.what();
        if (code == errc::peer_gone && one.from->gone()) return;  // counted where it was found
    } catch (...) {
        // Its text is for the log: it may tell a client more than it should know.
    }
    ++counts_.handler_errors;
    refuse(one, code, text);
    try {
        if (hook.handler_error) return hook.handler_error(handle(*one.from), one.rule->name, failure);
    } catch (...) {
        home.log_failure("the hook for handler errors");
    }
    try {
        std::rethrow_exception(failure);
    } catch (...) {
        home.log_failure("the handler of " + one.rule->name);
    }
}

void server_core::malformed(call& one, std::string_view text) noexcept {
    free_calls_.pop_back();
    ++one.from->calls;
    one.held = true;
    const request asked(one);
    ++counts_.malformed;
    message_trouble(one, error(errc::malformed, std::string(text)));
}

void server_core::message_trouble(call& one, const error& why) noexcept {
    refuse(one, why.code(), why.what());
    try {
        if (hook.message_error) hook.message_error(handle(*one.from), one.body, why);
    } catch (...) {
        home.log_failure("the hook for message errors");
    }
}

void server_core::abandoned(call& one) noexcept {
    one.held = false;
    if (one.binary && one.wants_answer() && !closed_) refuse(one, errc::unanswered);
    release(one);
}

void server_core::release(call& one) noexcept {
    if (one.held || one.waiting || one.running) return;
    client_state& from = *one.from;
    held_bytes_ -= std::exchange(one.held_bytes, 0);
    if (std::exchange(one.numbered, false)) {
        const auto [begin, end] = from.by_number.equal_range(one.correlation);
        from.by_number.erase(std::find_if(begin, end, [&](const auto& place) { return place.second == &one; }));
    }
    if (worker_ && one.one_way) acknowledge(one);
    one.renew();
    free_calls_.push_back(&one);
    --from.calls;
    if (!from.connected) maybe_release(from);
}

// A worker's place is free again.
void server_core::acknowledge(call& one) noexcept {
    try {
        (void)deliver(*one.from, compose(one, kind::end, {}, errc::none));
    } catch (...) {
        home.log_failure("the end of a request");
    }
}

}  // namespace moebius::detail
