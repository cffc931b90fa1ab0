#include "engines/memory/engine.hpp"

#include <tstreams/error.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace tstreams::memory {

namespace {

constexpr std::uint32_t scan_rows_max = 65'536;

// Takes the caller to the store, does the work there, and brings the caller back to its node.
class round_trip {
public:
    round_trip(store& target, ports::clock& home, trip way, std::function<void()> work)
        : store_(target), home_(home), way_(way), work_(std::move(work)) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        ports::clock& there = store_.clock();
        there.call_at(there.now() + way_.there, [this, waiting] {
            work_();
            home_.call_at(home_.now() + way_.back, [waiting] { waiting.resume(); });
        });
    }
    void await_resume() const noexcept {}

private:
    store& store_;
    ports::clock& home_;
    trip way_;
    std::function<void()> work_;
};

enum class order : std::uint8_t { any, as_called };

// Runs `work` at the store, now or after a delay, and returns what it returns or throws what it throws.
template <class T>
weave::task<T> at_store(store& target, ports::clock& home, std::function<T()> work, order wanted = order::any) {
    std::optional<trip> way = target.faults().delay();
    if (wanted == order::as_called) {
        const std::chrono::microseconds there = target.in_order(way ? way->there : std::chrono::microseconds(0));
        if (!way && there.count() != 0) way.emplace();
        if (way) way->there = there;
    }
    if (!way) co_return work();
    std::optional<T> result;
    std::exception_ptr failure;
    std::function<void()> guarded = [&result, &failure, &work] {
        try {
            result.emplace(work());
        } catch (...) {
            failure = std::current_exception();
        }
    };
    round_trip there_and_back(target, home, *way, std::move(guarded));
    co_await there_and_back;
    if (failure) std::rethrow_exception(failure);
    co_return std::move(*result);
}

struct nothing {};

[[noreturn]] void throw_failure(errc code, const char* what) {
    throw error(code, std::string("memory engine: ") + what + ": " + std::string(text(code)));
}

void fail_if_planned(store& target, call which, const char* what) {
    if (const std::optional<errc> code = target.faults().failure(which)) throw_failure(*code, what);
}

void fail_if_broken(const store& target, bool severed) {
    if (severed || target.failed()) throw_failure(errc::storage_failed, "write");
}

void fail_if_severed(bool severed) {
    if (severed) throw_failure(errc::storage_failed, "the process of this connection has died");
}

[[noreturn]] void throw_unknown(const char* what) {
    throw error(errc::storage_failed, std::string("memory engine: ") + what, outcome::unknown);
}

ports::commit_result commit_at_store(store& target, ports::batch change, commit_fault fault) {
    ports::commit_result result;
    switch (fault) {
        case commit_fault::none:
            return target.commit(std::move(change));
        case commit_fault::unavailable:
            result.status = ports::commit_status::unavailable;
            return result;
        case commit_fault::unknown_applied:
            target.commit_unheard(std::move(change));
            break;
        case commit_fault::unknown_not_applied:
            break;
        case commit_fault::unknown_applied_later: {
            const std::chrono::microseconds time = target.faults().random().up_to(target.faults().rates().later_max);
            target.commit_later(std::move(change), time);
            break;
        }
    }
    result.status = ports::commit_status::unknown;
    return result;
}

void fail_commit(store& target, errc code) {
    if (code == errc::storage_failed) {
        target.fail_for_good();
        throw_unknown("the storage failed during a commit");
    }
    throw_failure(code, "commit");
}

}  // namespace

// ---- key_value

ports::key_value_caps key_value::caps() const noexcept {
    ports::key_value_caps caps;
    caps.exclusive = store_.exclusive();
    caps.atomic_shards = store_.exclusive();
    return caps;
}

