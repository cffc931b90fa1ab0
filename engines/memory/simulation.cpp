#include "engines/memory/simulation.hpp"

#include <string>

namespace tstreams::memory {

void simulated_executor::post(weave::job& work) noexcept {
    node_.ready_.push_back({.work = &work, .sequence = ++node_.world_.sequence_});
}

bool simulated_executor::running_here() const noexcept {
    return node_.world_.running_ == &node_;
}

ports::steady_time simulated_clock::now() const noexcept {
    return node_.world_.now_;
}

wall_time simulated_clock::wall_now() const noexcept {
    const simulation& world = node_.world_;
    return world.options_.start + (world.now_ - world.started_) + skew_;
}

ports::clock::timer simulated_clock::call_at(ports::steady_time when, std::function<void()> callback) {
    simulation& world = node_.world_;
    const timer id = ++world.last_timer_;
    world.armed_.emplace(id, simulation::armed_timer{when, &node_, std::move(callback)});
    world.by_time_.emplace(when, id);
    return id;
}

void simulated_clock::cancel(timer which) noexcept {
    simulation& world = node_.world_;
    const auto found = world.armed_.find(which);
    if (found == world.armed_.end()) return;
    world.by_time_.erase({found->second.when, which});
    world.armed_.erase(found);
}

simulation::simulation(simulation_options options) : options_(options), random_(options.seed) {}

simulated_node& simulation::add_node(std::chrono::microseconds skew) {
    nodes_.push_back(std::make_unique<simulated_node>(*this, nodes_.size(), skew, random_.next()));
    return *nodes_.back();
}

void simulation::mix(std::uint64_t value) noexcept {
    trace_ = (trace_ ^ value) * 0x100000001b3U;
    trace_ ^= trace_ >> 29;
}

void simulation::trace(std::string_view what) noexcept {
    mix(what.size());
    for (const char byte : what) mix(static_cast<unsigned char>(byte));
}

simulated_node* simulation::choose_node() {
    simulated_node* chosen = nullptr;
    std::uint64_t candidates = 0;
    for (const auto& node : nodes_) {
        if (node->paused_ || node->ready_.empty()) continue;
        ++candidates;
        if (options_.order == job_order::fifo) {
            const bool earlier = chosen == nullptr || node->ready_.front().sequence < chosen->ready_.front().sequence;
            if (earlier) chosen = node.get();
        } else if (random_.below(candidates) == 0) {
            chosen = node.get();
        }
    }
    return chosen;
}

// Runs one job or due timer; false when none is ready.
bool simulation::step() {
    simulated_node* node = choose_node();
    if (node == nullptr) return false;
    std::size_t index = 0;
    if (options_.order == job_order::shuffle_jobs) {
        index = static_cast<std::size_t>(random_.below(node->ready_.size()));
        std::swap(node->ready_.front(), node->ready_[index]);
    }
    const simulated_node::ready_entry entry = node->ready_.front();
    node->ready_.pop_front();
    mix(node->index_);
    mix(index);
    mix(entry.due);
    if (++steps_ > options_.steps_max) {
        throw std::runtime_error("the simulation with seed " + std::to_string(options_.seed) + " is over its " +
                                 std::to_string(options_.steps_max) + " steps");
    }

    running_ = node;
    if (entry.work != nullptr) {
        entry.work->run(*entry.work);
    } else if (const auto found = armed_.find(entry.due); found != armed_.end()) {
        const std::function<void()> callback = std::move(found->second.callback);
        armed_.erase(found);
        callback();
    }
    running_ = nullptr;
    return true;
}

// Goes to the next timer up to the deadline and makes ready all that are due then; false when there is none.
bool simulation::advance(ports::steady_time deadline) {
    if (by_time_.empty() || by_time_.begin()->first > deadline) return false;
    now_ = std::max(now_, by_time_.begin()->first);
    mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    while (!by_time_.empty() && by_time_.begin()->first <= now_) {
        const ports::clock::timer due = by_time_.begin()->second;
        by_time_.erase(by_time_.begin());
        armed_.at(due).node->ready_.push_back({.due = due, .sequence = ++sequence_});
    }
    return true;
}

void simulation::run_until_idle() {
    // Timers that are due already belong to what is ready.
    for (;;) {
        if (advance(now_)) continue;
        if (!step()) return;
    }
}

void simulation::run_for(std::chrono::microseconds time) {
    run_until([] { return false; }, time);
}

bool simulation::run_until(const std::function<bool()>& done, std::chrono::microseconds at_most) {
    const ports::steady_time deadline = now_ + at_most;
    for (;;) {
        if (done()) return true;
        if (advance(now_) || step() || advance(deadline)) continue;
        now_ = std::max(now_, deadline);
        return done();
    }
}

}  // namespace tstreams::memory
