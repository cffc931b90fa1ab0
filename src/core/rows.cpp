#include "core/rows.hpp"

#include "core/records.hpp"

namespace tstreams::core {
namespace {

constexpr std::uint8_t version = 1;

record_writer start_row() {
    record_writer out;
    out.u8(version);
    return out;
}

record_reader open_row(std::string_view value, std::string_view what) {
    record_reader in(value, what);
    const std::uint8_t found = in.u8();
    if (found > version)
        throw error(errc::format_newer, std::string(what) + " has version " + std::to_string(found) +
                                            ", newer than this program; use a newer one");
    return in;
}

void write_id(record_writer& out, const request_id& request) {
    out.u64(request.high).u64(request.low);
}

request_id read_id(record_reader& in) {
    request_id request;
    request.high = in.u64();
    request.low = in.u64();
    return request;
}

template <class Enum>
Enum read_enum(record_reader& in, Enum lowest, Enum highest, std::string_view what) {
    const std::uint8_t value = in.u8();
    if (value < static_cast<std::uint8_t>(lowest) || value > static_cast<std::uint8_t>(highest))
        throw error(errc::corrupt, std::string(what) + " is damaged: unknown kind " + std::to_string(value));
    return static_cast<Enum>(value);
}

}  // namespace

std::string encode(const stream_row& row) {
    record_writer out = start_row();
    const stream_info& info = row.info;
    out.u64(info.id).string(info.name).u32(info.partitions);
    out.u64(static_cast<std::uint64_t>(info.ttl.count())).u64(static_cast<std::uint64_t>(info.max_open.count()));
    out.u8(static_cast<std::uint8_t>(info.durability.level));
    out.u64(static_cast<std::uint64_t>(info.durability.interval.count()));
    out.string(info.description).time(info.created_at);
    write_id(out, row.request);
    return std::move(out).take();
}

template <>
stream_row decode<stream_row>(std::string_view value) {
    record_reader in = open_row(value, "a stream's row");
    stream_row row;
    stream_info& info = row.info;
    info.id = in.u64();
    info.name = std::string(in.string());
    info.partitions = in.u32();
    info.ttl = std::chrono::seconds(in.u64());
    info.max_open = std::chrono::seconds(in.u64());
    info.durability.level = read_enum(in, durability::kind::process, durability::kind::sync, "a stream's row");
    info.durability.interval = std::chrono::milliseconds(in.u64());
    info.description = std::string(in.string());
    info.created_at = in.time();
    row.request = read_id(in);
    in.expect_end();
    return row;
}

std::string encode(const deletion_row& row) {
    return std::move(start_row().u32(row.partitions)).take();
}

template <>
deletion_row decode<deletion_row>(std::string_view value) {
    record_reader in = open_row(value, "a deleted stream's row");
    deletion_row row;
    row.partitions = in.u32();
    in.expect_end();
    return row;
}

std::string encode(const head_row& row) {
    record_writer out = start_row();
    out.u32(row.first_segment).u32(row.first_live).u32(row.tail);
    out.u64(row.last_removed.value()).u64(row.last_id.value()).time(row.last_expiry);
    return std::move(out).take();
}

template <>
head_row decode<head_row>(std::string_view value) {
    record_reader in = open_row(value, "a partition's head row");
    head_row row;
    row.first_segment = in.u32();
    row.first_live = in.u32();
    row.tail = in.u32();
    row.last_removed = transaction_id(in.u64());
    row.last_id = transaction_id(in.u64());
    row.last_expiry = in.time();
    in.expect_end();
    return row;
}

std::string encode(const transaction_row& row) {
    constexpr std::size_t fixed_bytes = 64;
    constexpr std::size_t frame_bytes = 32;
    record_writer out(fixed_bytes + row.frames.size() * frame_bytes + row.inline_items.size());
    out.u8(version);
    out.u8(static_cast<std::uint8_t>(row.state));
    write_id(out, row.request);
    out.u32(row.place).u64(row.items).u64(row.bytes).time(row.expires);
    out.u16(static_cast<std::uint16_t>(row.frames.size()));
    for (const frame_ref& frame : row.frames) write_frame_ref(out, frame);
    out.raw(row.inline_items);
    return std::move(out).take();
}

template <>
transaction_row decode<transaction_row>(std::string_view value) {
    record_reader in = open_row(value, "a transaction's row");
    transaction_row row;
    row.state =
        read_enum(in, transaction_row::kind::checkpointed, transaction_row::kind::prepared, "a transaction's row");
    row.request = read_id(in);
    row.place = in.u32();
    row.items = in.u64();
    row.bytes = in.u64();
    row.expires = in.time();
    const std::uint16_t frames = in.u16();
    for (std::uint16_t i = 0; i < frames; ++i) row.frames.push_back(read_frame_ref(in));
    row.inline_items = std::string(in.rest());
    return row;
}

std::string encode(const offset_row& row) {
    record_writer out = start_row();
    out.u64(row.instance).u64(row.position.value()).time(row.updated_at);
    write_id(out, row.request);
    out.u8(row.pending ? 1 : 0);
    if (row.pending) {
        write_id(out, row.pending->group);
        out.u64(row.pending->position.value());
    }
    return std::move(out).take();
}

template <>
offset_row decode<offset_row>(std::string_view value) {
    record_reader in = open_row(value, "a consumer's offset row");
    offset_row row;
    row.instance = in.u64();
    row.position = transaction_id(in.u64());
    row.updated_at = in.time();
    row.request = read_id(in);
    if (in.u8() != 0) {
        offset_row::intent pending;
        pending.group = read_id(in);
        pending.position = transaction_id(in.u64());
        row.pending = pending;
    }
    in.expect_end();
    return row;
}

std::string encode(const producer_row& row) {
    record_writer out = start_row();
    out.u64(row.instance);
    write_id(out, row.request);
    out.u8(row.source_position ? 1 : 0);
    if (row.source_position) out.string(*row.source_position);
    return std::move(out).take();
}

template <>
producer_row decode<producer_row>(std::string_view value) {
    record_reader in = open_row(value, "a named producer's row");
    producer_row row;
    row.instance = in.u64();
    row.request = read_id(in);
    if (in.u8() != 0) row.source_position = std::string(in.string());
    in.expect_end();
    return row;
}

std::string encode(const slot_row& row) {
    return std::move(start_row().u64(row.epoch).u64(row.ceiling).string(row.owner)).take();
}

template <>
slot_row decode<slot_row>(std::string_view value) {
    record_reader in = open_row(value, "an ownership row");
    slot_row row;
    row.epoch = in.u64();
    row.ceiling = in.u64();
    row.owner = std::string(in.string());
    in.expect_end();
    return row;
}

std::string encode(const group_row& row) {
    record_writer out = start_row();
    out.u8(static_cast<std::uint8_t>(row.decision)).u32(static_cast<std::uint32_t>(row.transactions.size()));
    for (const transaction_id id : row.transactions) out.u64(id.value());
    return std::move(out).take();
}

template <>
group_row decode<group_row>(std::string_view value) {
    record_reader in = open_row(value, "a group's row");
    group_row row;
    row.decision = read_enum(in, group_row::kind::committed, group_row::kind::aborted, "a group's row");
    const std::uint32_t count = in.u32();
    for (std::uint32_t i = 0; i < count; ++i) row.transactions.emplace_back(in.u64());
    in.expect_end();
    return row;
}

std::string encode(const answer_note& note) {
    record_writer out = start_row();
    out.u64(note.request.high).u64(note.request.low).u64(note.transaction.value());
    return std::move(out).take();
}

// Each has its version, because they are put one behind another without being looked at.
std::vector<answer_note> decode_answers(std::string_view value) {
    std::vector<answer_note> found;
    found.reserve(value.size() / answer_note_bytes);
    for (; !value.empty(); value.remove_prefix(answer_note_bytes)) {
        record_reader in = open_row(value.substr(0, answer_note_bytes), "a row with answers");
        answer_note& one = found.emplace_back();
        one.request.high = in.u64();
        one.request.low = in.u64();
        one.transaction = transaction_id(in.u64());
        in.expect_end();
    }
    return found;
}

std::string encode(const clock_row& row) {
    record_writer out = start_row();
    out.time(row.believed).u8(row.synchronised ? 1 : 0).string(row.boot);
    out.u64(static_cast<std::uint64_t>(row.since_boot.count()));
    out.u8(row.held_since ? 1 : 0);
    if (row.held_since) out.time(*row.held_since);
    return std::move(out).take();
}

template <>
clock_row decode<clock_row>(std::string_view value) {
    record_reader in = open_row(value, "the clock's row");
    clock_row row;
    row.believed = in.time();
    row.synchronised = in.u8() != 0;
    row.boot = std::string(in.string());
    row.since_boot = std::chrono::microseconds(static_cast<std::int64_t>(in.u64()));
    if (in.u8() != 0) row.held_since = in.time();
    in.expect_end();
    return row;
}

std::string encode_segment_number(std::uint32_t segment) {
    return std::move(start_row().u32(segment)).take();
}

std::uint32_t decode_segment_number(std::string_view value) {
    record_reader in = open_row(value, "a segment's row");
    const std::uint32_t segment = in.u32();
    in.expect_end();
    return segment;
}

stored_transaction to_stored(transaction_id id, transaction_row row) {
    stored_transaction stored;
    stored.id = id;
    stored.items = row.items;
    stored.bytes = row.bytes;
    stored.expires = row.expires;
    stored.inline_items = std::move(row.inline_items);
    stored.frames = std::move(row.frames);
    return stored;
}

}  // namespace tstreams::core
