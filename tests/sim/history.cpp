#include "sim/history.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace tstreams::sim {
namespace {

std::string show(const partition_key& key) {
    return "partition " + std::to_string(key.partition) + " of stream " + std::to_string(key.stream);
}

std::string show(transaction_id id) {
    return std::to_string(id.value());
}

class checker {
public:
    explicit checker(const history& seen) : seen_(seen) {}

    std::vector<std::string> run() {
        for (const std::string& what : seen_.oddities) wrong(what);
        index_end();
        index_brief();
        check_opens();
        for (const checkpoint& one : seen_.checkpoints) check_checkpoint(one);
        check_phantoms();
        check_cancellations();
        for (const reading& one : seen_.readings) check_reading(one);
        check_consumers();
        check_producers();
        check_copies();
        check_source();
        return std::move(found_);
    }

private:
    struct place {
        partition_key where;
        transaction_id id;
    };

    void wrong(std::string what) {
        if (found_.size() < 50) found_.push_back(std::move(what));
    }

    void index_end() {
        for (const auto& [where, deliveries] : seen_.end.readable) {
            transaction_id last;
            for (const delivery& one : deliveries) {
                if (one.id <= last) wrong(show(where) + ": the audit read " + show(one.id) + " after " + show(last));
                last = one.id;
                const place here{where, one.id};
                const auto [known, fresh] = visible_.emplace(one.payload, here);
                if (!fresh)
                    wrong("duplicate: '" + one.payload + "' is at " + show(known->second.id) + " and at " +
                          show(one.id));
                payloads_[where].emplace(one.id, one.payload);
            }
        }
        for (const checkpoint& one : seen_.checkpoints) {
            for (const member& each : one.transactions) writers_[each.payload].push_back(&one);
        }
    }

    [[nodiscard]] const stream_life* brief(const partition_key& where) const {
        const auto found = seen_.streams.find(where.stream);
        return found != seen_.streams.end() && found->second.brief ? &found->second : nullptr;
    }

    // What a brief stream held may be gone by the end: it was there when it was acknowledged, or read.
    void index_brief() {
        const auto add = [this](const partition_key& where, transaction_id id, const std::string& payload) {
            const auto [known, fresh] = visible_.emplace(payload, place{where, id});
            if (!fresh && (known->second.where != where || known->second.id != id))
                wrong("duplicate: '" + payload + "' is at " + show(known->second.id) + " and at " + show(id));
            const auto [there, first] = payloads_[where].emplace(id, payload);
            if (!first && there->second != payload)
                wrong(show(where) + ": " + show(id) + " was '" + there->second + "' and '" + payload + "'");
        };
        for (const auto& [stream, life] : seen_.streams) {
            if (life.ended && !life.doomed)
                wrong("stream " + std::to_string(stream) + " is gone, and nobody deleted it");
            if (life.brief && !life.ended && life.deleted != 0)
                wrong("stream " + std::to_string(stream) + " was deleted, and is there");
        }
        for (const reading& one : seen_.readings) {
            if (!brief(one.where)) continue;
            for (const delivery& each : one.got) add(one.where, each.id, each.payload);
        }
        for (const checkpoint& one : seen_.checkpoints) {
            for (const member& each : one.transactions) {
                if (one.done && each.id != transaction_id(0) && brief(each.where))
                    add(each.where, each.id, each.payload);
            }
        }
    }

    [[nodiscard]] bool is_visible(const member& one) const { return visible_.contains(one.payload); }

    void check_opens() {
        std::map<partition_key, std::vector<const opened*>> by_partition;
        std::set<std::pair<partition_key, transaction_id>> ids;
        for (const opened& one : seen_.opens) {
            if (!ids.emplace(one.where, one.id).second) wrong(show(one.where) + ": id " + show(one.id) + " reused");
            by_partition[one.where].push_back(&one);
        }
        for (auto& [where, opens] : by_partition) {
            std::vector<const opened*> answered = opens;
            const auto by_answer = [](const opened* a, const opened* b) { return a->answered < b->answered; };
            const auto by_asking = [](const opened* a, const opened* b) { return a->asked < b->asked; };
            std::sort(answered.begin(), answered.end(), by_answer);
            std::sort(opens.begin(), opens.end(), by_asking);
            std::size_t passed = 0;
            transaction_id highest;
            for (const opened* one : opens) {
                for (; passed < answered.size() && answered[passed]->answered < one->asked; ++passed)
                    highest = std::max(highest, answered[passed]->id);
                // One that can be decided no more is nobody's: an owner that does not know of its end gave it.
                const bool visible = payloads_[where].contains(one->id);
                if (visible && one->id <= highest)
                    wrong(show(where) + ": id " + show(one->id) + " was given after the higher " + show(highest));
            }
        }
    }

