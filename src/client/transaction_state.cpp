#include "client/transaction_state.hpp"

#include "client/producer_state.hpp"
#include "core/frames.hpp"

#include <algorithm>
#include <array>

namespace tstreams::detail {

namespace {

// A frame buffer grows in these steps; a small transaction holds little.
constexpr std::array<std::size_t, 4> buffer_steps = {std::size_t{1} << 10, std::size_t{4} << 10, std::size_t{16} << 10,
                                                     std::size_t{64} << 10};
// Below this a frame is not worth writing only because memory is short.
constexpr std::size_t frame_bytes_worth_writing = 4096;

// Whether the transaction itself can never be checkpointed after this.
bool is_final(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const error& refused) {
        const errc code = refused.code();
        return code == errc::transaction_expired || code == errc::transaction_unknown ||
               code == errc::transaction_closed || code == errc::fenced || code == errc::stream_deleted;
    } catch (...) {
        return false;
    }
}

bool was_applied(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const error& refused) {
        return refused.outcome() == outcome::applied;
    } catch (...) {
        return false;
    }
}

// For those that were to be cancelled together with one that turned out to be checkpointed.
std::exception_ptr refused_cancel() {
    return std::make_exception_ptr(
        error(errc::invalid_state, "the transaction could not be cancelled together with others: cancel it alone"));
}

std::size_t buffer_bytes_for(std::size_t needed) {
    for (const std::size_t step : buffer_steps)
        if (needed <= step) return step;
    return std::max(needed, core::frame_bytes_target);
}

}  // namespace

transaction_state::transaction_state(std::shared_ptr<producer_state> producer, core::open_reply opened)
    : producer_(std::move(producer)), client_(&producer_->client()), opened_(opened) {}

transaction_state::~transaction_state() {
    drop_buffers();
}

std::string transaction_state::name() const {
    return "transaction " + std::to_string(ref().id.value()) + " of stream '" + producer_->stream().name +
           "' partition " + std::to_string(ref().partition);
}

void transaction_state::check_open() const {
    switch (phase_) {
        case phase::open:
            return;
        case phase::deciding:
            throw error(errc::transaction_closed, name() + " is being checkpointed or cancelled");
        case phase::unknown:
            throw error(errc::invalid_state,
                        name() + " has a checkpoint of unknown outcome: call checkpoint() again to settle it");
        case phase::checkpointed:
            throw error(errc::transaction_closed, name() + " is checkpointed already");
        case phase::cancelled:
            throw error(errc::transaction_closed, name() + " is cancelled already");
        case phase::failed:
            std::rethrow_exception(failure_);
    }
}

void transaction_state::check_item(bytes_view item) const {
    const std::size_t limit =
        std::min(client_->options().item_bytes_max, client_->budget().bytes_max() - (std::size_t{1} << 20));
    if (item.size() <= limit) return;
    throw error(errc::too_large, "an item of " + std::to_string(item.size()) + " bytes for " + name() +
                                     ": the limit is " + std::to_string(limit) + " (client_options::item_bytes_max)");
}

void transaction_state::put(bytes_view item) {
    check_item(item);
    if (pack_where_room(item)) return;
    const client_state::visit counted(*client_);
    std::size_t granted = 0;
    std::size_t missing = 0;
    for (step next = try_put(item, granted, missing); next != step::done; next = try_put(item, granted, missing)) {
        if (next == step::memory) {
            client_->home().run(client_->budget().take(missing, client_->options().session_timeout));
            granted = missing;
            continue;
        }
        std::exception_ptr failure;
        try {
            client_->home().run(write_flushed(core::crc32c(as_bytes(flushing_.text()))));
        } catch (...) {
            failure = std::current_exception();
        }
        end_flush(failure);
        if (failure) std::rethrow_exception(failure);
    }
}

weave::task<void> transaction_state::put(std::shared_ptr<transaction_state> self, std::string item) {
    const bytes_view bytes = as_bytes(item);
    self->check_item(bytes);
    std::size_t granted = 0;
    std::size_t missing = 0;
    for (;;) {
        const step next = self->try_put(bytes, granted, missing);
        if (next == step::done) co_return;
        if (next == step::memory) {
            co_await self->client_->budget().take(missing, self->client_->options().session_timeout);
            granted = missing;
            continue;
        }
        std::exception_ptr failure;
        try {
            co_await self->write_flushed(core::crc32c(as_bytes(self->flushing_.text())));
        } catch (...) {
            failure = std::current_exception();
        }
        self->end_flush(failure);
        if (failure) std::rethrow_exception(failure);
    }
}

