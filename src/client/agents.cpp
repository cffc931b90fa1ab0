// The public handles of transactions, producers, consumers, subscribers, watchers and groups.
#include "client/consumer_state.hpp"
#include "client/group_state.hpp"
#include "client/handles.hpp"
#include "client/producer_state.hpp"
#include "client/subscriber_state.hpp"
#include "client/transaction_state.hpp"
#include "client/watcher_state.hpp"

#include <tstreams/checkpoint_group.hpp>
#include <tstreams/consumer.hpp>
#include <tstreams/producer.hpp>
#include <tstreams/subscriber.hpp>
#include <tstreams/transaction.hpp>
#include <tstreams/watcher.hpp>

namespace tstreams {

using detail::use;

// -- transaction --------------------------------------------------------------------------------------------

transaction::transaction(std::shared_ptr<detail::transaction_state> state) noexcept : state_(std::move(state)) {}

transaction& transaction::operator=(transaction&& other) noexcept {
    if (this != &other) {
        if (state_) state_->abandon();
        state_ = std::move(other.state_);
    }
    return *this;
}

transaction::~transaction() {
    if (state_) state_->abandon();
}

void transaction::put(bytes_view item) {
    use(*this, "transaction")->put(item);
}

void transaction::checkpoint() {
    const auto& state = use(*this, "transaction");
    state->client().run(detail::transaction_state::checkpoint(state, std::nullopt));
}

void transaction::checkpoint(std::string_view source_position) {
    const auto& state = use(*this, "transaction");
    state->client().run(detail::transaction_state::checkpoint(state, std::string(source_position)));
}

void transaction::cancel() {
    const auto& state = use(*this, "transaction");
    state->client().run(detail::transaction_state::cancel(state));
}

bool transaction::is_open() const noexcept {
    return state_ && state_->is_open();
}

transaction_id transaction::id() const {
    return use(*this, "transaction")->ref().id;
}

partition_number transaction::partition() const {
    return use(*this, "transaction")->ref().partition;
}

std::uint64_t transaction::items() const {
    return use(*this, "transaction")->items();
}

std::uint64_t transaction::bytes() const {
    return use(*this, "transaction")->bytes();
}

wall_time transaction::expires() const {
    return use(*this, "transaction")->expires();
}

// -- producer -----------------------------------------------------------------------------------------------

producer::producer(std::shared_ptr<detail::producer_state> state) noexcept : state_(std::move(state)) {}

namespace {

transaction begin_in(const std::shared_ptr<detail::producer_state>& state, partition_number partition) {
    return detail::access::make<transaction>(state->client().run(detail::producer_state::begin(state, partition)));
}

transaction_id send_to(const std::shared_ptr<detail::producer_state>& state, partition_number partition,
                       std::span<const std::string_view> items) {
    if (std::optional<detail::packed_items> small = detail::pack_inline(items))
        return state->client().run(detail::producer_state::send(state, partition, std::move(*small)));
    state->check_free("producer::send");
    transaction whole = begin_in(state, partition);
    for (const std::string_view item : items) whole.put(item);
    whole.checkpoint();
    return whole.id();
}

}  // namespace

transaction producer::begin() {
    const auto& state = use(*this, "producer");
    return begin_in(state, state->next_partition());
}

transaction producer::begin(partition_number partition) {
    const auto& state = use(*this, "producer");
    return begin_in(state, state->checked_partition(partition));
}

transaction producer::begin_for_key(std::string_view key) {
    const auto& state = use(*this, "producer");
    return begin_in(state, state->partition_for_key(key));
}

transaction_id producer::send(std::span<const std::string_view> items) {
    const auto& state = use(*this, "producer");
    return send_to(state, state->next_partition(), items);
}

transaction_id producer::send(partition_number partition, std::span<const std::string_view> items) {
    const auto& state = use(*this, "producer");
    return send_to(state, state->checked_partition(partition), items);
}

transaction_id producer::send_for_key(std::string_view key, std::span<const std::string_view> items) {
    const auto& state = use(*this, "producer");
    return send_to(state, state->partition_for_key(key), items);
}

void producer::send_and_forget(std::string_view item) noexcept {
    if (state_) state_->send_and_forget(item);
}

std::uint64_t producer::forgotten_losses() const noexcept {
    return state_ ? state_->losses() : 0;
}

std::vector<transaction_info> producer::open_transactions() const {
    return use(*this, "producer")->open_transactions(std::nullopt);
}

std::vector<transaction_info> producer::open_transactions(partition_number partition) const {
    return use(*this, "producer")->open_transactions(partition);
}

void producer::checkpoint() {
    const auto& state = use(*this, "producer");
    state->client().run(detail::producer_state::checkpoint(state, std::nullopt));
}

void producer::checkpoint(partition_number partition) {
    const auto& state = use(*this, "producer");
    state->client().run(detail::producer_state::checkpoint(state, state->checked_partition(partition)));
}

void producer::cancel() {
    const auto& state = use(*this, "producer");
    state->client().run(detail::producer_state::cancel(state, std::nullopt));
}

void producer::cancel(partition_number partition) {
    const auto& state = use(*this, "producer");
    state->client().run(detail::producer_state::cancel(state, state->checked_partition(partition)));
}

std::optional<std::string> producer::source_position() const {
    return use(*this, "producer")->source_position();
}

void producer::set_source_position(std::string_view position) {
    use(*this, "producer")->set_source_position(position);
}

const stream_info& producer::stream() const {
    return use(*this, "producer")->stream();
}

const std::string& producer::name() const {
    return use(*this, "producer")->name();
}

// -- consumer -----------------------------------------------------------------------------------------------

consumer::consumer(std::shared_ptr<detail::consumer_state> state) noexcept : state_(std::move(state)) {}

std::optional<received_transaction> consumer::next(std::chrono::milliseconds timeout) {
    return use(*this, "consumer")->next(std::nullopt, timeout);
}

std::optional<received_transaction> consumer::next(partition_number partition, std::chrono::milliseconds timeout) {
    return use(*this, "consumer")->next(partition, timeout);
}

void consumer::checkpoint() {
    const auto& state = use(*this, "consumer");
    state->client().run(detail::consumer_state::checkpoint(state));
}

std::vector<partition_position> consumer::positions() const {
    return use(*this, "consumer")->offsets().positions();
}

transaction_id consumer::position(partition_number partition) const {
    return use(*this, "consumer")->offsets().position(partition);
}

void consumer::set_position(partition_number partition, transaction_id after) {
    use(*this, "consumer")->set_position(partition, after);
}

void consumer::set_position(const tstreams::start& to) {
    const auto& state = use(*this, "consumer");
    state->client().run(state->set_position(to));
}

std::vector<blocker> consumer::blocked_by() const {
    const auto& state = use(*this, "consumer");
    return state->client().run(state->blocked_by());
}

const stream_info& consumer::stream() const {
    return use(*this, "consumer")->offsets().stream();
}

const std::string& consumer::name() const {
    return use(*this, "consumer")->offsets().name();
}

const std::vector<partition_number>& consumer::partitions() const {
    return use(*this, "consumer")->offsets().partitions();
}

// -- subscriber ---------------------------------------------------------------------------------------------

subscriber::subscriber(std::shared_ptr<detail::subscriber_state> state) noexcept : state_(std::move(state)) {}

subscriber& subscriber::operator=(subscriber&& other) noexcept {
    if (this != &other) {
        if (state_) state_->stop();
        state_ = std::move(other.state_);
    }
    return *this;
}

subscriber::~subscriber() {
    if (state_) state_->stop();
}

void subscriber::stop() {
    if (state_) state_->stop();
}

bool subscriber::running() const noexcept {
    return state_ && state_->running();
}

void subscriber::checkpoint() {
    use(*this, "subscriber")->checkpoint();
}

std::vector<partition_position> subscriber::positions() const {
    return use(*this, "subscriber")->offsets().positions();
}

std::vector<blocker> subscriber::blocked_by() const {
    const auto& state = use(*this, "subscriber");
    return state->client().run(state->blocked_by());
}

const stream_info& subscriber::stream() const {
    return use(*this, "subscriber")->offsets().stream();
}

const std::string& subscriber::name() const {
    return use(*this, "subscriber")->offsets().name();
}

// -- watcher ------------------------------------------------------------------------------------------------

watcher::watcher(std::shared_ptr<detail::watcher_state> state) noexcept : state_(std::move(state)) {}

watcher& watcher::operator=(watcher&& other) noexcept {
    if (this != &other) {
        stop();
        state_ = std::move(other.state_);
    }
    return *this;
}

watcher::~watcher() {
    stop();
}

void watcher::stop() {
    if (state_) state_->stop();
}

bool watcher::running() const noexcept {
    return state_ && state_->running();
}

const stream_info& watcher::stream() const {
    return use(*this, "watcher")->stream();
}

// -- group --------------------------------------------------------------------------------------------------

checkpoint_group::checkpoint_group(std::shared_ptr<detail::group_state> state) noexcept : state_(std::move(state)) {}

void checkpoint_group::add(producer& member) {
    use(*this, "checkpoint group")->add(use(member, "producer"));
}

void checkpoint_group::add(consumer& member) {
    use(*this, "checkpoint group")->add(use(member, "consumer")->offsets_owner());
}

void checkpoint_group::add(subscriber& member) {
    use(*this, "checkpoint group")->add(use(member, "subscriber")->offsets_owner());
}

void checkpoint_group::remove(producer& member) {
    use(*this, "checkpoint group")->remove(use(member, "producer"));
}

void checkpoint_group::remove(consumer& member) {
    use(*this, "checkpoint group")->remove(use(member, "consumer")->offsets_owner());
}

void checkpoint_group::remove(subscriber& member) {
    use(*this, "checkpoint group")->remove(use(member, "subscriber")->offsets_owner());
}

bool checkpoint_group::contains(const producer& member) const noexcept {
    return state_ && state_->contains(detail::access::state(member).get());
}

bool checkpoint_group::contains(const consumer& member) const noexcept {
    const auto& state = detail::access::state(member);
    return state_ && state && state_->contains(&state->offsets());
}

bool checkpoint_group::contains(const subscriber& member) const noexcept {
    const auto& state = detail::access::state(member);
    return state_ && state && state_->contains(&state->offsets());
}

void checkpoint_group::clear() {
    use(*this, "checkpoint group")->clear();
}

std::size_t checkpoint_group::size() const noexcept {
    return state_ ? state_->size() : 0;
}

void checkpoint_group::checkpoint() {
    const auto& state = use(*this, "checkpoint group");
    state->client().run(detail::group_state::checkpoint(state, detail::processed_inside(*state)));
}

void checkpoint_group::cancel() {
    const auto& state = use(*this, "checkpoint group");
    state->client().run(detail::group_state::cancel(state, detail::processed_inside(*state).has_value()));
}

request_id checkpoint_group::next_request() {
    return use(*this, "checkpoint group")->next_request();
}

request_id checkpoint_group::last_request() const noexcept {
    return state_ ? state_->last_request() : request_id();
}

}  // namespace tstreams
