#include "engines/memory/store.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace tstreams::memory {

namespace {

constexpr std::size_t undecided_max = 64;
constexpr std::uint64_t commits_per_sweep = 16;
constexpr int rows_per_sweep = 32;

constexpr std::size_t place_bytes = 8;

void append(std::string& out, std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}

std::string encode_place(std::uint64_t number) {
    std::string out;
    append(out, number);
    return out;
}

std::uint64_t decode_place(const ports::blob_ref& blob) {
    if (blob.place.size() != place_bytes) {
        throw error(errc::corrupt, "a blob reference is not one of the memory engine");
    }
    std::uint64_t number = 0;
    for (const char byte : blob.place) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
}

std::string encode_name(const ports::blob_name& name) {
    std::string out;
    for (const std::uint64_t part : {name.stream, name.transaction, name.epoch}) append(out, part);
    append(out, std::uint64_t{name.partition} << 32 | name.chunk);
    return out;
}

[[noreturn]] void throw_gone(std::uint64_t number) {
    throw error(errc::corrupt, "blob " + std::to_string(number) + " of the memory engine is gone");
}

}  // namespace

store::store(ports::clock& clock, store_options options)
    : clock_(clock),
      exclusive_(options.exclusive),
      faults_(std::move(options.faults)),
      trace_(std::move(options.trace)) {}

store::~store() {
    for (const auto& [name, shard] : shards_) {
        for (const undecided& one : shard.waiting) clock_.cancel(one.timer);
    }
}

void store::note(std::string_view what, const ports::bytes& shard, std::uint64_t number) const {
    if (!trace_) return;
    std::string text(what);
    text += ' ';
    text += shard;
    text += ' ';
    text += std::to_string(number);
    trace_(text);
}

// ---- rows

bool store::alive(const stored_row& row) const {
    return !row.expires || clock_.wall_now() < *row.expires || (expiry_held_ && *expiry_held_ < *row.expires);
}

std::optional<ports::bytes> store::get(const ports::bytes& shard, const ports::bytes& key) const {
    const auto place = shards_.find(shard);
    if (place == shards_.end()) return std::nullopt;
    const auto found = place->second.rows.find(key);
    if (found == place->second.rows.end() || !alive(found->second)) return std::nullopt;
    return found->second.value;
}

std::vector<ports::row> store::scan(const ports::scan_range& range) const {
    std::vector<ports::row> result;
    const auto place = shards_.find(range.shard);
    if (place == shards_.end()) return result;
    const row_map& rows = place->second.rows;
    const auto end = range.to.empty() ? rows.end() : rows.lower_bound(range.to);
    std::size_t value_bytes = 0;
    // Takes the row when it is alive; false when the result is full.
    const auto take = [&](const row_map::value_type& row) {
        if (!alive(row.second)) return true;
        result.push_back({row.first, row.second.value});
        value_bytes += row.second.value.size();
        return result.size() < range.limit && (range.bytes_max == 0 || value_bytes < range.bytes_max);
    };
    if (range.reverse) {
        for (auto row = end; row != rows.begin();) {
            --row;
            if (row->first < range.from || !take(*row)) break;
        }
    } else if (range.to.empty() || range.from < range.to) {
        for (auto row = rows.lower_bound(range.from); row != end; ++row) {
            if (!take(*row)) break;
        }
    }
    return result;
}

bool store::holds(const shard_state* shard, const ports::condition& wanted) const {
    const stored_row* row = nullptr;
    if (shard != nullptr) {
        const auto found = shard->rows.find(wanted.key);
        if (found != shard->rows.end() && alive(found->second)) row = &found->second;
    }
    switch (wanted.wanted) {
        case ports::condition::test::absent:
            return row == nullptr;
        case ports::condition::test::exists:
            return row != nullptr;
        case ports::condition::test::equals:
            return row != nullptr && row->value == wanted.value;
    }
    return false;
}

ports::commit_status store::check(const shard_state* shard, const ports::batch& change) const {
    if (!exclusive_ && change.fence.check != ports::fence::mode::none) {
        const std::optional<std::uint64_t> stored = shard != nullptr ? shard->fence : std::nullopt;
        const bool passes = change.fence.check == ports::fence::mode::equal ? stored == change.fence.epoch
                                                                            : !stored || *stored <= change.fence.epoch;
        if (!passes) return ports::commit_status::fenced;
    }
    for (const ports::condition& wanted : change.conditions) {
        if (!holds(shard, wanted)) return ports::commit_status::condition_failed;
    }
    return ports::commit_status::applied;
}

