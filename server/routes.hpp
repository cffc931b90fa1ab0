// The calls of the protocol as Moebius' rules: what comes is decoded, done by the broker, and answered.
#pragma once

#include "core/service.hpp"
#include "server/authority.hpp"
#include "server/call_limits.hpp"
#include "server/counters.hpp"
#include "server/seals.hpp"
#include "server/sessions.hpp"

#include <moebius/request.hpp>
#include <moebius/router.hpp>
#include <tstreams/ports/clock.hpp>
#include <weave/context.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace tstreams::server {

class overview;

struct routes_options {
    session_limits limits{};
    call_limits calls{};
    std::size_t client_bytes_max = std::size_t{32} << 20;  // of one client's requests that are under way
    // Of answers that are being made or wait for their client: more are not begun.
    std::size_t client_answer_bytes_max = std::size_t{32} << 20;
    std::size_t answer_bytes_max = std::size_t{1} << 30;  // of all clients
    std::chrono::milliseconds session_timeout_max = std::chrono::hours(1);
    std::string seal_secret{};            // see seals
    std::uint64_t request_bytes_max = 0;  // told to clients
    std::string server{};                 // name and version, told to clients
};

struct client_use;

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
    // Who may do what, from now on, also in what is under way; sessions of clients that are not in the list end. Null:
    // without keys, everybody everything.
    weave::task<void> use(std::shared_ptr<const access::access_list> list);

private:
    template <class Call>
    void add();
    using sending = weave::task<void> (routes::*)(moebius::request*);
    template <class Call>
    void add_sending(sending until_stopped);
    template <class Call>
    weave::task<void> serve(moebius::request asked);
    template <class Call>
    weave::task<moebius::message> answer(const moebius::request* asked);
    template <class Call>
    weave::task<moebius::message> answer_in_session(const moebius::request* asked);
    template <class Call>
    weave::task<std::shared_ptr<const kept_answer>> answer_once(const moebius::request* asked);
    weave::task<moebius::message> open_session(const moebius::request* asked);
    weave::task<moebius::message> close_session(const moebius::request* asked);
    template <class Call>
    weave::task<typename Call::reply> perform(std::shared_ptr<session> of, Call call);
    template <class Call>
    weave::task<typename Call::reply> perform_checked(std::shared_ptr<session> of, Call call);
    weave::task<std::string> read_frame(std::shared_ptr<session> of, wire::read_frame_call call);
    [[nodiscard]] std::string failure_of(const std::exception_ptr& failure);
    weave::task<void> await_answer_room(client_use* use, std::size_t expected);
    void give_answer_room(client_use& use, std::size_t expected);
    void take_answer_room(client_use& use, std::size_t expected) noexcept;
    [[nodiscard]] bool answer_fits(const client_use& use, std::size_t expected) const noexcept;
    [[nodiscard]] bool has_room(const client_use& use, std::size_t bytes);
    weave::task<void> keep_sending(moebius::request asked, sending until_stopped);
    weave::task<void> follow_until_stopped(moebius::request* asked);
    weave::task<void> watch_until_stopped(moebius::request* asked);
    weave::task<std::shared_ptr<core::event_source>> begin_watch(std::shared_ptr<session> of,
                                                                 core::watch_request request);
    weave::task<wire::followed> next_of(const wire::follow_call& call, partition_number partition,
                                        transaction_id after);
    weave::task<server_status> status();
    weave::task<stream_page> list_streams(std::shared_ptr<session> of, wire::list_streams_call call);
    weave::task<std::vector<server_client>> list_clients(std::uint32_t limit);
    weave::task<std::vector<partition_number>> wait_readable(core::session_id session, wire::wait_readable_call call);

    core::service& broker_;
    weave::executor& home_;
    ports::clock& clock_;
    const routes_options options_;
    authority authority_;
    const seals seals_;
    std::size_t answer_bytes_ = 0;
    sessions sessions_;
    moebius::command_router rules_;
    const overview* overview_ = nullptr;
    call_counters counted_;
    bool stopping_ = false;
    std::uint64_t last_wait_ = 0;
    std::multimap<core::session_id, std::uint64_t> waits_;
    std::set<weave::context*> sending_;  // of those who follow or watch
};

}  // namespace tstreams::server
