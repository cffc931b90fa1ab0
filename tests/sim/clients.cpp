// Clients: routing, and writing.
#include "sim/clients.hpp"

#include "core/frames.hpp"

#include <algorithm>

namespace tstreams::sim {
namespace {

// The items say whose they are, so that a missing or foreign one shows.
std::string pack(const std::string& payload, int from, int to) {
    std::string frame;
    for (int item = from; item < to; ++item) {
        const std::string text = payload + "#" + std::to_string(item);
        core::pack_item(frame, as_bytes(text));
    }
    return frame;
}

}  // namespace

bool passing(errc code) {
    switch (code) {
        case errc::unavailable:
        case errc::not_owner:
        case errc::shutting_down:
        case errc::session_ended:  // says nothing of earlier tries
        case errc::overloaded:
        case errc::timed_out:
        case errc::outcome_unknown:
        case errc::storage_failed:  // until somebody opens it again
        case errc::invalid_state:   // being decided, by the same request asked before
            return true;
        default:
            return false;
    }
}

bool ends_session(errc code) {
    return code == errc::shutting_down || code == errc::session_ended;
}

std::string show(const partition_key& key, transaction_id id) {
    return std::to_string(key.stream % 1000) + "/" + std::to_string(key.partition) + "/" + std::to_string(id.value());
}

client::client(cluster& world, scene& shared, std::size_t number)
    : world_(world),
      shared_(shared),
      name_("client" + std::to_string(number)),
      node_(world.simulation.add_node(world.choices.up_to(4s) - 2s)),
      first_session_(number + 1) {}

partition_key client::input(std::uint64_t partition) const {
    return {shared_.input.id, static_cast<partition_number>(partition)};
}
partition_key client::output(std::uint64_t partition) const {
    return {shared_.output.id, static_cast<partition_number>(partition)};
}
std::string client::next_payload() {
    return name_ + "-" + std::to_string(++payloads_);
}
request_id client::next_request(bool answer_kept) {
    const std::uint64_t high = node_.clock().random();
    // One that agrees with the broker's to within the hour.
    const wall_time now = world_.exclusive() ? world_.at(0)->clock.wall_now() : node_.clock().wall_now();
    return core::make_request_id(now, answer_kept, high, node_.clock().random());
}
partition_key client::somewhere() {
    if (shared_.brief && world_.chance(0.4)) return {shared_.brief->id, static_cast<partition_number>(world_.below(2))};
    return input(world_.below(2));
}

weave::task<void> client::rest(std::chrono::microseconds time) {
    const auto part = world_.choices.up_to(time);
    co_await world_.pause(node_, part + 1ms);
}

// ---- routing

host_ptr client::owner_of(const partition_key& key) {
    const auto [route, fresh] = routes_.try_emplace(key, 0);
    if (fresh || world_.chance(0.1)) route->second = world_.below(world_.addresses());
    return world_.at(route->second);
}

void client::learn(const partition_key& key, const error& failure) {
    const bool elsewhere =
        failure.code() == errc::not_owner || (failure.code() == errc::timed_out && world_.chance(0.5));
    if (elsewhere) routes_[key] = (routes_[key] + 1) % world_.addresses();
}

weave::task<core::session_id> client::session_at(host_ptr there) {
    const auto found = sessions_.find(there.get());
    if (found != sessions_.end()) co_return found->second;
    std::function<weave::task<core::session_id>(core::broker&)> work = [who = name_](core::broker& broker) {
        return broker.open_session(who, 4s);
    };
    const core::session_id session = co_await world_.ask<core::session_id>(node_, there, std::move(work));
    co_return sessions_.try_emplace(there.get(), session).first->second;
}

weave::task<void> client::keep_alive() {
    while (!world_.healed() || shared_.producers_at_work != 0) {
        co_await rest(1s);
        if (!world_.healed() && world_.chance(0.03)) {
            ++world_.counted.silences;
            log("falls silent");
            co_await world_.pause(node_, 7s);
        }
        for (std::size_t address = 0; address < world_.addresses(); ++address) {
            const host_ptr there = world_.at(address);
            const auto found = sessions_.find(there.get());
            if (found == sessions_.end()) continue;
            std::function<weave::task<void>(core::broker&)> work = [session = found->second](core::broker& broker) {
                return broker.heartbeat(session);
            };
            try {
                co_await world_.ask<void>(node_, there, std::move(work));
            } catch (const error& failure) {
                if (ends_session(failure.code())) sessions_.erase(there.get());
            }
        }
    }
}

// ---- writing

weave::task<std::optional<client::held>> client::open(partition_key where, std::string payload,
                                                      std::optional<feeding> by) {
    held made;
    if (by) {
        made.producer = by->producer;
        made.instance = by->instance;
    }
    made.payload = std::move(payload);
    made.owner = owner_of(where);
    made.asked = world_.now();
    try {
        made.session = co_await session_at(made.owner);
        core::open_request request;
        request.session = made.session;
        request.stream = where.stream;
        request.partition = where.partition;
        request.producer = made.producer;
        if (by) request.producer_instance = instance_of(*by);
        std::function<weave::task<core::open_reply>(core::broker&)> work = [request](core::broker& broker) {
            return broker.open(request);
        };
        const core::open_reply reply = co_await world_.ask<core::open_reply>(node_, made.owner, std::move(work));
        made.ref = reply.transaction;
    } catch (const error& failure) {
        learn(where, failure);
        if (ends_session(failure.code())) sessions_.erase(made.owner.get());
        co_return std::nullopt;
    }
    ++world_.counted.opens;
    shared_.seen.opens.push_back({where, made.ref.id, made.asked, world_.now()});
    log("opened " + show(where, made.ref.id) + " at " + made.owner->name + " for " + made.payload);
    if (world_.chance(0.3)) {
        const bool written = co_await write_frames(made);
        if (!written) {
            co_await cancel(std::move(made));
            co_return std::nullopt;
        }
    }
    co_return made;
}

// One frame for each half of the items. A frame whose answer is lost is not sent again: it could be there twice.
weave::task<bool> client::write_frames(held& transaction) {
    for (int half = 0; half < 2; ++half) {
        const auto frame = std::make_shared<const std::string>(
            pack(transaction.payload, half * items_per_transaction / 2, (half + 1) * items_per_transaction / 2));
        std::function<weave::task<void>(core::broker&)> work = [frame, session = transaction.session,
                                                                ref = transaction.ref](core::broker& broker) {
            const bytes_view data = as_bytes(*frame);
            return broker.write(session, ref, data, core::crc32c(data));
        };
        try {
            co_await world_.ask<void>(node_, transaction.owner, work);
        } catch (const error&) {
            co_return false;
        }
    }
    transaction.framed = true;
    co_return true;
}

weave::task<void> client::cancel(held transaction) {
    const partition_key where{transaction.ref.stream, transaction.ref.partition};
    for (int tries = 0; tries < 5; ++tries) {
        std::vector<core::transaction_ref> refs;
        refs.push_back(transaction.ref);
        request_of<void> work = [refs](core::broker& broker, core::session_id session) {
            return broker.cancel(session, refs);
        };
        try {
            co_await ask<void>(where, std::move(work));
            ++world_.counted.cancels;
            shared_.seen.cancellations.push_back({where, transaction.ref.id});
            log("cancelled " + show(where, transaction.ref.id));
            co_return;
        } catch (const error& failure) {
            if (!passing(failure.code())) co_return;
        }
        co_await rest(300ms);
    }
}

core::decision client::decide(const held& transaction) const {
    core::decision made;
    made.transaction = transaction.ref;
    if (transaction.ref.id == transaction_id(0)) {
        made.open.stream = transaction.ref.stream;
        made.open.partition = transaction.ref.partition;
        made.open.producer = transaction.producer;
        made.open.producer_instance = transaction.instance;
        const auto newest = shared_.newest_producers.find(transaction.producer);
        if (world_.mistakes.any_producer && newest != shared_.newest_producers.end())
            made.open.producer_instance = newest->second;
    }
    made.session = transaction.session;
    made.items = items_per_transaction;
    made.bytes = transaction.payload.size() * items_per_transaction;
    if (transaction.framed) {
        made.frames = 2;
    } else {
        made.inline_items = pack(transaction.payload, 0, items_per_transaction);
    }
    return made;
}

weave::task<client::verdict> client::commit(std::vector<held> transactions, std::optional<consuming> offset,
                                            std::optional<feeding> source) {
    core::commit_request request;
    // A position alone has no row but its own, which a later one replaces.
    request.request = next_request(source && transactions.empty());
    checkpoint record;
    for (const held& one : transactions) {
        request.transactions.push_back(decide(one));
        const partition_key where{one.ref.stream, one.ref.partition};
        record.transactions.push_back({where, one.ref.id, one.payload, one.copies, one.ingested});
        if (!one.producer.empty() && !source) record.sources.push_back({where.stream, one.producer, one.instance, 0});
    }
    partition_key first;
    if (!transactions.empty()) first = record.transactions.front().where;
    if (offset) {
        core::offset_update update;
        update.stream = offset->where.stream;
        update.partition = offset->where.partition;
        update.consumer = offset->consumer;
        update.instance = offset->instance;
        if (world_.mistakes.any_instance) update.instance = shared_.newest_instances[{offset->where, offset->consumer}];
        update.position = offset->position;
        // A group is found again by its row, however late it is repeated; an offset alone only while it is the last.
        if (transactions.empty() || world_.chance(0.5)) update.expected = offset->before;
        request.offsets.push_back(update);
        record.offsets.push_back({offset->where, offset->consumer, offset->instance, offset->position});
        first = offset->where;
    }
    if (source) {
        core::source_update update;
        update.stream = source->stream;
        update.producer = source->producer;
        update.instance = instance_of(*source);
        update.position = std::to_string(source->position);
        request.sources.push_back(std::move(update));
        record.sources.push_back({source->stream, source->producer, source->instance, source->position});
        ++world_.counted.sources;
    }
    record.asked = world_.now();
    shared_.seen.checkpoints.push_back(std::move(record));
    co_return co_await settle(std::move(request), first, shared_.seen.checkpoints.size() - 1);
}

weave::task<client::verdict> client::commit_in_one_step(partition_key where) {
    held made;
    made.ref.stream = where.stream;
    made.ref.partition = where.partition;
    made.payload = next_payload();
    core::commit_request request;
    // One broker knows again what it opened and checkpointed in one step where the answer is kept, in either way.
    const bool numbered = world_.exclusive() && world_.chance(0.5);
    request.request = next_request(world_.exclusive() && !numbered);
    if (numbered) request.first_asked = {first_session_, ++numbers_};
    request.transactions.push_back(decide(made));
    checkpoint record;
    record.transactions.push_back({where, transaction_id(), made.payload, {}, {}});
    record.asked = world_.now();
    shared_.seen.checkpoints.push_back(std::move(record));
    co_return co_await settle(std::move(request), where, shared_.seen.checkpoints.size() - 1);
}

void client::note_done(std::size_t record, const core::commit_reply& reply) {
    checkpoint& seen = shared_.seen.checkpoints.at(record);
    if (!seen.done && !seen.refused) seen.answered = world_.now();
    seen.done = true;
    for (std::size_t i = 0; i < seen.transactions.size(); ++i) {
        member& one = seen.transactions.at(i);
        const transaction_id said = i < reply.transactions.size() ? reply.transactions[i] : transaction_id();
        if (one.id == transaction_id(0)) one.id = said;
        // An answer about something else is as good as a refusal.
        if (one.id != said) seen.refused = true;
    }
}

namespace {

// Only the first broker that is asked hears that the request is fresh.
auto first_fresh(core::commit_request request, std::shared_ptr<bool> fresh, const planted& mistakes) {
    return [request = std::move(request), fresh = std::move(fresh), mistakes](core::broker& broker,
                                                                              core::session_id session) {
        core::commit_request copy = request;
        copy.session = session;
        if (mistakes.other_numbers && !*fresh) ++copy.first_asked.session;
        copy.fresh = std::exchange(*fresh, mistakes.always_fresh);
        return broker.commit(std::move(copy));
    };
}

}  // namespace

weave::task<client::verdict> client::settle(core::commit_request request, partition_key first, std::size_t record) {
    const std::size_t members = request.transactions.size() + request.offsets.size() + request.sources.size();
    bool unsure = false;
    bool repeated = false;
    const auto broker_time = [this] { return world_.at(0)->clock.wall_now() - node_.clock().wall_now(); };
    const auto asked_at = broker_time();
    const std::uint64_t clocks = world_.counted.clocks_set;
    const bool alone = request.transactions.empty() && members == 1;
    const auto fresh = std::make_shared<bool>(true);  // until it is given to a broker
    std::uint64_t again = world_.chance(0.1) && request.offsets.empty() && !alone ? 1 : 0;
    for (;;) {
        if (unsure && world_.mistakes.new_request_ids) request.request = next_request();
        request_of<core::commit_reply> work = first_fresh(request, fresh, world_.mistakes);
        std::optional<core::commit_reply> reply;
        std::optional<error> failure;
        try {
            reply = co_await ask<core::commit_reply>(first, std::move(work), &repeated);
        } catch (const error& refused) {
            failure = refused;
        }
        checkpoint& seen = shared_.seen.checkpoints.at(record);
        if (reply) {
            if (!seen.done) {
                ++world_.counted.commits;
                if (members > 1) ++world_.counted.groups;
                log("committed " + std::to_string(request.request.high % 100000) + " with " +
                    (seen.transactions.empty() ? "an offset" : seen.transactions.front().payload));
            }
            note_done(record, *reply);
            if (again-- != 0) continue;  // the same answer is to be had again
            co_return verdict::done;
        }
        log("commit of " + std::to_string(request.request.high % 100000) + ": " +
            std::string(tstreams::name(failure->code())) + " (" + std::string(tstreams::name(failure->outcome())) +
            ")");
        unsure = unsure || failure->outcome() == outcome::unknown;
        // Whether an offset alone was moved before a newer instance came cannot be told any more.
        const bool final = !passing(failure->code()) && failure->outcome() == outcome::not_applied &&
                           ((!unsure && !repeated) || !alone);
        // What a brief stream held, and with it the answer, may be gone meanwhile.
        const bool gone = (unsure || repeated || seen.done) && !request.has_group_row() && !alone &&
                          shared_.seen.streams.contains(seen.transactions.front().where.stream);
        // Answers are kept for an hour, by whatever clock: where a broker began by another one they may be gone as
        // well.
        const bool other_time =
            world_.exclusive() && (unsure || repeated || seen.done) &&
            (std::chrono::abs(broker_time() - asked_at) > 30min || world_.counted.clocks_set != clocks);
        if (other_time || (final && gone)) co_return seen.done ? verdict::done : verdict::unknown;
        if (final) {
            ++world_.counted.refused;
            if (seen.answered == 0) seen.answered = world_.now();
            seen.refused = true;
            co_return verdict::refused;
        }
        // That its answer is not kept any more is the last word of an exclusive store.
        const bool forgotten = world_.exclusive() && failure->code() == errc::outcome_unknown;
        const bool give_up = forgotten || !passing(failure->code()) || (!world_.healed() && world_.chance(0.05));
        if (give_up && seen.done) co_return verdict::done;
        if (give_up) {
            // Every try was answered, each time with: it did not happen.
            if (!unsure && !repeated) seen.refused = true;
            ++world_.counted.unsettled;
            co_return verdict::unknown;
        }
        co_await rest(400ms);
    }
}

weave::task<void> client::produce_some() {
    const std::uint64_t kind = world_.below(10);
    if (kind < 2) {
        const partition_key where = somewhere();
        co_await commit_in_one_step(where);
        co_return;
    }
    // Some at a time, so that they overlap and are decided out of order.
    std::vector<held> open_ones;
    const std::uint64_t count = kind < 5 ? 1 : 2 + world_.below(2);
    for (std::uint64_t i = 0; i < count; ++i) {
        const partition_key where = somewhere();
        std::optional<held> made = co_await open(where, next_payload());
        if (made) open_ones.push_back(std::move(*made));
        if (world_.chance(0.2)) co_await rest(500ms);
    }
    if (world_.chance(0.03)) co_return;  // forgotten: they expire
    if (kind >= 7 && open_ones.size() > 1) {
        co_await commit(std::move(open_ones), std::nullopt);
        co_return;
    }
    while (!open_ones.empty()) {
        const std::size_t which = world_.below(open_ones.size());
        std::vector<held> one;
        one.push_back(std::move(open_ones[which]));
        open_ones.erase(open_ones.begin() + static_cast<std::ptrdiff_t>(which));
        if (world_.chance(0.15)) {
            co_await cancel(std::move(one.front()));
            continue;
        }
        const bool change_of_mind = world_.chance(0.1);
        held copy = one.front();
        const verdict result = co_await commit(std::move(one), std::nullopt);
        if (result == verdict::unknown && change_of_mind) co_await cancel(std::move(copy));
    }
}

// Asks what became of a transaction that somebody opened.
weave::task<void> client::find_some() {
    const std::vector<opened>& opens = shared_.seen.opens;
    if (opens.empty()) co_return;
    const std::size_t recent = std::min<std::size_t>(opens.size(), 30);
    const opened one = opens.at(opens.size() - 1 - world_.below(recent));
    request_of<core::broker::found_transaction> work = [one](core::broker& broker, core::session_id) {
        return broker.find_transaction(one.where.stream, one.where.partition, one.id);
    };
    try {
        const core::broker::found_transaction found =
            co_await ask<core::broker::found_transaction>(one.where, std::move(work));
        const transaction_state state = found.info.state;
        if (state != transaction_state::checkpointed && state != transaction_state::not_checkpointed) co_return;
        ++world_.counted.found;
        shared_.seen.findings.push_back({one.where, one.id, state == transaction_state::checkpointed});
        log("found " + show(one.where, one.id) + " " + std::string(tstreams::name(state)));
    } catch (const error& failure) {
        if (failure.code() == errc::corrupt) throw;
    }
}

weave::task<void> client::produce() {
    while (!world_.healed()) {
        co_await produce_some();
        if (world_.chance(0.3)) co_await find_some();
        co_await rest(300ms);
    }
}

}  // namespace tstreams::sim
