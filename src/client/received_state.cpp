#include "client/received_state.hpp"

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
                                     source.stored.id.value());
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
        if (!load_frame()) break;
    }
    if (items_ != source_->stored.items)
        throw error(errc::corrupt, "transaction " + std::to_string(source_->stored.id.value()) + " of partition " +
                                       std::to_string(source_->partition) + " has " + std::to_string(items_) +
                                       " items where " + std::to_string(source_->stored.items) + " were written");
    return std::nullopt;
}

bool item_cursor::load_frame() {
    while (!left_.empty()) {
        const core::frame_ref frame = std::move(left_.back());
        left_.pop_back();
        frame_.clear();
        frame_ = read(frame);
        if (frame.level == 0) {
            reader_ = core::frame_reader(frame_);
            return true;
        }
        std::vector<core::frame_ref> children = core::decode_index(frame_, frame.level);
        left_.insert(left_.end(), std::make_move_iterator(children.rbegin()), std::make_move_iterator(children.rend()));
    }
    return false;
}

std::string item_cursor::read(const core::frame_ref& frame) const {
    return source_->client->run(read_frame(*source_, frame.blob));
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