// Most items: they need nothing of the client, so they are not counted as a use of it either.
bool transaction_state::pack_where_room(bytes_view item) {
    const std::lock_guard lock(mutex_);
    const std::size_t needed = frame_.size() + core::packed_bytes(item.size());
    if (needed > std::min(charged_, frame_.capacity()) || needed > core::frame_bytes_target) return false;
    if (phase_ != phase::open || flushed_ || client_->closing()) return false;
    pack(item);
    return true;
}

void transaction_state::pack(bytes_view item) {
    frame_.pack(item);
    ++items_;
    bytes_ += item.size();
}

transaction_state::step transaction_state::try_put(bytes_view item, std::size_t& granted, std::size_t& missing) {
    const std::lock_guard lock(mutex_);
    if (phase_ != phase::open) {
        client_->budget().give(std::exchange(granted, 0));
        check_open();
    }
    if (flushed_) throw error(errc::invalid_state, name() + " is written to by two calls at once");
    const std::size_t needed = frame_.size() + core::packed_bytes(item.size());
    if (!frame_.empty() && needed > core::frame_bytes_target) {
        begin_flush();
        return step::flush;
    }
    if (!charge(needed, granted)) {
        if (frame_.size() >= frame_bytes_worth_writing) {
            begin_flush();
            return step::flush;
        }
        missing = needed - charged_;
        return step::memory;
    }
    pack(item);
    return step::done;
}

bool transaction_state::charge(std::size_t needed, std::size_t& granted) {
    charged_ += std::exchange(granted, 0);
    if (needed > charged_) {
        const std::size_t wanted = buffer_bytes_for(needed);
        if (client_->budget().try_take(wanted - charged_)) {
            charged_ = wanted;
        } else if (client_->budget().try_take(needed - charged_)) {
            charged_ = needed;
        } else {
            return false;
        }
    }
    if (frame_.capacity() >= needed) return true;
    if (charged_ >= core::frame_bytes_target && needed <= core::frame_bytes_target) {
        frame_buffer larger = client_->take_frame_buffer();
        larger.append(frame_.text());
        frame_ = std::move(larger);
    } else {
        frame_.reserve(charged_);
    }
    return true;
}

// Whoever decides waits for `flushed_`: write_flushed() and end_flush() must follow.
void transaction_state::begin_flush() {
    flushed_ = std::make_shared<weave::event>(client_->home());
    flushing_ = std::move(frame_);
    frame_.clear();
}

weave::task<void> transaction_state::write_flushed(std::uint32_t crc32c) {
    try {
        core::frame_data frame = flushing_.data();
        co_await client_->service().write(client_->session(), ref(), std::move(frame), crc32c);
        ++frames_;
    } catch (...) {
        flush_failure_ = std::current_exception();
    }
    flushed_->set();
    if (flush_failure_) std::rethrow_exception(flush_failure_);
}

void transaction_state::end_flush(const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    flushed_.reset();
    frame_buffer buffer = std::move(flushing_);
    flushing_.clear();
    if (phase_ == phase::open && failure) {
        phase_ = phase::failed;
        failure_ = failure;
    }
    if (phase_ == phase::open && buffer.capacity() <= 2 * core::frame_bytes_target) {
        buffer.clear();
        frame_ = std::move(buffer);
        return;
    }
    // What the deciding side needs of the charge it has taken already: frame_ is empty during a flush.
    client_->budget().give(std::exchange(charged_, 0));
    client_->give_frame_buffer(std::move(buffer));
}

// -- decisions ----------------------------------------------------------------------------------------------

bool transaction_state::begin_decision() {
    const std::lock_guard lock(mutex_);
    if (phase_ == phase::failed || phase_ == phase::unknown) check_open();
    if (phase_ != phase::open) return false;
    phase_ = phase::deciding;
    return true;
}

void transaction_state::withdraw_decision() noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (phase_ != phase::deciding) return;
        phase_ = phase::open;
        if (!abandoned_) return;
    }
    abandon();
}

