#include <moebius/requester.hpp>

#include "moebius/loop_impl.hpp"
#include "moebius/requester_core.hpp"

#include <utility>

namespace moebius {

// -- one answer ---------------------------------------------------------------------------------------------

call_op::call_op(std::shared_ptr<detail::requester_core> core, std::string_view command, message body, duration timeout)
    : core_(std::move(core)) {
    detail::header top;
    top.kind = detail::kind::request;
    core_->begin(*this, top, command, std::move(body), timeout);
}

call_op::~call_op() {
    if (!done_) core_->abandon(*this);
}

void call_op::heard(detail::answer_kind what, message body) noexcept {
    if (what != detail::answer_kind::reply) return failed(errc::not_a_stream, detail::stream_text);
    answer_ = std::move(body);
    done_ = true;
    wake();
}

void call_op::failed(errc why, std::string_view text) noexcept {
    failure_ = why;
    text_ = text;
    done_ = true;
    wake();
}

void call_op::unhook() noexcept {
    if (!std::exchange(done_, true)) core_->abandon(*this);
}

message call_op::await_resume() {
    throw_if_interrupted();
    if (failure_ != errc::none) throw error(failure_, text_);
    return std::move(answer_);
}

// -- one answer, by callback --------------------------------------------------------------------------------

namespace detail {

// It deletes itself when its callback has been called.
class callback_call final : pending, weave::job, list_node {
public:
    using callback = std::function<void(weave::outcome_of<message>)>;

    static void start(requester_core& core, std::string_view command, message body, duration timeout, callback done) {
        std::unique_ptr<callback_call> made(new callback_call(core, std::move(done)));
        header top;
        top.kind = kind::request;
        core.callbacks_.push_back(*made);
        callback_call& self = *made.release();
        try {
            core.begin(self, top, command, std::move(body), timeout);
        } catch (const error& failure) {
            self.failed(failure.code(), failure.what());
        }
    }
    // Now, and not in its turn.
    static void hurry(callback_call& one) noexcept {
        one.home_.parts().forget(one);
        one.finish();
    }

private:
    friend class requester_core;
    template <class T>
    friend class list;

    callback_call(requester_core& core, callback done)
        : job([](weave::job& self) noexcept { static_cast<callback_call&>(self).finish(); }),
          home_(core.home()),
          done_(std::move(done)) {}

    void heard(answer_kind what, message body) noexcept override {
        if (what != answer_kind::reply) return failed(errc::not_a_stream, stream_text);
        answer_ = std::move(body);
        home_.post(*this);
    }
    void failed(errc why, std::string_view text) noexcept override {
        failure_ = std::make_exception_ptr(error(why, std::string(text)));
        home_.post(*this);
    }
    void finish() noexcept {
        const std::unique_ptr<callback_call> self(this);
        list_node::unlink();
        try {
            done_(failure_ ? weave::outcome_of<message>(failure_) : weave::outcome_of<message>(std::move(answer_)));
        } catch (const std::exception& failure) {
            home_.log(std::string("the callback of a request failed: ") + failure.what());
        } catch (...) {
            home_.log("the callback of a request failed");
        }
    }

