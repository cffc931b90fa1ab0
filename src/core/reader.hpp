// Reading: what is decided, in the order of opening, up to the first undecided transaction.
#pragma once

#include "core/environment.hpp"
#include "core/partitions.hpp"

#include <map>
#include <memory>
#include <set>
#include <vector>

namespace tstreams::core {

class reader {
public:
    reader(environment& world, partitions& parts) : world_(world), parts_(parts) {}

    weave::task<read_reply> read(read_request request);
    weave::task<std::vector<partition_number>> wait_readable(wait_request request);
    void cancel_wait(session_id session, std::uint64_t wait);
    void cancel_waits(session_id session);
    void stop();

    weave::task<transaction_id> resolve(partition_key key, start_point start);
    weave::task<std::optional<stored_transaction>> last(partition_key key);
    weave::task<service::found_transaction> find(partition_key key, transaction_id id);
    weave::task<std::vector<transaction_info>> scan(scan_request request);

    // Moves part->expired_through behind everything that has expired by now.
    weave::task<void> advance_expired(std::shared_ptr<partition> part);

private:
    struct view {
        transaction_id limit;               // stop before it
        std::vector<transaction_id> skips;  // undecided when the view was taken; with skip_open
    };
    [[nodiscard]] view take_view(const partition& part, bool skip_open) const;
    weave::task<std::vector<ports::row>> rows_behind(std::shared_ptr<partition> part, transaction_id position,
                                                     transaction_id limit, std::uint32_t rows_max,
                                                     std::size_t bytes_max);
    [[nodiscard]] static std::vector<partition_number> readable_now(
        const wait_request& request, const std::vector<std::shared_ptr<partition>>& parts);
    void check_position(const partition& part, transaction_id position) const;

    environment& world_;
    partitions& parts_;
    std::map<std::pair<session_id, std::uint64_t>, std::shared_ptr<read_waiter>> waits_;
};

}  // namespace tstreams::core
