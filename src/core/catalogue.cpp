#include "core/catalogue.hpp"

#include "core/shard_writer.hpp"

#include <tstreams/error.hpp>

#include <algorithm>

namespace tstreams::core {
namespace {

constexpr std::size_t cached_entries_max = 65'536;
constexpr std::size_t name_bytes_max = 128;
constexpr std::size_t description_bytes_max = 1024;
constexpr auto ttl_max = std::chrono::hours(24 * 3660);
constexpr auto max_open_default = std::chrono::seconds(600);
// Stream ids are microseconds shifted by this and a slot number, so that owners never meet.
constexpr unsigned stream_id_shift = 12;

std::string quoted(std::string_view name) {
    return "stream '" + std::string(name) + "'";
}

void check_ttl(std::chrono::seconds ttl, std::string_view name) {
    if (ttl < std::chrono::seconds(1) || ttl > ttl_max)
        throw error(errc::invalid_argument, quoted(name) + ": ttl must be from 1 second to 10 years");
}

void check_partitions(std::uint32_t partitions, std::string_view name) {
    if (partitions < 1) throw error(errc::invalid_argument, quoted(name) + ": a stream has at least one partition");
    if (partitions > partitions_max)
        throw error(errc::too_large, quoted(name) + ": " + std::to_string(partitions) + " partitions: at most " +
                                         std::to_string(partitions_max));
}

void check_description(std::string_view text, std::string_view name) {
    if (text.size() > description_bytes_max)
        throw error(errc::too_large, quoted(name) + ": the description is over 1024 bytes");
}

void check_durability(const durability& level, std::string_view name) {
    const bool timed = level.level == durability::kind::interval;
    if (timed && (level.interval < std::chrono::milliseconds(1) || level.interval > std::chrono::hours(1)))
        throw error(errc::invalid_argument, quoted(name) + ": the interval must be from 1 ms to 1 hour");
}

stream_info to_info(const stream_options& options, wall_time now) {
    check_name(options.name, "stream");
    check_partitions(options.partitions, options.name);
    check_ttl(options.ttl, options.name);
    check_description(options.description, options.name);
    check_durability(options.durability, options.name);
    stream_info info;
    info.name = options.name;
    info.partitions = options.partitions;
    info.ttl = options.ttl;
    info.durability = options.durability;
    info.description = options.description;
    // A transaction that is open longer than half of the ttl would be old when it is born.
    const auto longest = std::max(std::chrono::seconds(1), options.ttl / 2);
    if (options.max_open < std::chrono::seconds(0) || options.max_open > longest)
        throw error(errc::invalid_argument,
                    quoted(info.name) + ": max_open must be at most half of the ttl, and not negative");
    info.max_open = options.max_open.count() == 0 ? std::min(max_open_default, longest) : options.max_open;
    info.created_at = now;
    return info;
}

[[noreturn]] void throw_not_found(std::string_view name) {
    throw error(errc::stream_not_found, quoted(name) + ": no such stream");
}

}  // namespace

void check_name(std::string_view name, std::string_view what) {
    const auto allowed = [](char byte) {
        return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
               byte == '.' || byte == '_' || byte == '-';
    };
    if (!name.empty() && name.size() <= name_bytes_max && std::all_of(name.begin(), name.end(), allowed)) return;
    std::string shown;
    for (const char byte : name.substr(0, name_bytes_max)) shown += byte >= ' ' && byte <= '~' ? byte : '?';
    throw error(errc::invalid_name, std::string(what) + " name '" + shown +
                                        "': use 1 to 128 letters, digits, dots, underscores and hyphens");
}

ports::bytes catalogue::shard_of(std::string_view name) const {
    return keys::catalogue_shard(static_cast<std::uint16_t>(stable_hash(name) % shards()));
}

std::shared_ptr<stream_entry> catalogue::cached(stream_id stream) {
    const auto found = entries_.find(stream);
    return found == entries_.end() ? nullptr : found->second;
}

std::shared_ptr<stream_entry> catalogue::remember(stream_info info) {
    const stream_id id = info.id;
    if (const auto found = entries_.find(id); found != entries_.end()) {
        found->second->info = std::move(info);
        return found->second;
    }
    make_room();
    auto entry = std::make_shared<stream_entry>();
    entry->info = std::move(info);
    entries_.emplace(id, entry);
    order_.push_back(id);
    return entry;
}

// Entries that a partition in use holds stay: there is one truth about a stream. Those of deleted streams are left
// in the order, so it has a bound of its own.
void catalogue::make_room() {
    for (int looks = 0; looks < 64; ++looks) {
        if (entries_.size() < cached_entries_max && order_.size() < 2 * cached_entries_max) return;
        const stream_id oldest = order_.front();
        order_.pop_front();
        const auto found = entries_.find(oldest);
        if (found == entries_.end()) continue;
        if (found->second.use_count() > 1) {
            order_.push_back(oldest);
        } else {
            entries_.erase(found);
        }
    }
}

weave::task<std::optional<stream_row>> catalogue::read_row(std::string name) {
    const std::optional<ports::bytes> value = co_await world_.rows.get(shard_of(name), keys::stream_name_row(name));
    if (!value) co_return std::nullopt;
    co_return decode<stream_row>(*value);
}

weave::task<stream_id> catalogue::new_id(std::string name) {
    const auto hashed = static_cast<slot_number>(stable_hash(name) % slot_count);
    const slot_number number = world_.exclusive ? slot_number{0} : hashed;
    const std::shared_ptr<slot> owned = co_await owners_.own(number);
    // A former owner may have given an id in the microsecond in which its ceiling ended up.
    const std::uint64_t from = (owned->floor().value() + 1023) >> 10;
    const std::uint64_t floor = from << stream_id_shift;
    for (;;) {
        if (floor != 0) last_id_ = std::max(last_id_, floor - 1);
        if (const auto next = owned->try_mint(world_.clock.wall_now(), last_id_, stream_id_shift)) {
            last_id_ = *next | ((std::uint64_t{1} << stream_id_shift) - 1);
            co_return (*next & ~((std::uint64_t{1} << stream_id_shift) - 1)) | number;
        }
        co_await owned->raise_ceiling((last_id_ >> stream_id_shift) << 10);
    }
}

weave::task<void> catalogue::commit(ports::batch change, std::string name) {
    const write_result result = co_await write_shard(world_, std::move(change), durability::sync());
    if (result == write_result::applied) co_return;
    if (result == write_result::refused)
        throw error(errc::stream_exists, quoted(name) + " was changed by somebody else; look and try again");
    throw error(errc::unavailable, quoted(name) + ": the engine cannot be reached; try again",
                world_.exclusive ? outcome::not_applied : outcome::unknown);
}

weave::task<stream_info> catalogue::create(create_request request) {
    stream_row row;
    row.info = to_info(request.options, world_.clock.wall_now());
    row.request = request.request;
    row.info.id = co_await new_id(row.info.name);
    ports::batch by_id;
    by_id.shard = keys::stream_shard(row.info.id);
    by_id.operation = world_.next_operation();
    put(by_id, "n", row.info.name);
    ports::batch by_name;
    by_name.shard = shard_of(row.info.name);
    by_name.operation = world_.next_operation();
    require_absent(by_name, keys::stream_name_row(row.info.name));
    put(by_name, keys::stream_name_row(row.info.name), encode(row));
    write_result result = write_result::applied;
    if (world_.exclusive) {
        std::vector<ports::batch> both;
        both.push_back(std::move(by_id));
        both.push_back(std::move(by_name));
        const ports::commit_result done = co_await world_.rows.commit_all(std::move(both), durability::sync());
        if (done.status != ports::commit_status::applied) result = write_result::unavailable;
        if (done.status == ports::commit_status::condition_failed) result = write_result::refused;
    } else {
        // The row by id first: without the name it is never seen.
        result = co_await write_shard(world_, std::move(by_id), durability::sync());
        if (result == write_result::applied)
            result = co_await write_shard(world_, std::move(by_name), durability::sync());
    }
    if (result == write_result::unavailable && !world_.exclusive) {
        // A row that another broker wrote to the shard meanwhile hides whether this one was applied.
        const std::optional<stream_row> there = co_await read_row(row.info.name);
        if (there && there->info.id == row.info.id) result = write_result::applied;
    }
    if (result == write_result::applied) {
        remember(row.info);
        co_return row.info;
    }
    if (result != write_result::refused)
        throw error(errc::unavailable, quoted(row.info.name) + ": the engine cannot be reached; try again");
    const std::optional<stream_row> existing = co_await read_row(row.info.name);
    if (existing && !request.request.empty() && existing->request == request.request) co_return existing->info;
    throw error(errc::stream_exists, quoted(row.info.name) + ": a stream of this name exists already");
}

weave::task<std::optional<stream_info>> catalogue::find(std::string name) {
    check_name(name, "stream");
    std::optional<stream_row> row;
    std::uint64_t before = 0;
    do {
        before = removed_;
        row = co_await read_row(name);
    } while (removed_ != before);  // it may have been this one
    if (!row) co_return std::nullopt;
    remember(row->info);
    co_return row->info;
}

weave::task<std::vector<stream_info>> catalogue::list_shard(std::uint16_t number, std::string prefix, std::string from,
                                                            std::uint32_t limit) {
    ports::scan_range range;
    range.shard = keys::catalogue_shard(number);
    range.from = std::move(from);
    range.to = keys::behind_prefix(keys::stream_name_row(prefix));
    range.limit = limit;
    const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
    std::vector<stream_info> found;
    found.reserve(rows.size());
    for (const ports::row& row : rows) found.push_back(decode<stream_row>(row.value).info);
    co_return found;
}

weave::task<stream_page> catalogue::list(std::string prefix, std::string after, std::uint32_t limit) {
    if (limit < 1 || limit > 10'000)
        throw error(errc::invalid_argument, "a page of streams has from 1 to 10000 of them");
    std::string from = keys::stream_name_row(prefix);
    if (!after.empty()) from = std::max(from, keys::stream_name_row(after) + '\0');
    stream_page page;
    for (std::uint16_t number = 0; number < shards(); ++number) {
        std::vector<stream_info> part = co_await list_shard(number, prefix, from, limit + 1);
        std::move(part.begin(), part.end(), std::back_inserter(page.streams));
    }
    std::sort(page.streams.begin(), page.streams.end(),
              [](const stream_info& one, const stream_info& other) { return one.name < other.name; });
    if (page.streams.size() > limit) {
        page.streams.resize(limit);
        page.next = page.streams.back().name;
    }
    co_return page;
}

weave::task<stream_info> catalogue::update(std::string name, stream_changes changes) {
    check_name(name, "stream");
    std::optional<stream_row> row = co_await read_row(name);
    if (!row) throw_not_found(name);
    const std::string before = encode(*row);
    stream_info& info = row->info;
    if (changes.ttl) {
        check_ttl(*changes.ttl, name);
        info.ttl = *changes.ttl;
        info.max_open = std::min(info.max_open, std::max(std::chrono::seconds(1), info.ttl / 2));
    }
    if (changes.description) {
        check_description(*changes.description, name);
        info.description = *changes.description;
    }
    if (changes.partitions) {
        check_partitions(*changes.partitions, name);
        if (*changes.partitions < info.partitions)
            throw error(errc::invalid_argument, quoted(name) + " has " + std::to_string(info.partitions) +
                                                    " partitions; they can be added, not removed");
        info.partitions = *changes.partitions;
    }
    ports::batch change;
    change.shard = shard_of(name);
    change.operation = world_.next_operation();
    require_equal(change, keys::stream_name_row(name), before);
    put(change, keys::stream_name_row(name), encode(*row));
    co_await commit(std::move(change), name);
    remember(info);
    co_return info;
}

weave::task<stream_info> catalogue::remove(std::string name) {
    check_name(name, "stream");
    const std::optional<stream_row> row = co_await read_row(name);
    if (!row) throw_not_found(name);
    deletion_row rest;
    rest.partitions = row->info.partitions;
    ports::batch change;
    change.shard = shard_of(name);
    change.operation = world_.next_operation();
    require_equal(change, keys::stream_name_row(name), encode(*row));
    erase(change, keys::stream_name_row(name));
    put(change, keys::deletion_row(row->info.id), encode(rest));
    co_await commit(std::move(change), name);
    ++removed_;
    // Whoever has come meanwhile has it from here, or looks again.
    if (const std::shared_ptr<stream_entry> entry = cached(row->info.id)) entry->deleted = true;
    entries_.erase(row->info.id);
    co_return row->info;
}

weave::task<std::vector<std::pair<stream_id, std::uint32_t>>> catalogue::deletions() {
    std::vector<std::pair<stream_id, std::uint32_t>> found;
    for (std::uint16_t number = 0; number < shards(); ++number) {
        ports::scan_range range;
        range.shard = keys::catalogue_shard(number);
        range.from = "d";
        range.to = keys::behind_prefix("d");
        range.limit = 1000;
        const std::vector<ports::row> rows = co_await world_.rows.scan(std::move(range));
        for (const ports::row& row : rows)
            found.emplace_back(keys::id_of(row.key).value(), decode<deletion_row>(row.value).partitions);
    }
    co_return found;
}

weave::task<void> catalogue::forget_deletion(stream_id stream) {
    // The row's shard depends on the name, which is still to be had by id.
    const std::optional<ports::bytes> name = co_await world_.rows.get(keys::stream_shard(stream), "n");
    if (!name) co_return;
    ports::batch change;
    change.shard = shard_of(*name);
    change.operation = world_.next_operation();
    erase(change, keys::deletion_row(stream));
    co_await commit(std::move(change), *name);
    ports::batch by_id;
    by_id.shard = keys::stream_shard(stream);
    by_id.operation = world_.next_operation();
    erase(by_id, "n");
    co_await commit(std::move(by_id), *name);
}

weave::task<std::shared_ptr<stream_entry>> catalogue::get(stream_id stream) {
    if (std::shared_ptr<stream_entry> entry = cached(stream)) co_return entry;
    std::optional<ports::bytes> name;
    std::optional<stream_row> row;
    std::uint64_t before = 0;
    do {
        before = removed_;
        name = co_await world_.rows.get(keys::stream_shard(stream), "n");
        row.reset();
        if (name) row = co_await read_row(*name);
    } while (removed_ != before);  // it may have been this one
    if (!row || row->info.id != stream)
        throw error(errc::stream_deleted,
                    "stream " + (name ? "'" + *name + "'" : std::to_string(stream)) + " has been deleted");
    co_return remember(row->info);
}

}  // namespace tstreams::core
