#include "client/producer_state.hpp"

#include "client/group_state.hpp"
#include "client/handles.hpp"
#include "core/frames.hpp"

#include <algorithm>

namespace tstreams::detail {

namespace {

constexpr std::size_t forgotten_items_max = 65'536;
constexpr std::size_t forgotten_batch_items = 1'000;
constexpr std::size_t forgotten_batch_bytes = std::size_t{1} << 20;
constexpr std::size_t forgotten_overhead = 64;  // what a queued item costs beside its bytes

weave::task<void> nothing() {
    co_return;
}

}  // namespace

// -- making -------------------------------------------------------------------------------------------------

producer_state::producer_state(std::shared_ptr<client_state> client, stream_info stream, producer_options options)
    : client_(std::move(client)),
      stream_(std::move(stream)),
      options_(std::move(options)),
      partitions_(choose_partitions(stream_, options_.partitions)) {
    if (!options_.name.empty()) check_name("producer name", options_.name);
    if (options_.max_open.count() < 0) throw error(errc::invalid_argument, "producer_options::max_open is negative");
}

weave::task<std::shared_ptr<producer_state>> producer_state::make(std::shared_ptr<client_state> client,
                                                                  std::string stream, producer_options options) {
    std::optional<stream_info> found = co_await client->service().find_stream(stream);
    if (!found) throw stream_not_found(stream);
    auto self = std::make_shared<producer_state>(std::move(client), std::move(*found), std::move(options));
    if (!self->name().empty()) co_await self->attach();
    co_return self;
}

weave::task<void> producer_state::attach() {
    core::attach_producer_request request;
    request.session = client_->session();
    request.stream = stream_.id;
    request.producer = options_.name;
    core::attached_producer attached = co_await client_->service().attach_producer(std::move(request));
    instance_ = attached.instance;
    stored_source_ = std::move(attached.source_position);
}

// -- partitions ---------------------------------------------------------------------------------------------

partition_number producer_state::next_partition() {
    const std::lock_guard lock(mutex_);
    if (options_.partitioner) return checked_partition(options_.partitioner(partitions_));
    return partitions_[next_++ % partitions_.size()];
}

partition_number producer_state::checked_partition(partition_number wanted) const {
    check_partition(stream_, wanted);
    if (!std::binary_search(partitions_.begin(), partitions_.end(), wanted))
        throw error(errc::partition_not_found, "partition " + std::to_string(wanted) + " of stream '" + stream_.name +
                                                   "' is not one of those that this producer was limited to");
    return wanted;
}

partition_number producer_state::partition_for_key(std::string_view key) const {
    return checked_partition(static_cast<partition_number>(key_hash(key) % stream_.partitions));
}

// -- writing ------------------------------------------------------------------------------------------------

core::open_request producer_state::open_request(partition_number partition) const {
    core::open_request request;
    request.session = client_->session();
    request.stream = stream_.id;
    request.partition = partition;
    request.producer = options_.name;
    request.producer_instance = instance_;
    request.max_open = options_.max_open;
    return request;
}

weave::task<std::shared_ptr<transaction_state>> producer_state::begin(std::shared_ptr<producer_state> self,
                                                                      partition_number partition) {
    self->throw_earlier_failure();
    if (self->options_.policy != when_open::enqueue) co_await self->apply_policy(partition);
    core::open_request request = self->open_request(partition);
    const core::open_reply opened = co_await self->client_->service().open(std::move(request));
    self->client_->transaction_opened();
    auto fresh = std::make_shared<transaction_state>(self, opened);
    const std::lock_guard lock(self->mutex_);
    self->open_.emplace(std::pair(partition, opened.transaction.id), fresh);
    co_return fresh;
}

weave::task<void> producer_state::apply_policy(partition_number partition) {
    const std::vector<std::shared_ptr<transaction_state>> earlier = undecided(partition);
    if (earlier.empty()) co_return;
    switch (options_.policy) {
        case when_open::enqueue:
            co_return;
        case when_open::error:
            throw error(errc::transaction_open, "transaction " + std::to_string(earlier.front()->ref().id.value()) +
                                                    " of stream '" + stream_.name + "' partition " +
                                                    std::to_string(partition) +
                                                    " is still open: checkpoint or cancel it first");
        case when_open::cancel:
            co_await cancel(shared_from_this(), partition);
            co_return;
        case when_open::checkpoint:
            co_await checkpoint(shared_from_this(), partition);
            co_return;
        case when_open::checkpoint_async:
            break;
    }
    std::shared_ptr<commit_plan> plan = plan_checkpoint(partition);
    if (plan->empty()) co_return;
    client_->launch(commit(std::move(plan)), [self = shared_from_this()](weave::outcome_of<void> result) {
        const std::lock_guard lock(self->mutex_);
        if (result.failure()) self->earlier_failure_ = result.failure();
    });
}

void producer_state::throw_earlier_failure() {
    const std::lock_guard lock(mutex_);
    if (earlier_failure_) std::rethrow_exception(std::exchange(earlier_failure_, nullptr));
}

weave::task<transaction_id> producer_state::send(std::shared_ptr<producer_state> self, partition_number partition,
                                                 packed_items items) {
    client_state& client = *self->client_;
    self->check_free("producer::send");
    self->throw_earlier_failure();
    if (self->options_.policy != when_open::enqueue) co_await self->apply_policy(partition);
    const std::size_t charged = items.frame.size();
    if (!client.budget().try_take(charged)) co_await client.budget().take(charged, client.options().session_timeout);
    core::commit_request request;
    request.session = client.session();
    request.request = client.new_request();
    request.fresh = true;
    core::decision& decision = request.transactions.emplace_back();
    decision.open = self->open_request(partition);
    decision.items = items.items;
    decision.bytes = items.bytes;
    decision.inline_items = std::move(items.frame);
    std::optional<std::string> source;
    if (!self->name().empty()) source = self->wanted_source();
    if (source) request.sources.push_back({self->stream_.id, self->name(), self->instance_, *source});
    core::commit_reply reply;
    try {
        reply = co_await client.service().commit(std::move(request));
    } catch (...) {
        client.budget().give(charged);
        throw;
    }
    client.budget().give(charged);
    if (source) self->note_source(commit_end::applied, *source);
    co_return reply.transactions.at(0);
}

weave::task<transaction_id> producer_state::send_items(std::shared_ptr<producer_state> self, partition_number partition,
                                                       std::vector<std::string> items) {
    if (std::optional<packed_items> small = pack_inline(items))
        co_return co_await send(self, partition, std::move(*small));
    self->check_free("producer::send");
    const std::shared_ptr<transaction_state> transaction = co_await begin(self, partition);
    std::exception_ptr failure;
    try {
        for (std::string& item : items) co_await transaction_state::put(transaction, std::move(item));
        co_await transaction_state::checkpoint(transaction, std::nullopt);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return transaction->ref().id;
    transaction->abandon();
    std::rethrow_exception(failure);
}

// -- deciding -----------------------------------------------------------------------------------------------

void producer_state::begin_decisions(commit_plan& plan, std::optional<partition_number> partition) {
    std::vector<std::shared_ptr<transaction_state>> begun;
    try {
        for (const auto& one : open_states(partition))
            if (one->begin_decision()) begun.push_back(one);
    } catch (...) {
        for (const auto& one : begun) one->withdraw_decision();
        throw;
    }
    plan.transactions.insert(plan.transactions.end(), begun.begin(), begun.end());
}

std::shared_ptr<commit_plan> producer_state::plan_checkpoint(std::optional<partition_number> partition) {
    {
        const std::lock_guard lock(mutex_);
        if (in_doubt_) return in_doubt_;
    }
    check_free("producer::checkpoint");
    auto plan = std::make_shared<commit_plan>(client_);
    add_source(*plan, std::nullopt);
    begin_decisions(*plan, partition);
    const std::weak_ptr<commit_plan> weak_plan = plan;
    plan->listeners.emplace_back([weak_self = weak_from_this(), weak_plan](commit_end end) {
        const auto self = weak_self.lock();
        if (!self) return;
        const std::lock_guard lock(self->mutex_);
        self->in_doubt_ = end == commit_end::unknown ? weak_plan.lock() : nullptr;
    });
    return plan;
}

weave::task<void> producer_state::checkpoint(std::shared_ptr<producer_state> self,
                                             std::optional<partition_number> partition) {
    self->throw_earlier_failure();
    std::shared_ptr<commit_plan> plan = self->plan_checkpoint(partition);
    if (!plan->empty()) co_await commit(std::move(plan));
}

weave::task<void> producer_state::begin_checkpoint(std::optional<partition_number> partition) {
    client_->check_open();
    throw_earlier_failure();
    std::shared_ptr<commit_plan> plan = plan_checkpoint(partition);
    return plan->empty() ? nothing() : commit(std::move(plan));
}

weave::task<void> producer_state::cancel(std::shared_ptr<producer_state> self,
                                         std::optional<partition_number> partition) {
    co_await transaction_state::cancel_all(self->undecided(partition));
}

std::vector<std::shared_ptr<transaction_state>> producer_state::open_states(
    std::optional<partition_number> partition) const {
    std::vector<std::shared_ptr<transaction_state>> result;
    const std::lock_guard lock(mutex_);
    for (const auto& [place, weak] : open_)
        if (!partition || place.first == *partition)
            if (auto one = weak.lock()) result.push_back(std::move(one));
    return result;
}

std::vector<std::shared_ptr<transaction_state>> producer_state::undecided(
    std::optional<partition_number> partition) const {
    std::vector<std::shared_ptr<transaction_state>> result = open_states(partition);
    std::erase_if(result, [](const auto& one) { return !one->undecided(); });
    return result;
}

void producer_state::forget(const core::transaction_ref& which) noexcept {
    const std::lock_guard lock(mutex_);
    open_.erase({which.partition, which.id});
}

std::vector<transaction_info> producer_state::open_transactions(std::optional<partition_number> partition) const {
    std::vector<transaction_info> result;
    for (const auto& one : undecided(partition)) result.push_back(one->info());
    return result;
}

// -- source positions ---------------------------------------------------------------------------------------

std::optional<std::string> producer_state::source_position() const {
    const std::lock_guard lock(mutex_);
    return stored_source_;
}

std::optional<std::string> producer_state::wanted_source() const {
    const std::lock_guard lock(mutex_);
    return wanted_source_;
}

void producer_state::check_source(std::string_view position) const {
    if (name().empty())
        throw error(errc::invalid_state, "a source position needs a named producer (producer_options::name)");
    if (position.size() > core::source_position_bytes_max)
        throw error(errc::too_large, "a source position of " + std::to_string(position.size()) +
                                         " bytes: the limit is " + std::to_string(core::source_position_bytes_max));
}

void producer_state::set_source_position(std::string_view position) {
    check_source(position);
    const std::lock_guard lock(mutex_);
    wanted_source_ = std::string(position);
}

void producer_state::add_source(commit_plan& plan, std::optional<std::string> position) {
    if (position) {
        check_source(*position);
    } else {
        position = wanted_source();
        if (!position) return;
    }
    plan.request.sources.push_back({stream_.id, name(), instance_, *position});
    plan.listeners.emplace_back([weak_self = weak_from_this(), stored = std::move(*position)](commit_end end) {
        if (const auto self = weak_self.lock()) self->note_source(end, stored);
    });
}

void producer_state::note_source(commit_end end, const std::string& position) {
    if (end != commit_end::applied) return;
    const std::lock_guard lock(mutex_);
    stored_source_ = position;
    if (wanted_source_ == position) wanted_source_.reset();
}

// -- groups -------------------------------------------------------------------------------------------------

void producer_state::join(const std::shared_ptr<group_state>& group) {
    const std::lock_guard lock(mutex_);
    if (in_group_ && !group_.expired())
        throw error(errc::invalid_state, "the producer of stream '" + stream_.name + "' is in a group already");
    if (in_doubt_)
        throw error(errc::invalid_state, "the producer of stream '" + stream_.name +
                                             "' has a checkpoint of unknown outcome: call checkpoint() again first");
    in_group_ = true;
    group_ = group;
}

void producer_state::leave() noexcept {
    const std::lock_guard lock(mutex_);
    in_group_ = false;
    group_.reset();
}

std::shared_ptr<group_state> producer_state::group() const {
    const std::lock_guard lock(mutex_);
    return group_.lock();
}

void producer_state::check_free(const char* call) const {
    if (!group()) return;
    throw error(errc::invalid_state, std::string(call) + ": the producer of stream '" + stream_.name +
                                         "' is in a checkpoint group, whose checkpoint() decides");
}

void producer_state::transaction_lost() noexcept {
    if (const auto group = this->group()) group->poison();
}

// -- at most once -------------------------------------------------------------------------------------------

void producer_state::send_and_forget(std::string_view item) noexcept {
    const std::size_t charge = item.size() + forgotten_overhead;
    bool charged = false;
    try {
        if (client_->closing() || group() || item.size() > client_->options().item_bytes_max ||
            !client_->budget().try_take(charge)) {
            ++losses_;
            return;
        }
        charged = true;
        const std::lock_guard lock(mutex_);
        if (forgotten_.size() < forgotten_items_max) {
            forgotten_.emplace_back(item);
            charged = false;
            if (flushing_forgotten_) return;
            client_->launch(flush_forgotten(shared_from_this()), [](weave::outcome_of<void>) {});
            flushing_forgotten_ = true;
            return;
        }
        ++losses_;
    } catch (...) {
        // Out of memory, or the client is closing: then what is queued goes nowhere either.
        ++losses_;
    }
    if (charged) client_->budget().give(charge);
}

std::vector<std::string> producer_state::take_forgotten() {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    std::size_t bytes = 0;
    while (count < forgotten_.size() && count < forgotten_batch_items && bytes < forgotten_batch_bytes)
        bytes += forgotten_[count++].size();
    const auto end = forgotten_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<std::string> batch(std::make_move_iterator(forgotten_.begin()), std::make_move_iterator(end));
    forgotten_.erase(forgotten_.begin(), end);
    if (batch.empty()) flushing_forgotten_ = false;
    return batch;
}

weave::task<void> producer_state::flush_forgotten(std::shared_ptr<producer_state> self) {
    for (std::vector<std::string> batch = self->take_forgotten(); !batch.empty(); batch = self->take_forgotten()) {
        const std::size_t count = batch.size();
        std::size_t charged = 0;
        for (const std::string& item : batch) charged += item.size() + forgotten_overhead;
        self->client_->budget().give(charged);
        try {
            co_await send_items(self, self->next_partition(), std::move(batch));
        } catch (...) {
            self->losses_ += count;
        }
        // Others have their turn, however much there is to send and however fast the store takes it.
        weave::yield turn(self->client_->home());
        co_await turn;
    }
}

}  // namespace tstreams::detail
