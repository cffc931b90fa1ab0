#include "core/partition.hpp"

#include <algorithm>

namespace tstreams::core {

bool partition::readable_behind(transaction_id position, bool skip_open) const noexcept {
    // A position that retention has overtaken is an answer too: the read says so.
    if (position < head.last_removed) return true;
    return (skip_open ? last_checkpointed() : visible_end_) > position;
}

bool partition::answers(const wait_position& wanted) const noexcept {
    // A partition that was given up, and a lost position, are answers too: the next read says why.
    if (dropped || wanted.after < head.last_removed) return true;
    if (wanted.held_by != transaction_id(0)) return !undecided.contains(wanted.held_by);
    return readable_behind(wanted.after, wanted.skip_open);
}

transaction_id partition::first_undecided() const noexcept {
    return undecided.empty() ? transaction_id(~std::uint64_t{0}) : undecided.begin()->first;
}

std::optional<blocker> partition::blocked_by() const {
    if (undecided.empty()) return std::nullopt;
    const open_transaction& first = *undecided.begin()->second;
    blocker found;
    found.partition = key.partition;
    found.id = first.ref.id;
    found.age = std::chrono::duration_cast<std::chrono::milliseconds>(world_.clock.now() - first.opened_at);
    found.client = *first.client;
    return found;
}

std::uint32_t partition::first_live_segment() const noexcept {
    // Ids and segments rise together, so the first undecided one is in the lowest live segment.
    return undecided.empty() ? head.tail : undecided.begin()->second->segment;
}

bool partition::idle() const noexcept {
    if (!undecided.empty() || !waiting_.empty() || gate.locked()) return false;
    return std::none_of(consumers.begin(), consumers.end(),
                        [](const auto& entry) { return entry.second.session != 0; });
}

void partition::add_undecided(std::shared_ptr<open_transaction> transaction) {
    const transaction_id id = transaction->ref.id;
    undecided.emplace(id, std::move(transaction));
}

void partition::decide(open_transaction& transaction, bool checkpointed) {
    const transaction_id id = transaction.ref.id;
    transaction.state = open_transaction::phase::over;
    undecided.erase(id);
    if (checkpointed) add_checkpointed(id);
    const transaction_id limit = first_undecided();
    while (!held_.empty() && *held_.begin() < limit) {
        visible_end_ = std::max(visible_end_, *held_.begin());
        held_.erase(held_.begin());
    }
    wake_readable();
}

void partition::add_checkpointed(transaction_id id) {
    if (id < first_undecided()) {
        visible_end_ = std::max(visible_end_, id);
    } else {
        held_.insert(id);
    }
}

void partition::remove_waiter(read_waiter* waiter) noexcept {
    std::erase_if(waiting_, [waiter](const waiting& one) { return one.waiter == waiter; });
}

void partition::wake_readable() {
    for (const waiting& one : waiting_) {
        if (answers(one.wanted)) one.waiter->ready.set();
    }
}

void partition::wake_all() {
    for (const waiting& one : waiting_) one.waiter->ready.set();
}

}  // namespace tstreams::core