    loop& home_;
    callback done_;
    message answer_;
    std::exception_ptr failure_;
};

void requester_core::end_callbacks() noexcept {
    while (!callbacks_.empty()) callback_call::hurry(callbacks_.front());
}

}  // namespace detail

// -- streams ------------------------------------------------------------------------------------------------

namespace detail {

stream_state::stream_state(std::shared_ptr<requester_core> core, std::string_view command, message body,
                           duration silence_max, stream_window window)
    : core_(std::move(core)), window_(window) {
    if (window.messages == 0 || window.bytes == 0) throw error(errc::invalid_state, "a stream without a window");
    header top;
    top.kind = kind::request;
    top.flags = flag_stream;
    top.credit_messages = window.messages;
    top.credit_bytes = window.bytes;
    core_->begin(*this, top, command, std::move(body), silence_max);
    core_->suspend_time(*this);
}

stream_state::~stream_state() {
    core_->abandon(*this);
}

void stream_state::heard(answer_kind what, message body) noexcept {
    if (what == answer_kind::end) {
        ended_ = true;
        return wake();
    }
    if (what == answer_kind::reply) return failed(errc::not_a_stream, "the server gave one answer, no stream");
    if (items_.size() >= window_.messages) {
        // More than was granted: the window is what bounds the memory.
        core_->abandon(*this);
        return failed(errc::malformed, "the server sends more than it was granted");
    }
    items_.push_back(std::move(body));
    wake();
}

void stream_state::failed(errc why, std::string_view text) noexcept {
    failure_ = why;
    text_ = text;
    wake();
}

std::optional<message> stream_state::take() {
    if (items_.empty()) {
        if (failure_ != errc::none) throw error(failure_, text_);
        return {};
    }
    message item = std::move(items_.front());
    items_.pop_front();
    ++consumed_.messages;
    consumed_.bytes += static_cast<std::uint32_t>(item.size());
    if (consumed_.messages >= (window_.messages + 1) / 2 || consumed_.bytes >= window_.bytes / 2) {
        core_->grant(*this, consumed_);
        consumed_ = {0, 0};
    }
    return item;
}

void stream_state::wait_begins(next_op& one) {
    waiting_ = &one;
    core_->extend(*this);
}

void stream_state::wait_ends() noexcept {
    waiting_ = nullptr;
    core_->suspend_time(*this);
}

void stream_state::wake() noexcept {
    if (next_op* one = waiting_) {
        wait_ends();
        one->wake();
    }
}

}  // namespace detail

next_op::~next_op() {
    unhook();
}
bool next_op::await_ready() const noexcept {
    return of_.ready();
}
bool next_op::hang() {
    of_.wait_begins(*this);
    return true;
}
void next_op::unhook() noexcept {
    if (now() == phase::waiting) of_.wait_ends();
}
std::optional<message> next_op::await_resume() {
    throw_if_interrupted();
    return of_.take();
}

stream::stream(std::unique_ptr<detail::stream_state> state) noexcept : state_(std::move(state)) {}
stream::stream(stream&&) noexcept = default;
stream& stream::operator=(stream&&) noexcept = default;
stream::~stream() = default;
next_op stream::next() {
    return next_op(*state_);
}

// -- the requester ------------------------------------------------------------------------------------------

requester::requester(loop& home, const std::string& endpoint, requester_options options)
    : core_(std::make_shared<detail::requester_core>(home, endpoint, std::move(options))) {}

requester::~requester() {
    core_->close();
}

call_op requester::call(std::string_view command, message body, duration timeout) {
    return {core_, command, std::move(body), timeout};
}

void requester::call(std::string_view command, message body, duration timeout,
                     std::function<void(weave::outcome_of<message>)> done) {
    detail::callback_call::start(*core_, command, std::move(body), timeout, std::move(done));
}

stream requester::open(std::string_view command, message body, duration silence_max, stream_window window) {
    return stream(std::make_unique<detail::stream_state>(core_, command, std::move(body), silence_max, window));
}

void requester::notify(std::string_view command, message body) {
    core_->notify(command, std::move(body));
}

void requester::on_message(std::function<void(std::string_view, message)> hook) {
    core_->on_message = std::move(hook);
}
void requester::on_connection(std::function<void(bool)> hook) {
    core_->on_connection = std::move(hook);
}
bool requester::connected() const noexcept {
    return core_->connected();
}
requester_metrics requester::metrics() const noexcept {
    return core_->metrics();
}

task<message> ask(requester& whom, std::string command, message body, duration timeout) {
    co_return co_await whom.call(command, std::move(body), timeout);
}

}  // namespace moebius
