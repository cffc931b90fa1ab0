// Names that go on where they ended: consumers with their offsets, named producers with their source positions.
#pragma once

#include "core/environment.hpp"
#include "core/partitions.hpp"
#include "core/reader.hpp"
#include "core/sessions.hpp"
#include "core/transactions.hpp"

namespace tstreams::core {

class consumers {
public:
    consumers(environment& world, catalogue& streams, partitions& parts, transactions& open, sessions& clients,
              reader& reads)
        : world_(world), streams_(streams), parts_(parts), open_(open), clients_(clients), reads_(reads) {}

    weave::task<std::vector<attached_partition>> attach(attach_consumer_request request);
    void detach(session_id session, stream_id stream, const std::string& consumer);
    void end_session(session_id session);

    weave::task<attached_producer> attach_producer(attach_producer_request request);

    weave::task<std::vector<offset_info>> list(stream_id stream, std::string consumer);
    weave::task<void> set(stream_id stream, std::string consumer, std::vector<partition_position> positions,
                          bool take_over);
    weave::task<void> remove(stream_id stream, std::string consumer, bool take_over);

private:
    weave::task<attached_partition> attach_one(const attach_consumer_request& request, std::size_t index);
    weave::task<void> set_one(std::shared_ptr<partition> part, std::string consumer, transaction_id after,
                              bool take_over);
    weave::task<bool> remove_one(std::shared_ptr<partition> part, std::string consumer);  // whether it was there
    weave::task<offset_row> fence_older(std::shared_ptr<partition> part, std::string consumer);
    weave::task<void> write(std::shared_ptr<partition> part, ports::batch change, std::string what);
    weave::task<void> erase_row(std::shared_ptr<partition> part, std::string consumer);
    weave::task<void> store(std::shared_ptr<partition> part, std::string consumer, offset_row row);
    weave::task<std::vector<std::shared_ptr<partition>>> all_parts(stream_id stream);
    void check_not_live(const partition& part, const std::string& consumer, bool take_over) const;
    weave::task<weave::mutex::guard> settled_gate(std::shared_ptr<partition> part, std::string consumer);

    environment& world_;
    catalogue& streams_;
    partitions& parts_;
    transactions& open_;
    sessions& clients_;
    reader& reads_;
};

}  // namespace tstreams::core
