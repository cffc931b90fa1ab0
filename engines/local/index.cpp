#include "engines/local/index.hpp"

#include <tstreams/error.hpp>

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/iterator.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <utility>

namespace tstreams::local {
namespace {

constexpr char meta_key[] = "m";
constexpr char row_prefix = 'r';
constexpr char live_prefix = 'b';
constexpr std::size_t meta_bytes = 20;
constexpr std::size_t write_buffer_bytes = std::size_t{32} << 20;
constexpr std::size_t block_cache_bytes = std::size_t{64} << 20;
constexpr int block_cache_shard_bits = 3;

[[noreturn]] void fail(const rocksdb::Status& status, const std::string& path) {
    const std::string text = "the index in " + path + ": " + status.ToString();
    if (status.IsCorruption()) throw error(errc::corrupt, text + "; restore the store from a copy");
    if (status.IsNoSpace()) throw error(errc::no_space, text + "; free some space and try again");
    throw error(errc::storage_failed, text);
}

void check(const rocksdb::Status& status, const std::string& path) {
    if (!status.ok()) fail(status, path);
}

rocksdb::Slice slice(std::string_view bytes) noexcept {
    return {bytes.data(), bytes.size()};
}
std::string_view view(const rocksdb::Slice& bytes) noexcept {
    return {bytes.data(), bytes.size()};
}

std::array<char, 9> live_key(position place) noexcept {
    std::array<char, 9> key{live_prefix};
    put_u64(key.data() + 1, place.value());
    return key;
}

// A store that is only looked at gets no log file of RocksDB.
class no_logger final : public rocksdb::Logger {
public:
    void Logv(const char*, va_list) override {}
};

// Tells of flushes and failures.
class listener final : public rocksdb::EventListener {
public:
    explicit listener(const index_options& options) : options_(options) {}
    void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
        if (options_.flushed) options_.flushed();
    }
    // resume() decides when to go on.
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* automatically) override {
        *automatically = false;
    }
    void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
        if (status->IsNoSpace() && options_.full) return options_.full();
        if (options_.failed) options_.failed("the index in " + options_.path + ": " + status->ToString());
    }

private:
    const index_options& options_;
};

// Lets the log go first: no table is begun before all that it can hold is on the disk in the log, and none at all
// once the log could not be synced. So the index on the disk is never ahead of the log.
class guarded_files final : public rocksdb::FileSystemWrapper {
public:
    explicit guarded_files(const index_options& options)
        : FileSystemWrapper(rocksdb::FileSystem::Default()), options_(options) {}
    const char* Name() const override { return "tstreams"; }
    rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& how,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override {
        if (name.ends_with(".sst") && options_.before_table && !options_.before_table())
            return rocksdb::IOStatus::IOError(name, "the log could not be synced");
        std::size_t bytes = 0;
        if (const int number = options_.faults ? options_.faults->before(disk_operation::index_file, name, bytes) : 0) {
            return number == ENOSPC ? rocksdb::IOStatus::NoSpace(name)
                                    : rocksdb::IOStatus::IOError(name, std::strerror(number));
        }
        return FileSystemWrapper::NewWritableFile(name, how, result, debug);
    }

private:
    const index_options& options_;
};

// Rows that have expired die when their file is compacted.
class expired_rows final : public rocksdb::CompactionFilter {
public:
    explicit expired_rows(const std::atomic<std::int64_t>& now) : now_(now) {}
    const char* Name() const override { return "tstreams.expired_rows"; }
    bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice& value, std::string*, bool*) const override {
        if (key.empty() || key[0] != row_prefix || value.size() < 9 || value[0] != 1) return false;
        const auto expires = static_cast<std::int64_t>(get_u64(value.data() + 1));
        return expires <= now_.load(std::memory_order_relaxed);
    }

private:
    const std::atomic<std::int64_t>& now_;
};

index_state decode_state(std::string_view bytes, const std::string& path) {
    if (bytes.size() != meta_bytes) throw error(errc::corrupt, "the index in " + path + ": its position is damaged");
    return {position::from(get_u64(bytes.data())), get_u64(bytes.data() + 8), get_u32(bytes.data() + 16)};
}

std::array<char, meta_bytes> encode_state(const index_state& state) noexcept {
    std::array<char, meta_bytes> bytes{};
    put_u64(bytes.data(), state.applied.value());
    put_u64(bytes.data() + 8, state.commit);
    put_u32(bytes.data() + 16, state.oldest_undecided);
    return bytes;
}

std::string behind(std::string prefix) {
    while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
    if (!prefix.empty()) ++prefix.back();
    return prefix;
}

}  // namespace

