#include "client/watcher_state.hpp"

#include "client/handles.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tstreams::detail {

namespace {

thread_local const watcher_state* watcher_here = nullptr;

constexpr std::chrono::seconds retry_pause{1};

void check(const watch_options& options, const watch_callback& callback) {
    const auto refuse = [](const std::string& text) { throw error(errc::invalid_argument, text); };
    if (!callback) refuse("watch: the callback is empty");
    if (options.buffer_events < 1 || options.buffer_events > core::buffer_events_max)
        refuse("watch_options::buffer_events is " + std::to_string(options.buffer_events) + ": use 1 to 8192");
    for (const event_kind one : options.kinds) {
        if (one < event_kind::opened || one > event_kind::lost)
            refuse("watch_options::kinds has " + std::to_string(static_cast<int>(one)) + ", which is no kind");
    }
}

core::watch_request request_of(const stream_info& stream, const watch_options& options) {
    core::watch_request request;
    request.stream = stream.id;
    request.partitions = options.partitions;
    request.buffer_events = options.buffer_events;
    if (options.kinds.empty()) return request;
    request.kinds = 0;
    for (const event_kind one : options.kinds) request.kinds |= core::bit_of(one);
    return request;
}

}  // namespace

weave::task<std::shared_ptr<watcher_state>> watcher_state::make(std::shared_ptr<client_state> client,
                                                                std::string stream, watch_options options,
                                                                watch_callback callback) {
    check(options, callback);
    std::optional<stream_info> found = co_await client->service().find_stream(stream);
    if (!found) throw stream_not_found(stream);
    if (!options.partitions.empty()) options.partitions = choose_partitions(*found, std::move(options.partitions));
    const auto made =
        std::make_shared<watcher_state>(std::move(client), std::move(*found), std::move(options), std::move(callback));
    co_await event_fetcher::watch(made->events_);
    try {
        made->start();
    } catch (...) {
        made->events_->forget();
        throw;
    }
    co_return made;
}

watcher_state::watcher_state(std::shared_ptr<client_state> client, stream_info stream, watch_options options,
                             watch_callback callback)
    : client_(std::move(client)),
      stream_(std::move(stream)),
      options_(std::move(options)),
      callback_(std::move(callback)),
      events_(std::make_shared<event_fetcher>(*client_, request_of(stream_, options_))) {
    event_.stream = stream_.name;
}

watcher_state::~watcher_state() {
    // The last handle may have gone away inside a callback: that thread cannot wait for itself.
    if (thread_.get_id() == std::this_thread::get_id()) {
        thread_.detach();
    } else if (thread_.joinable()) {
        thread_.join();
    }
}

void watcher_state::start() {
    const std::lock_guard lock(join_mutex_);  // who stops it waits until there is a thread to wait for
    client_->add_stoppable(weak_from_this());
    thread_ = std::thread([self = shared_from_this()]() mutable { work(std::move(self)); });
}

void watcher_state::stop() {
    events_->stop();
    if (watcher_here == this) return;
    const std::lock_guard lock(join_mutex_);
    if (thread_.joinable()) thread_.join();
}

// -- fetching -----------------------------------------------------------------------------------------------

weave::task<void> event_fetcher::watch(std::shared_ptr<event_fetcher> self) {
    core::watch_request request = self->request_;
    self->source_ = co_await self->client_.service().watch(std::move(request));
}

weave::task<core::event_batch> event_fetcher::next(std::shared_ptr<event_fetcher> self) {
    core::event_batch batch;
    if (self->let_go_) co_return batch;
    self->fetching_ = true;
    std::exception_ptr failure;
    try {
        if (self->source_) {
            batch = co_await self->source_->next();
        } else {
            co_await watch(self);
            batch.interrupted = true;
        }
    } catch (...) {
        failure = std::current_exception();
    }
    self->fetching_ = false;
    if (failure || self->let_go_) self->source_.reset();
    if (failure) std::rethrow_exception(failure);
    co_return batch;
}

// The source goes here, on the executor: by who fetches from it, if anybody does.
weave::task<void> event_fetcher::let_go(std::shared_ptr<event_fetcher> self) {
    self->let_go_ = true;
    if (!self->fetching_)
        self->source_.reset();
    else if (self->source_)
        self->source_->stop();
    co_return;
}

bool event_fetcher::fetch() {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        arrived_ = false;
    }
    try {
        client_.launch(next(shared_from_this()), [self = shared_from_this()](weave::outcome_of<core::event_batch> of) {
            const std::lock_guard lock(self->mutex_);
            if (self->stopping_) return;
            self->failure_ = of.failure();
            if (!self->failure_) self->batch_ = of.get();
            self->arrived_ = true;
            self->wake_.notify_all();
        });
    } catch (const error&) {
        return false;  // the client closes
    }
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return arrived_ || stopping_; });
    return !stopping_;
}

bool event_fetcher::pause(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void event_fetcher::stop() noexcept {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    wake_.notify_all();
    try {
        // Not counted as a use of the store: it must work while the client closes. Under the lock: who comes second may
        // be the one who closes.
        weave::spawn(client_.home(), let_go(shared_from_this()), [](weave::outcome_of<void>) {});
    } catch (const std::bad_alloc&) {
        std::terminate();
    }
}

bool event_fetcher::stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
}

// -- calling back -------------------------------------------------------------------------------------------

void watcher_state::work(std::shared_ptr<watcher_state> self) noexcept {
    watcher_here = self.get();
    client_state::set_callbacks_of(self->client_.get());
    event_fetcher& from = *self->events_;
    while (from.fetch()) {
        if (from.failure() ? !self->go_on_after(from.failure()) : !self->tell_all(from.batch())) break;
    }
    from.stop();
    watcher_here = nullptr;
    client_state::set_callbacks_of(nullptr);
}

bool watcher_state::tell_all(const core::event_batch& batch) {
    event_.partition = 0;
    event_.id = {};
    event_.items = event_.bytes = 0;
    event_.kind = event_kind::lost;
    event_.lost = 0;
    if (batch.interrupted && !tell()) return false;
    event_.lost = batch.lost;
    if (batch.lost != 0 && !tell()) return false;
    event_.lost = 0;
    for (const core::transaction_change& one : batch.events) {
        event_.kind = one.kind;
        event_.partition = one.partition;
        event_.id = one.id;
        event_.items = one.items;
        event_.bytes = one.bytes;
        if (!tell()) return false;
    }
    return true;
}

// Again and again, as on_error wishes.
bool watcher_state::tell() {
    while (!events_->stopping()) {
        std::exception_ptr failure;
        try {
            callback_(event_);
            return true;
        } catch (...) {
            failure = std::current_exception();
        }
        if (!go_on_after(failure)) break;
    }
    return false;
}

bool watcher_state::go_on_after(const std::exception_ptr& failure) {
    return !events_->stopping() && keep_going(failure) && events_->pause(retry_pause);
}

bool watcher_state::keep_going(const std::exception_ptr& failure) const noexcept {
    if (client_->closing()) return false;
    try {
        if (options_.on_error) return options_.on_error(failure);
        std::fprintf(stderr, "tstreams: a watcher of stream '%s' stopped: %s\n", stream_.name.c_str(),
                     text_of(failure).c_str());
    } catch (...) {
        // An on_error that throws says nothing, so it stops.
    }
    return false;
}

}  // namespace tstreams::detail
