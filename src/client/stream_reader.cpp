#include "client/stream_reader.hpp"

#include "client/handles.hpp"

#include <weave/sync.hpp>

#include <algorithm>

namespace tstreams::detail {

namespace {

constexpr std::size_t entry_overhead = 256;  // what a transaction read ahead costs beside its inline items
constexpr std::size_t read_bytes_min = 64 * 1024;
constexpr std::chrono::milliseconds idle_pause{2};
constexpr std::chrono::milliseconds open_wait_max = std::chrono::hours(24 * 3660);

}  // namespace

void check(const reading_options& options) {
    if (options.transactions_max < 1 || options.transactions_max > 65'536)
        throw error(errc::invalid_argument,
                    "reading ahead " + std::to_string(options.transactions_max) + " transactions: use 1 to 65536");
    if (options.bytes_max < 1 || options.bytes_max > (std::size_t{1} << 30))
        throw error(errc::invalid_argument,
                    "reading ahead " + std::to_string(options.bytes_max) + " bytes: use 1 byte to 1 GiB");
    if (options.open_wait.count() < 0 || options.open_wait > open_wait_max)
        throw error(errc::invalid_argument,
                    "open_wait is " + std::to_string(options.open_wait.count()) + " ms: use 0 to 10 years");
}

// -- attaching ----------------------------------------------------------------------------------------------

core::start_point start_point_of(const tstreams::start& from, partition_number partition) {
    core::start_point point;
    switch (from.what()) {
        case start::kind::oldest:
        case start::kind::stored:
            return point;
        case start::kind::newest:
            point.kind = core::start_kind::newest;
            return point;
        case start::kind::time: {
            const std::uint64_t first = transaction_id::at(from.time()).value();
            point.kind = core::start_kind::after;
            point.after = transaction_id(first == 0 ? 0 : first - 1);
            return point;
        }
        case start::kind::id:
            point.kind = core::start_kind::after;
            point.after = from.id();
            return point;
        case start::kind::positions:
            for (const partition_position& one : from.positions())
                if (one.partition == partition) {
                    point.kind = core::start_kind::after;
                    point.after = one.after;
                }
            return point;
    }
    return point;
}

weave::task<std::vector<core::attached_partition>> attach(client_state& client, stream_info stream, attachment wanted) {
    const bool from_stored = wanted.start.what() == start::kind::stored;
    if (!wanted.consumer.empty()) check_name("consumer name", wanted.consumer);
    if (from_stored && wanted.consumer.empty())
        throw error(errc::invalid_argument, "start at a stored offset needs a consumer name");
    if (from_stored && wanted.reset)
        throw error(errc::invalid_argument, "reset and a start at the stored offset contradict each other");
    for (const partition_position& one : wanted.start.positions()) check_partition(stream, one.partition);
    core::attach_consumer_request request;
    request.session = client.session();
    request.stream = stream.id;
    request.consumer = std::move(wanted.consumer);
    request.partitions = choose_partitions(stream, std::move(wanted.partitions));
    for (const partition_number one : request.partitions) request.starts.push_back(start_point_of(wanted.start, one));
    request.reset = wanted.reset;
    request.must_exist = from_stored;
    co_return co_await client.service().attach_consumer(std::move(request));
}

// -- the buffer ---------------------------------------------------------------------------------------------

stream_reader::stream_reader(std::shared_ptr<client_state> client, stream_info stream, reading_options options)
    : client_(std::move(client)), stream_(std::move(stream)), options_(options) {}

stream_reader::~stream_reader() {
    client_->budget().give(buffered_bytes_);
}

void stream_reader::add(partition_number partition, transaction_id position) {
    slot& fresh = slots_.emplace_back();
    fresh.partition = partition;
    fresh.fetched = position;
}

stream_reader::slot* stream_reader::find(partition_number partition) noexcept {
    for (slot& one : slots_)
        if (one.partition == partition) return &one;
    return nullptr;
}

void stream_reader::move_to(slot& one, transaction_id position) {
    while (!one.buffer.empty()) take_from(one);
    one.failure = nullptr;
    one.blocker = transaction_id();
    one.fetched = position;
}

void stream_reader::push(slot& one, core::stored_transaction stored, bool skipped) {
    auto state = std::make_shared<received_state>();
    state->client = client_;
    state->stream = stream_.id;
    state->partition = one.partition;
    state->state = skipped ? tstreams::transaction_state::open : tstreams::transaction_state::checkpointed;
    state->skipped = skipped;
    const std::size_t bytes = stored.inline_items.size() + entry_overhead;
    one.fetched = stored.id;
    state->stored = std::move(stored);
    client_->budget().force_take(bytes);
    buffered_bytes_ += bytes;
    ++buffered_;
    one.buffer.push_back(std::move(state));
}

std::shared_ptr<const received_state> stream_reader::take_from(slot& one) {
    std::shared_ptr<const received_state> first = std::move(one.buffer.front());
    one.buffer.pop_front();
    const std::size_t bytes = first->stored.inline_items.size() + entry_overhead;
    client_->budget().give(bytes);
    buffered_bytes_ -= bytes;
    --buffered_;
    return first;
}

std::shared_ptr<const received_state> stream_reader::take(slot* only) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        slot& one = only ? *only : slots_[turn_++ % slots_.size()];
        if (!one.buffer.empty()) return take_from(one);
        if (one.failure) std::rethrow_exception(std::exchange(one.failure, nullptr));
        if (only) break;
    }
    return nullptr;
}

