#include "client/consumer_state.hpp"

#include "client/group_state.hpp"
#include "client/handles.hpp"

#include <algorithm>

namespace tstreams::detail {

namespace {

constexpr std::chrono::milliseconds longest_wait = std::chrono::hours(24 * 365);

weave::task<void> detach(client_state& client, core::stream_id stream, std::string name) {
    if (!client.reader_detached(stream, name)) co_return;
    co_await client.service().detach_consumer(client.session(), stream, std::move(name));
}

}  // namespace

namespace {

weave::task<void> stop_wait(std::shared_ptr<consumer_state> reader, std::uint64_t wait) {
    reader->client().stop_wait(wait);
    co_return;
}

// From any thread. The wait belongs to a call under way, which holds the consumer and its client.
void stop_wait_soon(std::shared_ptr<consumer_state> reader, std::uint64_t wait) noexcept {
    try {
        client_state& client = reader->client();
        client.launch(stop_wait(std::move(reader), wait), [](weave::outcome_of<void>) {});
    } catch (const error&) {
        // The client is closing, which ends the wait too.
    }
}

}  // namespace

// -- offsets ------------------------------------------------------------------------------------------------

offsets_state::offsets_state(std::shared_ptr<client_state> client, stream_info stream, std::string name,
                             const std::vector<core::attached_partition>& attached)
    : client_(std::move(client)), stream_(std::move(stream)), name_(std::move(name)) {
    for (const core::attached_partition& one : attached) {
        partitions_.push_back(one.partition);
        places_.push_back({one.instance, one.position, one.position});
    }
    if (!name_.empty()) client_->reader_attached(stream_.id, name_);
}

offsets_state::~offsets_state() {
    if (name_.empty()) return;
    try {
        client_->launch(detach(*client_, stream_.id, name_), [](weave::outcome_of<void>) {});
    } catch (...) {
        // The client is closing, which detaches everybody.
    }
}

std::size_t offsets_state::index_of(partition_number partition) const {
    const auto found = std::lower_bound(partitions_.begin(), partitions_.end(), partition);
    if (found == partitions_.end() || *found != partition)
        throw error(errc::partition_not_found, "partition " + std::to_string(partition) + " of stream '" +
                                                   stream_.name + "' is not one that this reader has");
    return static_cast<std::size_t>(found - partitions_.begin());
}

std::vector<partition_position> offsets_state::positions() const {
    std::vector<partition_position> result;
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < partitions_.size(); ++i) result.push_back({partitions_[i], places_[i].position});
    return result;
}

transaction_id offsets_state::position(partition_number partition) const {
    const std::size_t index = index_of(partition);
    const std::lock_guard lock(mutex_);
    return places_[index].position;
}

void offsets_state::set(partition_number partition, transaction_id position) {
    const std::size_t index = index_of(partition);
    const std::lock_guard lock(mutex_);
    places_[index].position = position;
}

void offsets_state::add_to(commit_plan& plan, bool everything, std::optional<partition_position> also) {
    std::vector<std::pair<std::size_t, transaction_id>> sent;
    const std::lock_guard lock(mutex_);
    const auto position_of = [&](std::size_t index) {
        return also && also->partition == partitions_[index] ? also->after : places_[index].position;
    };
    for (std::size_t i = 0; i < places_.size(); ++i)
        if (everything || position_of(i) != places_[i].stored) sent.emplace_back(i, position_of(i));
    if (sent.empty())
        for (std::size_t i = 0; i < places_.size(); ++i) sent.emplace_back(i, position_of(i));
    for (const auto& [index, position] : sent) {
        core::offset_update& update = plan.request.offsets.emplace_back();
        update.stream = stream_.id;
        update.partition = partitions_[index];
        update.consumer = name_;
        update.instance = places_[index].instance;
        update.position = position;
    }
    plan.listeners.emplace_back([weak_self = weak_from_this(), sent = std::move(sent)](commit_end end) {
        const auto self = weak_self.lock();
        if (!self || end != commit_end::applied) return;
        const std::lock_guard relock(self->mutex_);
        for (const auto& [index, position] : sent) self->places_[index].stored = position;
    });
}

