#include "core/broker.hpp"

#include "core/catalogue.hpp"
#include "core/consumers.hpp"
#include "core/ownership.hpp"
#include "core/partitions.hpp"
#include "core/reader.hpp"
#include "core/retention.hpp"
#include "core/sessions.hpp"
#include "core/transactions.hpp"
#include "core/watchers.hpp"

#include <tstreams/error.hpp>

namespace tstreams::core {

weave::task<std::string> service::stream_name(stream_id stream) {
    throw error(errc::unsupported, "the name of stream " + std::to_string(stream) + " is known to its broker only");
}

// Declared so that each part knows only those above it.
struct broker::pieces {
    explicit pieces(broker_options options)
        : world(std::move(options)),
          owners(world),
          streams(world, owners),
          table(world, streams, owners),
          clients(world),
          watching(world),
          open(world, table, clients, watching),
          commits(world, table, open, clients),
          reads(world, table),
          names(world, streams, table, open, clients, reads),
          time(world),
          cleaning(world, streams, table, open, time) {}

    void check_running() const {
        if (world.stopping) throw error(errc::shutting_down, "the store is being closed");
    }

    environment world;
    ownership owners;
    catalogue streams;
    partitions table;
    sessions clients;
    watchers watching;
    transactions open;
    committer commits;
    reader reads;
    consumers names;
    retention_clock time;
    core::retention cleaning;
};

broker::broker(broker_options options) : pieces_(std::make_unique<pieces>(std::move(options))) {}
broker::~broker() = default;

weave::task<std::unique_ptr<broker>> broker::start(broker_options options) {
    std::unique_ptr<broker> made(new broker(std::move(options)));
    co_await made->pieces_->owners.start();
    if (made->pieces_->world.exclusive) {
        co_await made->pieces_->time.start();
        made->pieces_->cleaning.start();
    }
    co_return made;
}

weave::task<void> broker::stop() {
    pieces& all = *pieces_;
    if (std::exchange(all.world.stopping, true)) co_return;
    all.cleaning.stop();
    all.watching.stop();
    all.open.stop();
    all.reads.stop();
    all.world.wake_sleepers();
    co_await all.world.tasks.drain();
    if (all.world.exclusive) co_await all.time.stop();
    co_await all.owners.stop();
}

weave::task<void> broker::sweep() {
    return pieces_->cleaning.sweep();
}

broker_counters broker::counters() const {
    broker_counters counted;
    const pieces& all = *pieces_;
    counted.traffic = all.world.counted;
    counted.background_failures = all.world.tasks.failures();
    counted.open_transactions = all.open.count();
    counted.sessions = all.clients.all().size();
    counted.partitions_cached = all.table.count();
    counted.retention_holding = all.time.holding();
    return counted;
}

std::vector<open_transaction_info> broker::oldest_open(std::uint32_t limit) {
    return pieces_->open.oldest(limit);
}

std::uint64_t broker::open_of(session_id session) const {
    const std::shared_ptr<core::session> found = pieces_->clients.find(session);
    return found ? found->open.size() : 0;
}

weave::task<session_id> broker::open_session(std::string client, std::chrono::milliseconds timeout) {
    pieces_->check_running();
    if (timeout < std::chrono::milliseconds(100) || timeout > std::chrono::hours(24))
        throw error(errc::invalid_argument, "a session's timeout is from 100 ms to 24 h");
    co_return pieces_->clients.begin(std::move(client), timeout)->id;
}

weave::task<void> broker::heartbeat(session_id session) {
    std::ignore = pieces_->clients.get(session);
    co_return;
}

weave::task<void> broker::close_session(session_id session) {
    pieces_->reads.cancel_waits(session);
    pieces_->names.end_session(session);
    pieces_->open.end_session(session);
    co_return;
}

weave::task<stream_info> broker::create_stream(create_request request) {
    pieces_->check_running();
    return pieces_->streams.create(std::move(request));
}

weave::task<std::optional<stream_info>> broker::find_stream(std::string name) {
    return pieces_->streams.find(std::move(name));
}

weave::task<stream_page> broker::list_streams(std::string prefix, std::string after, std::uint32_t limit) {
    return pieces_->streams.list(std::move(prefix), std::move(after), limit);
}

weave::task<stream_info> broker::update_stream(std::string name, stream_changes changes) {
    pieces_->check_running();
    return pieces_->streams.update(std::move(name), std::move(changes));
}

weave::task<void> broker::delete_stream(std::string name) {
    pieces_->check_running();
    if (!pieces_->world.exclusive) throw error(errc::unsupported, "streams of a shared engine cannot be deleted yet");
    const stream_info info = co_await pieces_->streams.remove(std::move(name));
    pieces_->open.cancel_stream(info.id);
    pieces_->watching.end(info.id, info.name);
    pieces_->world.tasks.run(pieces_->cleaning.purge(info.id, info.partitions), "removing a deleted stream");
}

weave::task<std::string> broker::stream_name(stream_id stream) {
    const std::shared_ptr<stream_entry> entry = co_await pieces_->streams.get(stream);
    co_return entry->info.name;
}

weave::task<open_reply> broker::open(open_request request) {
    pieces_->check_running();
    const std::shared_ptr<open_transaction> fresh = co_await pieces_->open.open(std::move(request));
    open_reply reply;
    reply.transaction = fresh->ref;
    reply.expires = fresh->expires;
    co_return reply;
}

weave::task<void> broker::write(session_id session, transaction_ref transaction, frame_data data,
                                std::uint32_t crc32c) {
    pieces_->check_running();
    return pieces_->open.write(session, transaction, data.bytes, crc32c);
}

weave::task<commit_reply> broker::commit(commit_request request) {
    pieces_->check_running();
    return pieces_->commits.commit(std::move(request));
}

weave::task<void> broker::cancel(session_id session, std::vector<transaction_ref> transactions) {
    return pieces_->open.cancel(session, std::move(transactions));
}

weave::task<attached_producer> broker::attach_producer(attach_producer_request request) {
    pieces_->check_running();
    return pieces_->names.attach_producer(std::move(request));
}

weave::task<read_reply> broker::read(read_request request) {
    return pieces_->reads.read(request);
}

weave::task<std::string> broker::read_frame(ports::blob_ref frame) {
    return pieces_->world.blobs.read(std::move(frame));
}

weave::task<std::vector<partition_number>> broker::wait_readable(wait_request request) {
    return pieces_->reads.wait_readable(std::move(request));
}

void broker::cancel_wait(session_id session, std::uint64_t wait) {
    pieces_->reads.cancel_wait(session, wait);
}

weave::task<transaction_id> broker::resolve(stream_id stream, partition_number partition, start_point start) {
    const partition_key key{stream, partition};
    return pieces_->reads.resolve(key, start);
}

weave::task<std::optional<stored_transaction>> broker::last(stream_id stream, partition_number partition) {
    const partition_key key{stream, partition};
    return pieces_->reads.last(key);
}

weave::task<broker::found_transaction> broker::find_transaction(stream_id stream, partition_number partition,
                                                                transaction_id id) {
    const partition_key key{stream, partition};
    return pieces_->reads.find(key, id);
}

weave::task<std::vector<transaction_info>> broker::scan(scan_request request) {
    return pieces_->reads.scan(request);
}

weave::task<transaction_state> broker::find_commit(tstreams::request_id request) {
    return pieces_->commits.find_commit(request);
}

weave::task<std::shared_ptr<event_source>> broker::watch(watch_request request) {
    pieces_->check_running();
    if (!pieces_->world.exclusive) throw error(errc::unsupported, "streams of a shared engine cannot be watched yet");
    const std::shared_ptr<stream_entry> stream = co_await pieces_->streams.get(request.stream);
    pieces_->check_running();
    co_return pieces_->watching.add(std::move(request), *stream);
}

weave::task<std::vector<attached_partition>> broker::attach_consumer(attach_consumer_request request) {
    pieces_->check_running();
    return pieces_->names.attach(std::move(request));
}

weave::task<void> broker::detach_consumer(session_id session, stream_id stream, std::string consumer) {
    pieces_->names.detach(session, stream, consumer);
    co_return;
}

weave::task<retention_info> broker::retention() {
    co_await pieces_->time.look();
    co_return pieces_->time.info();
}

weave::task<retention_info> broker::accept_clock() {
    pieces_->check_running();
    co_await pieces_->time.accept();
    co_return pieces_->time.info();
}

weave::task<void> broker::abort(stream_id stream, partition_number partition, transaction_id id) {
    const partition_key key{stream, partition};
    return pieces_->open.abort(key, id);
}

weave::task<std::vector<offset_info>> broker::list_offsets(stream_id stream, std::string consumer) {
    return pieces_->names.list(stream, std::move(consumer));
}

weave::task<void> broker::set_offset(stream_id stream, std::string consumer, std::vector<partition_position> positions,
                                     bool take_over) {
    return pieces_->names.set(stream, std::move(consumer), std::move(positions), take_over);
}

weave::task<void> broker::delete_offset(stream_id stream, std::string consumer, bool take_over) {
    return pieces_->names.remove(stream, std::move(consumer), take_over);
}

weave::task<std::vector<open_transaction_info>> broker::list_open(std::uint32_t limit) {
    co_return pieces_->open.list(limit);
}

weave::task<void> broker::prepare(prepare_request request) {
    return pieces_->commits.prepare(std::move(request));
}

weave::task<void> broker::resolve(request_id group, std::vector<partition_key> parts, group_row decided) {
    return pieces_->commits.resolve(group, std::move(parts), std::move(decided));
}

}  // namespace tstreams::core
