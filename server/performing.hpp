// What each call of the protocol asks of the broker.
#pragma once

#include "core/service.hpp"
#include "wire/calls.hpp"

#include <tstreams/ports/clock.hpp>

#include <algorithm>

namespace tstreams::server {

// Calls for one session. Used where it is made; the tasks do not refer to it.
struct performer {
    core::service& broker;
    core::session_id session;
    ports::steady_time now;

    static weave::task<wire::nothing> done(weave::task<void> work) {
        co_await work;
        co_return wire::nothing{};
    }

    [[nodiscard]] auto operator()(const wire::heartbeat_call&) const { return done(broker.heartbeat(session)); }
    [[nodiscard]] auto operator()(wire::create_stream_call call) const {
        return broker.create_stream(std::move(call.request));
    }
    [[nodiscard]] auto operator()(wire::find_stream_call call) const {
        return broker.find_stream(std::move(call.name));
    }
    [[nodiscard]] auto operator()(wire::update_stream_call call) const {
        return broker.update_stream(std::move(call.name), std::move(call.changes));
    }
    [[nodiscard]] auto operator()(wire::delete_stream_call call) const {
        return done(broker.delete_stream(std::move(call.name)));
    }

    [[nodiscard]] auto operator()(wire::open_call call) const {
        call.request.session = session;
        return broker.open(std::move(call.request));
    }
    [[nodiscard]] auto operator()(wire::write_call call) const {
        return done(broker.write(session, call.transaction, call.data, call.crc32c));
    }
    [[nodiscard]] auto operator()(wire::commit_call call) const {
        call.request.session = session;
        return broker.commit(std::move(call.request));
    }
    [[nodiscard]] auto operator()(wire::cancel_call call) const {
        return done(broker.cancel(session, std::move(call.transactions)));
    }
    [[nodiscard]] auto operator()(wire::attach_producer_call call) const {
        call.request.session = session;
        return broker.attach_producer(std::move(call.request));
    }

    [[nodiscard]] auto operator()(wire::read_call call) const {
        constexpr std::uint32_t transactions_max = 4096;
        constexpr std::size_t bytes_max = std::size_t{1} << 20;
        core::read_request& asked = call.request;
        asked.transactions_max = std::clamp(asked.transactions_max, 1U, transactions_max);
        asked.bytes_max = std::clamp<std::size_t>(asked.bytes_max, 1, bytes_max);
        return broker.read(std::move(asked));
    }
    [[nodiscard]] auto operator()(wire::read_frame_call call) const { return broker.read_frame(std::move(call.frame)); }
    [[nodiscard]] auto operator()(wire::wait_readable_call call) const {
        constexpr std::chrono::milliseconds patience_max = std::chrono::minutes(1);
        core::wait_request request;
        request.wait = call.wait;
        request.session = session;
        request.stream = call.stream;
        request.positions = std::move(call.positions);
        request.until = now + std::clamp(call.patience, std::chrono::milliseconds(0), patience_max);
        return broker.wait_readable(std::move(request));
    }
    [[nodiscard]] weave::task<wire::nothing> operator()(wire::cancel_wait_call call) const {
        broker.cancel_wait(session, call.wait);
        return nothing();
    }
    [[nodiscard]] auto operator()(const wire::resolve_call& call) const {
        return broker.resolve(call.stream, call.partition, call.start);
    }
    [[nodiscard]] auto operator()(const wire::last_call& call) const {
        return broker.last(call.stream, call.partition);
    }
    [[nodiscard]] auto operator()(const wire::find_transaction_call& call) const {
        return broker.find_transaction(call.stream, call.partition, call.id);
    }
    [[nodiscard]] auto operator()(wire::scan_call call) const {
        constexpr std::uint32_t limit_max = 10'000;  // as many as a client may ask for
        call.request.limit = std::clamp(call.request.limit, 1U, limit_max);
        return broker.scan(std::move(call.request));
    }
    [[nodiscard]] auto operator()(const wire::find_commit_call& call) const { return broker.find_commit(call.request); }

    [[nodiscard]] auto operator()(wire::attach_consumer_call call) const {
        call.request.session = session;
        return broker.attach_consumer(std::move(call.request));
    }
    [[nodiscard]] auto operator()(wire::detach_consumer_call call) const {
        return done(broker.detach_consumer(session, call.stream, std::move(call.consumer)));
    }

    [[nodiscard]] auto operator()(const wire::retention_call&) const { return broker.retention(); }
    [[nodiscard]] auto operator()(const wire::accept_clock_call&) const { return broker.accept_clock(); }
    [[nodiscard]] auto operator()(const wire::abort_call& call) const {
        return done(broker.abort(call.stream, call.partition, call.id));
    }
    [[nodiscard]] auto operator()(wire::list_offsets_call call) const {
        return broker.list_offsets(call.stream, std::move(call.consumer));
    }
    [[nodiscard]] auto operator()(wire::set_offset_call call) const {
        return done(
            broker.set_offset(call.stream, std::move(call.consumer), std::move(call.positions), call.take_over));
    }
    [[nodiscard]] auto operator()(wire::delete_offset_call call) const {
        return done(broker.delete_offset(call.stream, std::move(call.consumer), call.take_over));
    }
    [[nodiscard]] auto operator()(const wire::list_open_call& call) const {
        return broker.list_open(std::clamp(call.limit, 1u, 10'000u));
    }

private:
    static weave::task<wire::nothing> nothing() { co_return wire::nothing{}; }
};

}  // namespace tstreams::server
