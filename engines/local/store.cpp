#include "engines/local/store.hpp"

#include <tstreams/error.hpp>

#include <array>
#include <cerrno>
#include <coroutine>
#include <exception>
#include <utility>

namespace tstreams::local {
namespace {

constexpr std::size_t handles_max = 128;
constexpr std::size_t shard_bytes_max = 0xffff;
constexpr std::size_t commit_bytes_max = std::size_t{512} << 20;
constexpr std::size_t row_overhead = 24;  // lengths and expiry of a row in a record
constexpr std::size_t cover_bytes = 13;   // of a frame that a commit makes live
constexpr std::uint32_t scan_rows_max = 65'536;

// co_await: the read is done by a thread that may wait for the disk.
class cold_read {
public:
    cold_read(worker_pool& readers, mailbox& letters, const file& from, std::span<iovec> parts,
              std::uint64_t offset) noexcept
        : readers_(readers), letters_(letters), from_(from), parts_(parts), offset_(offset) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        readers_.run([this, waiting] {
            try {
                bytes_ = from_.read(parts_, offset_);
            } catch (...) {
                failure_ = std::current_exception();
            }
            letters_.send([waiting] { waiting.resume(); });
        });
    }
    std::size_t await_resume() const {
        if (failure_) std::rethrow_exception(failure_);
        return bytes_;
    }

private:
    worker_pool& readers_;
    mailbox& letters_;
    const file& from_;
    std::span<iovec> parts_;
    std::uint64_t offset_;
    std::size_t bytes_ = 0;
    std::exception_ptr failure_;
};

}  // namespace

void store_parts::check_usable() const {
    if (closed) throw error(errc::shutting_down, "the store in " + paths.root + " is closed");
    failure.check();
}

ports::key_value_caps row_store::caps() const noexcept {
    ports::key_value_caps caps;
    caps.exclusive = true;
    caps.atomic_shards = true;
    caps.value_bytes_max = value_bytes_max;
    return caps;
}

std::string_view row_store::row_key(std::string_view shard, std::string_view key) {
    key_.clear();
    append_row_key(key_, shard, key);
    return key_;
}

weave::task<std::optional<ports::bytes>> row_store::get(ports::bytes shard, ports::bytes key) {
    parts_.check_usable();
    const std::string_view wanted = row_key(shard, key);
    parts_.commits.settle(wanted);
    co_return parts_.rows.get(wanted, parts_.clock.wall_now());
}

weave::task<std::vector<ports::row>> row_store::scan(ports::scan_range range) {
    parts_.check_usable();
    if (range.limit == 0 || range.limit > scan_rows_max)
        throw error(errc::invalid_argument, "scan: the limit must be 1 to 65,536 rows");
    parts_.commits.settle(row_key(range.shard, {}));
    co_return parts_.rows.scan(range, parts_.clock.wall_now());
}

void row_store::hold_expiry(std::optional<wall_time> at) {
    parts_.rows.hold_expiry(at);
    parts_.rows.set_now(parts_.clock.wall_now());
}

// All of them are one record of the log, which has a limit.
void row_store::check(std::span<const ports::batch> changes) const {
    std::size_t bytes = 0;
    for (const ports::batch& change : changes) {
        if (change.shard.size() > shard_bytes_max || (change.note && change.note->shard.size() > shard_bytes_max))
            throw error(errc::invalid_argument, "commit: the name of a shard is over 65,535 bytes");
        bytes += change.covers.size() * cover_bytes;
        if (change.note)
            bytes += change.note->shard.size() + change.note->page.size() + change.note->text.size() + row_overhead;
        for (const ports::mutation& one : change.mutations) {
            bytes += change.shard.size() + one.key.size() + (one.value ? one.value->size() : 0) + row_overhead;
            if (one.value && one.value->size() > value_bytes_max)
                throw error(errc::too_large, "commit: a value of " + std::to_string(one.value->size()) +
                                                 " bytes; at most " + std::to_string(value_bytes_max));
        }
    }
    if (bytes > commit_bytes_max)
        throw error(errc::too_large,
                    "a commit of " + std::to_string(bytes) + " bytes; at most " + std::to_string(commit_bytes_max));
}

bool row_store::holds(const ports::batch& change) {
    for (const ports::condition& one : change.conditions) {
        const std::string_view wanted = row_key(change.shard, one.key);
        parts_.commits.settle(wanted);
        const std::optional<std::string> found = parts_.rows.get(wanted, parts_.clock.wall_now());
        const bool met = one.wanted == ports::condition::test::absent   ? !found
                         : one.wanted == ports::condition::test::exists ? found.has_value()
                                                                        : found == one.value;
        if (!met) return false;
    }
    for (const ports::blob_ref& blob : change.covers) {
        const std::optional<position> place = decode_place(blob.place);
        if (place) parts_.commits.settle(blob.place);
        if (!place || (!parts_.frames.undecided(*place) && !parts_.rows.live_length(*place)))
            throw error(errc::invalid_argument, "commit: it covers a blob that is not there");
    }
    return true;
}

void row_store::stage(const ports::batch& change) {
    for (const ports::blob_ref& blob : change.covers) {
        parts_.commits.stage_live({*decode_place(blob.place), blob.length});
    }
    if (const std::optional<ports::note>& one = change.note)
        parts_.commits.stage_note(row_key(one->shard, {}), one->page, one->text, one->expires);
    if (change.mutations.empty()) return;
    parts_.commits.touch(row_key(change.shard, {}));
    for (const ports::mutation& one : change.mutations) {
        const std::string_view key = row_key(change.shard, one.key);
        if (one.value) {
            parts_.commits.stage_put(key, *one.value, one.expires);
        } else {
            parts_.commits.stage_erase(key);
        }
    }
}

