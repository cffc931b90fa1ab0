// The two ports over the log and its index.
#pragma once

#include "engines/local/committer.hpp"
#include "engines/local/file.hpp"
#include "engines/local/index.hpp"
#include "engines/local/log.hpp"
#include "engines/local/space.hpp"
#include "engines/local/worker.hpp"

#include <tstreams/ports/blob_store.hpp>
#include <tstreams/ports/clock.hpp>
#include <tstreams/ports/key_value.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tstreams::local {

// What both ports work with.
struct store_parts {
    const disk& files;
    const store_paths& paths;
    ports::clock& clock;
    log_writer& log;
    index& rows;
    space& frames;
    committer& commits;
    failure_latch& failure;
    worker_pool& readers;
    mailbox& letters;
    const bool& closed;

    // Throws once the engine has failed or is closed.
    void check_usable() const;
};

class row_store final : public ports::key_value {
public:
    explicit row_store(store_parts parts) : parts_(parts) {}

    [[nodiscard]] ports::key_value_caps caps() const noexcept override;
    weave::task<std::optional<ports::bytes>> get(ports::bytes shard, ports::bytes key) override;
    weave::task<std::vector<ports::row>> scan(ports::scan_range range) override;
    weave::task<ports::commit_result> commit(ports::batch change, durability level) override;
    weave::task<ports::commit_result> commit_all(std::vector<ports::batch> changes, durability level) override;
    weave::task<ports::commit_result> settle(ports::bytes shard, ports::operation_id operation) override;
    void hold_expiry(std::optional<wall_time> at) override;

    [[nodiscard]] std::uint64_t commits() const noexcept { return commits_; }

private:
    void check(std::span<const ports::batch> changes) const;
    [[nodiscard]] bool holds(const ports::batch& change);
    void stage(const ports::batch& change);
    [[nodiscard]] std::string_view row_key(std::string_view shard, std::string_view key);

    store_parts parts_;
    std::string key_;  // of the row at hand
    std::uint64_t commits_ = 0;
};

class frame_store final : public ports::blob_store {
public:
    explicit frame_store(store_parts parts) : parts_(parts) {}

    [[nodiscard]] ports::blob_caps caps() const noexcept override;
    weave::task<ports::blob_ref> write(ports::blob_name name, bytes_view data, std::uint32_t crc32c,
                                       wall_time expires) override;
    weave::task<void> sync(std::vector<ports::blob_ref> blobs, durability level) override;
    weave::task<std::string> read(ports::blob_ref blob) override;
    weave::task<void> drop(std::vector<ports::blob_ref> blobs) override;

    // The file is gone.
    void forget(std::uint32_t number) { handles_.erase(number); }

private:
    [[nodiscard]] std::shared_ptr<file> open(std::uint32_t number);
    bool drop_one(const ports::blob_ref& blob);

    store_parts parts_;
    std::unordered_map<std::uint32_t, std::shared_ptr<file>> handles_;  // for reading
};

}  // namespace tstreams::local
