// The public handle of a client.
#include <tstreams/client.hpp>

#include "client/client_state.hpp"
#include "client/consumer_state.hpp"
#include "client/group_state.hpp"
#include "client/handles.hpp"
#include "client/producer_state.hpp"
#include "client/received_state.hpp"
#include "client/streams.hpp"
#include "client/subscriber_state.hpp"
#include "client/watcher_state.hpp"

namespace tstreams {

using detail::use;

client::client(std::shared_ptr<detail::client_state> state) noexcept : state_(std::move(state)) {}

client client::open(std::string_view uri, client_options options) {
    return client(detail::client_state::open(uri, std::move(options)));
}

void client::close() {
    if (state_) state_->close();
}

const std::string& client::uri() const {
    return use(*this, "client")->uri();
}

// -- streams ------------------------------------------------------------------------------------------------

stream_info client::create_stream(const stream_options& options) {
    const auto& state = use(*this, "client");
    return state->run(detail::create_stream(*state, options));
}

stream_info client::open_or_create(const stream_options& options) {
    const auto& state = use(*this, "client");
    return state->run(detail::open_or_create(*state, options));
}

std::optional<stream_info> client::find_stream(std::string_view name) const {
    const auto& state = use(*this, "client");
    return state->run(detail::find_stream(*state, std::string(name)));
}

stream_info client::stream(std::string_view name) const {
    const auto& state = use(*this, "client");
    return state->run(detail::get_stream(*state, std::string(name)));
}

stream_page client::list_streams(std::string_view prefix, std::string_view after, std::uint32_t limit) const {
    const auto& state = use(*this, "client");
    return state->run(detail::list_streams(*state, std::string(prefix), std::string(after), limit));
}

stream_info client::update_stream(std::string_view name, const stream_changes& changes) {
    const auto& state = use(*this, "client");
    return state->run(detail::update_stream(*state, std::string(name), changes));
}

void client::delete_stream(std::string_view name) {
    const auto& state = use(*this, "client");
    state->run(detail::delete_stream(*state, std::string(name)));
}

// -- agents -------------------------------------------------------------------------------------------------

producer client::make_producer(std::string_view stream, producer_options options) {
    const auto& state = use(*this, "client");
    return detail::access::make<producer>(
        state->run(detail::producer_state::make(state, std::string(stream), std::move(options))));
}

consumer client::make_consumer(std::string_view stream, consumer_options options) {
    const auto& state = use(*this, "client");
    return detail::access::make<consumer>(
        state->run(detail::consumer_state::make(state, std::string(stream), std::move(options))));
}

subscriber client::make_subscriber(std::string_view stream, subscriber_options options, subscriber_callback callback) {
    const auto& state = use(*this, "client");
    auto made =
        state->run(detail::subscriber_state::make(state, std::string(stream), std::move(options), std::move(callback)));
    made->start();
    return detail::access::make<subscriber>(std::move(made));
}

watcher client::watch(std::string_view stream, watch_options options, watch_callback callback) {
    const auto& state = use(*this, "client");
    return detail::access::make<watcher>(
        state->run(detail::watcher_state::make(state, std::string(stream), std::move(options), std::move(callback))));
}

checkpoint_group client::make_checkpoint_group() {
    const auto& state = use(*this, "client");
    state->check_open();
    return detail::access::make<checkpoint_group>(std::make_shared<detail::group_state>(state));
}

// -- reading ------------------------------------------------------------------------------------------------

received_transaction client::get(std::string_view stream, partition_number partition, transaction_id id) const {
    const auto& state = use(*this, "client");
    return state->run(detail::get_transaction(state, std::string(stream), partition, id));
}

std::vector<received_transaction> client::get_range(std::string_view stream, partition_number partition,
                                                    transaction_id from, transaction_id to, std::uint32_t limit) const {
    const auto& state = use(*this, "client");
    return state->run(detail::get_range(state, std::string(stream), partition, from, to, limit));
}

std::optional<received_transaction> client::last(std::string_view stream, partition_number partition) const {
    const auto& state = use(*this, "client");
    return state->run(detail::last_transaction(state, std::string(stream), partition));
}

std::vector<transaction_info> client::scan(std::string_view stream, partition_number partition, transaction_id from,
                                           transaction_id to, const std::vector<transaction_state>& states,
                                           std::uint32_t limit) const {
    const auto& state = use(*this, "client");
    return state->run(detail::scan(*state, std::string(stream), partition, from, to, states, limit));
}

transaction_state client::state(std::string_view stream, partition_number partition, transaction_id id) const {
    return get(stream, partition, id).state();
}

transaction_state client::commit_state(request_id request) const {
    const auto& state = use(*this, "client");
    return state->run(detail::commit_state(*state, request));
}

// -- administration -----------------------------------------------------------------------------------------

retention_info client::retention() const {
    const auto& state = use(*this, "client");
    return state->run(state->service().retention());
}

retention_info client::accept_clock() {
    const auto& state = use(*this, "client");
    return state->run(state->service().accept_clock());
}

void client::abort(std::string_view stream, partition_number partition, transaction_id id) {
    const auto& state = use(*this, "client");
    state->run(detail::abort(*state, std::string(stream), partition, id));
}

std::vector<offset_info> client::offsets(std::string_view stream, std::string_view consumer) const {
    const auto& state = use(*this, "client");
    return state->run(detail::offsets(*state, std::string(stream), std::string(consumer)));
}

void client::set_offset(std::string_view stream, std::string_view consumer,
                        const std::vector<partition_position>& positions, bool take_over) {
    const auto& state = use(*this, "client");
    state->run(detail::set_offset(*state, std::string(stream), std::string(consumer), positions, take_over));
}

void client::delete_offset(std::string_view stream, std::string_view consumer, bool take_over) {
    const auto& state = use(*this, "client");
    state->run(detail::delete_offset(*state, std::string(stream), std::string(consumer), take_over));
}

}  // namespace tstreams