void offsets_state::check_named(const char* call) const {
    if (!name_.empty()) return;
    throw error(errc::invalid_state, std::string(call) + ": a reader of stream '" + stream_.name +
                                         "' without a name has no stored positions; give it one");
}

std::shared_ptr<commit_plan> offsets_state::plan_checkpoint(const char* call, std::optional<partition_position> also) {
    check_named(call);
    if (group())
        throw error(errc::invalid_state, std::string(call) + ": the reader '" + name_ + "' of stream '" + stream_.name +
                                             "' is in a checkpoint group, whose checkpoint() stores");
    {
        const std::lock_guard lock(mutex_);
        if (in_doubt_) return in_doubt_;
    }
    auto plan = std::make_shared<commit_plan>(client_);
    add_to(*plan, false, also);
    const std::weak_ptr<commit_plan> weak_plan = plan;
    plan->listeners.emplace_back([weak_self = weak_from_this(), weak_plan](commit_end end) {
        const auto self = weak_self.lock();
        if (!self) return;
        const std::lock_guard lock(self->mutex_);
        self->in_doubt_ = end == commit_end::unknown ? weak_plan.lock() : nullptr;
    });
    return plan;
}

void offsets_state::join(const std::shared_ptr<group_state>& group) {
    if (name_.empty())
        throw error(errc::invalid_state,
                    "a reader of stream '" + stream_.name + "' without a name cannot be in a group");
    const std::lock_guard lock(mutex_);
    if (!group_.expired())
        throw error(errc::invalid_state,
                    "the reader '" + name_ + "' of stream '" + stream_.name + "' is in a group already");
    if (in_doubt_)
        throw error(errc::invalid_state, "the reader '" + name_ + "' of stream '" + stream_.name +
                                             "' has a checkpoint of unknown outcome: call checkpoint() again first");
    group_ = group;
}

void offsets_state::leave() noexcept {
    const std::lock_guard lock(mutex_);
    group_.reset();
}

std::shared_ptr<group_state> offsets_state::group() const {
    const std::lock_guard lock(mutex_);
    return group_.lock();
}

// -- the consumer -------------------------------------------------------------------------------------------

weave::task<std::shared_ptr<consumer_state>> consumer_state::make(std::shared_ptr<client_state> client,
                                                                  std::string stream, consumer_options options) {
    std::optional<stream_info> found = co_await client->service().find_stream(stream);
    if (!found) throw stream_not_found(stream);
    reading_options reading;
    reading.policy = options.on_open;
    reading.open_wait = options.open_wait;
    reading.transactions_max = options.prefetch_transactions;
    reading.bytes_max = options.prefetch_bytes;
    check(reading);
    attachment wanted;
    wanted.consumer = options.name;
    wanted.start = std::move(options.start);
    wanted.reset = options.reset;
    wanted.partitions = std::move(options.partitions);
    const std::vector<core::attached_partition> attached = co_await attach(*client, *found, std::move(wanted));
    auto offsets =
        std::make_shared<offsets_state>(std::move(client), std::move(*found), std::move(options.name), attached);
    co_return std::make_shared<consumer_state>(std::move(offsets), reading);
}

consumer_state::consumer_state(std::shared_ptr<offsets_state> offsets, reading_options reading)
    : offsets_(std::move(offsets)), reader_(offsets_->client_owner(), offsets_->stream(), reading) {
    for (const partition_position& one : offsets_->positions()) reader_.add(one.partition, one.after);
}

stream_reader::slot* consumer_state::slot_of(std::optional<partition_number> partition) {
    if (!partition) return nullptr;
    check_partition(offsets_->stream(), *partition);
    return &reader_.slots()[offsets_->index_of(*partition)];
}

