// What the server has sent ahead of being asked: transactions that became readable behind a reader's position.
//
// A reader waits at a position and then reads behind it. At the first wait the server is asked to follow that position:
// it sends what becomes readable there as it comes, and the reads take from that. Nothing depends on it: a read at a
// position for which nothing is here goes to the server. What is sent names the transaction before it, so that
// something lost is noticed; that place is given up then, and read again from the store.
#pragma once

#include "core/service.hpp"
#include "remote/feed.hpp"
#include "wire/calls.hpp"

#include <tstreams/ports/clock.hpp>
#include <weave/sync.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace tstreams::remote {

// On the executor.
class followers {
public:
    // Opens a feed for a call.
    using opener = std::function<std::unique_ptr<feed>(const wire::follow_call&, feed::listener)>;

    followers(ports::clock& clock, opener open) : clock_(clock), open_(std::move(open)) {}

    // Which of the positions have something to read. Empty: all of them are followed, and `wake` is set when that may
    // have changed, until forget_waiter.
    std::vector<partition_number> ready(const core::wait_request& request, weave::event& wake);
    void forget_waiter(weave::event& wake) noexcept { waiters_.erase(&wake); }
    // What is here for it, if anything.
    std::optional<core::read_reply> take(const core::read_request& request);
    // The reader has this from the server itself.
    void note_read(const core::read_request& request, const core::read_reply& reply);
    // Whether following is of use: false when the server cannot.
    [[nodiscard]] bool possible() const noexcept { return possible_; }
    // How many feeds have ended. What ended one, a question of one's own tells.
    [[nodiscard]] std::uint64_t ended() const noexcept { return ended_feeds_; }
    // Ends feeds that nobody has used for a while.
    void end_unused();
    [[nodiscard]] bool any() const noexcept { return !sources_.empty() || !ended_.empty(); }
    void clear() noexcept;

private:
    struct source;
    using key = std::pair<core::stream_id, partition_number>;
    // A partition that a source follows, for the reader that has read up to `handed`.
    struct place {
        source* from = nullptr;
        transaction_id handed;
        transaction_id received;
        bool broken = false;
        std::deque<wire::followed> buffer;
        ports::steady_time used{};
    };
    using place_map = std::multimap<key, place>;
    struct source {
        std::unique_ptr<feed> items;
        std::size_t unread = 0;
        std::size_t places = 0;
        core::stream_id stream = 0;
        bool ended = false;
    };

    [[nodiscard]] place_map::iterator find(key of, transaction_id handed);
    void drop(place_map::iterator one);
    void follow(core::stream_id stream, std::vector<partition_position> positions);
    void heard(source& from, weave::outcome_of<std::optional<moebius::message>> outcome);
    void accept(source& from, wire::followed came);
    void end(source& from);
    void wake_all();

    ports::clock& clock_;
    opener open_;
    std::list<source> sources_;
    std::list<source> ended_;  // a feed is not destroyed inside its own call
    place_map places_;
    std::set<weave::event*> waiters_;
    std::uint64_t ended_feeds_ = 0;
    bool possible_ = true;
};

}  // namespace tstreams::remote