weave::task<std::optional<ports::bytes>> key_value::get(ports::bytes shard, ports::bytes key) {
    fail_if_severed(severed_);
    if (!store_.faults().active()) co_return store_.get(shard, key);
    std::function<std::optional<ports::bytes>()> work = [&] {
        fail_if_severed(severed_);
        fail_if_planned(store_, call::read, "get");
        return store_.get(shard, key);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

weave::task<std::vector<ports::row>> key_value::scan(ports::scan_range range) {
    if (range.limit == 0 || range.limit > scan_rows_max) {
        throw error(errc::invalid_argument, "scan: the limit must be 1 to 65,536 rows");
    }
    fail_if_severed(severed_);
    if (!store_.faults().active()) co_return store_.scan(range);
    std::function<std::vector<ports::row>()> work = [&] {
        fail_if_severed(severed_);
        fail_if_planned(store_, call::read, "scan");
        return store_.scan(range);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

weave::task<ports::commit_result> key_value::commit(ports::batch change, durability) {
    fail_if_broken(store_, severed_);
    if (!store_.faults().active()) co_return store_.commit(std::move(change));
    if (store_.exclusive()) {
        std::vector<ports::batch> changes;
        changes.push_back(std::move(change));
        co_return co_await commit_exclusive(std::move(changes));
    }
    const commit_fault fault = store_.faults().commit();
    std::function<ports::commit_result()> work = [&] {
        if (const std::optional<errc> code = store_.faults().failure(call::commit)) fail_commit(store_, *code);
        return commit_at_store(store_, std::move(change), fault);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

weave::task<ports::commit_result> key_value::commit_all(std::vector<ports::batch> changes, durability) {
    if (!store_.exclusive()) {
        throw error(errc::unsupported, "memory engine: a shared store commits one shard at a time");
    }
    fail_if_broken(store_, severed_);
    if (!store_.faults().active()) co_return store_.commit_all(std::move(changes));
    co_return co_await commit_exclusive(std::move(changes));
}

// A store that fails has failed for all who are on their way, and nobody of them knows what became of his.
weave::task<ports::commit_result> key_value::commit_exclusive(std::vector<ports::batch> changes) {
    std::function<ports::commit_result()> work = [&] {
        if (severed_) throw_unknown("its process died during a commit");
        if (store_.failed()) {
            store_.arrive_late(std::move(changes));
            throw_unknown("the storage failed before this commit arrived");
        }
        if (const std::optional<errc> code = store_.faults().failure(call::commit)) fail_commit(store_, *code);
        const commit_fault fault = store_.faults().commit();
        if (fault == commit_fault::none) return store_.commit_all(std::move(changes));
        if (fault != commit_fault::unavailable) {
            store_.fail_during(std::move(changes), fault);
            throw_unknown("the storage failed during a commit");
        }
        ports::commit_result result;
        result.status = ports::commit_status::unavailable;
        return result;
    };
    co_return co_await at_store(store_, clock_, std::move(work), order::as_called);
}

weave::task<ports::commit_result> key_value::settle(ports::bytes shard, ports::operation_id operation) {
    if (store_.exclusive()) {
        throw error(errc::unsupported, "memory engine: an exclusive store has no unknown outcomes to settle");
    }
    std::function<ports::commit_result()> work = [&] {
        if (store_.faults().active() && store_.faults().failure(call::settle)) {
            ports::commit_result result;
            result.status = ports::commit_status::unavailable;
            return result;
        }
        return store_.settle(shard, operation);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

void key_value::hold_expiry(std::optional<wall_time> at) {
    if (store_.exclusive() && !severed_) store_.hold_expiry(at);
}

// ---- blob_store

ports::blob_caps blob_store::caps() const noexcept {
    ports::blob_caps caps;
    caps.commit_covers = store_.exclusive();
    return caps;
}

weave::task<ports::blob_ref> blob_store::write(ports::blob_name name, bytes_view data, std::uint32_t crc32c,
                                               wall_time) {
    if (data.size() > caps().blob_bytes_max) {
        throw error(errc::too_large, "blob of " + std::to_string(data.size()) + " bytes: at most " +
                                         std::to_string(caps().blob_bytes_max) + " are allowed");
    }
    fail_if_broken(store_, severed_);
    if (!store_.faults().active()) co_return store_.write_blob(name, data, crc32c);
    std::function<ports::blob_ref()> work = [&] {
        fail_if_broken(store_, severed_);
        fail_if_planned(store_, call::blob_write, "blob write");
        return store_.write_blob(name, data, crc32c);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

weave::task<void> blob_store::sync(std::vector<ports::blob_ref> blobs, durability) {
    if (store_.exclusive()) co_return;
    std::function<nothing()> work = [&] {
        fail_if_planned(store_, call::blob_sync, "blob sync");
        store_.sync_blobs(blobs);
        return nothing{};
    };
    co_await at_store(store_, clock_, std::move(work));
}

weave::task<std::string> blob_store::read(ports::blob_ref blob) {
    fail_if_severed(severed_);
    if (!store_.faults().active()) co_return store_.read_blob(blob);
    std::function<std::string()> work = [&] {
        fail_if_severed(severed_);
        fail_if_planned(store_, call::blob_read, "blob read");
        return store_.read_blob(blob);
    };
    co_return co_await at_store(store_, clock_, std::move(work));
}

weave::task<void> blob_store::drop(std::vector<ports::blob_ref> blobs) {
    std::function<nothing()> work = [&] {
        fail_if_severed(severed_);
        fail_if_planned(store_, call::blob_drop, "blob drop");
        store_.drop_blobs(blobs);
        return nothing{};
    };
    co_await at_store(store_, clock_, std::move(work));
}

// ---- coordinator

namespace {

// A call that fails may have been done all the same: its answer was lost.
template <class T>
weave::task<T> coordinate(store& target, ports::clock& home, const char* what, std::function<T()> work) {
    std::function<T()> attempt = [&target, what, &work]() -> T {
        const std::optional<errc> code = target.faults().failure(call::coordination);
        if (!code) return work();
        if (target.faults().random().below(2) == 0) work();
        throw_failure(*code, what);
    };
    co_return co_await at_store(target, home, std::move(attempt));
}

}  // namespace

coordinator::coordinator(store& shared, ports::clock& clock)
    : store_(shared),
      clock_(clock),
      listener_(shared.listen([this](const std::string& topic, const std::string& message) { hear(topic, message); })) {
}

coordinator::~coordinator() {
    store_.stop_listening(listener_);
}

weave::task<std::optional<ports::lease>> coordinator::acquire(std::string name, std::string holder,
                                                              std::chrono::milliseconds duration) {
    const ports::steady_time asked_at = clock_.now();
    std::function<std::optional<std::uint64_t>()> work = [&] { return store_.acquire(name, holder, duration); };
    const std::optional<std::uint64_t> token = co_await coordinate(store_, clock_, "acquire", std::move(work));
    if (!token) co_return std::nullopt;
    ports::lease got{std::move(name), std::move(holder), *token, asked_at + duration};
    co_return got;
}

weave::task<std::optional<ports::lease>> coordinator::renew(ports::lease held, std::chrono::milliseconds duration) {
    const ports::steady_time asked_at = clock_.now();
    std::function<bool()> work = [&] {
        if (store_.faults().random().chance(store_.faults().rates().lease_lost)) store_.lose_lease(held.name);
        return store_.renew(held, duration);
    };
    const bool renewed = co_await coordinate(store_, clock_, "renew", std::move(work));
    if (!renewed) co_return std::nullopt;
    held.safe_until = asked_at + duration;
    co_return held;
}

weave::task<void> coordinator::release(ports::lease held) {
    std::function<nothing()> work = [&] {
        store_.release(held);
        return nothing{};
    };
    co_await coordinate(store_, clock_, "release", std::move(work));
}

weave::task<void> coordinator::join(ports::member self, std::chrono::milliseconds duration) {
    std::function<nothing()> work = [&] {
        store_.join(self, duration);
        return nothing{};
    };
    co_await coordinate(store_, clock_, "join", std::move(work));
}

weave::task<void> coordinator::leave(std::string node) {
    std::function<nothing()> work = [&] {
        store_.leave(node);
        return nothing{};
    };
    co_await coordinate(store_, clock_, "leave", std::move(work));
}

weave::task<std::vector<ports::member>> coordinator::members() {
    std::function<std::vector<ports::member>()> work = [&] { return store_.members(); };
    co_return co_await coordinate(store_, clock_, "members", std::move(work));
}

weave::task<void> coordinator::publish(std::string topic, std::string message) {
    std::function<nothing()> work = [&] {
        store_.publish(topic, message);
        return nothing{};
    };
    co_await coordinate(store_, clock_, "publish", std::move(work));
}

std::uint64_t coordinator::subscribe(std::string topic, std::function<void(const std::string&)> on_message) {
    const std::uint64_t number = ++subscriptions_->last;
    subscriptions_->by_number.emplace(
        number, std::make_shared<subscription>(subscription{std::move(topic), std::move(on_message)}));
    return number;
}

void coordinator::unsubscribe(std::uint64_t which) {
    subscriptions_->by_number.erase(which);
}

void coordinator::hear(const std::string& topic, const std::string& message) {
    fault_plan& faults = store_.faults();
    if (faults.random().chance(faults.rates().publication_lost)) return;
    deliver(topic, message);
    if (faults.random().chance(faults.rates().publication_repeated)) deliver(topic, message);
}

// On the node, later: a subscriber is not called inside publish().
void coordinator::deliver(const std::string& topic, const std::string& message) {
    const std::optional<trip> way = store_.faults().delay();
    const ports::steady_time when = clock_.now() + (way ? way->there : std::chrono::microseconds(0));
    clock_.call_at(when, [watched = std::weak_ptr(subscriptions_), topic, message] {
        const std::shared_ptr<subscriptions> alive = watched.lock();
        if (!alive) return;
        std::vector<std::uint64_t> numbers;
        for (const auto& [number, one] : alive->by_number) {
            if (one->topic == topic) numbers.push_back(number);
        }
        for (const std::uint64_t number : numbers) {
            const auto found = alive->by_number.find(number);
            if (found == alive->by_number.end()) continue;  // an earlier callback ended it
            const std::shared_ptr<subscription> called = found->second;
            called->on_message(message);
        }
    });
}

}  // namespace tstreams::memory
