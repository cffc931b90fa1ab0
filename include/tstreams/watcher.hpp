// A watcher is told what happens to the transactions of a stream, without their items: for dashboards, triggers, and
// to see who holds a partition back.
//
//     auto watcher = client.watch("orders", {}, [](const tstreams::transaction_event& event) {
//         std::cout << event.partition << ' ' << name(event.kind) << ' ' << event.id.value() << '\n';
//     });
//
// Events are hints about what happens from the moment when watch() has returned. They are not stored: what happened
// before, or while nobody watched, is not told, and may be asked by client::scan; what was checkpointed is read by a
// consumer. Within a partition they come in the order in which things happened; a send is opened and checkpointed, two
// events. Memory is bounded and producers do not wait: of events that are not taken in time the oldest are dropped, and
// `lost` stands in their place. A lost connection, and a restart of the server, are told as `lost`, too; watching goes
// on by itself.
#pragma once

#include <tstreams/types.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tstreams {

namespace detail {
struct access;
class watcher_state;
}  // namespace detail

struct transaction_event {
    event_kind kind = event_kind::opened;
    std::string stream;
    partition_number partition = 0;  // not of `lost`, which is about all that are watched
    transaction_id id;               // id.time() is when it was opened
    std::uint64_t items = 0;         // of a checkpointed one
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;  // of `lost`: so many events are missing here; zero: nobody knows how many
};

struct watch_options {
    std::vector<partition_number> partitions{};  // empty: all, those included that are added later
    std::vector<event_kind> kinds{};             // empty: all. `lost` comes in any case
    std::uint32_t buffer_events = 1024;          // 1 to 8,192: so many wait for the callback before some are dropped
    // Called when the callback threw, or watching ended (stream_deleted, unauthorized, unavailable, ...). Default: a
    // line on standard error. Return true to go on after a pause of one second: with the same event, or by watching
    // anew, which begins with `lost`; false to stop.
    std::function<bool(std::exception_ptr)> on_error{};
};

using watch_callback = std::function<void(const transaction_event&)>;

// The callback runs on a thread of the watcher's own, one call at a time; it may call the client. Threads: all calls
// from any thread.
class watcher {
public:
    watcher() noexcept = default;
    watcher(watcher&&) noexcept = default;
    watcher& operator=(watcher&& other) noexcept;
    ~watcher();  // stop()

    // Returns when no callback runs and none will; from inside a callback it returns at once and that callback is the
    // last one.
    void stop();
    [[nodiscard]] bool running() const noexcept;  // not stopped, also not by an error
    [[nodiscard]] const stream_info& stream() const;

private:
    friend struct detail::access;
    explicit watcher(std::shared_ptr<detail::watcher_state> state) noexcept;
    std::shared_ptr<detail::watcher_state> state_;
};

}  // namespace tstreams
