// Clients of an exclusive store: names with source positions, and what tools do to names.
#include "sim/clients.hpp"

#include <algorithm>

namespace tstreams::sim {

// ---- named producers

std::uint64_t client::instance_of(const feeding& agent) const {
    if (!world_.mistakes.any_producer) return agent.instance;
    const auto found = shared_.newest_producers.find(agent.producer);
    return found == shared_.newest_producers.end() ? agent.instance : found->second;
}

weave::task<void> client::attach_producer(feeding& agent) {
    core::attach_producer_request request;
    request.stream = agent.stream;
    request.producer = agent.producer;
    const partition_key home{agent.stream, 0};
    const moment asked = world_.now();
    request_of<core::attached_producer> work = [request](core::broker& broker, core::session_id session) {
        core::attach_producer_request copy = request;
        copy.session = session;
        return broker.attach_producer(std::move(copy));
    };
    agent.attached = false;
    try {
        const core::attached_producer attached = co_await ask<core::attached_producer>(home, std::move(work));
        agent.instance = attached.instance;
        agent.position = attached.source_position ? std::stoull(*attached.source_position) : 0;
        agent.attached = true;
    } catch (const error&) {
        co_return;
    }
    ++world_.counted.named;
    shared_.seen.producers.push_back({home, agent.producer, agent.instance, agent.position, asked, world_.now()});
    std::uint64_t& newest = shared_.newest_producers[agent.producer];
    newest = std::max(newest, agent.instance);
    log(agent.producer + " attached at " + std::to_string(agent.position) + " as " + std::to_string(agent.instance));
}

// Writes what follows in the source, with the position behind it in the same group. False: attach anew.
weave::task<bool> client::ingest_some(feeding& agent) {
    std::vector<held> outputs;
    feeding next = agent;
    const std::uint64_t count = 1 + world_.below(2);
    for (std::uint64_t i = 0; i < count; ++i) {
        const partition_key where = input(world_.below(2));
        if (world_.chance(0.3)) {
            // Opened by the checkpoint itself.
            held made;
            made.ref.stream = where.stream;
            made.ref.partition = where.partition;
            made.payload = next_payload();
            made.producer = agent.producer;
            made.instance = agent.instance;
            outputs.push_back(std::move(made));
        } else {
            std::optional<held> made = co_await open(where, next_payload(), agent);
            if (!made) {
                for (held& one : outputs) {
                    if (one.ref.id != transaction_id(0)) co_await cancel(std::move(one));
                }
                co_return world_.chance(0.7);
            }
            outputs.push_back(std::move(*made));
        }
        outputs.back().ingested.push_back(++next.position);
    }
    if (world_.chance(0.2)) co_await rest(1500ms);
    const verdict result = co_await commit(std::move(outputs), std::nullopt, next);
    agent.position = next.position;
    co_return result == verdict::done;
}

weave::task<void> client::ingest() {
    feeding agent;
    agent.producer = shared_.seen.feeder;
    agent.stream = shared_.input.id;
    while (!world_.healed()) {
        // Others ingest under the same name: whoever attaches last goes on.
        if (!agent.attached || world_.chance(0.08)) co_await attach_producer(agent);
        if (agent.attached && world_.chance(0.2)) {
            // Without a position: it is fenced all the same.
            const partition_key where = input(1);
            std::optional<held> made = co_await open(where, next_payload(), agent);
            if (world_.chance(0.3)) co_await rest(1500ms);
            std::vector<held> one;
            if (made) one.push_back(std::move(*made));
            if (!one.empty()) co_await commit(std::move(one), std::nullopt);
        }
        if (agent.attached) agent.attached = co_await ingest_some(agent);
        co_await rest(400ms);
    }
}

// Positions of which each is given once, in checkpoints that overlap: what stands in the end was stored.
weave::task<void> client::mark() {
    feeding agent;
    agent.producer = "marker";
    agent.stream = shared_.output.id;
    while (!world_.healed()) {
        if (!agent.attached || world_.chance(0.2)) co_await attach_producer(agent);
        if (agent.attached) {
            std::size_t left = 1 + world_.below(3);
            weave::event over(node_.executor());
            for (std::size_t i = left; i > 0; --i) {
                feeding next = agent;
                next.position = ++shared_.marks;
                std::vector<held> none;
                weave::spawn(node_.executor(), commit(std::move(none), std::nullopt, std::move(next)),
                             [&left, &over, &agent](weave::outcome_of<verdict> result) {
                                 if (result.get() != verdict::done) agent.attached = false;
                                 if (--left == 0) over.set();
                             });
            }
            co_await over.wait();
        }
        co_await rest(300ms);
    }
}

// ---- a consumer that tools meddle with

weave::task<void> client::drift_some(consuming& agent) {
    const std::optional<core::read_reply> reply = co_await read_once(agent.where, agent.position, 2, false);
    if (!reply || reply->transactions.empty()) co_return;
    consuming next = agent;
    next.before = agent.position;
    next.position = reply->transactions.back().id;
    std::vector<held> none;
    const verdict result = co_await commit(std::move(none), next);
    agent.attached = result == verdict::done;
    agent.position = next.position;
}

weave::task<void> client::drift() {
    consuming agent;
    agent.consumer = "drifter";
    agent.where = input(world_.below(2));
    while (!world_.healed()) {
        if (!agent.attached || world_.chance(0.05)) {
            agent.attached = false;
            co_await attach(agent);
        }
        if (agent.attached) co_await drift_some(agent);
        co_await rest(500ms);
    }
}

weave::task<void> client::set_offset(partition_number partition) {
    const partition_key where = input(partition);
    std::vector<transaction_id> known(1);
    for (const opened& one : shared_.seen.opens) {
        if (one.where == where) known.push_back(one.id);
    }
    intervention made{where, "drifter", known.at(world_.below(known.size())), world_.now()};
    std::vector<partition_position> positions(1);
    positions.front().partition = partition;
    positions.front().after = made.position;
    std::function<weave::task<void>(core::broker&)> work = [=, stream = where.stream,
                                                            force = world_.chance(0.7)](core::broker& broker) {
        return broker.set_offset(stream, "drifter", positions, force);
    };
    bool happened = true;
    try {
        co_await ask_once<void>(std::move(work));
        made.answered = world_.now();
    } catch (const error& failure) {
        happened = failure.outcome() == outcome::unknown;
    }
    if (!happened) co_return;
    ++world_.counted.tools;
    log("drifter set to " + show(where, made.position) + (made.answered != 0 ? "" : ", perhaps"));
    shared_.seen.interventions.push_back(std::move(made));
}

weave::task<void> client::delete_offset() {
    const moment asked = world_.now();
    std::function<weave::task<void>(core::broker&)> work = [stream = shared_.input.id,
                                                            force = world_.chance(0.7)](core::broker& broker) {
        return broker.delete_offset(stream, "drifter", force);
    };
    moment answered = 0;
    try {
        co_await ask_once<void>(std::move(work));
        answered = world_.now();
    } catch (const error& failure) {
        // One partition may be done with, and another not.
        if (failure.code() == errc::offset_not_found || failure.code() == errc::consumer_live) co_return;
    }
    ++world_.counted.tools;
    log(std::string("drifter deleted") + (answered != 0 ? "" : ", perhaps"));
    for (const std::uint64_t partition : {0U, 1U})
        shared_.seen.interventions.push_back({input(partition), "drifter", transaction_id(), asked, answered});
}

weave::task<void> client::list_offsets() {
    const moment asked = world_.now();
    request_of<std::vector<offset_info>> work = [stream = shared_.input.id](core::broker& broker, core::session_id) {
        return broker.list_offsets(stream, "drifter");
    };
    std::vector<offset_info> found;
    try {
        found = co_await ask<std::vector<offset_info>>(input(0), std::move(work));
    } catch (const error&) {
        co_return;
    }
    for (const offset_info& one : found)
        shared_.seen.offset_readings.push_back({input(one.partition), one.consumer, one.position, asked, world_.now()});
}

weave::task<void> client::meddle() {
    while (!world_.healed()) {
        const std::uint64_t what = world_.below(10);
        if (what < 3) co_await set_offset(static_cast<partition_number>(world_.below(2)));
        if (what >= 3 && what < 5) co_await delete_offset();
        if (what >= 5 && what < 8) co_await list_offsets();
        if (what == 8) {
            std::function<weave::task<retention_info>(core::broker&)> work = [this](core::broker& broker) {
                if (!world_.believe_clock()) throw error(errc::unavailable, "the clock is years ahead");
                return broker.accept_clock();
            };
            try {
                co_await ask_once<retention_info>(std::move(work));
                ++world_.counted.clocks_accepted;
            } catch (const error&) {
                // Another time.
            }
        }
        co_await rest(1200ms);
    }
}

}  // namespace tstreams::sim