struct index::parts {
    explicit parts(index_options chosen, const std::atomic<std::int64_t>& now)
        : options(std::move(chosen)),
          files(std::make_shared<guarded_files>(options)),
          env(rocksdb::NewCompositeEnv(files)),
          filter(now) {}

    [[nodiscard]] rocksdb::Options settings() {
        rocksdb::Options o;
        o.env = env.get();
        o.create_if_missing = true;
        o.paranoid_checks = true;
        o.max_bgerror_resume_count = 0;
        o.recycle_log_file_num = 0;
        o.avoid_flush_during_shutdown = true;  // what is not flushed comes from the log again
        o.write_buffer_size = write_buffer_bytes;
        o.max_write_buffer_number = 3;
        // Rows, frames and the position each come in rising order more often than not: the next one of a kind is looked
        // for where the last one went. (A row's kind is the letter behind the length of its shard's name.)
        o.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(4));
        o.max_open_files = 256;
        o.max_background_jobs = 2;
        o.bytes_per_sync = 1 << 20;
        o.level_compaction_dynamic_level_bytes = true;
        o.compression = rocksdb::kLZ4Compression;
        o.compaction_filter = &filter;
        o.skip_stats_update_on_db_open = true;
        o.stats_dump_period_sec = 0;
        o.stats_persist_period_sec = 0;
        o.info_log_level = rocksdb::WARN_LEVEL;
        o.keep_log_file_num = 2;
        o.max_manifest_file_size = 16 << 20;
        o.manifest_preallocation_size = 64 << 10;
        o.listeners.push_back(std::make_shared<listener>(options));
        rocksdb::BlockBasedTableOptions table;
        // Filters and indexes in parts: that of a whole table grows with its rows, and one that does not fit into a
        // shard of the cache is read from the file again for every row that is looked up.
        table.block_cache = rocksdb::NewLRUCache(block_cache_bytes, block_cache_shard_bits);
        table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
        table.partition_filters = true;
        table.cache_index_and_filter_blocks = true;
        table.pin_l0_filter_and_index_blocks_in_cache = true;
        table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
        table.whole_key_filtering = true;
        o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
        return o;
    }

    index_options options;
    std::shared_ptr<guarded_files> files;
    std::unique_ptr<rocksdb::Env> env;
    expired_rows filter;
    rocksdb::WriteBatch batch;
    std::unique_ptr<rocksdb::DB> db;
};

bool index::exists(const disk& files, const std::string& path) {
    return files.exists(path + "/CURRENT");
}

index::index(index_options options) : parts_(std::make_unique<parts>(std::move(options), now_)) {
    rocksdb::DB* opened = nullptr;
    const std::string& path = parts_->options.path;
    rocksdb::Options settings = parts_->settings();
    if (parts_->options.read_only) {
        settings.create_if_missing = false;
        settings.info_log = std::make_shared<no_logger>();
    }
    const rocksdb::Status status = parts_->options.read_only ? rocksdb::DB::OpenForReadOnly(settings, path, &opened)
                                                             : rocksdb::DB::Open(settings, path, &opened);
    check(status, path);
    parts_->db.reset(opened);
}

index::~index() = default;

void index::apply(std::string_view payload, const index_state& reached) {
    rocksdb::WriteBatch& batch = parts_->batch;
    batch.Clear();
    operation_reader operations(payload);
    operation_view one;
    while (operations.next(one)) {
        const rocksdb::Slice row[2] = {rocksdb::Slice(&row_prefix, 1), slice(one.key)};
        switch (one.what) {
            case operation::put: {
                const rocksdb::Slice value = slice(one.value);
                check(batch.Put(rocksdb::SliceParts(row, 2), rocksdb::SliceParts(&value, 1)), parts_->options.path);
                break;
            }
            case operation::erase:
                check(batch.Delete(rocksdb::SliceParts(row, 2)), parts_->options.path);
                break;
            case operation::live: {
                const auto key = live_key(one.place);
                char length[4];
                put_u32(length, one.length);
                check(batch.Put({key.data(), key.size()}, {length, sizeof length}), parts_->options.path);
                break;
            }
            case operation::dead: {
                const auto key = live_key(one.place);
                check(batch.Delete({key.data(), key.size()}), parts_->options.path);
                break;
            }
        }
    }
    const auto meta = encode_state(reached);
    check(batch.Put(meta_key, {meta.data(), meta.size()}), parts_->options.path);
    rocksdb::WriteOptions how;
    how.disableWAL = true;
    check(parts_->db->Write(how, &batch), parts_->options.path);
}

std::optional<std::string> index::get(std::string_view row_key, wall_time now) {
    now = expiry_by(now);
    std::string key(1, row_prefix);
    key.append(row_key);
    rocksdb::PinnableSlice stored;
    const rocksdb::Status status = parts_->db->Get({}, parts_->db->DefaultColumnFamily(), slice(key), &stored);
    if (status.IsNotFound()) return std::nullopt;
    check(status, parts_->options.path);
    const stored_value value = decode_value(view(stored));
    if (value.expires && *value.expires <= now) return std::nullopt;
    return std::string(value.value);
}