    void check_checkpoint(const checkpoint& one) {
        if (one.done && one.refused) wrong("one request was both done and refused: " + describe(one));
        std::size_t seen = 0;
        std::size_t unseen = 0;
        for (const member& each : one.transactions) {
            const stream_life* life = brief(each.where);
            if (life && one.done && life->deleted != 0 && one.asked > life->deleted)
                wrong("'" + each.payload + "' was acknowledged by a stream that had been deleted");
            const auto found = visible_.find(each.payload);
            if (found == visible_.end()) {
                if (life) continue;  // expired, or gone with its stream, unseen
                ++unseen;
                if (one.done) wrong("lost: '" + each.payload + "' was acknowledged and is not there");
                continue;
            }
            ++seen;
            const place& at = found->second;
            if (at.where != each.where || (each.id != transaction_id(0) && at.id != each.id))
                wrong("'" + each.payload + "' is at another place than it was written to");
        }
        if (seen != 0 && unseen != 0) wrong("torn group: " + describe(one));
    }

    static std::string describe(const checkpoint& one) {
        std::string text;
        for (const member& each : one.transactions) text += (text.empty() ? "'" : ", '") + each.payload + "'";
        for (const offset_move& each : one.offsets) text += ", " + each.consumer + " to " + show(each.position);
        return text;
    }

    // What is visible was written by a checkpoint that happened, or may have.
    void check_phantoms() {
        for (const auto& [payload, at] : visible_) {
            const auto found = writers_.find(payload);
            if (found == writers_.end()) {
                wrong("phantom: '" + payload + "' was never checkpointed");
                continue;
            }
            const bool possible = std::any_of(found->second.begin(), found->second.end(),
                                              [](const checkpoint* one) { return !one->refused; });
            if (!possible) wrong("phantom: '" + payload + "' was refused and is there");
        }
    }

    void check_cancellations() {
        for (const cancellation& one : seen_.cancellations) {
            if (brief(one.where)) continue;  // that it was checkpointed may be forgotten by then
            const auto found = payloads_.find(one.where);
            if (found != payloads_.end() && found->second.contains(one.id))
                wrong(show(one.where) + ": " + show(one.id) + " was cancelled and is there");
        }
        for (const finding& one : seen_.findings) {
            const auto found = payloads_.find(one.where);
            const bool there = found != payloads_.end() && found->second.contains(one.id);
            if (there != one.checkpointed && (there || !brief(one.where)))
                wrong(show(one.where) + ": " + show(one.id) + " was said to be " +
                      (one.checkpointed ? "checkpointed and is not there" : "not checkpointed and is there"));
        }
    }

    void check_reading(const reading& one) {
        const std::map<transaction_id, std::string>& there = payloads_[one.where];
        transaction_id last = one.start;
        if (const stream_life* life = brief(one.where)) {
            check_jumps(one, *life);
            if (!one.jumps.empty()) last = one.got.empty() ? one.jumps.back().to : last;
        }
        std::set<transaction_id> known(one.skipped.begin(), one.skipped.end());
        for (const delivery& each : one.got) {
            if (each.id <= last) wrong(show(one.where) + ": a reader got " + show(each.id) + " after " + show(last));
            last = std::max(last, each.id);
            known.insert(each.id);
            const auto found = there.find(each.id);
            if (found == there.end()) {
                wrong(show(one.where) + ": a reader got " + show(each.id) + " ('" + each.payload +
                      "'), which is not there in the end");
            } else if (found->second != each.payload) {
                wrong(show(one.where) + ": a reader got '" + each.payload + "' for '" + found->second + "'");
            }
        }
        if (one.complete && !there.empty()) last = std::max(last, there.rbegin()->first);
        for (auto at = there.upper_bound(one.start); at != there.end() && at->first <= last; ++at) {
            const bool jumped = std::any_of(one.jumps.begin(), one.jumps.end(), [at](const expiry_jump& jump) {
                return jump.from < at->first && at->first <= jump.to;
            });
            if (!known.contains(at->first) && !jumped)
                wrong(show(one.where) + ": a reader passed " + show(at->first) + " ('" + at->second +
                      "'), which appeared behind it");
        }
    }