weave::task<ports::commit_result> row_store::commit(ports::batch change, durability level) {
    parts_.check_usable();
    check({&change, 1});
    ports::commit_result result;
    if (!holds(change)) {
        result.status = ports::commit_status::condition_failed;
        co_return result;
    }
    stage(change);
    auto safe = parts_.commits.durable(level);
    co_await safe;
    ++commits_;
    co_return result;
}

weave::task<ports::commit_result> row_store::commit_all(std::vector<ports::batch> changes, durability level) {
    parts_.check_usable();
    ports::commit_result result;
    check(changes);
    for (const ports::batch& change : changes) {
        if (holds(change)) continue;
        result.status = ports::commit_status::condition_failed;
        co_return result;
    }
    for (const ports::batch& change : changes) stage(change);
    auto safe = parts_.commits.durable(level);
    co_await safe;
    ++commits_;
    co_return result;
}

weave::task<ports::commit_result> row_store::settle(ports::bytes, ports::operation_id) {
    throw error(errc::unsupported, "the local engine never answers `unknown`, so there is nothing to settle");
    co_return ports::commit_result{};
}

ports::blob_caps frame_store::caps() const noexcept {
    ports::blob_caps caps;
    caps.blob_bytes_max = blob_bytes_max;
    caps.commit_covers = true;
    return caps;
}

weave::task<ports::blob_ref> frame_store::write(ports::blob_name name, bytes_view data, std::uint32_t crc32c,
                                                wall_time) {
    parts_.check_usable();
    if (data.size() > blob_bytes_max)
        throw error(errc::too_large,
                    "a blob of " + std::to_string(data.size()) + " bytes; at most " + std::to_string(blob_bytes_max));
    const position place = parts_.log.append_frame(name, data, crc32c);
    parts_.frames.written({place, static_cast<std::uint32_t>(data.size())});
    parts_.commits.limit_replay();
    ports::blob_ref ref;
    ref.place = encode_place(place);
    ref.length = static_cast<std::uint32_t>(data.size());
    ref.crc32c = crc32c;
    co_return ref;
}

weave::task<void> frame_store::sync(std::vector<ports::blob_ref>, durability) {
    parts_.check_usable();
    co_return;  // the commit that covers them does it
}

std::shared_ptr<file> frame_store::open(std::uint32_t number) {
    const auto known = handles_.find(number);
    if (known != handles_.end()) return known->second;
    if (handles_.size() >= handles_max) handles_.clear();
    auto opened = parts_.files.open(parts_.paths.log_file(number), disk::mode::read);
    handles_.emplace(number, opened);
    return opened;
}

weave::task<std::string> frame_store::read(ports::blob_ref blob) {
    parts_.check_usable();
    const std::optional<position> place = decode_place(blob.place);
    if (!place || blob.length > blob_bytes_max)
        throw error(errc::corrupt, "the reference of a blob is not one of the local engine");
    const std::string name =
        "the blob in " + parts_.paths.log_file(place->file) + " at offset " + std::to_string(place->offset);
    header_block block{};
    std::string data(blob.length, '\0');
    const std::array<iovec, 2> whole{iovec{block.data(), block.size()}, iovec{data.data(), data.size()}};
    try {
        const std::shared_ptr<file> from = open(place->file);
        std::array<iovec, 2> parts = whole;
        std::size_t bytes = from->read_cached(parts, place->offset);
        if (bytes < block.size() + data.size()) {
            parts = whole;
            cold_read reading(parts_.readers, parts_.letters, *from, parts, place->offset);
            bytes = co_await reading;
        }
        if (bytes < block.size() + data.size()) throw error(errc::corrupt, name + " is behind the end of its file");
    } catch (const disk_error& failure) {
        if (failure.number() == ENOENT) throw error(errc::corrupt, name + " is gone");
        throw error(errc::storage_failed, failure.what());
    }
    const auto header = decode_record_header({block.data(), block.size()}, *place);
    if (!header || header->type != record_type::frame || header->length != blob.length || header->crc32c != blob.crc32c)
        throw error(errc::corrupt, name + " is not what its reference says");
    if (checksum(data) != blob.crc32c) throw error(errc::corrupt, name + " is damaged or has been dropped");
    co_return data;
}

// Returns whether a record for it has been staged.
bool frame_store::drop_one(const ports::blob_ref& blob) {
    const std::optional<position> place = decode_place(blob.place);
    if (!place) throw error(errc::invalid_argument, "the reference of a blob is not one of the local engine");
    parts_.commits.settle(blob.place);
    if (parts_.frames.drop_undecided(*place)) return false;
    const std::optional<std::uint32_t> length = parts_.rows.live_length(*place);
    if (!length) return false;
    parts_.commits.stage_dead({*place, *length});
    return true;
}

weave::task<void> frame_store::drop(std::vector<ports::blob_ref> blobs) {
    parts_.check_usable();
    bool staged = false;
    for (const ports::blob_ref& blob : blobs) staged = drop_one(blob) || staged;
    if (!staged) co_return;
    auto safe = parts_.commits.durable(durability::process());
    co_await safe;
}

}  // namespace tstreams::local