weave::task<core::decision> transaction_state::prepare_decision(bool last_frame_later) {
    std::shared_ptr<weave::event> flushed;
    {
        const std::lock_guard lock(mutex_);
        flushed = flushed_;
    }
    if (flushed) co_await flushed->wait();
    if (flush_failure_) std::rethrow_exception(flush_failure_);
    core::decision result;
    result.transaction = ref();
    result.frames = frames_;
    if (frames_ == 0 && frame_.size() <= core::inline_bytes_max) {
        result.inline_items = frame_.text();
    } else if (!frame_.empty()) {
        ++result.frames;
        if (!last_frame_later) co_await write_last_frame();
    }
    result.items = items();
    result.bytes = bytes();
    co_return result;
}

weave::task<void> transaction_state::write_last_frame() {
    try {
        core::frame_data rest = frame_.data();
        const std::uint32_t crc32c = core::crc32c(rest.bytes);
        co_await client_->service().write(client_->session(), ref(), std::move(rest), crc32c);
    } catch (...) {
        flush_failure_ = std::current_exception();
        throw;
    }
    ++frames_;
    const std::lock_guard lock(mutex_);
    frame_.clear();
}

void transaction_state::decided() noexcept {
    {
        const std::lock_guard lock(mutex_);
        phase_ = phase::checkpointed;
        in_doubt_.reset();
    }
    over();
}

void transaction_state::not_decided(const std::exception_ptr& why) noexcept {
    {
        const std::lock_guard lock(mutex_);
        in_doubt_.reset();
        phase_ = phase::open;
        if (flush_failure_) {
            phase_ = phase::failed;
            failure_ = flush_failure_;
        } else if (why && is_final(why)) {
            phase_ = phase::failed;
            failure_ = why;
        }
        if (!abandoned_) return;
    }
    abandon();
}

void transaction_state::in_doubt(const std::shared_ptr<commit_plan>& plan) noexcept {
    {
        const std::lock_guard lock(mutex_);
        phase_ = phase::unknown;
        in_doubt_ = plan;
        if (!abandoned_) return;
    }
    abandon();
}

std::shared_ptr<commit_plan> transaction_state::plan_checkpoint(std::optional<std::string> source_position) {
    {
        const std::lock_guard lock(mutex_);
        if (phase_ == phase::unknown && in_doubt_ && !in_doubt_->in_group) return in_doubt_;
    }
    producer_->check_free("transaction::checkpoint");
    auto plan = std::make_shared<commit_plan>(producer_->client_owner());
    producer_->add_source(*plan, std::move(source_position));
    if (!begin_decision()) {
        const std::lock_guard lock(mutex_);
        check_open();
    }
    plan->transactions.push_back(weak_from_this());
    return plan;
}

weave::task<void> transaction_state::checkpoint(std::shared_ptr<transaction_state> self,
                                                std::optional<std::string> source_position) {
    std::shared_ptr<commit_plan> plan = self->plan_checkpoint(std::move(source_position));
    co_await commit(std::move(plan));
}

weave::task<void> transaction_state::begin_checkpoint(std::optional<std::string> source_position) {
    client_->check_open();
    return commit(plan_checkpoint(std::move(source_position)));
}

// -- cancelling ---------------------------------------------------------------------------------------------

bool transaction_state::begin_cancel() {
    const std::lock_guard lock(mutex_);
    if (phase_ == phase::cancelled) return false;
    if (phase_ == phase::checkpointed)
        throw error(errc::transaction_closed, name() + " is checkpointed already", outcome::applied);
    if (phase_ == phase::deciding ||
        (phase_ == phase::unknown && (!in_doubt_ || in_doubt_->in_group || in_doubt_->transactions.size() > 1)))
        throw error(errc::invalid_state, name() + " is being decided: wait for that checkpoint or call it again");
    phase_ = phase::deciding;
    return true;
}

void transaction_state::end_cancel(const std::exception_ptr& failure) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!failure) {
            phase_ = phase::cancelled;
        } else if (was_applied(failure)) {
            phase_ = phase::checkpointed;
        } else {
            phase_ = in_doubt_ ? phase::unknown : phase::failed;
            failure_ = failure;
            return;
        }
        in_doubt_.reset();
    }
    over();
}

weave::task<void> transaction_state::cancel(std::shared_ptr<transaction_state> self) {
    if (!self->begin_cancel()) co_return;
    std::exception_ptr failure;
    try {
        std::vector<core::transaction_ref> refs(1, self->ref());
        co_await self->client_->service().cancel(self->client_->session(), std::move(refs));
    } catch (...) {
        failure = std::current_exception();
    }
    self->end_cancel(failure);
    if (failure) std::rethrow_exception(failure);
}