    // Expired is only what was older than the stream's TTL, by a clock that could be believed.
    void check_jumps(const reading& one, const stream_life& life) {
        if (life.deleted != 0 && !one.got.empty() && one.asked > life.deleted)
            wrong(show(one.where) + ": a reader got something of it after it had been deleted");
        const std::map<transaction_id, std::string>& there = payloads_[one.where];
        for (const expiry_jump& jump : one.jumps) {
            if (jump.to <= jump.from) wrong(show(one.where) + ": a reader was sent back to " + show(jump.to));
            for (auto at = there.upper_bound(jump.from); at != there.end() && at->first <= jump.to; ++at) {
                if (at->first.time() + life.ttl > jump.latest)
                    wrong(show(one.where) + ": " + show(at->first) + " ('" + at->second + "') expired too early");
            }
        }
    }

    // A checkpoint whose effect is certain: acknowledged, or one of its transactions is visible.
    [[nodiscard]] bool happened(const checkpoint& one) const {
        return one.done || std::any_of(one.transactions.begin(), one.transactions.end(),
                                       [&](const member& each) { return is_visible(each); });
    }
    [[nodiscard]] bool may_have_happened(const checkpoint& one) const {
        if (happened(one)) return true;
        return !one.refused && one.transactions.empty();
    }

    // What is known of one name: moves by its instances and where instances began.
    struct named_move {
        std::uint64_t instance;
        std::uint64_t position;
        const checkpoint* by;
    };

    void check_name(const std::string& what, std::vector<named_move> moves, std::vector<const attachment*> begun,
                    std::uint64_t end) {
        const auto by_instance = [](const attachment* a, const attachment* b) { return a->instance < b->instance; };
        std::sort(begun.begin(), begun.end(), by_instance);
        for (std::size_t i = 1; i < begun.size(); ++i) {
            if (begun[i]->instance == begun[i - 1]->instance) wrong(what + ": an instance number was given twice");
            if (begun[i]->position < begun[i - 1]->position) wrong(what + ": a newer instance began further back");
        }
        bool possible = end == 0;
        for (const named_move& one : moves) {
            possible = possible || (one.position == end && may_have_happened(*one.by));
            if (!happened(*one.by)) continue;
            if (one.position > end)
                wrong(what + ": was moved to " + std::to_string(one.position) + " and is at " + std::to_string(end));
            for (const attachment* each : begun) {
                // One that began later must have seen it; one that began earlier must have been the mover.
                if (each->instance <= one.instance) continue;
                if (one.position > each->position)
                    wrong(what + ": instance " + std::to_string(one.instance) + " moved it to " +
                          std::to_string(one.position) + " in spite of instance " + std::to_string(each->instance) +
                          ", which began at " + std::to_string(each->position));
                if (each->answered < one.by->asked)
                    wrong(what + ": instance " + std::to_string(one.instance) + " was acknowledged after instance " +
                          std::to_string(each->instance) + " had begun");
            }
        }
        for (const attachment* each : begun) possible = possible || each->position == end;
        if (!possible) wrong(what + ": is at " + std::to_string(end) + ", where nothing that happened put it");
    }

    // A name whose position may go back: a register that is written and read. What is read was written before the
    // reading ended, and not overwritten for certain before it began.
    struct written {
        std::uint64_t position;
        moment asked;
        moment answered;  // zero: nobody knows when, or whether
    };

    void check_register(const std::string& what, const std::vector<written>& writes, const attachment& read) {
        for (const written& one : writes) {
            if (one.position != read.position || one.asked >= read.answered) continue;
            const bool overwritten =
                one.answered != 0 && std::any_of(writes.begin(), writes.end(), [&](const written& by) {
                    return by.answered != 0 && by.asked > one.answered && by.answered < read.asked;
                });
            if (!overwritten) return;
        }
        wrong(what + ": was read at " + std::to_string(read.position) + ", where nothing that happened had left it");
    }

