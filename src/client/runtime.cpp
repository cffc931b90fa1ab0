#include "client/runtime.hpp"

#include "client/machine.hpp"

#include <sys/random.h>

#include <algorithm>

namespace tstreams::detail {

namespace {

// The executor whose jobs this thread is running.
thread_local const runtime* driving_here = nullptr;

// A pass takes this many jobs that other threads have posted, and runs them and what they post, up to a limit. So what
// belongs together (a commit, its group, its answer) comes close together, in the cache, however long the queue is.
constexpr std::size_t input_per_pass = 128;
constexpr int jobs_per_pass = 512;
// A caller whose task is done runs this many jobs more before it wakes somebody else for the rest.
constexpr int jobs_after_own = 16;
constexpr int passes_per_timer = 64;

ports::steady_time steady_now() noexcept {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::steady_clock::now());
}

}  // namespace

void runtime::job_queue::push(weave::job& work) noexcept {
    work.next = nullptr;
    if (tail_) {
        tail_->next = &work;
    } else {
        head_ = &work;
    }
    tail_ = &work;
}

weave::job& runtime::job_queue::pop() noexcept {
    weave::job& first = *head_;
    head_ = first.next;
    if (!head_) tail_ = nullptr;
    first.next = nullptr;
    return first;
}

void runtime::job_queue::take(job_queue& other, std::size_t count) noexcept {
    while (count-- > 0 && !other.empty()) push(other.pop());
}

void runtime::job_queue::append(job_queue& other) noexcept {
    if (other.empty()) return;
    if (tail_) {
        tail_->next = other.head_;
    } else {
        head_ = other.head_;
    }
    tail_ = other.tail_;
    other.head_ = other.tail_ = nullptr;
}

runtime::runtime()
    : boot_anchor_(since_boot()),
      wall_anchor_(std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now())),
      service_([this] { serve(); }) {}

runtime::~runtime() {
    stop();
}

void runtime::stop() noexcept {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        service_seat_.wake.notify_one();
    }
    if (service_.joinable()) service_.join();
}

void runtime::post(weave::job& work) noexcept {
    if (driving_here == this) {
        (in_pass_ ? ready_ : input_).push(work);
        return;
    }
    const std::lock_guard lock(mutex_);
    inbox_.push(work);
    if (!driven_) offer();
}

bool runtime::running_here() const noexcept {
    return driving_here == this;
}

bool runtime::running_any_here() noexcept {
    return driving_here != nullptr;
}

void runtime::throw_would_deadlock() {
    throw error(errc::would_deadlock,
                "a blocking call from code that runs inside the broker: use the asynchronous call there, or make "
                "the call on another thread");
}

ports::steady_time runtime::now() const noexcept {
    return steady_now();
}

wall_time runtime::wall_now() const noexcept {
    // Not the steady clock, which stands still while the machine sleeps.
    return wall_anchor_ + (since_boot() - boot_anchor_);
}

ports::machine_time runtime::machine() const {
    return detail::machine();
}

ports::clock::timer runtime::call_at(ports::steady_time when, std::function<void()> callback) {
    const timer id = ++last_timer_;
    callbacks_.emplace(id, std::move(callback));
    timers_.push({when, id});
    return id;
}

void runtime::cancel(timer which) noexcept {
    callbacks_.erase(which);
    if (timers_.size() > 2 * callbacks_.size() + 64) drop_cancelled_timers();
}

void runtime::drop_cancelled_timers() noexcept {
    std::vector<due_timer> kept;
    kept.reserve(callbacks_.size());
    for (; !timers_.empty(); timers_.pop())
        if (callbacks_.contains(timers_.top().id)) kept.push_back(timers_.top());
    timers_ = decltype(timers_)(std::greater<>{}, std::move(kept));
}

std::uint64_t runtime::random() noexcept {
    if (random_left_ == 0) {
        std::size_t filled = 0;
        auto* bytes = reinterpret_cast<unsigned char*>(random_.data());
        while (filled < sizeof random_) {
            const ssize_t got = getrandom(bytes + filled, sizeof random_ - filled, 0);
            // The kernel's generator fails for no reason but a signal.
            if (got > 0) filled += static_cast<std::size_t>(got);
        }
        random_left_ = random_.size();
    }
    return random_[--random_left_];
}

bool runtime::sit_down(seat& self) {
    const std::lock_guard lock(mutex_);
    if (driven_) {
        enlist(self);
        return false;
    }
    driven_ = true;
    offered_ = false;
    driving_here = this;
    input_.append(inbox_);  // the caller's own work stands behind what was there before
    return true;
}

void runtime::wait_for(seat& self, bool driving) {
    std::unique_lock lock(mutex_, std::defer_lock);
    if (driving) {
        drive(lock, self);
        if (self.finished) return;
        // drive() has enlisted the seat.
    } else {
        lock.lock();
    }
    for (;;) {
        self.wake.wait(lock, [&] { return self.finished || self.offered; });
        self.offered = false;
        if (self.finished) return;
        if (driven_) continue;
        delist(self);
        driven_ = true;
        offered_ = false;
        driving_here = this;
        lock.unlock();
        drive(lock, self);
        if (self.finished) return;
    }
}

