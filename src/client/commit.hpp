// One atomic commit of transactions, positions and source positions, whoever asked for it.
#pragma once

#include "client/client_state.hpp"
#include "core/service.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace tstreams::detail {

class transaction_state;

enum class commit_end : std::uint8_t { applied, not_applied, unknown };

// What is committed, and how to ask again while the outcome is unknown: the request stays as it was sent. Whoever is
// in doubt keeps the plan; the plan keeps nobody
// but those that nobody else does.
struct commit_plan {
    explicit commit_plan(std::shared_ptr<client_state> of) : client(std::move(of)) {}

    std::shared_ptr<client_state> client;
    core::commit_request request;  // offsets and sources are given; transactions are filled in by commit()
    std::vector<std::weak_ptr<transaction_state>> transactions;  // all in phase deciding
    // On the executor: those whose handles went away while the outcome is unknown. They hear of the end like the
    // others.
    std::vector<std::shared_ptr<transaction_state>> abandoned;
    // Called on the executor at each end, after the transactions have been told; must not throw.
    std::vector<std::function<void(commit_end)>> listeners;
    bool prepared = false;  // all frames are written and the request is complete
    bool running = false;   // on the executor
    bool in_group = false;

    [[nodiscard]] bool empty() const noexcept {
        return transactions.empty() && request.offsets.empty() && request.sources.empty();
    }
};

// Sends the plan, or sends it again. Throws what the broker says; the participants know of the end before that. From
// this call on they are kept, not only once the task has started.
weave::task<void> commit(std::shared_ptr<commit_plan> plan);

}  // namespace tstreams::detail
