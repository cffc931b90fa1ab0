#include "client/group_state.hpp"

#include "client/machine.hpp"

#include <algorithm>

namespace tstreams::detail {

namespace {

thread_local const callback_here* here_now = nullptr;

// The gate, for as long as a coroutine needs it.
class gate_guard {
public:
    explicit gate_guard(callback_gate* held) noexcept : held_(held) {}
    gate_guard(const gate_guard&) = delete;
    gate_guard& operator=(const gate_guard&) = delete;
    ~gate_guard() {
        if (held_) held_->unlock();
    }

private:
    callback_gate* held_;
};

// Waits for its turn at a gate whose former holder may be on any thread.
struct gate_entry : weave::job {
    runtime& home;
    std::function<bool(std::function<void()>)> enter;
    std::coroutine_handle<> waiting;

    gate_entry(runtime& on, std::function<bool(std::function<void()>)> how)
        : job([](weave::job& self) noexcept { static_cast<gate_entry&>(self).waiting.resume(); }),
          home(on),
          enter(std::move(how)) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
        waiting = handle;
        return !enter([this] { home.post(*this); });
    }
    void await_resume() const noexcept {}
};

}  // namespace

const callback_here* current_callback() noexcept {
    return here_now;
}

void set_current_callback(const callback_here* here) noexcept {
    here_now = here;
}

std::optional<processed_now> processed_inside(const group_state& group) {
    if (!here_now || here_now->group != &group) return std::nullopt;
    return here_now->now;
}

// -- the gate -----------------------------------------------------------------------------------------------

bool callback_gate::enter_or_wait(std::function<void()> entered) {
    const std::lock_guard lock(mutex_);
    if (!busy_) {
        busy_ = true;
        return true;
    }
    waiting_.push_back(std::move(entered));
    return false;
}

void callback_gate::lock() {
    std::mutex turn;
    std::condition_variable wake;
    bool mine = false;
    const bool entered = enter_or_wait([&] {
        const std::lock_guard lock(turn);
        mine = true;
        wake.notify_one();
    });
    if (entered) return;
    std::unique_lock lock(turn);
    wake.wait(lock, [&] { return mine; });
}

weave::task<void> callback_gate::lock(runtime& home) {
    std::function<bool(std::function<void()>)> enter = [this](std::function<void()> entered) {
        return enter_or_wait(std::move(entered));
    };
    gate_entry entry(home, std::move(enter));
    co_await entry;
}

void callback_gate::unlock() {
    std::function<void()> next;
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
            busy_ = false;
            return;
        }
        next = std::move(waiting_.front());
        waiting_.pop_front();
    }
    next();
}

// -- members ------------------------------------------------------------------------------------------------

void group_state::check_not_frozen(const char* call) const {
    if (!in_doubt_) return;
    throw error(errc::invalid_state, std::string("checkpoint_group::") + call +
                                         ": the last checkpoint has an unknown outcome; call checkpoint() again to "
                                         "settle it");
}

void group_state::check_store(const std::shared_ptr<client_state>& owner) const {
    client_->check_open();
    if (owner == client_) return;
    throw error(errc::foreign_store, "a member of the client of '" + owner->uri() +
                                         "' cannot join a group of another client, of '" + client_->uri() + "'");
}

void group_state::add(const std::shared_ptr<producer_state>& member) {
    check_store(member->client_owner());
    const std::lock_guard lock(mutex_);
    check_not_frozen("add");
    producers_.reserve(producers_.size() + 1);
    member->join(shared_from_this());
    producers_.push_back(member);
}

void group_state::add(const std::shared_ptr<offsets_state>& member) {
    check_store(member->client_owner());
    const std::lock_guard lock(mutex_);
    check_not_frozen("add");
    readers_.reserve(readers_.size() + 1);
    member->join(shared_from_this());
    readers_.push_back(member);
}

namespace {

template <class Member>
void remove_from(std::vector<std::shared_ptr<Member>>& members, const std::shared_ptr<Member>& member) {
    const auto found = std::find(members.begin(), members.end(), member);
    if (found == members.end())
        throw error(errc::invalid_state, "checkpoint_group::remove: this is not a member of the group");
    members.erase(found);
    member->leave();
}

}  // namespace

