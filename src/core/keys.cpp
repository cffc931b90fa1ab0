#include "core/keys.hpp"

#include "core/records.hpp"

namespace tstreams::core {

std::uint64_t stable_hash(std::string_view bytes) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccd;
    hash ^= hash >> 33;
    return hash;
}

slot_number slot_of(const partition_key& key) noexcept {
    return static_cast<slot_number>(stable_hash(keys::head_shard(key)) % slot_count);
}

namespace keys {
namespace {

record_writer tagged(char tag) {
    record_writer out;
    out.u8(static_cast<std::uint8_t>(tag));
    return out;
}

record_writer of_partition(char tag, const partition_key& key) {
    record_writer out = tagged(tag);
    out.u64(key.stream).u32(key.partition);
    return out;
}

ports::bytes with_name(char tag, std::string_view name) {
    return std::move(tagged(tag).raw(name)).take();
}

}  // namespace

ports::bytes catalogue_shard(std::uint16_t number) {
    return std::move(tagged('l').u16(number)).take();
}
ports::bytes stream_shard(stream_id stream) {
    return std::move(tagged('i').u64(stream)).take();
}
ports::bytes head_shard(const partition_key& key) {
    return of_partition('h', key).take();
}
ports::bytes segment_shard(const partition_key& key, std::uint32_t segment) {
    return std::move(of_partition('t', key).u32(segment)).take();
}
ports::bytes work_shard(slot_number slot) {
    return std::move(tagged('w').u16(slot)).take();
}
ports::bytes slot_shard(slot_number slot) {
    return std::move(tagged('e').u16(slot)).take();
}
ports::bytes answers_shard(session_id session) {
    return std::move(tagged('a').u64(session)).take();
}
ports::bytes group_shard(const request_id& request) {
    return std::move(tagged('g').u64(request.high).u64(request.low)).take();
}

ports::bytes stream_name_row(std::string_view name) {
    return with_name('n', name);
}
ports::bytes deletion_row(stream_id stream) {
    return std::move(tagged('d').u64(stream)).take();
}
ports::bytes transaction_row(transaction_id id) {
    return std::move(tagged('t').u64(id.value())).take();
}
ports::bytes segment_row(transaction_id first) {
    return std::move(tagged('s').u64(first.value())).take();
}
ports::bytes offset_row(std::string_view consumer) {
    return with_name('c', consumer);
}
ports::bytes producer_row(std::string_view producer) {
    return with_name('p', producer);
}
ports::bytes answers_page(std::uint64_t sequence) {
    return std::move(tagged('a').u64(sequence / answers_page_calls)).take();
}
ports::bytes clock_row() {
    return "c";
}
ports::bytes due_row(std::uint64_t second, const partition_key& key, std::uint32_t segment) {
    record_writer out = tagged('x');
    out.u64(second).u64(key.stream).u32(key.partition).u32(segment);
    return std::move(out).take();
}

transaction_id id_of(std::string_view row_key) {
    record_reader in(row_key, "a row key");
    in.u8();
    const transaction_id id(in.u64());
    in.expect_end();
    return id;
}

due parse_due(std::string_view row_key) {
    record_reader in(row_key, "a row key");
    in.u8();
    due parsed;
    parsed.second = in.u64();
    parsed.partition.stream = in.u64();
    parsed.partition.partition = in.u32();
    parsed.segment = in.u32();
    in.expect_end();
    return parsed;
}

ports::bytes behind_prefix(std::string_view prefix) {
    ports::bytes key(prefix);
    while (!key.empty()) {
        if (static_cast<unsigned char>(key.back()) != 0xff) {
            key.back() = static_cast<char>(key.back() + 1);
            return key;
        }
        key.pop_back();
    }
    return key;
}

}  // namespace keys
}  // namespace tstreams::core
