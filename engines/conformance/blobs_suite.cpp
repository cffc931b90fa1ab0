// What blob_store promises: what was written is read back byte for byte, or the reader is told.
#include "engines/conformance/suite.hpp"

#include "core/frames.hpp"

#include <tstreams/error.hpp>
#include <weave/sync.hpp>

namespace tstreams::conformance {

using namespace std::chrono_literals;

bool blobs_suite::link() noexcept {
    return true;
}

namespace {

ports::blob_name numbered(std::uint64_t number) {
    ports::blob_name name;
    name.stream = 1;
    name.transaction = 1000 + number / 7;
    name.epoch = 3;
    name.partition = static_cast<partition_number>(number % 7);
    name.chunk = static_cast<std::uint32_t>(number);
    return name;
}

// Reads the blob: its bytes, or the error.
weave::task<std::optional<errc>> read_code(ports::blob_store& blobs, ports::blob_ref ref, std::string expected) {
    try {
        const std::string data = co_await blobs.read(std::move(ref));
        EXPECT_TRUE(data == expected);
    } catch (const error& failure) {
        co_return failure.code();
    }
    co_return std::nullopt;
}

class blob_calls {
public:
    explicit blob_calls(engine_under_test& engine) : engine_(engine) {}

    ports::blob_ref write(std::uint64_t number, const std::string& data) {
        return engine_.run(task_to_write(number, data));
    }
    weave::task<ports::blob_ref> task_to_write(std::uint64_t number, const std::string& data) {
        const connection node = engine_.node(0);
        const wall_time expires = wall_time::max();
        return node.blobs->write(numbered(number), as_bytes(data), core::crc32c(as_bytes(data)), expires);
    }
    void sync(std::vector<ports::blob_ref> refs, durability level = durability::process()) {
        engine_.run(engine_.node(0).blobs->sync(std::move(refs), level));
    }
    std::string read(const ports::blob_ref& ref) { return engine_.run(engine_.node(0).blobs->read(ref)); }
    void drop(std::vector<ports::blob_ref> refs) { engine_.run(engine_.node(0).blobs->drop(std::move(refs))); }
    // Empty when it was read and is as expected.
    std::optional<errc> read_failure(const ports::blob_ref& ref, const std::string& expected) {
        return engine_.run(read_code(*engine_.node(0).blobs, ref, expected));
    }

private:
    engine_under_test& engine_;
};

}  // namespace

TEST_P(blobs_suite, blobs_of_all_sizes_come_back) {
    blob_calls calls(engine());
    std::vector<std::size_t> sizes{0, 1, 2, 100, 4095, 4096, 16'384, 65'535, 65'536, 1'000'003, (1U << 20), 5'000'001};
    sizes.push_back(blobs().caps().blob_bytes_preferred);
    std::vector<ports::blob_ref> refs;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        ASSERT_LE(sizes[i], blobs().caps().blob_bytes_max);
        const std::string data = random_bytes(sizes[i], i);
        refs.push_back(calls.write(i, data));
        EXPECT_EQ(refs.back().length, sizes[i]);
        EXPECT_EQ(refs.back().crc32c, core::crc32c(as_bytes(data)));
        EXPECT_TRUE(calls.read(refs.back()) == data) << "before the sync";
    }
    calls.sync(refs);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        EXPECT_TRUE(calls.read(refs[i]) == random_bytes(sizes[i], i)) << sizes[i] << " bytes";
    }
}

TEST_P(blobs_suite, a_wrong_reference_is_corrupt) {
    blob_calls calls(engine());
    const std::string data = random_bytes(10'000, 1);
    const ports::blob_ref ref = calls.write(1, data);
    ports::blob_ref wrong_checksum = ref;
    wrong_checksum.crc32c ^= 1;
    EXPECT_EQ(calls.read_failure(wrong_checksum, ""), errc::corrupt);
    ports::blob_ref shorter = ref;
    shorter.length -= 1;
    EXPECT_EQ(calls.read_failure(shorter, ""), errc::corrupt);
    EXPECT_EQ(calls.read_failure(ref, data), std::nullopt);
}

TEST_P(blobs_suite, sync_at_every_level_and_of_nothing) {
    blob_calls calls(engine());
    calls.sync({});
    const std::vector<durability> levels{durability::sync(), durability::every(10ms), durability::process()};
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const ports::blob_ref ref = calls.write(i, to_string(levels[i]));
        calls.sync({ref}, levels[i]);
        calls.sync({ref}, levels[i]);
        EXPECT_EQ(calls.read(ref), to_string(levels[i]));
    }
}

TEST_P(blobs_suite, a_commit_that_names_blobs_leaves_them_readable) {
    blob_calls calls(engine());
    for (const durability& level : {durability::sync(), durability::process()}) {
        const std::string data = to_string(level);
        const ports::blob_ref ref = calls.write(level == durability::sync() ? 1 : 2, data);
        if (!blobs().caps().commit_covers) calls.sync({ref}, level);
        ports::batch change = put_batch("shard", data, "row");
        change.covers.push_back(ref);
        const ports::commit_result result = engine().run(rows().commit(std::move(change), level));
        EXPECT_EQ(result.status, ports::commit_status::applied);
        EXPECT_EQ(calls.read(ref), data);
    }
}

TEST_P(blobs_suite, a_dropped_blob_is_read_whole_or_reported_gone) {
    blob_calls calls(engine());
    std::vector<ports::blob_ref> refs;
    for (std::uint64_t i = 0; i < 20; ++i) refs.push_back(calls.write(i, random_bytes(50'000, i)));
    calls.sync(refs);
    const std::vector<ports::blob_ref> dropped(refs.begin(), refs.begin() + 10);
    for (int again = 0; again < 3; ++again) calls.drop(dropped);
    calls.drop({});
    for (std::uint64_t i = 0; i < 20; ++i) {
        const std::optional<errc> failure = calls.read_failure(refs[i], random_bytes(50'000, i));
        EXPECT_TRUE(!failure || (i < 10 && failure == errc::corrupt)) << i;
    }
    calls.drop(dropped);
    const ports::blob_ref fresh = calls.write(100, "fresh");
    EXPECT_EQ(calls.read(fresh), "fresh") << "space that was given back is used again safely";
}

TEST_P(blobs_suite, equal_content_under_two_names_is_two_blobs) {
    blob_calls calls(engine());
    const std::string data = random_bytes(1000, 1);
    const ports::blob_ref one = calls.write(1, data);
    const ports::blob_ref two = calls.write(2, data);
    EXPECT_FALSE(one == two);
    calls.drop({one});
    EXPECT_EQ(calls.read(two), data);
}

TEST_P(blobs_suite, many_blobs_written_and_read_at_once) {
    blob_calls calls(engine());
    std::vector<std::string> contents;
    for (std::uint64_t i = 0; i < 300; ++i) contents.push_back(random_bytes(i * 97, i));
    std::vector<weave::task<ports::blob_ref>> writes;
    for (std::uint64_t i = 0; i < contents.size(); ++i) writes.push_back(calls.task_to_write(i, contents[i]));
    weave::executor& home = *engine().node(0).executor;
    auto written = engine().run(weave::when_all(home, std::move(writes)));
    std::vector<weave::task<std::string>> reads;
    for (auto& ref : written) reads.push_back(blobs().read(ref.get()));
    auto read_back = engine().run(weave::when_all(home, std::move(reads)));
    for (std::size_t i = 0; i < contents.size(); ++i) EXPECT_TRUE(read_back[i].get() == contents[i]) << i;
}

}  // namespace tstreams::conformance