store::row_map::iterator store::erase_row(shard_state& shard, row_map::iterator row) {
    --stored_rows_;
    if (row->second.expires) --mortal_rows_;
    return shard.rows.erase(row);
}

// Here nobody's commit is written together with another one: a note is a row.
void store::keep(ports::note one) {
    ports::bytes key = std::move(one.page);
    const std::uint64_t number = ++notes_;
    for (unsigned shift = 64; shift != 0; shift -= 8) key.push_back(static_cast<char>(number >> (shift - 8)));
    shards_[std::move(one.shard)].rows.emplace(std::move(key), stored_row{std::move(one.text), one.expires});
    ++stored_rows_;
    ++mortal_rows_;
}

// Returns the shard's fence after it.
std::optional<std::uint64_t> store::apply(ports::batch change) {
    note_covers(change);
    if (change.note) keep(std::move(*change.note));
    const auto place = shards_.try_emplace(std::move(change.shard)).first;
    shard_state& shard = place->second;
    for (ports::mutation& one : change.mutations) {
        if (one.value) {
            const auto [row, fresh] = shard.rows.try_emplace(std::move(one.key));
            if (fresh) ++stored_rows_;
            if (row->second.expires) --mortal_rows_;
            if (one.expires) ++mortal_rows_;
            row->second.value = std::move(*one.value);
            row->second.expires = one.expires;
        } else if (const auto row = shard.rows.find(one.key); row != shard.rows.end()) {
            erase_row(shard, row);
        }
    }
    if (!exclusive_) {
        if (change.fence.check == ports::fence::mode::raise) shard.fence = change.fence.epoch;
        shard.last_applied = change.operation;
    }
    const std::optional<std::uint64_t> fence = shard.fence;
    if (shard.empty()) shards_.erase(place);
    return fence;
}

ports::commit_result store::commit_one(ports::batch change) {
    const auto place = shards_.find(change.shard);
    const shard_state* shard = place == shards_.end() ? nullptr : &place->second;
    ports::commit_result result;
    result.status = check(shard, change);
    note("commit", change.shard, static_cast<std::uint64_t>(result.status));
    if (result.status == ports::commit_status::applied) {
        result.fence = apply(std::move(change)).value_or(0);
        sweep();
    } else if (shard != nullptr) {
        result.fence = shard->fence.value_or(0);
    }
    return result;
}

ports::commit_result store::commit(ports::batch change) {
    if (exclusive_) return commit_one(std::move(change));
    std::vector<ports::batch> after;
    for (ports::batch& earlier : take_undecided(change.shard)) {
        const std::uint64_t fate = faults_.random().below(3);
        if (fate == 0) commit_one(std::move(earlier));
        // The fence in the answer to `change` has to be the last one, so a raise does not come behind it.
        else if (fate == 1 && earlier.fence.check != ports::fence::mode::raise)
            after.push_back(std::move(earlier));
    }
    const ports::commit_result result = commit_one(std::move(change));
    for (ports::batch& late : after) commit_one(std::move(late));
    return result;
}

void store::commit_unheard(ports::batch change) {
    for (ports::batch& earlier : take_undecided(change.shard)) {
        if (faults_.random().below(2) == 0) commit_one(std::move(earlier));
    }
    commit_one(std::move(change));
}

void store::commit_later(ports::batch change, std::chrono::microseconds time) {
    shard_state& shard = shards_[change.shard];
    if (shard.waiting.size() == undecided_max) {
        clock_.cancel(shard.waiting.front().timer);
        shard.waiting.erase(shard.waiting.begin());
    }
    auto apply_now = [this, name = change.shard, operation = change.operation] {
        std::vector<undecided>& waiting = shards_.at(name).waiting;
        const auto mine = std::find_if(waiting.begin(), waiting.end(), [&operation](const undecided& one) {
            return one.change.operation == operation;
        });
        ports::batch due = std::move(mine->change);
        waiting.erase(mine);
        commit_one(std::move(due));
    };
    const ports::clock::timer timer = clock_.call_at(clock_.now() + time, std::move(apply_now));
    shard.waiting.push_back({std::move(change), timer});
}

