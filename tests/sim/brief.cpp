// Clients of an exclusive store: a stream whose transactions expire soon, and which is deleted and made again.
#include "sim/clients.hpp"

#include <algorithm>

namespace tstreams::sim {

weave::task<void> client::make_brief() {
    core::create_request request;
    request.options.name = "brief";
    request.options.partitions = 2;
    request.options.ttl = std::chrono::seconds(2 + world_.below(4));
    request.request = next_request();
    std::function<weave::task<tstreams::stream_info>(core::broker&)> work = [request](core::broker& broker) {
        return broker.create_stream(request);
    };
    std::function<weave::task<std::optional<tstreams::stream_info>>(core::broker&)> look = [](core::broker& broker) {
        return broker.find_stream("brief");
    };
    std::optional<tstreams::stream_info> made;
    bool exists = false;
    try {
        made = co_await ask_once<tstreams::stream_info>(std::move(work));
    } catch (const error& failure) {
        exists = failure.code() == errc::stream_exists;
    }
    if (exists) {
        try {
            made = co_await ask_once<std::optional<tstreams::stream_info>>(std::move(look));
        } catch (const error&) {
            // Another time.
        }
    }
    if (!made) co_return;
    stream_life& life = shared_.seen.streams[made->id];
    // Of a deletion that was not acknowledged nobody knows whether it happened; of one that was, everybody.
    if (life.deleted != 0 || (!exists && life.ttl.count() != 0))
        shared_.seen.oddities.push_back("stream id " + std::to_string(made->id) + " was given again");
    life.ttl = made->ttl;
    life.brief = true;
    life.doomed = life.doomed || shared_.deletion_at_large;
    shared_.brief = std::move(made);
    ++world_.counted.created;
    log("brief is stream " + std::to_string(shared_.brief->id));
}

weave::task<void> client::delete_brief() {
    const core::stream_id id = shared_.brief->id;
    std::function<weave::task<void>(core::broker&)> work = [](core::broker& broker) {
        return broker.delete_stream("brief");
    };
    shared_.seen.streams[id].doomed = true;
    try {
        co_await ask_once<void>(std::move(work));
        shared_.seen.streams[id].deleted = world_.now();
        ++world_.counted.deleted;
        log("brief is deleted");
    } catch (const error& failure) {
        if (failure.code() != errc::stream_not_found && failure.outcome() != outcome::unknown) co_return;
        shared_.deletion_at_large = true;
        log("brief is deleted, perhaps");
    }
    shared_.brief.reset();
}

weave::task<void> client::rebuild() {
    while (!world_.healed()) {
        if (!shared_.brief) {
            co_await make_brief();
        } else if (world_.chance(0.15)) {
            co_await delete_brief();
        }
        co_await rest(1000ms);
    }
}

// ---- reading

weave::task<bool> client::read_brief_step(reading& one) {
    transaction_id after = one.got.empty() ? one.start : one.got.back().id;
    if (!one.jumps.empty()) after = std::max(after, one.jumps.back().to);
    core::read_request request;
    request.stream = one.where.stream;
    request.partition = one.where.partition;
    request.after = after;
    request.transactions_max = 3;
    request_of<core::read_reply> work = [request](core::broker& broker, core::session_id) {
        return broker.read(request);
    };
    const moment asked = world_.now();
    std::optional<core::read_reply> reply;
    try {
        reply = co_await ask<core::read_reply>(one.where, std::move(work));
        ++world_.counted.reads;
    } catch (const position_expired_error& expired) {
        const transaction_id live(expired.oldest_live_position());
        log("expired " + show(one.where, after) + " to " + show(one.where, live));
        one.jumps.push_back({after, live, world_.believable()});
        ++world_.counted.expired;
        co_return true;
    } catch (const error& failure) {
        if (failure.code() == errc::corrupt) throw;
        if (failure.code() == errc::stream_deleted) shared_.seen.streams[one.where.stream].ended = true;
        co_return false;
    }
    std::vector<delivery> got;
    for (const core::stored_transaction& stored : reply->transactions) {
        std::optional<std::string> payload;
        try {
            payload = co_await payload_of(stored);
        } catch (const error&) {
            // It may expire, and go, at any moment: asked again, its position has expired.
        }
        if (!payload) break;
        got.push_back({stored.id, *payload});
    }
    for (delivery& each : got) {
        log("read " + show(one.where, each.id) + " " + each.payload);
        one.got.push_back(std::move(each));
        one.asked = asked;
    }
    co_return !reply->transactions.empty();
}

weave::task<void> client::read_brief() {
    std::vector<reading> both;
    while (!world_.healed()) {
        if (both.empty() && shared_.brief) {
            for (const partition_number number : {0U, 1U}) both.emplace_back().where = {shared_.brief->id, number};
        }
        if (!both.empty()) {
            reading& one = both.at(world_.below(2));
            co_await read_brief_step(one);
            const bool gone = shared_.seen.streams[one.where.stream].ended;
            const bool another = shared_.brief && shared_.brief->id != one.where.stream;
            if (gone || (another && world_.chance(0.1))) {
                for (reading& each : both) shared_.seen.readings.push_back(std::move(each));
                both.clear();
            }
        }
        co_await rest(250ms);
    }
    for (reading& each : both) shared_.seen.readings.push_back(std::move(each));
}

// ---- consuming

weave::task<void> client::pass_some(consuming& agent) {
    reading one;
    one.where = agent.where;
    one.start = agent.position;
    co_await read_brief_step(one);
    if (!one.jumps.empty()) {
        // It begins again where something is left.
        agent.attached = false;
        co_await attach(agent, one.jumps.back().to);
    } else if (!one.got.empty()) {
        consuming next = agent;
        next.before = agent.position;
        next.position = one.got.back().id;
        std::vector<held> none;
        const verdict result = co_await commit(std::move(none), next);
        agent.attached = result == verdict::done;
        agent.position = next.position;
    }
    shared_.seen.readings.push_back(std::move(one));
}

weave::task<void> client::pass() {
    consuming agent;
    agent.consumer = "passer";
    while (!world_.healed()) {
        if (shared_.brief && agent.where.stream != shared_.brief->id) {
            agent.where = {shared_.brief->id, static_cast<partition_number>(world_.below(2))};
            agent.attached = false;
        }
        if (agent.where.stream != 0 && !agent.attached) co_await attach(agent);
        if (agent.attached) co_await pass_some(agent);
        co_await rest(500ms);
    }
}

}  // namespace tstreams::sim
