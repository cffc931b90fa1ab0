// Clients: consuming and reading.
#include "core/frames.hpp"
#include "sim/clients.hpp"

#include <algorithm>

namespace tstreams::sim {

std::string unpack(const std::string& frames) {
    core::frame_reader items(frames);
    std::string payload;
    int count = 0;
    while (const auto item = items.next()) {
        const std::string text(as_text(*item));
        const std::size_t mark = text.rfind('#');
        if (count == 0) payload = text.substr(0, mark);
        if (text != payload + "#" + std::to_string(count)) return "damaged: " + text;
        ++count;
    }
    return count == items_per_transaction ? payload : "incomplete: " + payload;
}

// ---- consuming

weave::task<void> client::attach(consuming& agent, std::optional<transaction_id> reset) {
    core::attach_consumer_request request;
    request.stream = agent.where.stream;
    request.consumer = agent.consumer;
    request.partitions.push_back(agent.where.partition);
    request.starts.emplace_back();
    const moment asked = world_.now();
    if (reset) {
        request.reset = true;
        request.starts.back() = {core::start_kind::after, *reset};
        shared_.seen.interventions.push_back({agent.where, agent.consumer, *reset, asked, 0});
    }
    const std::size_t intervened = shared_.seen.interventions.size() - 1;
    request_of<std::vector<core::attached_partition>> work = [request](core::broker& broker, core::session_id session) {
        core::attach_consumer_request copy = request;
        copy.session = session;
        return broker.attach_consumer(std::move(copy));
    };
    try {
        const bool once = reset.has_value();
        const auto attached =
            co_await ask<std::vector<core::attached_partition>>(agent.where, std::move(work), nullptr, once);
        agent.instance = attached.front().instance;
        agent.position = attached.front().position;
        agent.attached = true;
    } catch (const error&) {
        co_return;
    }
    ++world_.counted.attaches;
    if (reset) shared_.seen.interventions.at(intervened).answered = world_.now();
    shared_.seen.consumers.push_back(
        {agent.where, agent.consumer, agent.instance, agent.position.value(), asked, world_.now()});
    std::uint64_t& newest = shared_.newest_instances[{agent.where, agent.consumer}];
    newest = std::max(newest, agent.instance);
    log(agent.consumer + " attached to " + show(agent.where, agent.position) + " as " + std::to_string(agent.instance));
}

weave::task<std::optional<core::read_reply>> client::read_once(partition_key where, transaction_id after,
                                                               std::uint32_t count, bool skipping) {
    core::read_request request;
    request.stream = where.stream;
    request.partition = where.partition;
    request.after = after;
    request.transactions_max = count;
    request.skip_open = skipping || world_.mistakes.readers_pass_open;
    request_of<core::read_reply> work = [request](core::broker& broker, core::session_id) {
        return broker.read(request);
    };
    std::optional<core::read_reply> reply;
    try {
        reply = co_await ask<core::read_reply>(where, std::move(work));
        ++world_.counted.reads;
    } catch (const error& failure) {
        if (failure.code() == errc::corrupt) throw;
    }
    if (reply && !skipping) reply->skipped.clear();
    co_return reply;
}

weave::task<std::optional<std::string>> client::payload_of(core::stored_transaction stored) {
    std::string items = stored.inline_items;
    for (const core::frame_ref& frame : stored.frames) {
        const partition_key anywhere;
        request_of<std::string> work = [blob = frame.blob](core::broker& broker, core::session_id) {
            return broker.read_frame(blob);
        };
        try {
            items += co_await ask<std::string>(anywhere, std::move(work));
        } catch (const error& failure) {
            if (failure.code() == errc::corrupt) throw;
            co_return std::nullopt;
        }
    }
    co_return unpack(items);
}

// Copies what is behind the position into the output, with the position in the same group. False: attach anew.
weave::task<bool> client::copy_some(consuming& agent) {
    const std::optional<core::read_reply> reply =
        co_await read_once(agent.where, agent.position, static_cast<std::uint32_t>(1 + world_.below(4)), false);
    if (!reply || reply->transactions.empty()) co_return true;
    std::vector<held> outputs;
    const std::size_t wanted = reply->transactions.size() > 1 ? 2 : 1;
    for (std::size_t i = 0; i < wanted; ++i) {
        const partition_key where = output(world_.below(2));
        std::optional<held> made = co_await open(where, next_payload());
        if (!made) {
            for (held& one : outputs) co_await cancel(std::move(one));
            co_return true;
        }
        outputs.push_back(std::move(*made));
    }
    for (std::size_t i = 0; i < reply->transactions.size(); ++i)
        outputs[i % wanted].copies.emplace_back(agent.where, reply->transactions[i].id);
    consuming next = agent;
    next.before = agent.position;
    next.position = reply->transactions.back().id;
    const bool spread = std::any_of(outputs.begin(), outputs.end(), [&](const held& one) {
        return one.owner != outputs.front().owner || world_.at(routes_[agent.where]) != one.owner;
    });
    const verdict result = co_await commit(std::move(outputs), next);
    if (result != verdict::done) co_return false;
    if (spread) ++world_.counted.spread_groups;
    agent.position = next.position;
    co_return true;
}

weave::task<void> client::copy() {
    consuming agent;
    agent.consumer = shared_.seen.copier;
    while (!world_.healed()) {
        // Others copy under the same name: whoever attaches last goes on.
        if (!agent.attached || world_.chance(0.05)) {
            agent.where = input(world_.below(2));
            agent.attached = false;
            co_await attach(agent);
        }
        if (agent.attached) agent.attached = co_await copy_some(agent);
        co_await rest(400ms);
    }
}

weave::task<void> client::tally() {
    consuming agent;
    agent.consumer = "tally";
    agent.where = output(world_.below(2));
    while (!world_.healed()) {
        if (!agent.attached || world_.chance(0.05)) {
            agent.attached = false;
            co_await attach(agent);
        }
        if (agent.attached) {
            const std::optional<core::read_reply> reply = co_await read_once(agent.where, agent.position, 2, false);
            if (reply && !reply->transactions.empty()) {
                consuming next = agent;
                next.before = agent.position;
                next.position = reply->transactions.back().id;
                std::vector<held> none;
                const verdict result = co_await commit(std::move(none), next);
                agent.attached = result == verdict::done;
                agent.position = next.position;
            }
        }
        co_await rest(600ms);
    }
}

// ---- reading

namespace {

enum class wait_end : std::uint8_t { nothing, woken, woken_late };

// Time stands still while anything is ready to run: what became readable before the deadline wakes its readers before
// the deadline.
weave::task<wait_end> wait_at(core::broker& broker, core::wait_request request, memory::simulated_clock& clock) {
    const ports::steady_time begun = clock.now();
    request.until = begun + 800ms;
    const std::vector<partition_number> ready = co_await broker.wait_readable(request);
    if (ready.empty()) co_return wait_end::nothing;
    co_return clock.now() == request.until ? wait_end::woken_late : wait_end::woken;
}

}  // namespace

weave::task<void> client::wait_for_more(partition_key where, transaction_id after, bool skipping) {
    core::wait_request request;
    request.wait = ++waits_;
    request.stream = where.stream;
    core::wait_position& wanted = request.positions.emplace_back();
    wanted.partition = where.partition;
    wanted.after = after;
    wanted.skip_open = skipping;
    // Of the broker that waits; all nodes have the same steady time.
    memory::simulated_clock& clock = node_.clock();
    request_of<wait_end> work = [request, &clock](core::broker& broker, core::session_id session) {
        core::wait_request copy = request;
        copy.session = session;
        return wait_at(broker, std::move(copy), clock);
    };
    ++world_.counted.waits;
    try {
        const wait_end end = co_await ask<wait_end>(where, std::move(work));
        if (end == wait_end::woken) ++world_.counted.woken;
        if (end == wait_end::woken_late) ++world_.counted.woken_late;
    } catch (const error&) {
        // The read that follows says why.
    }
}

// Reads on. True: at the end, and nothing holds the partition back.
weave::task<bool> client::read_step(reading& one, bool skipping) {
    const transaction_id last_got = one.got.empty() ? one.start : one.got.back().id;
    const transaction_id last_skipped = one.skipped.empty() ? transaction_id() : one.skipped.back();
    const transaction_id after = std::max(last_got, last_skipped);
    if (world_.chance(0.5)) co_await wait_for_more(one.where, after, skipping);
    const std::optional<core::read_reply> reply = co_await read_once(one.where, after, 3, skipping);
    if (!reply) co_return false;
    std::vector<delivery> got;
    for (const core::stored_transaction& stored : reply->transactions) {
        const std::optional<std::string> payload = co_await payload_of(stored);
        if (!payload) co_return false;
        got.push_back({stored.id, *payload});
    }
    for (delivery& each : got) {
        log("read " + show(one.where, each.id) + " " + each.payload);
        one.got.push_back(std::move(each));
    }
    for (const transaction_id id : reply->skipped) {
        ++world_.counted.skipped;
        one.skipped.push_back(id);
    }
    co_return reply->end && !reply->blocked && reply->transactions.empty() && reply->skipped.empty();
}

weave::task<void> client::read(bool skipping) {
    std::vector<reading> all(4);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].where = i < 2 ? input(i) : output(i - 2);
    std::vector<bool> complete(all.size(), false);
    for (;;) {
        const bool quiet = world_.healed() && shared_.producers_at_work == 0;
        const std::size_t which = world_.below(all.size());
        const bool at_end = co_await read_step(all[which], skipping);
        complete[which] = quiet && at_end;
        if (quiet && std::all_of(complete.begin(), complete.end(), [](bool one) { return one; })) break;
        co_await rest(quiet ? 50ms : 300ms);
    }
    for (reading& one : all) shared_.seen.readings.push_back(std::move(one));
}

}  // namespace tstreams::sim