weave::task<void> transaction_state::cancel_all(std::vector<std::shared_ptr<transaction_state>> all) {
    if (all.empty()) co_return;
    client_state& client = *all.front()->client_;
    std::vector<core::transaction_ref> refs;
    for (const auto& one : all) refs.push_back(one->ref());
    std::vector<std::shared_ptr<transaction_state>> begun;
    std::exception_ptr failure;
    try {
        for (const auto& one : all)
            if (one->begin_cancel()) begun.push_back(one);
        co_await client.service().cancel(client.session(), std::move(refs));
    } catch (...) {
        failure = std::current_exception();
    }
    for (const auto& one : begun) one->end_cancel(failure && was_applied(failure) ? refused_cancel() : failure);
    if (!failure) co_return;
    failure = nullptr;
    for (const auto& one : all) {
        try {
            co_await cancel(one);
        } catch (...) {
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

// While a checkpoint is under way, or of unknown outcome together with others, the end of that decides: what turns out
// not to be checkpointed is abandoned then. Until then somebody has to remember it.
void transaction_state::abandon() noexcept {
    std::shared_ptr<commit_plan> settled_by;
    bool decides_later = false;
    {
        const std::lock_guard lock(mutex_);
        if (phase_ == phase::checkpointed || phase_ == phase::cancelled) return;
        abandoned_ = true;
        const bool unsure = phase_ == phase::unknown;
        const bool alone = unsure && in_doubt_ && !in_doubt_->in_group && in_doubt_->transactions.size() == 1;
        decides_later = phase_ == phase::deciding || (unsure && !alone);
        settled_by = std::exchange(in_doubt_, nullptr);
        if (!decides_later) {
            if (!unsure) producer_->transaction_lost();
            phase_ = phase::cancelled;
        }
    }
    if (!decides_later) {
        producer_->forget(ref());
        drop_buffers();
    } else if (!settled_by) {
        return;
    }
    try {
        weave::task<void> work = decides_later ? stay_with(shared_from_this(), std::move(settled_by))
                                               : cancel_abandoned(client_, ref(), !counted_over_.exchange(true));
        client_->launch(std::move(work), [](weave::outcome_of<void>) {});
    } catch (...) {
        // The client is closing, which cancels everything that is open.
    }
}

weave::task<void> transaction_state::stay_with(std::shared_ptr<transaction_state> self,
                                               std::shared_ptr<commit_plan> plan) {
    const std::lock_guard lock(self->mutex_);
    const bool known = std::find(plan->abandoned.begin(), plan->abandoned.end(), self) != plan->abandoned.end();
    if (self->phase_ == phase::unknown && !known) plan->abandoned.push_back(self);
    co_return;
}

// It keeps nothing: were it the last to hold the client, that would be closed when this is over, which at the end of
// the process is too late. Who closes waits for it.
weave::task<void> transaction_state::cancel_abandoned(client_state* client, core::transaction_ref ref, bool counts) {
    if (counts) client->transaction_over();
    std::vector<core::transaction_ref> refs(1, ref);
    co_await client->service().cancel(client->session(), std::move(refs));
}

void transaction_state::over() noexcept {
    drop_buffers();
    producer_->forget(ref());
    leave_count();
}

void transaction_state::leave_count() noexcept {
    if (!counted_over_.exchange(true)) client_->transaction_over();
}

void transaction_state::drop_buffers() noexcept {
    const std::lock_guard lock(mutex_);
    client_->budget().give(std::exchange(charged_, 0));
    client_->give_frame_buffer(std::move(frame_));
    frame_ = {};
}

// -- what is known ------------------------------------------------------------------------------------------

bool transaction_state::is_open() const noexcept {
    const std::lock_guard lock(mutex_);
    return phase_ == phase::open;
}

bool transaction_state::undecided() const noexcept {
    const std::lock_guard lock(mutex_);
    return phase_ == phase::open || phase_ == phase::failed;
}

transaction_info transaction_state::info() const {
    transaction_info result;
    result.partition = ref().partition;
    result.id = ref().id;
    result.expires = expires();
    result.client = client_->shown_name();
    const std::lock_guard lock(mutex_);
    result.items = items_;
    result.bytes = bytes_;
    return result;
}

std::uint64_t transaction_state::items() const {
    const std::lock_guard lock(mutex_);
    return items_;
}

std::uint64_t transaction_state::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

}  // namespace tstreams::detail