std::optional<received_transaction> consumer_state::take(stream_reader::slot* only) {
    std::shared_ptr<const received_state> found = reader_.take(only);
    if (!found) return std::nullopt;
    offsets_->set(found->partition, found->stored.id);
    return access::make<received_transaction>(std::move(found));
}

std::optional<received_transaction> consumer_state::next(std::optional<partition_number> partition,
                                                         std::chrono::milliseconds timeout) {
    client().check_open();
    if (auto ready = take(slot_of(partition))) return ready;
    return client().run(next(shared_from_this(), partition, timeout, nullptr));
}

weave::task<std::optional<received_transaction>> consumer_state::next(std::shared_ptr<consumer_state> self,
                                                                      std::optional<partition_number> partition,
                                                                      std::chrono::milliseconds timeout,
                                                                      std::shared_ptr<cancellation> cancel) {
    stream_reader::slot* const only = self->slot_of(partition);
    if (auto ready = self->take(only)) co_return ready;
    if (timeout.count() < 0) throw error(errc::invalid_argument, "next: the timeout is negative");
    const ports::steady_time deadline = self->client().home().now() + std::min(timeout, longest_wait);
    const std::uint64_t wait = self->client().new_wait();
    if (cancel) cancel->begin([weak_self = self->weak_from_this(), wait] { stop_wait_soon(weak_self.lock(), wait); });
    const bool found = co_await self->reader_.fill(deadline, only, wait, self->reader_.room(), cancel.get());
    if (!found) co_return std::nullopt;
    co_return self->take(only);
}

weave::task<std::optional<received_transaction>> consumer_state::next_unless(std::shared_ptr<consumer_state> self,
                                                                             std::optional<partition_number> partition,
                                                                             std::chrono::milliseconds timeout,
                                                                             std::shared_ptr<cancellation> cancel) {
    std::optional<received_transaction> found;
    std::exception_ptr failure;
    try {
        found = co_await next(std::move(self), partition, timeout, cancel);
    } catch (...) {
        failure = std::current_exception();
    }
    cancel->over();
    if (failure) std::rethrow_exception(failure);
    if (!found && cancel->requested()) throw error(errc::cancelled, "next: cancelled while it waited");
    co_return found;
}

weave::task<void> consumer_state::checkpoint(std::shared_ptr<consumer_state> self) {
    std::shared_ptr<commit_plan> plan = self->offsets_->plan_checkpoint("consumer::checkpoint");
    co_await commit(std::move(plan));
}

void consumer_state::set_position(partition_number partition, transaction_id after) {
    stream_reader::slot* const one = slot_of(partition);
    reader_.move_to(*one, after);
    offsets_->set(partition, after);
}

weave::task<void> consumer_state::set_position(tstreams::start to) {
    std::vector<partition_position> targets;
    if (to.what() == start::kind::stored) {
        if (offsets_->name().empty()) throw error(errc::invalid_argument, "a stored offset needs a consumer name");
        const std::vector<offset_info> stored =
            co_await client().service().list_offsets(offsets_->stream().id, offsets_->name());
        for (const offset_info& one : stored) targets.push_back({one.partition, one.position});
    } else {
        for (const partition_position& one : to.positions()) std::ignore = offsets_->index_of(one.partition);
        for (const partition_number partition : offsets_->partitions()) {
            const core::start_point point = start_point_of(to, partition);
            const transaction_id position =
                co_await client().service().resolve(offsets_->stream().id, partition, point);
            targets.push_back({partition, position});
        }
    }
    for (const partition_number partition : offsets_->partitions()) {
        const auto found = std::find_if(targets.begin(), targets.end(),
                                        [&](const partition_position& one) { return one.partition == partition; });
        if (found == targets.end())
            throw error(errc::offset_not_found, "consumer '" + offsets_->name() +
                                                    "' has no stored offset in partition " + std::to_string(partition));
    }
    for (const partition_position& one : targets)
        if (reader_.find(one.partition)) set_position(one.partition, one.after);
}

}  // namespace tstreams::detail
