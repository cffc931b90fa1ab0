// Whether a client may do what it asks: what each call demands, compared with the rights of its key's name.
#pragma once

#include "access/access_list.hpp"
#include "core/service.hpp"
#include "wire/calls.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tstreams::server {

// At least one of `rights` for a stream, which is named by its id or, where that is zero, by its name.
struct demand {
    access::rights rights;
    core::stream_id stream = 0;
    std::string name{};
    bool whole_store = false;
};
using demands = std::vector<demand>;

// One for every call, and no other: a new call is not compiled before it is said what it demands.
[[nodiscard]] demands demands_of(const wire::heartbeat_call& call);
[[nodiscard]] demands demands_of(const wire::list_open_call& call);
[[nodiscard]] demands demands_of(const wire::server_status_call& call);
[[nodiscard]] demands demands_of(const wire::server_clients_call& call);
[[nodiscard]] demands demands_of(const wire::create_stream_call& call);
[[nodiscard]] demands demands_of(const wire::find_stream_call& call);
[[nodiscard]] demands demands_of(const wire::list_streams_call& call);
[[nodiscard]] demands demands_of(const wire::update_stream_call& call);
[[nodiscard]] demands demands_of(const wire::delete_stream_call& call);
[[nodiscard]] demands demands_of(const wire::open_call& call);
[[nodiscard]] demands demands_of(const wire::write_call& call);
[[nodiscard]] demands demands_of(const wire::commit_call& call);
[[nodiscard]] demands demands_of(const wire::cancel_call& call);
[[nodiscard]] demands demands_of(const wire::attach_producer_call& call);
[[nodiscard]] demands demands_of(const wire::read_call& call);
[[nodiscard]] demands demands_of(const wire::wait_readable_call& call);
[[nodiscard]] demands demands_of(const wire::cancel_wait_call& call);
[[nodiscard]] demands demands_of(const wire::follow_call& call);
[[nodiscard]] demands demands_of(const wire::watch_call& call);
[[nodiscard]] demands demands_of(const wire::resolve_call& call);
[[nodiscard]] demands demands_of(const wire::last_call& call);
[[nodiscard]] demands demands_of(const wire::find_transaction_call& call);
[[nodiscard]] demands demands_of(const wire::scan_call& call);
[[nodiscard]] demands demands_of(const wire::find_commit_call& call);
[[nodiscard]] demands demands_of(const wire::attach_consumer_call& call);
[[nodiscard]] demands demands_of(const wire::detach_consumer_call& call);
[[nodiscard]] demands demands_of(const wire::retention_call& call);
[[nodiscard]] demands demands_of(const wire::accept_clock_call& call);
[[nodiscard]] demands demands_of(const wire::abort_call& call);
[[nodiscard]] demands demands_of(const wire::list_offsets_call& call);
[[nodiscard]] demands demands_of(const wire::set_offset_call& call);
[[nodiscard]] demands demands_of(const wire::delete_offset_call& call);

// On the broker's executor.
class authority {
public:
    explicit authority(core::service& broker) noexcept : broker_(broker) {}

    // From now on. Null: there are no keys, and everybody may do everything.
    void use(std::shared_ptr<const access::access_list> list) noexcept { list_ = std::move(list); }
    [[nodiscard]] bool everything() const noexcept { return !list_; }
    [[nodiscard]] bool knows(std::string_view user) const { return !list_ || list_->knows(user); }

    // Throws unauthorized unless every demand is met. What concerns a stream that is not there passes: the broker says
    // so.
    weave::task<void> check(std::string user, demands wanted);
    [[nodiscard]] access::rights rights_of(std::string_view user, std::string_view stream) const;
    weave::task<access::rights> rights_of_id(std::string user, core::stream_id stream);

private:
    core::service& broker_;
    std::shared_ptr<const access::access_list> list_;
};

}  // namespace tstreams::server
