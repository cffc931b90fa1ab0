#include "client/commit.hpp"

#include "client/transaction_state.hpp"

#include <weave/spawn.hpp>
#include <weave/sync.hpp>

#include <optional>

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
    const std::size_t members = transactions->size() + plan->request.offsets.size() + plan->request.sources.size();
    const bool kept = plan->in_group || members > 1;
    for (const auto& one : *transactions) {
        core::decision decision = co_await one->prepare_decision(!kept);
        plan->request.transactions.push_back(std::move(decision));
    }
    if (plan->request.request.empty()) {
        plan->request.request = plan->client->new_request(kept);
        plan->request.fresh = true;
    }
    plan->prepared = true;
}

weave::task<void> send(commit_plan* plan) {
    core::commit_request request = plan->request;
    plan->request.fresh = false;  // when it is asked again
    co_await plan->client->service().commit(std::move(request));
}

// What a failure says of itself; nothing for what is no error of ours.
struct verdict {
    outcome result = outcome::unknown;
    std::optional<errc> code;
};

verdict verdict_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const error& refused) {
        return {refused.outcome(), refused.code()};
    } catch (...) {
        return {};
    }
}

// The last frame of a transaction that is committed alone goes just in front of the commit, which does not wait until
// the frame is acknowledged: to a broker elsewhere that saves a round trip. The commit says how many frames there are,
// so one that has overtaken the frame is refused, and is asked again behind it. A commit that was done says that the
// frame is there, whatever became of the answer to that.
weave::task<void> send_behind_frame(commit_plan* plan, transaction_state* of, commit_end* end) {
    weave::executor& home = plan->client->home();
    weave::event written(home);
    std::exception_ptr unwritten;
    weave::task<void> frame = of->write_last_frame();
    weave::spawn(home, std::move(frame), [&written, &unwritten](weave::outcome_of<void> result) {
        unwritten = result.failure();
        written.set();
    });
    co_await weave::yield(home);  // the frame goes first
    std::exception_ptr refused;
    try {
        co_await send(plan);
    } catch (...) {
        refused = std::current_exception();
    }
    co_await written.wait();
    if (!refused) co_return;
    const verdict said = verdict_of(refused);
    if (said.result != outcome::not_applied) std::rethrow_exception(refused);
    if (unwritten) {
        *end = commit_end::not_applied;
        std::rethrow_exception(unwritten);
    }
    if (said.code != errc::invalid_state) std::rethrow_exception(refused);
    co_await send(plan);
}

weave::task<void> commit_with(std::shared_ptr<commit_plan> plan, participants transactions) {
    if (plan->running) throw error(errc::invalid_state, "this checkpoint is under way already: wait for its end");
    plan->running = true;
    commit_end end = commit_end::not_applied;
    std::exception_ptr failure;
    try {
        transaction_state* with_frame = nullptr;
        if (!plan->prepared) {
            co_await prepare(plan, &transactions);
            if (transactions.size() == 1 && transactions.front()->has_last_frame(plan->request.transactions.front()))
                with_frame = transactions.front().get();
        }
        end = commit_end::unknown;
        weave::task<void> work = with_frame ? send_behind_frame(plan.get(), with_frame, &end) : send(plan.get());
        co_await work;
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