void group_state::remove(const std::shared_ptr<producer_state>& member) {
    const std::lock_guard lock(mutex_);
    check_not_frozen("remove");
    remove_from(producers_, member);
}

void group_state::remove(const std::shared_ptr<offsets_state>& member) {
    const std::lock_guard lock(mutex_);
    check_not_frozen("remove");
    remove_from(readers_, member);
}

void group_state::clear() {
    const std::lock_guard lock(mutex_);
    check_not_frozen("clear");
    for (const auto& one : producers_) one->leave();
    for (const auto& one : readers_) one->leave();
    producers_.clear();
    readers_.clear();
    poisoned_ = false;
}

bool group_state::contains(const producer_state* member) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(producers_.begin(), producers_.end(), [&](const auto& one) { return one.get() == member; });
}

bool group_state::contains(const offsets_state* member) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(readers_.begin(), readers_.end(), [&](const auto& one) { return one.get() == member; });
}

std::size_t group_state::size() const {
    const std::lock_guard lock(mutex_);
    return producers_.size() + readers_.size();
}

request_id group_state::last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
}

request_id group_state::next_request() {
    const std::lock_guard lock(mutex_);
    if (in_doubt_) return in_doubt_->request.request;
    if (next_request_.empty())
        next_request_ = core::make_request_id(client_->store_now(), true, system_random(), system_random());
    return next_request_;
}

// -- deciding -----------------------------------------------------------------------------------------------

void group_state::collect(commit_plan& plan, const std::optional<processed_now>& also) const {
    for (const auto& reader : readers_) {
        const bool here = also && also->reader == reader;
        reader->add_to(plan, true, here ? std::optional(also->position) : std::nullopt);
    }
    try {
        for (const auto& producer : producers_) {
            producer->add_source(plan, std::nullopt);
            producer->begin_decisions(plan, std::nullopt);
        }
    } catch (...) {
        for (const auto& weak : plan.transactions)
            if (const auto one = weak.lock()) one->withdraw_decision();
        throw;
    }
}

std::shared_ptr<commit_plan> group_state::plan_checkpoint(const std::optional<processed_now>& also) {
    const std::lock_guard lock(mutex_);
    if (in_doubt_) return in_doubt_;
    if (poisoned_)
        throw error(errc::transaction_lost,
                    "a transaction of a member was destroyed undecided: nothing of this group is committed until "
                    "cancel() is called");
    auto plan = std::make_shared<commit_plan>(client_);
    plan->in_group = true;
    plan->request.request = next_request_;
    collect(*plan, also);
    if (!plan->empty()) next_request_ = request_id();
    const std::weak_ptr<commit_plan> weak_plan = plan;
    plan->listeners.emplace_back([weak_self = weak_from_this(), weak_plan](commit_end end) {
        if (const auto self = weak_self.lock()) self->note_end(end, weak_plan.lock());
    });
    return plan;
}

void group_state::note_end(commit_end end, const std::shared_ptr<commit_plan>& plan) {
    const std::lock_guard lock(mutex_);
    last_request_ = plan->request.request;
    in_doubt_ = end == commit_end::unknown ? plan : nullptr;
}

weave::task<void> group_state::checkpoint(std::shared_ptr<group_state> self, std::optional<processed_now> also) {
    const bool inside = also.has_value();
    if (!inside) co_await self->gate_.lock(self->client_->home());
    const gate_guard held(inside ? nullptr : &self->gate_);
    std::shared_ptr<commit_plan> plan = self->plan_checkpoint(also);
    if (!plan->empty()) co_await commit(std::move(plan));
}

weave::task<void> group_state::cancel(std::shared_ptr<group_state> self, bool inside) {
    if (!inside) co_await self->gate_.lock(self->client_->home());
    const gate_guard held(inside ? nullptr : &self->gate_);
    std::vector<std::shared_ptr<producer_state>> producers;
    {
        const std::lock_guard lock(self->mutex_);
        self->check_not_frozen("cancel");
        producers = self->producers_;
    }
    std::exception_ptr failure;
    for (const auto& producer : producers) {
        try {
            co_await producer_state::cancel(producer, std::nullopt);
        } catch (...) {
            failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
    self->poisoned_ = false;
}

}  // namespace tstreams::detail
