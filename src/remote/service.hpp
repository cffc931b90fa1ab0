// The broker of a tstreamsd, as a client's core::service: each call is a message, asked again until it is answered.
//
// What a call does happens once, however often it has to be asked (wire/envelope.hpp): a lost connection is made again,
// and the same numbers are asked over the new one. A server that does not know the session any more (it was restarted)
// gets a new one; transactions of the former are then unknown to it, which is what their callers hear.
#pragma once

#include "core/service.hpp"
#include "remote/followers.hpp"
#include "remote/link.hpp"
#include "wire/envelope.hpp"

#include <moebius/error.hpp>
#include <tstreams/ports/clock.hpp>
#include <weave/sync.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace tstreams::remote {

struct service_options {
    std::string endpoint{};
    // For one call, with all its repetitions; then it fails: unavailable, or outcome_unknown where it may have been
    // done.
    std::chrono::milliseconds patience = std::chrono::seconds(30);
    std::chrono::milliseconds first_patience = std::chrono::seconds(5);  // for the first answer of all
    moebius::requester_options transport{};
};

// On the executor. Sessions that it is given and gives are its own names for those of the server; it has one.
class service final : public core::service {
public:
    service(service_options options, weave::executor& home, ports::clock& clock);

    weave::task<void> stop();
    // How far the server's time of day is ahead of the clock's, as it was when the last session began. From any thread.
    [[nodiscard]] std::chrono::microseconds ahead() const noexcept { return ahead_; }

    weave::task<core::session_id> open_session(std::string client, std::chrono::milliseconds timeout) override;
    weave::task<void> heartbeat(core::session_id session) override;
    weave::task<void> close_session(core::session_id session) override;

    weave::task<stream_info> create_stream(core::create_request request) override;
    weave::task<std::optional<stream_info>> find_stream(std::string name) override;
    weave::task<stream_page> list_streams(std::string prefix, std::string after, std::uint32_t limit) override;
    weave::task<stream_info> update_stream(std::string name, stream_changes changes) override;
    weave::task<void> delete_stream(std::string name) override;

    weave::task<core::open_reply> open(core::open_request request) override;
    weave::task<void> write(core::session_id session, core::transaction_ref transaction, core::frame_data data,
                            std::uint32_t crc32c) override;
    weave::task<core::commit_reply> commit(core::commit_request request) override;
    weave::task<void> cancel(core::session_id session, std::vector<core::transaction_ref> transactions) override;
    weave::task<core::attached_producer> attach_producer(core::attach_producer_request request) override;

    weave::task<core::read_reply> read(core::read_request request) override;
    weave::task<std::string> read_frame(ports::blob_ref frame) override;
    weave::task<std::vector<partition_number>> wait_readable(core::wait_request request) override;
    void cancel_wait(core::session_id session, std::uint64_t wait) override;
    weave::task<transaction_id> resolve(core::stream_id stream, partition_number partition,
                                        core::start_point start) override;
    weave::task<std::optional<core::stored_transaction>> last(core::stream_id stream,
                                                              partition_number partition) override;
    weave::task<found_transaction> find_transaction(core::stream_id stream, partition_number partition,
                                                    transaction_id id) override;
    weave::task<std::vector<transaction_info>> scan(core::scan_request request) override;
    weave::task<transaction_state> find_commit(tstreams::request_id request) override;
    // In watching.cpp.
    weave::task<std::shared_ptr<core::event_source>> watch(core::watch_request request) override;

    weave::task<std::vector<core::attached_partition>> attach_consumer(core::attach_consumer_request request) override;
    weave::task<void> detach_consumer(core::session_id session, core::stream_id stream, std::string consumer) override;

    weave::task<retention_info> retention() override;
    weave::task<retention_info> accept_clock() override;
    weave::task<void> abort(core::stream_id stream, partition_number partition, transaction_id id) override;
    weave::task<std::vector<offset_info>> list_offsets(core::stream_id stream, std::string consumer) override;
    weave::task<void> set_offset(core::stream_id stream, std::string consumer,
                                 std::vector<partition_position> positions, bool take_over) override;
    weave::task<void> delete_offset(core::stream_id stream, std::string consumer, bool take_over) override;
    weave::task<std::vector<open_transaction_info>> list_open(std::uint32_t limit) override;
    weave::task<server_status> status() override;
    weave::task<std::vector<server_client>> list_clients(std::uint32_t limit) override;

private:
    // A session at the server. Calls that are under way keep it until they have moved to a newer one.
    struct session {
        core::session_id id = 0;
        std::uint64_t last_sequence = 0;
        std::set<std::uint64_t> unanswered;

        [[nodiscard]] std::uint64_t begin() { return *unanswered.insert(++last_sequence).first; }
        [[nodiscard]] std::uint64_t answered_below() const noexcept {
            return unanswered.empty() ? last_sequence + 1 : *unanswered.begin();
        }
    };
    // What one attempt brought: an answer, or why there is none.
    struct attempt;
    struct asking;
    struct waiting;
    class numbered;
    class watching;

    template <class Call>
    weave::task<typename Call::reply> ask(Call call);
    template <class Call>
    weave::task<typename Call::reply> ask(Call call, std::chrono::milliseconds patience);
    template <class Call>
    weave::task<void> ask_only(Call call);
    weave::task<std::shared_ptr<session>> current(ports::steady_time until);
    weave::task<std::shared_ptr<session>> current_for(const asking* about, ports::steady_time until);
    weave::task<void> begin_session(ports::steady_time until);
    weave::task<attempt> try_once(std::string_view command, moebius::message body, ports::steady_time until,
                                  departure when = departure::at_once);
    weave::task<std::vector<partition_number>> wait_for_push(core::wait_request request, waiting* self);
    weave::task<std::vector<partition_number>> wait_until_pushed(const core::wait_request* request, waiting* self);
    weave::task<std::vector<partition_number>> wait_by_asking(core::wait_request request, waiting* self);
    [[nodiscard]] std::unique_ptr<feed> open_feed(const wire::follow_call& call, feed::listener heard);
    weave::task<void> take_back(wire::open_call call, numbered as);
    void in_background(weave::task<void> work);
    void throw_if_refused(const moebius::error& failure) const;
    void tidy_up_later();
    weave::task<std::optional<std::vector<partition_number>>> wait_once(waiting* self, wire::wait_readable_call call,
                                                                        ports::steady_time until);
    weave::task<void> end_wait_at_server(std::uint64_t wait);
    weave::task<void> pause(std::chrono::milliseconds time);
    void forget(const std::shared_ptr<session>& ended) noexcept;
    [[noreturn]] void give_up(const attempt& last, const asking& about) const;

    weave::executor& home_;
    ports::clock& clock_;
    const service_options options_;
    std::string client_;
    std::chrono::milliseconds timeout_{0};
    std::shared_ptr<session> session_;
    weave::mutex beginning_;
    std::size_t background_ = 0;
    weave::event background_over_;
    std::atomic<std::chrono::microseconds> ahead_{std::chrono::microseconds(0)};
    std::uint64_t request_bytes_max_ = 0;
    bool closing_ = false;
    std::map<std::uint64_t, waiting*> waits_;
    ports::clock::timer tidying_ = 0;
    followers followers_;
    link link_;  // the last member: it is gone before the rest
};

}  // namespace tstreams::remote