std::vector<ports::row> index::scan(const ports::scan_range& range, wall_time now) {
    now = expiry_by(now);
    std::string shard(1, row_prefix);
    append_row_key(shard, range.shard, {});
    const std::string from = shard + range.from;
    const std::string to = range.to.empty() ? behind(shard) : shard + range.to;
    std::vector<ports::row> rows;
    if (from >= to) return rows;
    const rocksdb::Slice lower = slice(from);
    const rocksdb::Slice upper = slice(to);
    rocksdb::ReadOptions how;
    how.iterate_lower_bound = &lower;
    how.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> at(parts_->db->NewIterator(how));
    if (range.reverse) {
        at->SeekToLast();
    } else {
        at->SeekToFirst();
    }
    std::size_t bytes = 0;
    while (at->Valid() && rows.size() < range.limit) {
        const stored_value value = decode_value(view(at->value()));
        if (!value.expires || *value.expires > now) {
            rows.push_back({std::string(view(at->key()).substr(shard.size())), std::string(value.value)});
            bytes += value.value.size();
            if (range.bytes_max != 0 && bytes >= range.bytes_max) break;
        }
        if (range.reverse) {
            at->Prev();
        } else {
            at->Next();
        }
    }
    check(at->status(), parts_->options.path);
    return rows;
}

std::optional<std::uint32_t> index::live_length(position place) {
    const auto key = live_key(place);
    std::string stored;
    const rocksdb::Status status = parts_->db->Get({}, {key.data(), key.size()}, &stored);
    if (status.IsNotFound()) return std::nullopt;
    check(status, parts_->options.path);
    if (stored.size() != 4) fail(rocksdb::Status::Corruption("the row of a frame is damaged"), parts_->options.path);
    return get_u32(stored.data());
}

std::unique_ptr<index::live_frames> index::all_live_frames() {
    class walk final : public live_frames {
    public:
        walk(rocksdb::DB& db, std::string path) : path_(std::move(path)) {
            rocksdb::ReadOptions how;
            how.iterate_lower_bound = &lower_;
            how.iterate_upper_bound = &upper_;
            how.fill_cache = false;
            at_.reset(db.NewIterator(how));
            at_->SeekToFirst();
        }
        bool next(position& place, std::uint32_t& length) override {
            if (!at_->Valid()) {
                check(at_->status(), path_);
                return false;
            }
            if (at_->key().size() != 9 || at_->value().size() != 4)
                fail(rocksdb::Status::Corruption("the row of a frame is damaged"), path_);
            place = position::from(get_u64(at_->key().data() + 1));
            length = get_u32(at_->value().data());
            at_->Next();
            return true;
        }

    private:
        const std::string path_;
        const rocksdb::Slice lower_{"b", 1};
        const rocksdb::Slice upper_{"c", 1};
        std::unique_ptr<rocksdb::Iterator> at_;
    };
    return std::make_unique<walk>(*parts_->db, parts_->options.path);
}

std::uint64_t index::count_rows() {
    rocksdb::ReadOptions how;
    how.fill_cache = false;
    const rocksdb::Slice lower(&row_prefix, 1);
    how.iterate_lower_bound = &lower;
    const std::unique_ptr<rocksdb::Iterator> at(parts_->db->NewIterator(how));
    std::uint64_t rows = 0;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
        (void)decode_value(view(at->value()));
        ++rows;
    }
    check(at->status(), parts_->options.path);
    return rows;
}

index_state index::state() {
    std::string stored;
    const rocksdb::Status status = parts_->db->Get({}, meta_key, &stored);
    if (status.IsNotFound()) return {};
    check(status, parts_->options.path);
    return decode_state(stored, parts_->options.path);
}

index_state index::persisted() {
    rocksdb::ReadOptions how;
    how.read_tier = rocksdb::kPersistedTier;
    std::string stored;
    const rocksdb::Status status = parts_->db->Get(how, meta_key, &stored);
    if (status.IsNotFound()) return {};
    check(status, parts_->options.path);
    return decode_state(stored, parts_->options.path);
}

void index::flush() {
    check(parts_->db->Flush({}), parts_->options.path);
}

bool index::resume() {
    const rocksdb::Status status = parts_->db->Resume();
    if (status.IsNoSpace() || status.IsBusy()) return false;
    check(status, parts_->options.path);
    return true;
}

std::string index::verify() {
    const rocksdb::Status status = parts_->db->VerifyChecksum();
    return status.ok() ? std::string() : status.ToString();
}

}  // namespace tstreams::local
