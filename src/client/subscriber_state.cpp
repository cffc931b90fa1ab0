#include "client/subscriber_state.hpp"

#include "client/handles.hpp"

#include <algorithm>
#include <cstdio>
#include <thread>

namespace tstreams::detail {

namespace {

thread_local const subscriber_state* subscriber_here = nullptr;

constexpr std::uint32_t threads_max = 64;
constexpr std::size_t entry_overhead = 256;
constexpr std::chrono::seconds retry_pause{1};

std::size_t weight(const received_state& entry) {
    return entry.stored.inline_items.size() + entry_overhead;
}

}  // namespace

// What the callback gets beside the transaction.
class subscriber_state::delivery_now final : public delivery {
public:
    delivery_now(subscriber_state& of, partition_position position, bool& stop_after)
        : of_(of), position_(position), stop_after_(stop_after) {}

    void checkpoint() override {
        if (const callback_here* const here = current_callback(); here && here->group) {
            const std::shared_ptr<group_state> group = of_.offsets_->group();
            if (group.get() != here->group)
                throw error(errc::invalid_state, "delivery::checkpoint: the subscriber has left its group meanwhile");
            of_.client().run(group_state::checkpoint(group, here->now));
            return;
        }
        of_.client().run(commit(of_.offsets_->plan_checkpoint("delivery::checkpoint", position_)));
    }
    void stop_partition() override { stop_after_ = true; }

private:
    subscriber_state& of_;
    const partition_position position_;
    bool& stop_after_;
};

// -- making -------------------------------------------------------------------------------------------------

weave::task<std::shared_ptr<subscriber_state>> subscriber_state::make(std::shared_ptr<client_state> client,
                                                                      std::string stream, subscriber_options options,
                                                                      subscriber_callback callback) {
    if (!callback) throw error(errc::invalid_argument, "make_subscriber: the callback is empty");
    if (options.threads < 1 || options.threads > threads_max)
        throw error(errc::invalid_argument,
                    "subscriber_options::threads is " + std::to_string(options.threads) + ": use 1 to 64");
    reading_options reading;
    reading.policy = options.on_open;
    reading.open_wait = options.open_wait;
    reading.transactions_max = options.buffer_transactions;
    reading.bytes_max = options.buffer_bytes;
    check(reading);
    std::optional<stream_info> found = co_await client->service().find_stream(stream);
    if (!found) throw stream_not_found(stream);
    attachment wanted;
    wanted.consumer = options.name;
    wanted.start = options.start;
    wanted.reset = options.reset;
    wanted.partitions = options.partitions;
    const std::vector<core::attached_partition> attached = co_await attach(*client, *found, std::move(wanted));
    auto offsets = std::make_shared<offsets_state>(std::move(client), std::move(*found), options.name, attached);
    co_return std::make_shared<subscriber_state>(std::move(offsets), reading, std::move(options), std::move(callback));
}

subscriber_state::subscriber_state(std::shared_ptr<offsets_state> offsets, reading_options reading,
                                   subscriber_options options, subscriber_callback callback)
    : offsets_(std::move(offsets)),
      options_(std::move(options)),
      callback_(std::move(callback)),
      lane_max_(std::max<std::size_t>(1, options_.buffer_transactions / offsets_->partitions().size())),
      reader_(offsets_->client_owner(), offsets_->stream(), reading),
      changed_(offsets_->client().home()) {
    for (const partition_position& one : offsets_->positions()) {
        reader_.add(one.partition, one.after);
        lanes_.emplace_back().partition = one.partition;
    }
}

subscriber_state::~subscriber_state() {
    // The last handle may have gone away inside a callback: that thread cannot wait for itself.
    for (std::thread& one : threads_) {
        if (one.get_id() == std::this_thread::get_id()) {
            one.detach();
        } else if (one.joinable()) {
            one.join();
        }
    }
    client().budget().give(buffered_bytes_);
}

void subscriber_state::start() {
    client().add_stoppable(weak_from_this());
    client().launch(read_loop(shared_from_this()), [](weave::outcome_of<void>) {});
    const std::size_t threads = std::min<std::size_t>(options_.threads, lanes_.size());
    const std::lock_guard lock(join_mutex_);
    for (std::size_t i = 0; i < threads; ++i)
        threads_.emplace_back([self = shared_from_this()]() mutable { work(std::move(self)); });
}

void subscriber_state::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(stopping_, true)) ring();
        wake_.notify_all();
    }
    if (subscriber_here == this) return;
    const std::lock_guard lock(join_mutex_);
    for (std::thread& one : threads_)
        if (one.joinable()) one.join();
}

