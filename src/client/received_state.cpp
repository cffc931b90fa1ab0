#include "client/received_state.hpp"

#include <tstreams/detail/access.hpp>

namespace tstreams::detail {

namespace {

// Why a frame is not there: the transaction may have gone since it was read.
weave::task<std::string> read_frame(const received_state& source, ports::blob_ref blob) {
    std::exception_ptr failure;
    try {
        co_return co_await source.client->service().read_frame(std::move(blob));
    } catch (const error& refused) {
        if (refused.code() != errc::corrupt) throw;
        failure = std::current_exception();
    }
    const auto found =
        co_await source.client->service().find_transaction(source.stream, source.partition, source.stored.id);
    if (found.info.state == tstreams::transaction_state::gone)
        throw position_expired_error("transaction " + std::to_string(source.stored.id.value()) + " of partition " +
                                         std::to_string(source.partition) +
                                         " was removed by retention while its items were read",
                                     source.partition, source.stored.id.value());
    std::rethrow_exception(failure);
}

}  // namespace

item_cursor::item_cursor(std::shared_ptr<const received_state> source)
    : source_(std::move(source)),
      left_(source_->stored.frames.rbegin(), source_->stored.frames.rend()),
      reader_(source_->stored.inline_items) {}

std::optional<bytes_view> item_cursor::next() {
    for (;;) {
        if (const std::optional<bytes_view> found = reader_.next()) {
            ++items_;
            return found;
        }
        if (left_.empty() || !source_->client->run(load_frame())) break;
    }
    check_end();
    return std::nullopt;
}

weave::task<std::vector<item>> item_cursor::next_items(std::shared_ptr<item_cursor> self) {
    std::vector<item> found;
    for (;;) {
        while (const std::optional<bytes_view> one = self->reader_.next()) found.emplace_back(*one);
        self->items_ += found.size();
        if (!found.empty() || self->left_.empty() || !co_await self->load_frame()) break;
    }
    if (found.empty()) self->check_end();
    co_return found;
}

void item_cursor::check_end() const {
    if (items_ == source_->stored.items) return;
    throw error(errc::corrupt, "transaction " + std::to_string(source_->stored.id.value()) + " of partition " +
                                   std::to_string(source_->partition) + " has " + std::to_string(items_) +
                                   " items where " + std::to_string(source_->stored.items) + " were written");
}

weave::task<bool> item_cursor::load_frame() {
    while (!left_.empty()) {
        core::frame_ref frame = std::move(left_.back());
        left_.pop_back();
        frame_.clear();
        const std::uint8_t level = frame.level;
        frame_ = co_await read_frame(*source_, std::move(frame.blob));
        if (level == 0) {
            reader_ = core::frame_reader(frame_);
            co_return true;
        }
        std::vector<core::frame_ref> children = core::decode_index(frame_, level);
        left_.insert(left_.end(), std::make_move_iterator(children.rbegin()), std::make_move_iterator(children.rend()));
    }
    co_return false;
}

}  // namespace tstreams::detail

namespace tstreams {

received_transaction::received_transaction(std::shared_ptr<const detail::received_state> state) noexcept
    : state_(std::move(state)) {}

received_transaction::iterator::iterator(std::shared_ptr<detail::item_cursor> cursor) : cursor_(std::move(cursor)) {
    ++*this;
}

received_transaction::iterator& received_transaction::iterator::operator++() {
    // At its end first: so it stays there when reading throws.
    const std::shared_ptr<detail::item_cursor> cursor = std::exchange(cursor_, nullptr);
    current_ = item();
    if (!cursor) return *this;
    if (const std::optional<bytes_view> found = cursor->next()) {
        current_ = item(*found);
        cursor_ = cursor;
    }
    return *this;
}

received_transaction::iterator received_transaction::begin() const {
    if (!state_ || state_->state != transaction_state::checkpointed || state_->skipped) return {};
    return iterator(std::make_shared<detail::item_cursor>(state_));
}

item_reader::item_reader(const received_transaction& of) {
    const auto& state = detail::access::state(of);
    if (!state) throw error(errc::invalid_state, "item_reader: the transaction is empty");
    state_ = std::make_shared<detail::item_cursor>(state);
}

transaction_id received_transaction::id() const noexcept {
    return state_ ? state_->stored.id : transaction_id();
}

partition_number received_transaction::partition() const noexcept {
    return state_ ? state_->partition : 0;
}

wall_time received_transaction::expires() const noexcept {
    return state_ ? state_->stored.expires : wall_time();
}

std::uint64_t received_transaction::size() const noexcept {
    return state_ ? state_->stored.items : 0;
}

std::uint64_t received_transaction::bytes() const noexcept {
    return state_ ? state_->stored.bytes : 0;
}

transaction_state received_transaction::state() const noexcept {
    return state_ ? state_->state : transaction_state::gone;
}

bool received_transaction::skipped() const noexcept {
    return state_ && state_->skipped;
}

}  // namespace tstreams
