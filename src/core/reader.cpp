#include "core/reader.hpp"

#include <tstreams/error.hpp>

#include <algorithm>

namespace tstreams::core {
namespace {

constexpr transaction_id highest_id(~std::uint64_t{0});
constexpr std::uint32_t rows_max = 65'536;

std::string place_of(const partition& part) {
    return "partition " + std::to_string(part.key.partition) + " of stream '" + part.stream->info.name + "'";
}

// A wait has a name as long as it lasts.
class named_wait {
public:
    using table = std::map<std::pair<session_id, std::uint64_t>, std::shared_ptr<read_waiter>>;
    named_wait(table& waits, const table::key_type& name, std::shared_ptr<read_waiter> waiter)
        : waits_(waits), name_(name) {
        waits_.insert_or_assign(name_, std::move(waiter));
    }
    named_wait(const named_wait&) = delete;
    named_wait& operator=(const named_wait&) = delete;
    ~named_wait() { waits_.erase(name_); }

private:
    table& waits_;
    const table::key_type name_;
};

transaction_info describe(const partition_key& key, const stored_transaction& stored) {
    transaction_info info;
    info.partition = key.partition;
    info.id = stored.id;
    info.state = transaction_state::checkpointed;
    info.items = stored.items;
    info.bytes = stored.bytes;
    info.expires = stored.expires;
    return info;
}

transaction_info describe(const open_transaction& open) {
    transaction_info info;
    info.partition = open.ref.partition;
    info.id = open.ref.id;
    info.state = transaction_state::open;
    info.expires = open.expires;
    info.client = *open.client;
    return info;
}

}  // namespace

reader::view reader::take_view(const partition& part, bool skip_open) const {
    view taken;
    taken.limit = highest_id;
    if (!skip_open) {
        taken.limit = part.first_undecided();
        return taken;
    }
    for (const auto& [id, transaction] : part.undecided) taken.skips.push_back(id);
    return taken;
}

void reader::check_position(const partition& part, transaction_id position) const {
    if (position >= part.head.last_removed && position >= part.expired_through) return;
    const transaction_id live = std::max(part.head.last_removed, part.expired_through);
    throw position_expired_error(place_of(part) + ": transactions behind position " + std::to_string(position.value()) +
                                     " have expired; go on from " + std::to_string(live.value()),
                                 part.key.partition, live.value());
}

// Rows behind `position` and before `limit`, of as many segments as it takes to have one.
weave::task<std::vector<ports::row>> reader::rows_behind(std::shared_ptr<partition> part, transaction_id position,
                                                         transaction_id limit, std::uint32_t count,
                                                         std::size_t bytes_max) {
    std::uint32_t segment = co_await parts_.segment_behind(part, position);
    for (;; ++segment) {
        ports::scan_range range;
        range.shard = keys::segment_shard(part->key, segment);
        range.from = keys::transaction_row(transaction_id(position.value() + 1));
        range.to = limit == highest_id ? keys::behind_prefix("t") : keys::transaction_row(limit);
        range.limit = std::min(count, rows_max);
        range.bytes_max = bytes_max;
        std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        if (!rows.empty() || segment >= part->head.tail) co_return rows;
    }
}

weave::task<read_reply> reader::read(read_request request) {
    const partition_key key{request.stream, request.partition};
    std::shared_ptr<partition> part = parts_.loaded(key);
    if (!part) part = co_await parts_.load(key);
    check_position(*part, request.after);
    const view seen = take_view(*part, request.skip_open);
    read_reply reply;
    if (!part->readable_behind(request.after, request.skip_open) && seen.skips.empty()) {
        reply.blocked = part->blocked_by();
        reply.end = true;
        co_return reply;
    }
    const transaction_id known_end = request.skip_open ? part->last_checkpointed() : part->visible_end();
    // What is opened and checkpointed from here on, by this owner or a newer one, may overtake one that is open.
    transaction_id limit = std::min(seen.limit, transaction_id(known_end.value() + 1));
    if (request.up_to != highest_id) limit = std::min(limit, transaction_id(request.up_to.value() + 1));
    const std::uint32_t count = std::clamp(request.transactions_max, 1u, rows_max);
    std::vector<ports::row> rows = co_await rows_behind(part, request.after, limit, count, request.bytes_max);
    const wall_time now = world_.expiry_now();
    transaction_id last = request.after;
    auto skip = std::upper_bound(seen.skips.begin(), seen.skips.end(), request.after);
    for (ports::row& one : rows) {
        const transaction_id id = keys::id_of(one.key);
        for (; skip != seen.skips.end() && *skip <= id; ++skip) reply.skipped.push_back(*skip);
        if (!reply.skipped.empty() && reply.skipped.back() == id) continue;  // it is being decided now
        transaction_row row = decode<transaction_row>(one.value);
        if (row.state != transaction_row::kind::checkpointed) continue;
        if (row.expires <= now) {
            co_await advance_expired(part);
            check_position(*part, request.after);
        }
        last = id;
        ++world_.counted.transactions_out;
        world_.counted.items_out += row.items;
        world_.counted.bytes_out += row.bytes;
        reply.transactions.push_back(to_stored(id, std::move(row)));
    }
    // Retention, or the end of the stream, may have removed rows while this waited: then the reply would have a hole.
    if (part->stream->deleted) throw error(errc::stream_deleted, place_of(*part) + ": the stream has been deleted");
    check_position(*part, request.after);
    reply.end = last >= known_end || rows.empty();
    if (reply.end) {
        for (; skip != seen.skips.end() && *skip <= request.up_to; ++skip) reply.skipped.push_back(*skip);
        reply.blocked = request.skip_open ? std::nullopt : part->blocked_by();
    }
    co_return reply;
}

weave::task<void> reader::advance_expired(std::shared_ptr<partition> part) {
    const wall_time now = world_.expiry_now();
    for (;;) {
        const transaction_id from = std::max(part->expired_through, part->head.last_removed);
        const std::vector<ports::row> rows =
            co_await rows_behind(part, from, part->first_undecided(), 256, std::size_t{1} << 20);
        bool alive = rows.empty();
        for (const ports::row& one : rows) {
            const transaction_row row = decode<transaction_row>(one.value);
            if (row.expires > now || row.state != transaction_row::kind::checkpointed) {
                alive = true;
                break;
            }
            part->expired_through = std::max(part->expired_through, keys::id_of(one.key));
        }
        if (alive) co_return;
    }
}

weave::task<std::vector<partition_number>> reader::wait_readable(wait_request request) {
    // It can be cancelled from here on, also while partitions are loaded.
    const auto waiter = std::make_shared<read_waiter>(world_.executor);
    const named_wait named(waits_, {request.session, request.wait}, waiter);
    std::vector<std::shared_ptr<partition>> parts;
    for (const wait_position& one : request.positions) {
        const partition_key key{request.stream, one.partition};
        std::shared_ptr<partition> part = parts_.loaded(key);
        if (!part) part = co_await parts_.load(key);
        parts.push_back(std::move(part));
    }
    std::vector<partition_number> ready = readable_now(request, parts);
    if (ready.empty() && world_.clock.now() < request.until && !world_.stopping) {
        for (std::size_t i = 0; i < parts.size(); ++i) parts[i]->add_waiter(waiter.get(), request.positions[i]);
        const ports::clock::timer timer = world_.clock.call_at(request.until, [waiter] { waiter->ready.set(); });
        co_await waiter->ready.wait();
        world_.clock.cancel(timer);
        for (const std::shared_ptr<partition>& part : parts) part->remove_waiter(waiter.get());
        ready = readable_now(request, parts);
    }
    co_return ready;
}

std::vector<partition_number> reader::readable_now(const wait_request& request,
                                                   const std::vector<std::shared_ptr<partition>>& parts) {
    std::vector<partition_number> ready;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i]->answers(request.positions[i])) ready.push_back(request.positions[i].partition);
    }
    return ready;
}

