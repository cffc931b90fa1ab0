#include "client/commit.hpp"

#include "client/transaction_state.hpp"

namespace tstreams::detail {

namespace {

using participants = std::vector<std::shared_ptr<transaction_state>>;

participants lock_all(const commit_plan& plan) {
    participants alive;
    alive.reserve(plan.transactions.size());
    for (const auto& one : plan.transactions)
        if (auto state = one.lock()) alive.push_back(std::move(state));
    return alive;
}

void tell(const std::shared_ptr<commit_plan>& plan, const participants& transactions, commit_end end,
          const std::exception_ptr& failure) {
    plan->running = false;
    if (end != commit_end::unknown) plan->abandoned.clear();  // `transactions` holds them as long as this runs
    const bool alone = transactions.size() == 1 && plan->request.offsets.empty() && !plan->in_group;
    for (const auto& one : transactions) {
        switch (end) {
            case commit_end::applied:
                one->decided();
                break;
            case commit_end::not_applied:
                one->not_decided(alone ? failure : nullptr);
                break;
            case commit_end::unknown:
                one->in_doubt(plan);
                break;
        }
    }
    for (const auto& listener : plan->listeners) listener(end);
}

weave::task<void> prepare(std::shared_ptr<commit_plan> plan, const participants* transactions) {
    plan->request.session = plan->client->session();
    plan->request.transactions.reserve(transactions->size());
    for (const auto& one : *transactions) {
        core::decision decision = co_await one->prepare_decision();
        plan->request.transactions.push_back(std::move(decision));
    }
    const std::size_t members = transactions->size() + plan->request.offsets.size() + plan->request.sources.size();
    if (plan->request.request.empty()) {
        plan->request.request = plan->client->new_request(plan->in_group || members > 1);
        plan->request.fresh = true;
    }
    plan->prepared = true;
}

weave::task<void> commit_with(std::shared_ptr<commit_plan> plan, participants transactions) {
    if (plan->running) throw error(errc::invalid_state, "this checkpoint is under way already: wait for its end");
    plan->running = true;
    commit_end end = commit_end::not_applied;
    std::exception_ptr failure;
    try {
        if (!plan->prepared) co_await prepare(plan, &transactions);
        end = commit_end::unknown;
        core::commit_request request = plan->request;
        plan->request.fresh = false;  // when it is asked again
        co_await plan->client->service().commit(std::move(request));
        end = commit_end::applied;
    } catch (const error& refused) {
        failure = std::current_exception();
        if (end == commit_end::unknown && refused.outcome() != outcome::unknown)
            end = refused.outcome() == outcome::applied ? commit_end::applied : commit_end::not_applied;
    } catch (...) {
        failure = std::current_exception();
    }
    tell(plan, transactions, end, failure);
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

weave::task<void> commit(std::shared_ptr<commit_plan> plan) {
    participants transactions = lock_all(*plan);
    return commit_with(std::move(plan), std::move(transactions));
}

}  // namespace tstreams::detail