void runtime::finish(seat& done) noexcept {
    const std::lock_guard lock(mutex_);
    done.finished = true;
    delist(done);
    // Under the lock: the seat is gone as soon as its owner sees `finished`.
    done.wake.notify_one();
}

// Called with the role and without the lock; returns without the role and with the lock, the seat enlisted unless it
// is finished or the service thread's. Queued input goes before timers, and timers go one by one, so that after a
// pause a heartbeat is heard before the deadline that it moves; under steady load they get their turn all the same.
void runtime::drive(std::unique_lock<std::mutex>& lock, seat& self) noexcept {
    int idle_passes = 0;
    for (int passes = 1;; ++passes) {
        ready_.take(input_, input_per_pass);
        run_jobs(self);
        if (pass_end_) pass_end_();
        lock.lock();
        input_.append(inbox_);
        if (self.finished) break;
        lock.unlock();
        const bool idle = ready_.empty() && input_.empty();
        const bool fired = (idle || passes % passes_per_timer == 0) && fire_timer();
        idle_passes = idle && !fired ? idle_passes + 1 : 0;
        if (idle_passes == 0 || let_others_post(self, idle_passes)) continue;
        lock.lock();
        input_.append(inbox_);
        if (input_.empty()) break;
        lock.unlock();
    }
    if (!self.finished && &self != &service_seat_) enlist(self);
    release();
}

// Threads that wait for a core may be about to post. They get it, and need not wake this one for what they post: on a
// busy machine that halves what small calls cost, on others it takes under a microsecond.
bool runtime::let_others_post(const seat& self, int idle_passes) noexcept {
    constexpr int yields = 2;
    if (&self != &service_seat_ || idle_passes > yields) return false;
    std::this_thread::yield();
    return true;
}

// Runs what is ready, up to a limit. It goes on for a little when the driver's own task is done.
void runtime::run_jobs(const seat& self) noexcept {
    int left = jobs_per_pass;
    bool own_done = self.finished;
    in_pass_ = true;
    while (left-- > 0 && !ready_.empty()) {
        weave::job& work = ready_.pop();
        work.run(work);
        if (self.finished && !own_done) {
            own_done = true;
            left = std::min(left, jobs_after_own);
        }
    }
    in_pass_ = false;
}

bool runtime::fire_timer() noexcept {
    while (!timers_.empty() && !callbacks_.contains(timers_.top().id)) timers_.pop();
    if (timers_.empty() || timers_.top().when > steady_now()) return false;
    const auto found = callbacks_.find(timers_.top().id);
    timers_.pop();
    const std::function<void()> callback = std::move(found->second);
    callbacks_.erase(found);
    callback();
    return true;
}

void runtime::release() noexcept {
    driving_here = nullptr;
    driven_ = false;
    next_timer_ = timers_.empty() ? ports::steady_time::max() : timers_.top().when;
    if (!ready_.empty() || !input_.empty()) {
        offer();
    } else if (next_timer_ < service_wakes_) {
        service_seat_.wake.notify_one();
    }
}

// Wakes one thread to take the role. The role stays free until then: whoever comes first takes it.
void runtime::offer() noexcept {
    if (offered_) return;
    offered_ = true;
    seat& chosen = waiting_ ? *waiting_ : service_seat_;
    chosen.offered = true;
    chosen.wake.notify_one();
}

void runtime::enlist(seat& one) noexcept {
    one.previous = nullptr;
    one.next = waiting_;
    if (waiting_) waiting_->previous = &one;
    waiting_ = &one;
}

void runtime::delist(seat& one) noexcept {
    if (one.next) one.next->previous = one.previous;
    if (one.previous) {
        one.previous->next = one.next;
    } else if (waiting_ == &one) {
        waiting_ = one.next;
    }
    one.previous = one.next = nullptr;
}

void runtime::serve() noexcept {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const bool timer_due = next_timer_ <= steady_now();
        if (!driven_ && (service_seat_.offered || timer_due)) {
            service_seat_.offered = false;
            driven_ = true;
            offered_ = false;
            driving_here = this;
            service_turns_.fetch_add(1, std::memory_order_relaxed);
            lock.unlock();
            drive(lock, service_seat_);
            continue;
        }
        service_seat_.offered = false;
        // While another thread drives it looks after the timers, and tells of the next one when it stops.
        service_wakes_ = driven_ ? ports::steady_time::max() : next_timer_;
        if (service_wakes_ == ports::steady_time::max()) {
            service_seat_.wake.wait(lock);
        } else {
            service_seat_.wake.wait_until(lock, service_wakes_);
        }
        // Nobody needs to wake it for a timer while it is awake.
        service_wakes_ = ports::steady_time::min();
    }
}

}  // namespace tstreams::detail
