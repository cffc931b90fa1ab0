// Who watches which stream: told of every transition of a transaction, without ever making it wait.
//
// A watch keeps what it was told until that is taken, at most so many events; then the oldest are dropped, and counted.
#pragma once

#include "core/partition.hpp"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tstreams::core {

class watchers {
public:
    explicit watchers(environment& world) : world_(world) {}

    // Throws invalid_argument, partition_not_found, stream_deleted, overloaded.
    [[nodiscard]] std::shared_ptr<event_source> add(watch_request request, const stream_entry& stream);

    // One comparison where nothing is watched.
    void tell(const open_transaction& about, event_kind kind) {
        if (!table_.empty()) [[unlikely]]
            tell_those_of_stream(about, kind);
    }
    // The stream is deleted: its watches end with what they were told so far.
    void end(stream_id stream, const std::string& name);
    void stop();

private:
    class watch;
    void tell_those_of_stream(const open_transaction& about, event_kind kind);
    void end_all(const std::vector<watch*>& watching, const std::exception_ptr& reason);
    void remove(const watch& gone) noexcept;

    environment& world_;
    std::unordered_map<stream_id, std::vector<watch*>> table_;  // no stream without a watch
    std::size_t kept_max_ = 0;                                  // by all of them, if none takes anything
};

}  // namespace tstreams::core
