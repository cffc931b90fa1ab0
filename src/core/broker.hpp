// The broker: owns partitions, gives ids, keeps open transactions, commits, and serves readers. Single-threaded:
// everything happens on its executor.
#pragma once

#include "core/committer.hpp"
#include "core/counters.hpp"
#include "core/environment.hpp"
#include "core/service.hpp"

#include <memory>

namespace tstreams::core {

class broker final : public service, public participant {
public:
    // Takes ownership of the store (a new epoch). The ports must outlive the broker. Throws storage errors.
    [[nodiscard]] static weave::task<std::unique_ptr<broker>> start(broker_options options);
    ~broker() override;

    // Cancels what is open, wakes who waits, ends background work. Call it before the destructor.
    weave::task<void> stop();
    // A retention round now (the rounds come by themselves).
    weave::task<void> sweep();
    [[nodiscard]] broker_counters counters() const;
    // For every round of those who watch, so it is cheap where most of the oldest ones stay open.
    [[nodiscard]] std::vector<open_transaction_info> oldest_open(std::uint32_t limit);
    [[nodiscard]] std::uint64_t open_of(session_id session) const;

    weave::task<session_id> open_session(std::string client, std::chrono::milliseconds timeout) override;
    weave::task<void> heartbeat(session_id session) override;
    weave::task<void> close_session(session_id session) override;

    weave::task<stream_info> create_stream(create_request request) override;
    weave::task<std::optional<stream_info>> find_stream(std::string name) override;
    weave::task<stream_page> list_streams(std::string prefix, std::string after, std::uint32_t limit) override;
    weave::task<stream_info> update_stream(std::string name, stream_changes changes) override;
    weave::task<void> delete_stream(std::string name) override;
    weave::task<std::string> stream_name(stream_id stream) override;

    weave::task<open_reply> open(open_request request) override;
    weave::task<void> write(session_id session, transaction_ref transaction, frame_data data,
                            std::uint32_t crc32c) override;
    weave::task<commit_reply> commit(commit_request request) override;
    weave::task<void> cancel(session_id session, std::vector<transaction_ref> transactions) override;
    weave::task<attached_producer> attach_producer(attach_producer_request request) override;

    weave::task<read_reply> read(read_request request) override;
    weave::task<std::string> read_frame(ports::blob_ref frame) override;
    weave::task<std::vector<partition_number>> wait_readable(wait_request request) override;
    void cancel_wait(session_id session, std::uint64_t wait) override;
    weave::task<transaction_id> resolve(stream_id stream, partition_number partition, start_point start) override;
    weave::task<std::optional<stored_transaction>> last(stream_id stream, partition_number partition) override;
    weave::task<found_transaction> find_transaction(stream_id stream, partition_number partition,
                                                    transaction_id id) override;
    weave::task<std::vector<transaction_info>> scan(scan_request request) override;
    weave::task<transaction_state> find_commit(tstreams::request_id request) override;
    weave::task<std::shared_ptr<event_source>> watch(watch_request request) override;

    weave::task<std::vector<attached_partition>> attach_consumer(attach_consumer_request request) override;
    weave::task<void> detach_consumer(session_id session, stream_id stream, std::string consumer) override;

    weave::task<retention_info> retention() override;
    weave::task<retention_info> accept_clock() override;
    weave::task<void> abort(stream_id stream, partition_number partition, transaction_id id) override;
    weave::task<std::vector<offset_info>> list_offsets(stream_id stream, std::string consumer) override;
    weave::task<void> set_offset(stream_id stream, std::string consumer, std::vector<partition_position> positions,
                                 bool take_over) override;
    weave::task<void> delete_offset(stream_id stream, std::string consumer, bool take_over) override;
    weave::task<std::vector<open_transaction_info>> list_open(std::uint32_t limit) override;

    weave::task<void> prepare(prepare_request request) override;
    weave::task<void> resolve(request_id group, std::vector<partition_key> parts, group_row decided) override;

private:
    struct pieces;
    explicit broker(broker_options options);
    std::unique_ptr<pieces> pieces_;
};

}  // namespace tstreams::core
