// A transaction as a reader got it, and a walk over its items that keeps one frame in memory.
#pragma once

#include "client/client_state.hpp"
#include "core/frames.hpp"
#include "core/service.hpp"

#include <tstreams/received_transaction.hpp>

#include <memory>
#include <string>
#include <vector>

namespace tstreams::detail {

class received_state {
public:
    std::shared_ptr<client_state> client;
    core::stream_id stream = 0;
    partition_number partition = 0;
    core::stored_transaction stored;
    tstreams::transaction_state state = tstreams::transaction_state::checkpointed;
    bool skipped = false;
};

class item_cursor {
public:
    explicit item_cursor(std::shared_ptr<const received_state> source);

    // The next item, valid until the next call; empty at the end. Blocks for a frame that is not in memory.
    std::optional<bytes_view> next();
    // On the executor: all items of the next frame, valid until the next call; empty at the end.
    static weave::task<std::vector<item>> next_items(std::shared_ptr<item_cursor> self);
    [[nodiscard]] client_state& client() const noexcept { return *source_->client; }

private:
    weave::task<bool> load_frame();
    void check_end() const;

    std::shared_ptr<const received_state> source_;
    std::vector<core::frame_ref> left_;  // the next one at the back; index frames are opened when they come up
    std::string frame_;
    core::frame_reader reader_;
    std::uint64_t items_ = 0;
};

}  // namespace tstreams::detail