void reader::cancel_wait(session_id session, std::uint64_t wait) {
    const auto found = waits_.find({session, wait});
    if (found != waits_.end()) found->second->ready.set();
}

void reader::cancel_waits(session_id session) {
    const auto from = waits_.lower_bound({session, 0});
    for (auto one = from; one != waits_.end() && one->first.first == session; ++one) one->second->ready.set();
}

void reader::stop() {
    for (const auto& [name, waiter] : waits_) waiter->ready.set();
}

weave::task<transaction_id> reader::resolve(partition_key key, start_point start) {
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    switch (start.kind) {
        case start_kind::after:
            co_return start.after;
        case start_kind::newest:
            // Before the oldest undecided one: whatever becomes readable from now on is delivered.
            co_return part->undecided.empty() ? part->last_id : transaction_id(part->first_undecided().value() - 1);
        case start_kind::oldest:
            break;
    }
    co_await advance_expired(part);
    co_return std::max(part->expired_through, part->head.last_removed);
}

weave::task<std::optional<stored_transaction>> reader::last(partition_key key) {
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    const transaction_id end = part->visible_end();
    if (end == transaction_id(0)) co_return std::nullopt;
    const std::vector<ports::row> rows =
        co_await rows_behind(part, transaction_id(end.value() - 1), transaction_id(end.value() + 1), 1, 0);
    if (rows.empty()) co_return std::nullopt;
    transaction_row row = decode<transaction_row>(rows.front().value);
    if (row.expires <= world_.expiry_now()) co_return std::nullopt;
    co_return to_stored(end, std::move(row));
}