bool stream_reader::available(const slot* only) const {
    const auto has = [](const slot& one) { return !one.buffer.empty() || one.failure; };
    return only ? has(*only) : std::any_of(slots_.begin(), slots_.end(), has);
}

// -- reading ------------------------------------------------------------------------------------------------

std::vector<core::wait_position> stream_reader::wanted_positions(const slot* only) const {
    const ports::steady_time now = client_->home().now();
    std::vector<core::wait_position> positions;
    for (const slot& one : slots_) {
        if (!one.active || (only && only != &one)) continue;
        core::wait_position& wanted = positions.emplace_back();
        wanted.partition = one.partition;
        wanted.after = one.fetched;
        wanted.skip_open = passes();
        if (stands(one) && now < passes_at(one)) wanted.held_by = one.blocker;
    }
    return positions;
}

void stream_reader::accept(slot& one, core::read_reply reply) {
    const ports::steady_time now = client_->home().now();
    auto skipped = reply.skipped.begin();
    // Open ones at the very end hold back nothing and are not passed.
    for (core::stored_transaction& stored : reply.transactions) {
        for (; skipped != reply.skipped.end() && *skipped < stored.id; ++skipped) {
            if (one.blocker != *skipped) {
                one.blocker = *skipped;
                one.blocked_since = now;
            }
            if (now < passes_at(one)) return;  // the rest is read again when its time has come
            core::stored_transaction passed;
            passed.id = *skipped;
            push(one, std::move(passed), true);
        }
        push(one, std::move(stored), false);
        one.blocker = transaction_id();
    }
}

weave::task<void> stream_reader::read_into(slot* one, std::uint32_t transactions_max, std::size_t bytes_max) {
    core::read_request request;
    request.stream = stream_.id;
    request.partition = one->partition;
    request.after = one->fetched;
    request.transactions_max = transactions_max;
    request.bytes_max = bytes_max;
    request.skip_open = passes();
    try {
        core::read_reply reply = co_await client_->service().read(std::move(request));
        accept(*one, std::move(reply));
    } catch (...) {
        one->failure = std::current_exception();
    }
}

weave::task<void> stream_reader::pause(std::chrono::milliseconds time) {
    weave::event over(client_->home());
    std::function<void()> ring = [&over] { over.set(); };
    client_->home().call_at(client_->home().now() + time, std::move(ring));
    co_await over.wait();
}

reading_room stream_reader::room() const noexcept {
    reading_room left;
    left.transactions = options_.transactions_max - std::min<std::size_t>(buffered_, options_.transactions_max);
    left.bytes = options_.bytes_max - std::min(buffered_bytes_, options_.bytes_max);
    return left;
}

// Shares the room among the partitions; each gets one transaction at least.
weave::task<void> stream_reader::read_some(std::vector<partition_number> readable, reading_room room) {
    const std::size_t share = readable.size();
    const auto transactions = static_cast<std::uint32_t>(std::max<std::size_t>(1, room.transactions / share));
    const std::size_t bytes = std::min(room.bytes, client_->budget().available()) / share;
    for (const partition_number partition : readable) {
        co_await read_into(find(partition), transactions, std::max(bytes, read_bytes_min));
    }
}

weave::task<bool> stream_reader::fill(ports::steady_time deadline, slot* only, std::uint64_t wait, reading_room room,
                                      const cancellation* cancel) {
    while (!available(only)) {
        if (cancel && cancel->requested()) co_return false;
        core::wait_request request;
        request.wait = wait;
        request.stream = stream_.id;
        request.positions = wanted_positions(only);
        request.until = deadline;
        for (const core::wait_position& one : request.positions) {
            if (one.held_by != transaction_id())
                request.until = std::min(request.until, passes_at(*find(one.partition)));
        }
        const std::vector<core::wait_position> wanted = request.positions;
        std::vector<partition_number> readable = co_await client_->wait_readable(std::move(request));
        const ports::steady_time now = client_->home().now();
        for (const core::wait_position& one : wanted) {
            const bool passing = one.held_by != transaction_id() && now >= passes_at(*find(one.partition));
            if (passing && std::find(readable.begin(), readable.end(), one.partition) == readable.end())
                readable.push_back(one.partition);
        }
        const bool some = !readable.empty();
        if (some) co_await read_some(std::move(readable), room);
        if (available(only)) break;
        if (now >= deadline) co_return false;
        // What is being decided at this moment is not there yet.
        if (some) co_await pause(idle_pause);
        if (wanted_positions(only).empty()) co_return false;
    }
    co_return true;
}

weave::task<std::vector<blocker>> stream_reader::blocked_by() {
    std::vector<blocker> result;
    for (const slot& one : slots_) {
        if (!one.buffer.empty()) continue;
        core::read_request request;
        request.stream = stream_.id;
        request.partition = one.partition;
        request.after = one.fetched;
        request.transactions_max = 1;
        const core::read_reply reply = co_await client_->service().read(std::move(request));
        if (reply.transactions.empty() && reply.blocked && reply.blocked->id > one.fetched)
            result.push_back(*reply.blocked);
    }
    co_return result;
}

}  // namespace tstreams::detail
