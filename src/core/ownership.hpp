// Who owns what, and the ids that may be given.
//
// Partitions are spread over 4,096 slots. A slot's row holds an epoch, minted anew by each owner, and an id
// ceiling: no id at or above it has been given, so a new owner starts there and ids are never reused. The
// Coordinator's lease only says who tries; the epoch exists from the commit of the row. An exclusive engine has
// one slot for everything.
#pragma once

#include "core/environment.hpp"
#include "core/keys.hpp"
#include "core/rows.hpp"

#include <map>
#include <memory>
#include <optional>

namespace tstreams::core {

// An ownership of a slot. `lost` is final; a later ownership is another object.
class slot : public std::enable_shared_from_this<slot> {
public:
    slot(environment& world, slot_number number) : world_(world), number_(number), gate_(world.executor) {}

    [[nodiscard]] slot_number number() const noexcept { return number_; }
    [[nodiscard]] std::uint64_t epoch() const noexcept { return row_.epoch; }
    // Ids below were given before: by former owners, or in a partition that was given up since.
    [[nodiscard]] transaction_id floor() const noexcept { return floor_; }
    // A partition is given up, and with it the memory of what was opened in it and not checkpointed. Ids can run ahead
    // of the time, so they need not be higher when it is loaded again.
    void not_again(transaction_id last) noexcept { floor_ = std::max(floor_, last); }
    // False once a newer owner is known, or the lease may have run out.
    [[nodiscard]] bool held() const noexcept;
    void lose() noexcept { lost_ = true; }

    // Takes the next epoch. Throws not_owner where somebody else was faster, unavailable.
    weave::task<void> take();

    // The next id above `last`, or empty when the ceiling must be raised first.
    [[nodiscard]] std::optional<std::uint64_t> try_mint(wall_time now, std::uint64_t last, unsigned shift);
    // Raises the ceiling so that an id above `last` can be given. Throws not_owner, unavailable, storage errors.
    weave::task<void> raise_ceiling(std::uint64_t last);
    // Lowers the ceiling to the last id given, so that a clean restart leaves no gap in time.
    weave::task<void> settle_ceiling();

    std::optional<ports::lease> lease;

private:
    static weave::task<void> raise_ahead(std::shared_ptr<slot> self, std::uint64_t last);
    weave::task<bool> store(slot_row next);

    environment& world_;
    const slot_number number_;
    weave::mutex gate_;
    slot_row row_;
    transaction_id floor_;
    std::uint64_t highest_ = 0;  // given by this owner
    bool lost_ = false;
    bool raising_ = false;
};

class ownership {
public:
    explicit ownership(environment& world) : world_(world) {}

    // Exclusive engines: takes the store-wide epoch now. Throws storage errors.
    weave::task<void> start();
    weave::task<void> stop();

    // The slot, owned; takes it where it is free. Throws not_owner, unavailable.
    weave::task<std::shared_ptr<slot>> own(slot_number number);
    // A write was fenced: somebody newer has the slot.
    void lost(const std::shared_ptr<slot>& owned);

private:
    weave::task<std::shared_ptr<slot>> acquire(slot_number number);
    weave::task<void> renew_all();
    void schedule_renewal();

    environment& world_;
    std::map<slot_number, std::shared_ptr<slot>> owned_;
    std::map<slot_number, std::shared_ptr<weave::mutex>> taking_;
    ports::clock::timer renewal_ = 0;
};

}  // namespace tstreams::core