weave::task<service::found_transaction> reader::find(partition_key key, transaction_id id) {
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    service::found_transaction found;
    found.info.partition = key.partition;
    found.info.id = id;
    found.info.state = transaction_state::not_checkpointed;
    if (const auto open = part->undecided.find(id); open != part->undecided.end()) {
        found.info = describe(*open->second);
        co_return found;
    }
    if (!world_.exclusive) {
        const weave::mutex::guard gate = co_await part->gate.lock();
        co_await parts_.confirm(part);
    }
    if (id.value() == 0 || id > part->last_id) co_return found;
    if (id <= part->head.last_removed) {
        found.info.state = transaction_state::gone;
        co_return found;
    }
    const std::uint32_t segment = co_await parts_.segment_behind(part, transaction_id(id.value() - 1));
    const std::optional<ports::bytes> value =
        co_await world_.rows.get(keys::segment_shard(key, segment), keys::transaction_row(id));
    if (!value) {
        // It may have been removed while this waited.
        if (part->stream->deleted) throw error(errc::stream_deleted, place_of(*part) + ": the stream has been deleted");
        if (id <= part->head.last_removed) found.info.state = transaction_state::gone;
        co_return found;
    }
    transaction_row row = decode<transaction_row>(*value);
    if (row.state == transaction_row::kind::prepared) {
        found.info.state = transaction_state::open;
        co_return found;
    }
    if (row.expires <= world_.expiry_now()) {
        found.info.state = transaction_state::gone;
        co_return found;
    }
    stored_transaction stored = to_stored(id, std::move(row));
    found.info = describe(key, stored);
    found.stored = std::move(stored);
    co_return found;
}

weave::task<std::vector<transaction_info>> reader::scan(scan_request request) {
    const partition_key key{request.stream, request.partition};
    const std::shared_ptr<partition> part = co_await parts_.load(key);
    const std::uint32_t limit = std::clamp(request.limit, 1u, rows_max);
    std::vector<transaction_info> found;
    const auto undecided = part->undecided;
    if (request.open) {
        for (auto one = undecided.lower_bound(request.from); one != undecided.end() && one->first <= request.to; ++one)
            found.push_back(describe(*one->second));
    }
    const wall_time now = world_.expiry_now();
    transaction_id position = transaction_id(request.from.value() == 0 ? 0 : request.from.value() - 1);
    position = std::max(position, part->head.last_removed);
    const transaction_id behind = request.to == highest_id ? highest_id : transaction_id(request.to.value() + 1);
    std::uint32_t taken = 0;
    while (request.checkpointed && taken < limit) {
        const std::vector<ports::row> rows =
            co_await rows_behind(part, position, behind, std::min(limit - taken, 1024u), std::size_t{4} << 20);
        if (rows.empty()) break;
        for (const ports::row& one : rows) {
            position = keys::id_of(one.key);
            transaction_row row = decode<transaction_row>(one.value);
            if (row.expires <= now || undecided.contains(position)) continue;
            if (row.state != transaction_row::kind::checkpointed) continue;
            found.push_back(describe(key, to_stored(position, std::move(row))));
            ++taken;
        }
    }
    std::sort(found.begin(), found.end(),
              [](const transaction_info& one, const transaction_info& other) { return one.id < other.id; });
    if (found.size() > limit) found.resize(limit);
    co_return found;
}

}  // namespace tstreams::core