    void check_free_name(const std::string& what, const std::vector<named_move>& moves,
                         const std::vector<const attachment*>& begun, const std::vector<intervention>& tools,
                         std::vector<attachment> readings) {
        std::vector<written> writes;
        writes.push_back({0, 0, 0});
        writes.back().answered = 1;
        for (const named_move& one : moves) {
            if (!one.by->done && one.by->refused) continue;
            writes.push_back({one.position, one.by->asked, one.by->done ? one.by->answered : 0});
        }
        for (const intervention& one : tools) writes.push_back({one.position.value(), one.asked, one.answered});
        for (const attachment* one : begun) readings.push_back(*one);
        for (const attachment& one : readings) check_register(what, writes, one);
        check_fencing(what, moves, begun, tools);
    }

    // Whoever began before a newer instance, or before a tool, moves nothing afterwards.
    void check_fencing(const std::string& what, const std::vector<named_move>& moves,
                       const std::vector<const attachment*>& begun, const std::vector<intervention>& tools) {
        std::map<std::uint64_t, const attachment*> numbers;
        for (const attachment* one : begun) {
            if (!numbers.emplace(one->instance, one).second) wrong(what + ": an instance number was given twice");
        }
        for (const named_move& one : moves) {
            const auto mover = numbers.find(one.instance);
            if (!happened(*one.by) || mover == numbers.end()) continue;
            const moment since = mover->second->answered;
            for (const attachment* each : begun) {
                if (each->asked > since && one.by->asked > each->answered)
                    wrong(what + ": instance " + std::to_string(one.instance) + " was acknowledged after instance " +
                          std::to_string(each->instance) + " had begun: " + describe(*one.by));
            }
            for (const intervention& each : tools) {
                if (each.answered != 0 && each.asked > since && one.by->asked > each.answered)
                    wrong(what + ": instance " + std::to_string(one.instance) +
                          " went on after a tool had taken over: " + describe(*one.by));
            }
        }
    }

    void check_free_consumer(const partition_key& where, const std::string& name, const std::string& what,
                             const std::vector<named_move>& moves, const std::vector<const attachment*>& begun) {
        std::vector<intervention> tools;
        for (const intervention& one : seen_.interventions) {
            if (one.where == where && one.consumer == name) tools.push_back(one);
        }
        // Where it begins in a brief stream is where something is left.
        if (brief(where)) return check_fencing(what, moves, begun, tools);
        std::vector<attachment> readings;
        for (const offset_reading& one : seen_.offset_readings) {
            if (one.where == where && one.consumer == name)
                readings.push_back({where, name, 0, one.position.value(), one.asked, one.answered});
        }
        const auto end = seen_.end.offsets.find({where, name});
        const transaction_id last = end == seen_.end.offsets.end() ? transaction_id() : end->second;
        readings.push_back({where, name, 0, last.value(), ~moment{0} - 1, ~moment{0}});
        check_free_name(what, moves, begun, tools, std::move(readings));
    }

    void check_consumers() {
        std::map<std::pair<partition_key, std::string>, std::vector<named_move>> moves;
        std::map<std::pair<partition_key, std::string>, std::vector<const attachment*>> begun;
        for (const attachment& one : seen_.consumers) begun[{one.where, one.name}].push_back(&one);
        for (const checkpoint& one : seen_.checkpoints) {
            for (const offset_move& each : one.offsets) {
                moves[{each.where, each.consumer}].push_back({each.instance, each.position.value(), &one});
                const auto there = payloads_.find(each.where);
                const bool data = there != payloads_.end() && there->second.contains(each.position);
                if (happened(one) && !data && !brief(each.where))
                    wrong(show(each.where) + ": consumer " + each.consumer + " was moved to " + show(each.position) +
                          ", which is not there");
            }
        }
        for (const auto& [name, instances] : begun) {
            const auto end = seen_.end.offsets.find(name);
            const std::string what = show(name.first) + ", consumer " + name.second;
            const stream_life* life = brief(name.first);
            if (life && life->ended) continue;
            if (seen_.free_names.contains(name.second)) {
                check_free_consumer(name.first, name.second, what, moves[name], instances);
                continue;
            }
            if (end == seen_.end.offsets.end()) {
                wrong(what + ": its offset is lost");
                continue;
            }
            check_name(what, moves[name], instances, end->second.value());
        }
    }