bool subscriber_state::running() const {
    const std::lock_guard lock(mutex_);
    return !stopping_ && std::any_of(lanes_.begin(), lanes_.end(), [](const lane& one) { return !one.stopped; });
}

void subscriber_state::checkpoint() {
    if (subscriber_here == this)
        throw error(errc::invalid_state, "subscriber::checkpoint inside its callback: use delivery::checkpoint there");
    std::unique_lock lock(mutex_);
    ++pauses_;
    wake_.wait(lock, [this] { return callbacks_ == 0; });
    lock.unlock();
    std::exception_ptr failure;
    try {
        client().run(commit(offsets_->plan_checkpoint("subscriber::checkpoint")));
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    --pauses_;
    wake_.notify_all();
    lock.unlock();
    if (failure) std::rethrow_exception(failure);
}

// -- reading ------------------------------------------------------------------------------------------------

void subscriber_state::ring() noexcept {
    try {
        // Not counted as a use of the store: it must work while the client closes.
        weave::spawn(client().home(), refresh(shared_from_this()), [](weave::outcome_of<void>) {});
    } catch (const std::bad_alloc&) {
        std::terminate();
    }
}

weave::task<void> subscriber_state::refresh(std::shared_ptr<subscriber_state> self) {
    self->choose_active();
    self->changed_.set();
    self->client().stop_wait(self->wait_);
    co_return;
}

// Which partitions are read on. Returns whether there is any.
bool subscriber_state::choose_active() {
    bool any = false;
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const bool active = !stopping_ && !lanes_[i].stopped && !lanes_[i].full && !lanes_[i].failure;
        reader_.slots()[i].active = active;
        any = any || active;
    }
    return any;
}

weave::task<void> subscriber_state::read_loop(std::shared_ptr<subscriber_state> self) {
    constexpr std::chrono::hours look_again{1};
    self->wait_ = self->client().new_wait();
    for (;;) {
        self->changed_.reset();
        const bool any = self->choose_active();
        reading_room room;
        {
            const std::lock_guard lock(self->mutex_);
            if (self->stopping_) co_return;
            room.transactions = self->options_.buffer_transactions -
                                std::min<std::size_t>(self->buffered_, self->options_.buffer_transactions);
            room.bytes = self->options_.buffer_bytes - std::min(self->buffered_bytes_, self->options_.buffer_bytes);
        }
        if (!any) {
            co_await self->changed_.wait();
            continue;
        }
        std::exception_ptr failure;
        try {
            co_await self->reader_.fill(self->client().home().now() + look_again, nullptr, self->wait_, room);
        } catch (...) {
            failure = std::current_exception();
        }
        self->hand_over();
        if (failure) {
            if (self->client().closing()) co_return;
            self->fail_all(failure);
        }
    }
}

// A lane with nothing to do is read on whatever the others hold: nobody else would call for it.
bool subscriber_state::is_full(const lane& one) const {
    return one.queue.size() >= lane_max_ || (!one.queue.empty() && buffered_bytes_ >= options_.buffer_bytes);
}

void subscriber_state::hand_over() {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        stream_reader::slot& from = reader_.slots()[i];
        lane& to = lanes_[i];
        while (!from.buffer.empty()) {
            std::shared_ptr<const received_state> entry = reader_.take(&from);
            if (to.stopped) continue;
            const std::size_t bytes = weight(*entry);
            client().budget().force_take(bytes);
            buffered_bytes_ += bytes;
            ++buffered_;
            to.queue.push_back(std::move(entry));
        }
        if (from.failure) to.failure = std::exchange(from.failure, nullptr);
        to.full = is_full(to);
    }
    wake_.notify_all();
}

void subscriber_state::fail_all(const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    for (lane& one : lanes_)
        if (!one.stopped && !one.failure) one.failure = failure;
    wake_.notify_all();
}

// -- calling back -------------------------------------------------------------------------------------------

