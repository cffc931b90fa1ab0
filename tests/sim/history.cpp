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
        index_end();
        check_opens();
        for (const checkpoint& one : seen_.checkpoints) check_checkpoint(one);
        check_phantoms();
        check_cancellations();
        for (const reading& one : seen_.readings) check_reading(one);
        check_consumers();
        check_producers();
        check_copies();
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
        for (const member& each : one.transactions) {
            const auto found = visible_.find(each.payload);
            if (found == visible_.end()) {
                if (one.done) wrong("lost: '" + each.payload + "' was acknowledged and is not there");
                continue;
            }
            ++seen;
            const place& at = found->second;
            if (at.where != each.where || (each.id != transaction_id(0) && at.id != each.id))
                wrong("'" + each.payload + "' is at another place than it was written to");
        }
        if (seen != 0 && seen != one.transactions.size()) wrong("torn group: " + describe(one));
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
            const auto found = payloads_.find(one.where);
            if (found != payloads_.end() && found->second.contains(one.id))
                wrong(show(one.where) + ": " + show(one.id) + " was cancelled and is there");
        }
        for (const finding& one : seen_.findings) {
            const auto found = payloads_.find(one.where);
            const bool there = found != payloads_.end() && found->second.contains(one.id);
            if (there != one.checkpointed)
                wrong(show(one.where) + ": " + show(one.id) + " was said to be " +
                      (one.checkpointed ? "checkpointed and is not there" : "not checkpointed and is there"));
        }
    }

    void check_reading(const reading& one) {
        const std::map<transaction_id, std::string>& there = payloads_[one.where];
        transaction_id last = one.start;
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
        for (auto at = there.upper_bound(one.start); at != there.end() && at->first <= last; ++at) {
            if (!known.contains(at->first))
                wrong(show(one.where) + ": a reader passed " + show(at->first) + " ('" + at->second +
                      "'), which appeared behind it");
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
                if (one.by->done && each->answered < one.by->asked)
                    wrong(what + ": instance " + std::to_string(one.instance) + " was acknowledged after instance " +
                          std::to_string(each->instance) + " had begun");
            }
        }
        for (const attachment* each : begun) possible = possible || each->position == end;
        if (!possible) wrong(what + ": is at " + std::to_string(end) + ", where nothing that happened put it");
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
                if (happened(one) && !data)
                    wrong(show(each.where) + ": consumer " + each.consumer + " was moved to " + show(each.position) +
                          ", which is not there");
            }
        }
        for (const auto& [name, instances] : begun) {
            const auto end = seen_.end.offsets.find(name);
            const std::string what = show(name.first) + ", consumer " + name.second;
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
            const auto end = seen_.end.sources.find(name);
            const std::string what = "producer " + name.second;
            if (end == seen_.end.sources.end()) {
                wrong(what + ": its position is lost");
                continue;
            }
            check_name(what, moves[name], instances, end->second);
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