std::vector<ports::batch> store::take_undecided(const ports::bytes& shard) {
    std::vector<ports::batch> taken;
    const auto place = shards_.find(shard);
    if (place == shards_.end()) return taken;
    for (undecided& one : std::exchange(place->second.waiting, {})) {
        clock_.cancel(one.timer);
        taken.push_back(std::move(one.change));
    }
    return taken;
}

ports::commit_result store::commit_all(std::vector<ports::batch> changes) {
    ports::commit_result result;
    for (const ports::batch& change : changes) {
        const auto place = shards_.find(change.shard);
        result.status = check(place == shards_.end() ? nullptr : &place->second, change);
        note("commit_all", change.shard, static_cast<std::uint64_t>(result.status));
        if (result.status != ports::commit_status::applied) return result;
    }
    for (ports::batch& change : changes) apply(std::move(change));
    sweep();
    return result;
}

void store::fail_during(std::vector<ports::batch> changes, commit_fault how) {
    fail_for_good();
    note("fails", changes.front().shard, static_cast<std::uint64_t>(how));
    later_ones_lost_ = how == commit_fault::unknown_not_applied;
    if (how == commit_fault::unknown_applied) commit_all(std::move(changes));
    if (how == commit_fault::unknown_applied_later) arrive_late(std::move(changes));
}

void store::arrive_late(std::vector<ports::batch> changes) {
    later_ones_lost_ = later_ones_lost_ || in_doubt_.size() == undecided_max;
    if (!later_ones_lost_) in_doubt_.push_back(std::move(changes));
}

void store::reopen() {
    std::vector<std::vector<ports::batch>> doubtful = std::exchange(in_doubt_, {});
    const std::uint64_t kept = faults_.random().below(doubtful.size() + 1);
    note("reopens with", ports::bytes(), kept);
    doubtful.resize(kept);
    for (std::vector<ports::batch>& one : doubtful) commit_all(std::move(one));
    failed_ = false;
    later_ones_lost_ = false;
}

std::chrono::microseconds store::in_order(std::chrono::microseconds there) {
    const ports::steady_time now = clock_.now();
    // One that is due now may not have run yet.
    const ports::steady_time behind = last_arrival_ < now ? now : last_arrival_ + std::chrono::microseconds(1);
    const ports::steady_time arrival = std::max(now + there, behind);
    if (arrival > now) last_arrival_ = arrival;
    return arrival - now;
}

ports::commit_result store::settle(const ports::bytes& shard, ports::operation_id operation) {
    const auto was_last = [&] {
        const auto place = shards_.find(shard);
        return place != shards_.end() && place->second.last_applied == operation;
    };
    bool applied = was_last();
    for (ports::batch& one : take_undecided(shard)) {
        if (faults_.random().below(2) == 0) commit_one(std::move(one));
        applied = applied || was_last();
    }
    ports::commit_result result;
    result.status = applied ? ports::commit_status::applied : ports::commit_status::condition_failed;
    const auto place = shards_.find(shard);
    if (place != shards_.end()) result.fence = place->second.fence.value_or(0);
    note("settle", shard, static_cast<std::uint64_t>(result.status));
    return result;
}

// Every so many commits removes expired rows: looks at a few rows at a time, going round all shards.
void store::sweep() {
    if (++commits_ % commits_per_sweep != 0 || mortal_rows_ == 0) return;
    auto shard = sweep_shard_ ? shards_.find(*sweep_shard_) : shards_.end();
    if (shard == shards_.end()) {
        shard = shards_.begin();
        sweep_key_.clear();
    }
    auto row = shard->second.rows.lower_bound(sweep_key_);
    for (int left = rows_per_sweep; left > 0; --left) {
        if (row != shard->second.rows.end()) {
            row = alive(row->second) ? std::next(row) : erase_row(shard->second, row);
        }
        if (row != shard->second.rows.end()) continue;
        shard = shard->second.empty() ? shards_.erase(shard) : std::next(shard);
        if (shard == shards_.end()) {
            sweep_shard_.reset();
            return;
        }
        row = shard->second.rows.begin();
    }
    sweep_shard_ = shard->first;
    sweep_key_ = row == shard->second.rows.end() ? ports::bytes() : row->first;
}

// ---- blobs