void subscriber_state::work(std::shared_ptr<subscriber_state> self) noexcept {
    subscriber_here = self.get();
    client_state::set_callbacks_of(&self->client());
    std::unique_lock lock(self->mutex_);
    while (!self->stopping_) {
        if (lane* const one = self->next_lane()) {
            self->process(*one, lock);
            continue;
        }
        if (const auto retry = self->next_retry()) {
            self->wake_.wait_until(lock, *retry);
        } else {
            self->wake_.wait(lock);
        }
    }
    lock.unlock();
    subscriber_here = nullptr;
    client_state::set_callbacks_of(nullptr);
}

subscriber_state::lane* subscriber_state::next_lane() {
    if (pauses_ != 0) return nullptr;
    const clock::time_point now = clock::now();
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        lane& one = lanes_[turn_++ % lanes_.size()];
        if (one.busy || one.stopped || one.retry_at > now) continue;
        if (!one.queue.empty() || one.failure) return &one;
    }
    return nullptr;
}

std::optional<subscriber_state::clock::time_point> subscriber_state::next_retry() const {
    std::optional<clock::time_point> first;
    if (pauses_ != 0) return first;
    for (const lane& one : lanes_) {
        const bool waits = !one.busy && !one.stopped && (!one.queue.empty() || one.failure);
        if (waits && (!first || one.retry_at < *first)) first = one.retry_at;
    }
    return first;
}

void subscriber_state::process(lane& one, std::unique_lock<std::mutex>& lock) {
    one.busy = true;
    ++callbacks_;
    const std::shared_ptr<const received_state> entry = one.queue.empty() ? nullptr : one.queue.front();
    const bool retried_reading = !entry && one.retry_at != clock::time_point{};
    std::exception_ptr failure = entry ? nullptr : one.failure;
    bool stop_after = false;
    bool go_on = true;
    lock.unlock();
    if (entry) failure = call_back(one, entry, stop_after);
    if (failure && !retried_reading) go_on = keep_going(one.partition, failure);
    lock.lock();
    one.busy = false;
    --callbacks_;
    if (entry && !failure) {
        drop_front(one);
        one.retry_at = {};
    } else if (retried_reading) {
        // Its pause is over: read again.
        one.failure = nullptr;
        one.retry_at = {};
    } else if (go_on) {
        one.retry_at = clock::now() + retry_pause;
    } else {
        stop_after = true;
    }
    if (stop_after) stop_lane(one);
    const bool room_again = one.full && one.queue.size() <= lane_max_ / 2 && !is_full(one);
    if (room_again) one.full = false;
    wake_.notify_all();
    // Once it stops nothing is read on, and its client may be closed already.
    if (stopping_ || (!room_again && !retried_reading)) return;
    lock.unlock();
    ring();
    lock.lock();
}

std::exception_ptr subscriber_state::call_back(lane& one, std::shared_ptr<const received_state> entry,
                                               bool& stop_after) {
    const partition_position position{one.partition, entry->stored.id};
    received_transaction received = access::make<received_transaction>(std::move(entry));
    delivery_now now(*this, position, stop_after);
    const std::shared_ptr<group_state> group = offsets_->group();
    if (group) group->gate().lock();
    callback_here here;
    here.group = group.get();
    here.now.reader = offsets_;
    here.now.position = position;
    set_current_callback(&here);
    std::exception_ptr failure;
    try {
        callback_(received, now);
        offsets_->set(position.partition, position.after);
    } catch (...) {
        failure = std::current_exception();
    }
    set_current_callback(nullptr);
    if (group) group->gate().unlock();
    return failure;
}

bool subscriber_state::keep_going(partition_number partition, const std::exception_ptr& failure) const noexcept {
    if (offsets_->client().closing()) return false;
    try {
        if (options_.on_error) return options_.on_error(partition, failure);
        const std::string text = text_of(failure);
        std::fprintf(stderr, "tstreams: subscriber '%s' of stream '%s' stopped reading partition %u: %s\n",
                     offsets_->name().c_str(), offsets_->stream().name.c_str(), partition, text.c_str());
    } catch (...) {
        // An on_error that throws says nothing, so the partition stops.
    }
    return false;
}

void subscriber_state::drop_front(lane& one) {
    const std::size_t bytes = weight(*one.queue.front());
    client().budget().give(bytes);
    buffered_bytes_ -= bytes;
    --buffered_;
    one.queue.pop_front();
}

void subscriber_state::stop_lane(lane& one) {
    one.stopped = true;
    one.failure = nullptr;
    while (!one.queue.empty()) drop_front(one);
}

}  // namespace tstreams::detail
