// The process that crash tests kill. It commits numbered rows, see crash_rows.hpp, some with blobs, at all
// levels, cancels blobs in between, and says on standard output which rows were acknowledged.
//
//     local_crash_writer DIRECTORY SEED
#include "engines/local/crash_rows.hpp"
#include "engines/local/test_support.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace tstreams;
using local::running_engine;

constexpr int workers = 8;

class writer {
public:
    writer(running_engine& target, std::uint64_t seed) : target_(target), random_(seed) {
        ports::scan_range last;
        last.shard = "shard";
        last.reverse = true;
        const auto rows = target_.loop().run(target_.rows().scan(std::move(last)));
        if (!rows.empty()) next_ = local::crash_number(rows[0].key) + 1;
    }

    void run() {
        bool ended = false;
        for (int i = 0; i < workers; ++i) {
            weave::spawn(target_.loop(), work(), [&ended](weave::outcome_of<void> end) {
                ended = true;
                end.get();
            });
        }
        target_.loop().run_until([&ended] { return ended; });
    }

private:
    durability level() {
        switch (random_() % 3) {
            case 0:
                return durability::sync();
            case 1:
                return durability::process();
            default:
                return durability::every(std::chrono::milliseconds(5));
        }
    }

    weave::task<ports::blob_ref> write_blob() {
        const std::string blob(random_() % 60'000, static_cast<char>(random_()));
        const ports::blob_name unnamed;
        co_return co_await target_.blobs().write(unnamed, as_bytes(blob), core::crc32c(as_bytes(blob)),
                                                 wall_time::max());
    }

    weave::task<void> drop(ports::blob_ref ref) {
        std::vector<ports::blob_ref> refs{std::move(ref)};
        co_await target_.blobs().drop(std::move(refs));
    }

    weave::task<void> work() {
        for (;;) {
            if (random_() % 5 == 0) {
                ports::blob_ref cancelled = co_await write_blob();
                co_await drop(std::move(cancelled));
            }
            std::optional<ports::blob_ref> blob;
            if (random_() % 3 == 0) blob = co_await write_blob();
            // From here to the commit nothing suspends: the numbers are in the order of the commits.
            const std::uint64_t number = next_++;
            ports::batch change = running_engine::batch(local::crash_key(number), local::crash_value(number, blob));
            if (blob) change.covers.push_back(*blob);
            std::optional<ports::blob_ref> old;
            if (number % 3 == 0 && number > local::crash_distance) {
                const std::string key = local::crash_key(number - local::crash_distance);
                const std::optional<std::string> value = co_await target_.rows().get("shard", key);
                if (value) old = local::crash_ref(*value);
                change.mutations.push_back({key, std::nullopt, std::nullopt});
            }
            co_await target_.rows().commit(std::move(change), level());
            acknowledge(number);
            if (old) co_await drop(std::move(*old));
        }
    }

    static void acknowledge(std::uint64_t number) {
        const std::string line = std::to_string(number) + "\n";
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(1);
    }

    running_engine& target_;
    std::mt19937_64 random_;
    std::uint64_t next_ = 1;
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    try {
        running_engine target(local::crash_options(arguments[1]));
        writer(target, std::strtoull(arguments[2], nullptr, 10)).run();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "local_crash_writer: %s\n", failure.what());
    }
    return 1;
}
