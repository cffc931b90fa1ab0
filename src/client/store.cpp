#include "client/store.hpp"

#include "core/broker.hpp"
#include "engines/memory/engine.hpp"
#if TSTREAMS_WITH_LOCAL
#include "engines/local/engine.hpp"
#include "engines/local/verify.hpp"
#endif

#if TSTREAMS_WITH_REMOTE
#include "remote/store.hpp"
#endif

#include <tstreams/error.hpp>
#include <tstreams/verify.hpp>

#include <cstdio>

namespace tstreams::detail {

namespace {

std::function<void(const std::string&)> notice_of(const client_options& options) {
    if (options.on_notice) return options.on_notice;
    return [](const std::string& text) { std::fprintf(stderr, "tstreams: %s\n", text.c_str()); };
}

// A store whose broker lives in this process.
class owned_store : public store {
public:
    [[nodiscard]] core::service& service() noexcept override { return *broker_; }
    [[nodiscard]] core::broker_counters counters() const override { return broker_->counters(); }
    [[nodiscard]] std::vector<open_transaction_info> oldest_open(std::uint32_t limit) override {
        return broker_->oldest_open(limit);
    }
    [[nodiscard]] std::uint64_t open_of(core::session_id session) const override { return broker_->open_of(session); }

protected:
    std::unique_ptr<core::broker> broker_;
};

core::broker_options broker_options_of(const client_options& chosen, weave::executor& executor, ports::clock& clock,
                                       const store_limits& limits) {
    core::broker_options options;
    options.executor = &executor;
    options.clock = &clock;
    options.on_notice = notice_of(chosen);
    options.open_transactions_max = limits.all_transactions;
    options.session_transactions_max = limits.client_transactions;
    options.transaction_bytes_max = limits.transaction_bytes;
    options.open_time_max = limits.open_time;
    return options;
}

class memory_store final : public owned_store {
public:
    static weave::task<std::unique_ptr<store>> open(client_options chosen, weave::executor& executor,
                                                    ports::clock& clock, store_limits limits) {
        auto opened = std::make_unique<memory_store>(clock);
        core::broker_options options = broker_options_of(chosen, executor, clock, limits);
        options.rows = &opened->rows_;
        options.blobs = &opened->blobs_;
        opened->broker_ = co_await core::broker::start(std::move(options));
        co_return opened;
    }

    explicit memory_store(ports::clock& clock) : held_(clock), rows_(held_, clock), blobs_(held_, clock) {}
    ~memory_store() override { broker_.reset(); }
    weave::task<void> stop() override { return broker_->stop(); }

private:
    memory::store held_;
    memory::key_value rows_;
    memory::blob_store blobs_;
};

#if TSTREAMS_WITH_LOCAL
class file_store final : public owned_store {
public:
    static weave::task<std::unique_ptr<store>> open(std::string path, client_options chosen, weave::executor& executor,
                                                    ports::clock& clock, store_limits limits) {
        auto opened = std::make_unique<file_store>();
        local::options place;
        place.path = std::move(path);
        place.create = chosen.create;
        opened->engine_ = local::engine::open(place, executor, clock);
        core::broker_options options = broker_options_of(chosen, executor, clock, limits);
        options.rows = &opened->engine_->rows();
        options.blobs = &opened->engine_->blobs();
        std::exception_ptr failure;
        try {
            opened->broker_ = co_await core::broker::start(std::move(options));
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure) co_return opened;
        co_await opened->engine_->close();
        std::rethrow_exception(failure);
    }

