// Transactions of many frames: their tree of index frames, the memory they take, and that all of it goes again.
#include "core/test_world.hpp"

#include <malloc.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace tstreams::core {
namespace {

TEST(large_transactions, frames_of_a_large_transaction_make_a_tree_and_go_with_it) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref large = world.open(stream);
    std::string frame;
    pack_item(frame, as_bytes(std::string_view("item")));
    constexpr std::uint32_t frames = 64 * 65;
    for (std::uint32_t i = 0; i < frames; ++i)
        world.run(world.service->write(world.session, large, as_bytes(frame), crc32c(as_bytes(frame))));
    commit_request commit = world.empty_commit();
    decision made;
    made.transaction = large;
    made.frames = frames;
    made.items = frames;
    commit.transactions.push_back(made);
    world.run(world.service->commit(commit));
    const read_reply reply = world.read(stream);
    ASSERT_EQ(reply.transactions.size(), 1u);
    EXPECT_LE(reply.transactions.front().frames.size(), 64u);
    EXPECT_GE(world.store.live_blobs(), frames);
    world.run(world.service->delete_stream("orders"));
    world.simulation.run_for(1s);
    EXPECT_EQ(world.store.live_blobs(), 0u);
}

// Keeps index frames and forgets the others, and counts what it keeps: what then grows is the broker.
class forgetful_blobs final : public ports::blob_store {
public:
    static constexpr std::size_t leaf_bytes = 5;

    [[nodiscard]] ports::blob_caps caps() const noexcept override {
        ports::blob_caps caps;
        caps.commit_covers = true;
        return caps;
    }
    weave::task<ports::blob_ref> write(ports::blob_name, bytes_view data, std::uint32_t crc, wall_time) override {
        ports::blob_ref ref;
        ref.length = static_cast<std::uint32_t>(data.size());
        ref.crc32c = crc;
        ref.place = "leaf";
        if (data.size() != leaf_bytes) {
            ref.place = std::to_string(index_frames.size());
            index_frames.emplace_back(as_text(data));
            kept += data.size() + 64;
        }
        co_return ref;
    }
    weave::task<void> sync(std::vector<ports::blob_ref>, durability) override { co_return; }
    weave::task<std::string> read(ports::blob_ref blob) override { co_return index_frames.at(std::stoul(blob.place)); }
    weave::task<void> drop(std::vector<ports::blob_ref> blobs) override {
        dropped += blobs.size();
        co_return;
    }

    std::deque<std::string> index_frames;
    std::size_t kept = 0;
    std::size_t dropped = 0;
};

TEST(large_transactions, what_is_kept_of_an_open_transaction_does_not_grow_with_it) {
    forgetful_blobs forgetful;
    broker_options options;
    options.blobs = &forgetful;
    test_world world(options);
    const stream_info stream = world.make_stream("orders");
    std::string frame;
    pack_item(frame, as_bytes(std::string_view("item")));
    ASSERT_EQ(frame.size(), forgetful_blobs::leaf_bytes);
    constexpr std::uint32_t frames = 100'000;
    const std::uint32_t all = frames + frames / 64 + frames / 64 / 64 + frames / 64 / 64 / 64;
    for (const bool committed : {false, true}) {
        const transaction_ref large = world.open(stream);
        const std::size_t kept_before = forgetful.kept;
        const std::size_t before = mallinfo2().uordblks;
        for (std::uint32_t i = 0; i < frames; ++i)
            world.run(world.service->write(world.session, large, as_bytes(frame), crc32c(as_bytes(frame))));
        const std::size_t grown = mallinfo2().uordblks - before;
        EXPECT_LT(grown, forgetful.kept - kept_before + (512u << 10));
        if (committed) {
            commit_request commit = world.empty_commit();
            decision& made = commit.transactions.emplace_back();
            made.transaction = large;
            made.frames = frames;
            made.items = frames;
            world.run(world.service->commit(commit));
            EXPECT_EQ(world.read(stream).transactions.size(), 1u);
            world.run(world.service->delete_stream("orders"));
        } else {
            world.run(world.service->cancel(world.session, {large}));
        }
        world.simulation.run_for(1s);
        EXPECT_EQ(std::exchange(forgetful.dropped, 0), all) << committed;
    }
}

TEST(large_transactions, cancelled_frames_are_dropped) {
    test_world world;
    const stream_info stream = world.make_stream("orders");
    const transaction_ref cancelled = world.open(stream);
    const std::string frame(1000, 'x');
    for (int i = 0; i < 3; ++i)
        world.run(world.service->write(world.session, cancelled, as_bytes(frame), crc32c(as_bytes(frame))));
    EXPECT_EQ(world.store.live_blobs(), 3u);
    world.run(world.service->cancel(world.session, {cancelled}));
    world.simulation.run_until_idle();
    EXPECT_EQ(world.store.live_blobs(), 0u);
}

}  // namespace
}  // namespace tstreams::core
