// What the structures of the protocol hold, field by field. A field that a later minor version adds stands behind the
// others, and is read only where it is there.
#pragma once

#include "core/service.hpp"
#include "wire/archive.hpp"

namespace tstreams {

template <class Archive, wire::form_of<durability> T>
void describe(Archive& archive, T& value) {
    archive(value.level, value.interval);
}

template <class Archive, wire::form_of<request_id> T>
void describe(Archive& archive, T& value) {
    archive(value.high, value.low);
}

template <class Archive, wire::form_of<stream_options> T>
void describe(Archive& archive, T& value) {
    archive(value.name, value.partitions, value.ttl, value.durability, value.description, value.max_open);
}

template <class Archive, wire::form_of<stream_info> T>
void describe(Archive& archive, T& value) {
    archive(value.id, value.name, value.partitions, value.ttl, value.durability, value.description, value.max_open,
            value.created_at);
}

template <class Archive, wire::form_of<stream_changes> T>
void describe(Archive& archive, T& value) {
    archive(value.ttl, value.description, value.partitions);
}

template <class Archive, wire::form_of<stream_page> T>
void describe(Archive& archive, T& value) {
    archive(value.streams, value.next);
}

template <class Archive, wire::form_of<transaction_info> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.id, value.state, value.items, value.bytes, value.expires, value.client);
}

template <class Archive, wire::form_of<blocker> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.id, value.age, value.client);
}

template <class Archive, wire::form_of<partition_position> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.after);
}

template <class Archive, wire::form_of<offset_info> T>
void describe(Archive& archive, T& value) {
    archive(value.consumer, value.partition, value.position, value.updated_at, value.live);
}

template <class Archive, wire::form_of<retention_info> T>
void describe(Archive& archive, T& value) {
    archive(value.holding, value.clock, value.believed, value.jump, value.since, value.ends, value.reason);
}

template <class Archive, wire::form_of<server_status> T>
void describe(Archive& archive, T& value) {
    archive(value.server, value.store, value.endpoints, value.now, value.started_at, value.connections, value.sessions,
            value.open_transactions, value.oldest_open, value.checkpointed, value.items_in, value.bytes_in,
            value.items_out, value.bytes_out, value.refusals, value.background_failures, value.retention_holding,
            value.memory_bytes);
}

template <class Archive, wire::form_of<server_client> T>
void describe(Archive& archive, T& value) {
    archive(value.name, value.user, value.connected, value.silent_for, value.open_transactions, value.answers_kept);
}

template <class Archive, wire::form_of<open_transaction_info> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.transaction, value.age);
}

namespace ports {

template <class Archive, wire::form_of<blob_ref> T>
void describe(Archive& archive, T& value) {
    archive(value.place, value.length, value.crc32c);
}

}  // namespace ports

// Sessions are not among the fields: every message carries the one that it is of.
namespace core {

template <class Archive, wire::form_of<transaction_ref> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.id, value.epoch);
}

template <class Archive, wire::form_of<open_request> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.producer, value.producer_instance, value.max_open);
}

template <class Archive, wire::form_of<open_reply> T>
void describe(Archive& archive, T& value) {
    archive(value.transaction, value.expires);
}

template <class Archive, wire::form_of<decision> T>
void describe(Archive& archive, T& value) {
    archive(value.transaction, value.open, value.items, value.bytes, value.frames, value.inline_items);
}

template <class Archive, wire::form_of<offset_update> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.consumer, value.instance, value.position, value.expected);
}

template <class Archive, wire::form_of<source_update> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.producer, value.instance, value.position);
}

template <class Archive, wire::form_of<commit_request> T>
void describe(Archive& archive, T& value) {
    archive(value.request, value.transactions, value.offsets, value.sources, value.fresh, value.first_asked.session,
            value.first_asked.sequence);
}

template <class Archive, wire::form_of<commit_reply> T>
void describe(Archive& archive, T& value) {
    archive(value.transactions);
}

template <class Archive, wire::form_of<frame_ref> T>
void describe(Archive& archive, T& value) {
    archive(value.blob, value.level);
}

template <class Archive, wire::form_of<stored_transaction> T>
void describe(Archive& archive, T& value) {
    archive(value.id, value.items, value.bytes, value.expires, value.inline_items, value.frames);
}

template <class Archive, wire::form_of<read_request> T>
void describe(Archive& archive, T& value) {
    std::uint64_t bytes_max = value.bytes_max;
    archive(value.stream, value.partition, value.after, value.up_to, value.transactions_max, bytes_max,
            value.skip_open);
    if constexpr (!std::is_const_v<T>) value.bytes_max = bytes_max;
}

template <class Archive, wire::form_of<read_reply> T>
void describe(Archive& archive, T& value) {
    archive(value.transactions, value.skipped, value.blocked, value.end);
}

template <class Archive, wire::form_of<start_point> T>
void describe(Archive& archive, T& value) {
    archive(value.kind, value.after);
}

template <class Archive, wire::form_of<wait_position> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.after, value.skip_open, value.held_by);
}

template <class Archive, wire::form_of<attach_consumer_request> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.consumer, value.partitions, value.starts, value.reset, value.must_exist);
}

template <class Archive, wire::form_of<attached_partition> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.instance, value.position);
}

template <class Archive, wire::form_of<attach_producer_request> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.producer);
}

template <class Archive, wire::form_of<attached_producer> T>
void describe(Archive& archive, T& value) {
    archive(value.instance, value.source_position);
}

template <class Archive, wire::form_of<scan_request> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partition, value.from, value.to, value.open, value.checkpointed, value.limit);
}

template <class Archive, wire::form_of<watch_request> T>
void describe(Archive& archive, T& value) {
    archive(value.stream, value.partitions, value.kinds, value.buffer_events);
}

template <class Archive, wire::form_of<transaction_change> T>
void describe(Archive& archive, T& value) {
    archive(value.partition, value.kind, value.id, value.items, value.bytes);
}

// That it was interrupted is seen by who receives it.
template <class Archive, wire::form_of<event_batch> T>
void describe(Archive& archive, T& value) {
    archive(value.lost, value.events);
}

template <class Archive, wire::form_of<create_request> T>
void describe(Archive& archive, T& value) {
    archive(value.options, value.request);
}

template <class Archive, wire::form_of<service::found_transaction> T>
void describe(Archive& archive, T& value) {
    archive(value.info, value.stored);
}

}  // namespace core
}  // namespace tstreams
