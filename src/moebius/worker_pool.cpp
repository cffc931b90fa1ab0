#include <moebius/worker_pool.hpp>

#include "moebius/json_scan.hpp"
#include "moebius/server_core.hpp"
#include "moebius/worker_pool_core.hpp"

#include <string_view>
#include <utility>

namespace moebius {
namespace {

using detail::kind;

constexpr std::uint32_t window_messages = 256;
constexpr std::uint32_t window_bytes = 2U << 20;

task<> relay(std::shared_ptr<detail::worker_pool_core> core, request asked, std::string command, message body) {
    if (!core) {
        co_await asked.fail(errc::stopping, "the pool has ended");
        co_return;
    }
    if (command.size() > detail::name_bytes_max) throw error(errc::too_large, "a command of more than 255 bytes");
    detail::header top;
    top.kind = asked.one_way() ? kind::one_way : kind::request;
    if (asked.streaming()) {
        top.flags = detail::flag_stream;
        top.credit_messages = window_messages;
        top.credit_bytes = window_bytes;
    }
    detail::worker_job work(core, top, command, std::move(body));
    if (const errc refusal = core->submit(work); refusal != errc::none) {
        co_await asked.fail(refusal, refusal == errc::overloaded ? "too many requests wait for a worker" : "");
        co_return;
    }
    for (;;) {
        detail::worker_answer got = co_await work.next();
        const std::size_t bytes = got.body.size();
        switch (got.what) {
            case kind::item:
                co_await asked.write(std::move(got.body));
                work.consumed(bytes);
                break;
            case kind::reply:
                co_await asked.reply(std::move(got.body));
                co_return;
            case kind::end:
                co_await asked.finish();
                co_return;
            default:
                // Without an answer the request answers itself, as it does everywhere.
                if (got.code != errc::unanswered) co_await asked.fail(got.code, got.body.text());
                co_return;
        }
    }
}

// As the client wrote it: the rule's name may be another one.
std::string asked_command(request& asked) {
    if (asked.binary()) return std::string(detail::server_core::asked_name(asked));
    std::string unescaped;
    return std::string(detail::find_command(asked.body().text(), unescaped).name);
}

task<> relay_as_asked(std::shared_ptr<detail::worker_pool_core> core, request asked) {
    std::string command = asked_command(asked);
    message body = asked.take_body();
    return relay(std::move(core), std::move(asked), std::move(command), std::move(body));
}

}  // namespace

namespace detail {

worker_job::worker_job(std::shared_ptr<worker_pool_core> core, header top, std::string_view name, message body)
    : core_(std::move(core)), number_(core_->next_number()) {
    top.correlation = number_;
    what_ = with_header(top, name, std::move(body));
    bytes_ = what_.bytes();
}

worker_job::~worker_job() {
    core_->leave(*this);
}

void worker_job::heard(worker_answer answer) noexcept {
    answers_.push_back(std::move(answer));
    if (next_op* one = std::exchange(waiting_, nullptr)) one->wake();
}

void worker_job::consumed(std::size_t bytes) noexcept {
    ++consumed_messages_;
    consumed_bytes_ += static_cast<std::uint32_t>(bytes);
    if (consumed_messages_ < window_messages / 2 && consumed_bytes_ < window_bytes / 2) return;
    core_->grant(*this, std::exchange(consumed_messages_, 0), std::exchange(consumed_bytes_, 0));
}

worker_answer worker_job::next_op::await_resume() {
    throw_if_interrupted();
    worker_answer first = std::move(of_.answers_.front());
    of_.answers_.pop_front();
    return first;
}

}  // namespace detail

worker_pool::worker_pool(loop& home, worker_pool_options options)
    : core_(std::make_shared<detail::worker_pool_core>(home, std::move(options))) {
    core_->start();
}

worker_pool::~worker_pool() {
    core_->close();
}

coroutine_handler worker_pool::handler() {
    // Weak, because rules may outlive the pool, and even the loop.
    return [core = std::weak_ptr(core_)](request asked) { return relay_as_asked(core.lock(), std::move(asked)); };
}

task<> worker_pool::forward(request asked) {
    return relay_as_asked(core_, std::move(asked));
}

task<> worker_pool::forward(request asked, std::string command, message body) {
    return relay(core_, std::move(asked), std::move(command), std::move(body));
}

worker_pool_metrics worker_pool::metrics() const noexcept {
    return core_->metrics();
}

std::vector<worker_status> worker_pool::workers() const {
    return core_->workers();
}

}  // namespace moebius
