// The calls of the protocol as Moebius' rules: what comes is decoded, done by the broker, and answered.
#pragma once

#include "core/service.hpp"
#include "server/counters.hpp"
#include "server/sessions.hpp"

#include <moebius/request.hpp>
#include <moebius/router.hpp>
#include <tstreams/ports/clock.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tstreams::server {

class overview;

struct routes_options {
    session_limits limits{};
    std::uint64_t request_bytes_max = 0;  // told to clients
    std::string server{};                 // name and version, told to clients
};

// On the loop's thread. It outlives the server that serves it, and the broker outlives it.
class routes {
public:
    routes(core::service& broker, weave::executor& home, ports::clock& clock, routes_options options);

    [[nodiscard]] moebius::router& router() noexcept { return rules_; }
    // Ends what waits for something to come, so that a server can stop.
    void end_waits();
    // Ends the sessions of clients that are gone; to be called every now and then.
    weave::task<void> end_silent_sessions();
    [[nodiscard]] const sessions& clients() const noexcept { return sessions_; }
    [[nodiscard]] const call_counters& counters() const noexcept { return counted_; }
    // Who answers what operators ask; before the server runs.
    void show(const overview& all) noexcept { overview_ = &all; }

private:
    template <class Call>
    void add();
    template <class Call>
    weave::task<void> serve(moebius::request asked);
    template <class Call>
    weave::task<moebius::message> answer(const moebius::request* asked);
    template <class Call>
    weave::task<moebius::message> answer_in_session(const moebius::request* asked);
    weave::task<moebius::message> open_session(const moebius::request* asked);
    weave::task<moebius::message> close_session(const moebius::request* asked);
    template <class Call>
    weave::task<typename Call::reply> perform(core::session_id session, Call call);
    weave::task<void> follow(moebius::request asked);
    weave::task<void> follow_until_stopped(moebius::request* asked);
    weave::task<wire::followed> next_of(const wire::follow_call& call, partition_number partition,
                                        transaction_id after);
    weave::task<server_status> status();
    weave::task<std::vector<server_client>> list_clients(std::uint32_t limit);
    moebius::message refuse(const std::exception_ptr& failure);
    weave::task<std::vector<partition_number>> wait_readable(core::session_id session, wire::wait_readable_call call);

    core::service& broker_;
    ports::clock& clock_;
    const routes_options options_;
    sessions sessions_;
    moebius::command_router rules_;
    const overview* overview_ = nullptr;
    call_counters counted_;
    bool stopping_ = false;
    std::uint64_t last_wait_ = 0;
    std::multimap<core::session_id, std::uint64_t> waits_;
};

}  // namespace tstreams::server
