#include "remote/followers.hpp"

#include "wire/envelope.hpp"

#include <moebius/error.hpp>
#include <tstreams/error.hpp>

#include <algorithm>
#include <iterator>

namespace tstreams::remote {

namespace {

constexpr std::uint32_t message_transactions_max = 256;
constexpr std::uint64_t message_bytes_max = 256 * 1024;
constexpr std::size_t unread_max = 16;  // messages of one source
constexpr std::chrono::seconds unused_max{30};

}  // namespace

followers::place_map::iterator followers::find(key of, transaction_id handed) {
    const auto [first, last] = places_.equal_range(of);
    const auto one = std::find_if(first, last, [&](const auto& each) { return each.second.handed == handed; });
    return one == last ? places_.end() : one;
}

std::vector<partition_number> followers::ready(const core::wait_request& request, weave::event& wake) {
    ended_.clear();
    std::vector<partition_number> found;
    std::vector<partition_position> missing;
    for (const core::wait_position& wanted : request.positions) {
        const key of{request.stream, wanted.partition};
        auto one = find(of, wanted.after);
        // Others of its source are not read, and hold it up.
        if (one != places_.end() && one->second.buffer.empty() && one->second.from->unread >= unread_max) {
            drop(one);
            one = places_.end();
        }
        if (one == places_.end()) {
            missing.push_back({wanted.partition, wanted.after});
        } else {
            one->second.used = clock_.now();
            if (!one->second.buffer.empty() || one->second.broken) found.push_back(wanted.partition);
        }
    }
    if (!found.empty()) return found;
    if (!missing.empty()) follow(request.stream, std::move(missing));
    waiters_.insert(&wake);
    return found;
}

std::optional<core::read_reply> followers::take(const core::read_request& request) {
    const key of{request.stream, request.partition};
    const auto one = find(of, request.after);
    if (one == places_.end()) return {};
    place& from = one->second;
    from.used = clock_.now();
    if (from.broken && from.buffer.empty()) {
        drop(one);
        return {};
    }
    if (from.buffer.empty()) return {};
    core::read_reply taken;
    std::size_t bytes = 0;
    std::size_t emptied = 0;
    bool full = false;
    while (!from.buffer.empty() && !full) {
        core::read_reply& front = from.buffer.front().read;
        std::size_t used = 0;
        for (core::stored_transaction& stored : front.transactions) {
            bytes += stored.inline_items.size();
            full = taken.transactions.size() >= request.transactions_max ||
                   (bytes > request.bytes_max && !taken.transactions.empty());
            if (full) break;
            taken.transactions.push_back(std::move(stored));
            ++used;
        }
        if (full) {
            front.transactions.erase(front.transactions.begin(),
                                     front.transactions.begin() + static_cast<std::ptrdiff_t>(used));
            break;
        }
        taken.blocked = std::move(front.blocked);
        taken.end = front.end;
        from.buffer.pop_front();
        ++emptied;
    }
    from.handed = taken.transactions.back().id;
    from.from->unread -= emptied;
    if (emptied != 0) from.from->items->done_with(emptied);
    return taken;
}

void followers::note_read(const core::read_request& request, const core::read_reply& reply) {
    const auto one = find(key{request.stream, request.partition}, request.after);
    if (one == places_.end() || !one->second.buffer.empty() || reply.transactions.empty()) return;
    one->second.handed = reply.transactions.back().id;
}

void followers::follow(core::stream_id stream, std::vector<partition_position> positions) {
    source& fresh = sources_.emplace_back();
    fresh.stream = stream;
    wire::follow_call call;
    call.stream = stream;
    call.transactions_max = message_transactions_max;
    call.bytes_max = message_bytes_max;
    for (const partition_position& one : positions) {
        place made;
        made.from = &fresh;
        made.handed = made.received = one.after;
        made.used = clock_.now();
        places_.emplace(key{stream, one.partition}, std::move(made));
        ++fresh.places;
    }
    call.positions = std::move(positions);
    fresh.items = open_(call, [this, &fresh](auto outcome) { heard(fresh, std::move(outcome)); });
}

void followers::heard(source& from, weave::outcome_of<std::optional<moebius::message>> outcome) {
    if (from.ended) return;
    try {
        const std::optional<moebius::message> item = outcome.get();
        if (item) return accept(from, wire::decode_reply<wire::followed>(item->text()));
    } catch (const moebius::error& failure) {
        if (failure.code() == moebius::errc::unroutable) possible_ = false;
    } catch (const error&) {
        // The reader asks, and hears of it.
    }
    ++ended_feeds_;
    end(from);
    wake_all();
}

void followers::accept(source& from, wire::followed came) {
    ++from.unread;
    const auto [first, last] = places_.equal_range(key{from.stream, came.partition});
    const auto one = std::find_if(first, last, [&](const auto& each) { return each.second.from == &from; });
    if (one == last || (!came.broken && came.read.transactions.empty())) {
        --from.unread;
        from.items->done_with(1);
        return;
    }
    place& to = one->second;
    if (came.broken || to.broken || came.previous != to.received) {
        to.broken = true;
        --from.unread;
        from.items->done_with(1);
    } else {
        to.received = came.read.transactions.back().id;
        // What the reader has got itself meanwhile.
        std::erase_if(came.read.transactions, [&](const auto& stored) { return stored.id <= to.handed; });
        if (came.read.transactions.empty()) {
            --from.unread;
            from.items->done_with(1);
            return;
        }
        to.buffer.push_back(std::move(came));
    }
    wake_all();
}

void followers::drop(place_map::iterator one) {
    source& from = *one->second.from;
    const std::size_t left = one->second.buffer.size();
    places_.erase(one);
    from.unread -= left;
    if (--from.places == 0)
        end(from);
    else if (left != 0)
        from.items->done_with(left);
}

void followers::end(source& from) {
    from.ended = true;
    std::erase_if(places_, [&](const auto& one) { return one.second.from == &from; });
    const auto one = std::find_if(sources_.begin(), sources_.end(), [&](const source& each) { return &each == &from; });
    ended_.splice(ended_.end(), sources_, one);
}

void followers::wake_all() {
    for (weave::event* one : waiters_) one->set();
}

void followers::end_unused() {
    ended_.clear();
    const ports::steady_time now = clock_.now();
    for (auto one = places_.begin(); one != places_.end();) {
        const auto next = std::next(one);
        if (now - one->second.used > unused_max) drop(one);
        one = next;
    }
}

void followers::clear() noexcept {
    ended_.clear();
    sources_.clear();
    places_.clear();
}

}  // namespace tstreams::remote