    void check_producers() {
        std::map<std::pair<core::stream_id, std::string>, std::vector<named_move>> moves;
        std::map<std::pair<core::stream_id, std::string>, std::vector<const attachment*>> begun;
        for (const attachment& one : seen_.producers) begun[{one.where.stream, one.name}].push_back(&one);
        for (const checkpoint& one : seen_.checkpoints) {
            for (const source_move& each : one.sources)
                moves[{each.stream, each.producer}].push_back({each.instance, each.position, &one});
        }
        for (const auto& [name, instances] : begun) {
            const auto end = seen_.end.sources.find(name);  // none: it never had one
            const std::uint64_t last = end == seen_.end.sources.end() ? 0 : end->second;
            const std::string what = "producer " + name.second;
            if (seen_.free_names.contains(name.second)) {
                std::vector<attachment> readings;
                readings.push_back({{}, name.second, 0, last, ~moment{0} - 1, ~moment{0}});
                check_free_name(what, moves[name], instances, {}, std::move(readings));
                continue;
            }
            std::vector<named_move> all = moves[name];
            check_fencing(what, all, instances, {});
            std::erase_if(all, [](const named_move& one) { return one.position == 0; });
            check_name(what, std::move(all), instances, last);
        }
    }

    // Each input up to the copier's offset is in the output once, and none behind it.
    void check_copies() {
        std::map<std::pair<partition_key, transaction_id>, int> copied;
        for (const checkpoint& one : seen_.checkpoints) {
            if (one.refused) continue;
            for (const member& each : one.transactions) {
                if (!is_visible(each)) continue;
                for (const auto& input : each.copies) ++copied[input];
            }
        }
        for (const auto& [input, times] : copied) {
            if (times > 1) wrong(show(input.first) + ": input " + show(input.second) + " was copied twice");
        }
        for (const partition_key& where : seen_.inputs) {
            const auto offset = seen_.end.offsets.find({where, seen_.copier});
            const transaction_id end = offset == seen_.end.offsets.end() ? transaction_id() : offset->second;
            for (const auto& [id, payload] : payloads_[where]) {
                const bool is_copied = copied.contains({where, id});
                if (id <= end && !is_copied)
                    wrong(show(where) + ": the copier went past " + show(id) + " and did not copy it");
                if (id > end && is_copied)
                    wrong(show(where) + ": " + show(id) + " was copied and the copier is not past it");
            }
        }
    }

    // Each number of the source outside up to the stored position is there once, and none behind it.
    void check_source() {
        if (seen_.feeder.empty() || seen_.inputs.empty()) return;
        const auto stored = seen_.end.sources.find({seen_.inputs.front().stream, seen_.feeder});
        const std::uint64_t end = stored == seen_.end.sources.end() ? 0 : stored->second;
        std::set<std::uint64_t> ingested;
        for (const checkpoint& one : seen_.checkpoints) {
            for (const member& each : one.transactions) {
                if (!is_visible(each)) continue;
                for (const std::uint64_t number : each.ingested) {
                    if (!ingested.insert(number).second)
                        wrong("number " + std::to_string(number) + " of the source was ingested twice");
                    if (number > end)
                        wrong("number " + std::to_string(number) + " was ingested and " + seen_.feeder +
                              " is not past it");
                }
            }
        }
        for (std::uint64_t number = 1; number <= end; ++number) {
            if (!ingested.contains(number))
                wrong(seen_.feeder + " went past number " + std::to_string(number) + " and did not ingest it");
        }
    }

    const history& seen_;
    std::vector<std::string> found_;
    std::unordered_map<std::string, place> visible_;  // by payload
    std::unordered_map<std::string, std::vector<const checkpoint*>> writers_;
    std::map<partition_key, std::map<transaction_id, std::string>> payloads_;
};

}  // namespace

std::vector<std::string> check(const history& seen) {
    return checker(seen).run();
}

}  // namespace tstreams::sim