    ~file_store() override { broker_.reset(); }
    [[nodiscard]] std::optional<engine_counters> engine() const override {
        const local::counters now = engine_->counters();
        engine_counters told;
        told.commits = now.commits;
        told.bytes_written = now.log_bytes_written;
        told.log_files = now.log_files;
        told.live_bytes = now.live_bytes;
        told.undecided_blobs = now.undecided_blobs;
        told.group_commits = now.group_commits;
        told.sync_microseconds = now.sync_microseconds;
        return told;
    }
    weave::task<void> stop() override {
        std::exception_ptr failure;
        try {
            co_await broker_->stop();
        } catch (...) {
            failure = std::current_exception();
        }
        broker_.reset();
        co_await engine_->close();
        if (failure) std::rethrow_exception(failure);
    }

private:
    std::unique_ptr<local::engine> engine_;
};
#endif

[[noreturn]] void throw_unsupported(const store_place& place) {
    throw error(errc::unsupported, "store '" + place.scheme + ":" + place.rest +
                                       "': this build knows no such kind of store; it knows memory:"
#if TSTREAMS_WITH_LOCAL
                                       ", file:PATH"
#endif
#if TSTREAMS_WITH_REMOTE
                                       ", and of a tstreamsd tcp://HOST:PORT and ipc://PATH"
#endif
    );
}

}  // namespace

store_place parse_uri(std::string_view uri) {
    const auto refuse = [&](const std::string& what_to_do) {
        throw error(errc::invalid_argument, "store '" + std::string(uri) + "': " + what_to_do);
    };
    const std::size_t colon = uri.find(':');
    if (uri.empty()) refuse("write file:PATH for a directory, or memory:");
    if (colon == std::string_view::npos) refuse("write file:" + std::string(uri) + " for a directory, or memory:");
    store_place place{std::string(uri.substr(0, colon)), std::string(uri.substr(colon + 1))};
    if (place.scheme == "file") {
        if (place.rest.empty()) refuse("write file:PATH, with a path");
        // What stands between two slashes and a third one is a host; as a path it would be a directory of that name.
        if (place.rest.starts_with("//") && !place.rest.starts_with("///"))
            refuse("it names a host; write file:/PATH or file:///PATH");
    }
    if (place.scheme == "memory" && !place.rest.empty()) refuse("memory: takes no path");
    if (place.scheme == "tcp" && (!place.rest.starts_with("//") || place.rest.find(':') == std::string::npos))
        refuse("write tcp://HOST:PORT");
    if (place.scheme == "ipc" && !place.rest.starts_with("///")) refuse("write ipc:///PATH, with a whole path");
    return place;
}

weave::task<std::unique_ptr<store>> open_store(store_place place, client_options options, weave::executor& executor,
                                               ports::clock& clock) {
    return open_store(std::move(place), std::move(options), executor, clock, store_limits{});
}

weave::task<std::unique_ptr<store>> open_store(store_place place, client_options options, weave::executor& executor,
                                               ports::clock& clock, store_limits limits) {
    if (place.scheme == "memory") co_return co_await memory_store::open(std::move(options), executor, clock, limits);
#if TSTREAMS_WITH_LOCAL
    if (place.scheme == "file")
        co_return co_await file_store::open(place.rest, std::move(options), executor, clock, limits);
#endif
#if TSTREAMS_WITH_REMOTE
    if (place.scheme == "tcp" || place.scheme == "ipc")
        co_return co_await remote::open_store(std::move(place), std::move(options), executor, clock);
#endif
    throw_unsupported(place);
}

}  // namespace tstreams::detail

namespace tstreams {

verify_report verify(std::string_view uri, std::function<void(std::uint64_t, std::uint64_t)> progress) {
    const detail::store_place place = detail::parse_uri(uri);
#if TSTREAMS_WITH_LOCAL
    if (place.scheme == "file") return local::verify(place.rest, progress);
#endif
    std::ignore = progress;
    if (place.scheme == "memory") throw error(errc::unsupported, "a memory: store has nothing on disk to verify");
    if (place.scheme == "tcp" || place.scheme == "ipc")
        throw error(errc::unsupported, "a served store is verified on its own machine, by its path: file:PATH");
    detail::throw_unsupported(place);
}

}  // namespace tstreams
