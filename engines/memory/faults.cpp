#include "engines/memory/faults.hpp"

namespace tstreams::memory {

void fault_plan::set_rates(const fault_rates& rates) {
    rates_ = rates;
    active_ = true;
}

void fault_plan::next_commit(commit_fault fault) {
    commits_.push_back(fault);
    active_ = true;
}

void fault_plan::fail_next(call which, errc code) {
    scripted_[static_cast<std::size_t>(which)].push_back(code);
    active_ = true;
}

commit_fault fault_plan::commit() {
    if (!commits_.empty()) {
        const commit_fault scripted = commits_.front();
        commits_.pop_front();
        return scripted;
    }
    if (random_.chance(rates_.commit_unavailable)) return commit_fault::unavailable;
    if (random_.chance(rates_.unknown_applied)) return commit_fault::unknown_applied;
    if (random_.chance(rates_.unknown_not_applied)) return commit_fault::unknown_not_applied;
    if (random_.chance(rates_.unknown_applied_later)) return commit_fault::unknown_applied_later;
    return commit_fault::none;
}

std::optional<errc> fault_plan::failure(call which) {
    std::deque<errc>& scripted = scripted_[static_cast<std::size_t>(which)];
    if (!scripted.empty()) {
        const errc code = scripted.front();
        scripted.pop_front();
        return code;
    }
    if (random_.chance(rate(which))) return errc::unavailable;
    return std::nullopt;
}

std::optional<trip> fault_plan::delay() {
    if (!random_.chance(rates_.delay)) return std::nullopt;
    trip way;
    way.there = random_.up_to(rates_.delay_max);
    way.back = random_.up_to(rates_.delay_max);
    return way;
}

double fault_plan::rate(call which) const noexcept {
    switch (which) {
        case call::commit:
            return 0;
        case call::settle:
            return rates_.settle;
        case call::read:
            return rates_.read;
        case call::blob_write:
            return rates_.blob_write;
        case call::blob_sync:
            return rates_.blob_sync;
        case call::blob_read:
            return rates_.blob_read;
        case call::blob_drop:
            return rates_.blob_drop;
        case call::coordination:
            return rates_.coordination;
    }
    return 0;
}

}  // namespace tstreams::memory
