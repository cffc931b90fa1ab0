#include "client/client_state.hpp"

#include "client/side_threads.hpp"
#include "core/frames.hpp"

#include <unistd.h>
#include <cerrno>

namespace tstreams::detail {

namespace {

constexpr std::size_t frame_buffers_kept = 8;
constexpr std::size_t handler_threads_max = 64;

// The client whose subscriber this thread belongs to.
thread_local const client_state* callbacks_of = nullptr;

std::string name_to_show(const std::string& given) {
    return (given.empty() ? std::string(program_invocation_short_name) : given) + " (pid " + std::to_string(getpid()) +
           ")";
}

void check(const client_options& options) {
    const auto refuse = [](const std::string& text) { throw error(errc::invalid_argument, text); };
    if (options.handler_threads < 1 || options.handler_threads > handler_threads_max)
        refuse("client_options::handler_threads is " + std::to_string(options.handler_threads) + ": use 1 to 64");
    if (options.item_bytes_max < 1 || options.item_bytes_max > (std::size_t{64} << 20))
        refuse("client_options::item_bytes_max is " + std::to_string(options.item_bytes_max) +
               ": use 1 byte to 64 MiB");
    if (options.memory_bytes_max < (std::size_t{2} << 20))
        refuse("client_options::memory_bytes_max is " + std::to_string(options.memory_bytes_max) +
               ": use at least 2 MiB");
    if (options.session_timeout < std::chrono::seconds(1) || options.session_timeout > std::chrono::hours(1))
        refuse("client_options::session_timeout is " + std::to_string(options.session_timeout.count()) +
               " ms: use 1 s to 1 h");
    if (options.request_timeout < std::chrono::milliseconds(100) || options.request_timeout > std::chrono::hours(1))
        refuse("client_options::request_timeout is " + std::to_string(options.request_timeout.count()) +
               " ms: use 100 ms to 1 h");
    if (options.name.size() > 128) refuse("client_options::name is longer than 128 bytes");
}

}  // namespace

std::shared_ptr<client_state> client_state::open(std::string_view uri, client_options options, store_opener opener) {
    check(options);
    auto owned = std::make_unique<client_state>(uri, std::move(options));
    owned->runtime_.run(owned->open_all(opener));
    side_threads::prepare();  // the engine has what it needs until its end by now, which goes after what comes later
    return {owned.release(), [](client_state* state) {
                // A thread of its own cannot end itself.
                if (state->on_own_thread()) {
                    side_threads::run_always([state] { delete state; });
                } else {
                    delete state;
                }
            }};
}

client_state::client_state(std::string_view uri, client_options options)
    : uri_(uri),
      options_(std::move(options)),
      shown_name_(name_to_show(options_.name)),
      handlers_(options_.handler_threads),
      budget_(runtime_, options_.memory_bytes_max) {
    runtime_.at_pass_end([this] { deliver_finished(); });
}

client_state::~client_state() {
    try {
        close();
    } catch (const error&) {
        // What was acknowledged is as safe as its level says; the next open settles the rest.
    }
}

bool client_state::on_own_thread() const noexcept {
    return runtime_.running_here() || handlers_.running_here();
}

weave::task<void> client_state::open_all(store_opener opener) {
    store_place place = parse_uri(uri_);
    client_options options = options_;
    store_ = co_await opener(std::move(place), std::move(options), runtime_, runtime_);
    session_ = co_await service().open_session(shown_name_, options_.session_timeout);
}

void client_state::check_open() const {
    if (closing()) throw error(errc::shutting_down, "the client of '" + uri_ + "' is closed: open another one");
}

void client_state::enter() {
    visits_.fetch_add(1);
    if (!closing()) return;
    leave();
    check_open();
}

void client_state::leave() noexcept {
    if (visits_.fetch_sub(1) == 1 && closing()) visits_.notify_all();
}

void client_state::set_callbacks_of(const client_state* client) noexcept {
    callbacks_of = client;
}

void client_state::close() {
    if (runtime_.running_here())
        throw error(errc::would_deadlock, "client::close from code that runs inside the broker");
    closing_ = true;
    std::unique_lock lock(close_mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
        // Who closes waits for the callbacks and handlers that run now: none of them can wait for the end of that.
        if (handlers_.running_here() || callbacks_of == this) return;
        lock.lock();
    }
    if (closed_) return;
    // First of all: a callback that is waited for may wait itself.
    if (store_) runtime_.run(end_waits());
    std::vector<std::weak_ptr<stoppable>> stoppables;
    {
        const std::lock_guard shared(shared_mutex_);
        stoppables.swap(stoppables_);
    }
    for (const auto& one : stoppables)
        if (const auto alive = one.lock()) alive->stop();
    std::exception_ptr failure;
    if (store_) {
        for (std::size_t left = visits_.load(); left != 0; left = visits_.load()) visits_.wait(left);
        try {
            runtime_.run(close_all());
        } catch (...) {
            failure = std::current_exception();
        }
    }
    handlers_.stop();
    runtime_.stop();
    closed_ = true;
    if (failure) std::rethrow_exception(failure);
}

weave::task<void> client_state::end_waits() {
    budget_.close();
    for (const std::uint64_t wait : waits_) service().cancel_wait(session_, wait);
    co_return;
}

weave::task<void> client_state::close_all() {
    std::exception_ptr failure;
    try {
        co_await service().close_session(session_);
    } catch (...) {
        failure = std::current_exception();
    }
    try {
        co_await store_->stop();
    } catch (...) {
        failure = std::current_exception();
    }
    store_.reset();
    if (failure) std::rethrow_exception(failure);
}

void client_state::finished(operation_base& one) noexcept {
    one.next = nullptr;
    if (finished_tail_) {
        finished_tail_->next = &one;
    } else {
        finished_head_ = &one;
    }
    finished_tail_ = &one;
    ++finished_count_;
}

void client_state::deliver_finished() noexcept {
    if (!finished_head_) return;
    operation_base* one = std::exchange(finished_head_, nullptr);
    finished_tail_ = nullptr;
    finished_count_ = 0;
    operation_base* first = nullptr;
    operation_base* last = nullptr;
    std::size_t count = 0;
    while (one) {
        operation_base* const next = std::exchange(one->next, nullptr);
        if (one->bound()) {
            one->deliver();
        } else {
            (last ? last->next : first) = one;
            last = one;
            ++count;
        }
        one = next;
    }
    if (first) handlers_.push(*first, *last, count);
}

void client_state::deliver_now(operation_base& one) noexcept {
    one.next = nullptr;
    if (one.bound()) {
        one.deliver();
    } else {
        handlers_.push(one, one, 1);
    }
}

weave::task<std::vector<partition_number>> client_state::wait_readable(core::wait_request request) {
    const std::uint64_t wait = request.wait;
    check_open();
    request.session = session_;
    waits_.insert(wait);
    std::vector<partition_number> readable;
    try {
        readable = co_await service().wait_readable(std::move(request));
    } catch (...) {
        waits_.erase(wait);
        throw;
    }
    waits_.erase(wait);
    check_open();
    co_return readable;
}

void client_state::stop_wait(std::uint64_t wait) {
    if (waits_.contains(wait)) service().cancel_wait(session_, wait);
}

void client_state::transaction_opened() {
    ++open_transactions_;
    if (!heartbeat_armed_) arm_heartbeat();
}

void client_state::arm_heartbeat() {
    heartbeat_armed_ = true;
    std::function<void()> beat = [this] {
        heartbeat_armed_ = false;
        if (open_transactions_ == 0 || closing()) return;
        arm_heartbeat();
        try {
            // A session that is over shows itself at the next call that needs it.
            launch(service().heartbeat(session_), [](weave::outcome_of<void>) {});
        } catch (const error&) {
        }
    };
    runtime_.call_at(runtime_.now() + options_.session_timeout / 3, std::move(beat));
}

void client_state::reader_attached(core::stream_id stream, const std::string& name) {
    const std::lock_guard lock(shared_mutex_);
    ++readers_[{stream, name}];
}

bool client_state::reader_detached(core::stream_id stream, const std::string& name) {
    const std::lock_guard lock(shared_mutex_);
    const auto found = readers_.find({stream, name});
    if (found == readers_.end() || --found->second != 0) return false;
    readers_.erase(found);
    return true;
}

frame_buffer client_state::take_frame_buffer() {
    frame_buffer buffer;
    {
        const std::lock_guard lock(shared_mutex_);
        if (!frame_buffers_.empty()) {
            buffer = std::move(frame_buffers_.back());
            frame_buffers_.pop_back();
        }
    }
    buffer.clear();
    buffer.reserve(core::frame_bytes_target);
    return buffer;
}

void client_state::give_frame_buffer(frame_buffer buffer) noexcept {
    if (buffer.capacity() < core::frame_bytes_target || buffer.capacity() > 2 * core::frame_bytes_target) return;
    const std::lock_guard lock(shared_mutex_);
    if (frame_buffers_.size() < frame_buffers_kept) frame_buffers_.push_back(std::move(buffer));
}

void client_state::add_stoppable(std::weak_ptr<stoppable> one) {
    const std::lock_guard lock(shared_mutex_);
    check_open();
    std::erase_if(stoppables_, [](const auto& old) { return old.expired(); });
    stoppables_.push_back(std::move(one));
}

}  // namespace tstreams::detail