ports::blob_ref store::write_blob(const ports::blob_name& name, bytes_view data, std::uint32_t crc32c) {
    stored_blob blob;
    blob.data.assign(as_text(data));
    blob.synced = exclusive_;
    if (!exclusive_) {
        blob.name = encode_name(name);
        if (!blob_names_.insert(blob.name).second) {
            throw error(errc::invalid_state, "blob name (stream " + std::to_string(name.stream) + ", transaction " +
                                                 std::to_string(name.transaction) + ", chunk " +
                                                 std::to_string(name.chunk) + ") is in use: names are written once");
        }
    }
    live_blob_bytes_ += data.size();
    blobs_.emplace(++last_blob_, std::move(blob));
    return {encode_place(last_blob_), static_cast<std::uint32_t>(data.size()), crc32c};
}

void store::sync_blobs(const std::vector<ports::blob_ref>& blobs) {
    if (exclusive_) return;
    for (const ports::blob_ref& ref : blobs) {
        const std::uint64_t number = decode_place(ref);
        const auto found = blobs_.find(number);
        if (found == blobs_.end()) {
            throw error(errc::storage_failed, "blob " + std::to_string(number) + " was lost before it was synced");
        }
        found->second.synced = true;
    }
}

std::string store::read_blob(const ports::blob_ref& blob) const {
    const std::uint64_t number = decode_place(blob);
    const auto found = blobs_.find(number);
    if (found == blobs_.end()) throw_gone(number);
    const std::string& data = found->second.data;
    if (data.size() != blob.length || core::crc32c(as_bytes(data)) != blob.crc32c) {
        throw error(errc::corrupt, "blob " + std::to_string(number) + " does not match its length and checksum");
    }
    return data;
}

void store::drop_blobs(const std::vector<ports::blob_ref>& blobs) {
    for (const ports::blob_ref& ref : blobs) {
        const auto found = blobs_.find(decode_place(ref));
        if (found == blobs_.end()) continue;
        live_blob_bytes_ -= found->second.data.size();
        blob_names_.erase(found->second.name);
        blobs_.erase(found);
    }
}

void store::note_covers(const ports::batch& change) {
    if (exclusive_) return;
    for (const ports::blob_ref& ref : change.covers) {
        const auto found = blobs_.find(decode_place(ref));
        if (found == blobs_.end() || !found->second.synced) ++unsynced_covers_;
    }
}

void store::lose_unsynced_blobs() {
    for (auto blob = blobs_.begin(); blob != blobs_.end();) {
        if (blob->second.synced) {
            ++blob;
            continue;
        }
        live_blob_bytes_ -= blob->second.data.size();
        blob_names_.erase(blob->second.name);
        blob = blobs_.erase(blob);
    }
}

// ---- leases, members, publications

std::optional<std::uint64_t> store::acquire(const std::string& name, const std::string& holder,
                                            std::chrono::milliseconds duration) {
    const ports::steady_time now = clock_.now();
    held_lease& lease = leases_[name];
    const bool taken = lease.token != 0 && now < lease.until && lease.holder != holder;
    note("acquire", name, taken ? 0 : 1);
    if (taken) return std::nullopt;
    lease = {holder, ++last_token_, now + duration};
    return lease.token;
}

bool store::renew(const ports::lease& held, std::chrono::milliseconds duration) {
    const ports::steady_time now = clock_.now();
    const auto found = leases_.find(held.name);
    const bool still_held = found != leases_.end() && found->second.token == held.token && now < found->second.until;
    note("renew", held.name, still_held ? 1 : 0);
    if (still_held) found->second.until = now + duration;
    return still_held;
}

void store::release(const ports::lease& held) {
    const auto found = leases_.find(held.name);
    if (found != leases_.end() && found->second.token == held.token) leases_.erase(found);
}

void store::join(const ports::member& self, std::chrono::milliseconds duration) {
    members_[self.node] = {self.information, clock_.now() + duration};
}

void store::leave(const std::string& node) {
    members_.erase(node);
}

std::vector<ports::member> store::members() {
    const ports::steady_time now = clock_.now();
    std::erase_if(members_, [now](const auto& entry) { return entry.second.until <= now; });
    std::vector<ports::member> result;
    result.reserve(members_.size());
    for (const auto& [node, member] : members_) result.push_back({node, member.information});
    return result;
}

std::uint64_t store::listen(listener heard) {
    listeners_.emplace(++last_listener_, std::move(heard));
    return last_listener_;
}

void store::publish(const std::string& topic, const std::string& message) {
    for (const auto& [which, heard] : listeners_) heard(topic, message);
}

}  // namespace tstreams::memory
