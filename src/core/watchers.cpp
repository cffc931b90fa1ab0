#include "core/watchers.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <deque>
#include <utility>

namespace tstreams::core {
namespace {

constexpr std::size_t batch_max = 256;

void check(const watch_request& request, const stream_entry& stream) {
    const std::string& name = stream.info.name;
    if (stream.deleted) throw error(errc::stream_deleted, "stream '" + name + "' has been deleted");
    if (request.buffer_events < 1 || request.buffer_events > buffer_events_max)
        throw error(errc::invalid_argument,
                    "a watch keeps from 1 to 8192 events, not " + std::to_string(request.buffer_events));
    if ((request.kinds & all_event_kinds) == 0)
        throw error(errc::invalid_argument, "a watch is for one kind of events at least");
    if (request.partitions.size() > partitions_max)
        throw error(errc::invalid_argument, "a watch names at most 1024 partitions");
    for (const partition_number one : request.partitions) {
        if (one >= stream.info.partitions)
            throw error(errc::partition_not_found, "stream '" + name + "' has no partition " + std::to_string(one));
    }
}

}  // namespace

weave::task<std::shared_ptr<event_source>> service::watch(watch_request) {
    throw error(errc::unsupported, "this store does not tell what happens in it");
}

class watchers::watch final : public event_source {
public:
    watch(watchers& home, watch_request request)
        : stream(request.stream),
          buffer_events(request.buffer_events),
          home_(home),
          kinds_(request.kinds),
          partitions_(std::move(request.partitions)),
          ready_(home.world_.executor) {
        std::sort(partitions_.begin(), partitions_.end());
    }
    ~watch() override { home_.remove(*this); }

    weave::task<event_batch> next() override {
        while (kept_.empty() && !end_ && !stopped_) {
            ready_.reset();
            co_await ready_.wait();
        }
        event_batch batch;
        if (stopped_) co_return batch;
        if (kept_.empty()) std::rethrow_exception(end_);
        const auto taken = static_cast<std::ptrdiff_t>(std::min(kept_.size(), batch_max));
        batch.lost = std::exchange(lost_, 0);
        batch.events.assign(kept_.begin(), kept_.begin() + taken);
        kept_.erase(kept_.begin(), kept_.begin() + taken);
        co_return batch;
    }
    void stop() noexcept override {
        stopped_ = true;
        ready_.set();
    }

    void tell(const open_transaction& about, event_kind kind) {
        if (end_ || stopped_ || (kinds_ & bit_of(kind)) == 0) return;
        const partition_number partition = about.ref.partition;
        if (!partitions_.empty() && !std::binary_search(partitions_.begin(), partitions_.end(), partition)) return;
        if (kept_.size() == buffer_events) {
            kept_.pop_front();
            ++lost_;
        }
        transaction_change& told = kept_.emplace_back();
        told.partition = partition;
        told.kind = kind;
        told.id = about.ref.id;
        if (kind == event_kind::checkpointed) {
            told.items = about.items;
            told.bytes = about.bytes;
        }
        ready_.set();
    }
    void end(const std::exception_ptr& reason) {
        end_ = reason;
        ready_.set();
    }

    const stream_id stream;
    const std::uint32_t buffer_events;

private:
    watchers& home_;
    const std::uint8_t kinds_;
    std::vector<partition_number> partitions_;
    std::deque<transaction_change> kept_;
    std::uint64_t lost_ = 0;  // before the first that is kept: there is one then
    std::exception_ptr end_;
    bool stopped_ = false;
    weave::event ready_;
};

std::shared_ptr<event_source> watchers::add(watch_request request, const stream_entry& stream) {
    check(request, stream);
    const auto found = table_.find(request.stream);
    const std::size_t others = found == table_.end() ? 0 : found->second.size();
    if (others >= world_.options.stream_watches_max)
        throw error(errc::overloaded, "stream '" + stream.info.name + "' is watched by " + std::to_string(others) +
                                          " already, which is the limit");
    if (kept_max_ + request.buffer_events > world_.options.watched_events_max)
        throw error(errc::overloaded, "those who watch may keep " + std::to_string(kept_max_) +
                                          " events already; watch with a smaller buffer");
    auto fresh = std::make_shared<watch>(*this, std::move(request));
    kept_max_ += fresh->buffer_events;
    table_[fresh->stream].push_back(fresh.get());
    return fresh;
}

void watchers::remove(const watch& gone) noexcept {
    kept_max_ -= gone.buffer_events;
    const auto found = table_.find(gone.stream);
    std::erase(found->second, &gone);
    if (found->second.empty()) table_.erase(found);
}

void watchers::tell_those_of_stream(const open_transaction& about, event_kind kind) {
    const auto found = table_.find(about.ref.stream);
    if (found == table_.end()) return;
    for (watch* one : found->second) one->tell(about, kind);
}

void watchers::end_all(const std::vector<watch*>& watching, const std::exception_ptr& reason) {
    for (watch* one : watching) one->end(reason);
}

void watchers::end(stream_id stream, const std::string& name) {
    const auto found = table_.find(stream);
    if (found == table_.end()) return;
    end_all(found->second,
            std::make_exception_ptr(error(errc::stream_deleted, "stream '" + name + "' has been deleted")));
}

void watchers::stop() {
    const auto reason = std::make_exception_ptr(error(errc::shutting_down, "the store is being closed"));
    for (const auto& [stream, watching] : table_) end_all(watching, reason);
}

}  // namespace tstreams::core
