// A client that sends whatever bytes a test wants, and keys for it.
#pragma once

#include "tests/served/daemon.hpp"
#include "tests/temporary_directory.hpp"
#include "wire/envelope.hpp"

#include <moebius/blocking_client.hpp>
#include <moebius/error.hpp>
#include <moebius/security.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace tstreams::served {

using namespace std::chrono_literals;

using tests::temporary_directory;

inline void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
}

// What one call came to: how the transport refused it, or how the broker did, or its answer.
struct outcome_of_call {
    moebius::errc transport = moebius::errc::none;
    std::optional<errc> refusal;
    std::string answer;
    [[nodiscard]] bool done() const noexcept { return transport == moebius::errc::none && !refusal; }
};

class raw_client {
public:
    explicit raw_client(const std::string& endpoint, std::optional<moebius::client_security> keys = {})
        : client_(endpoint, options_of(std::move(keys))) {}

    outcome_of_call send(std::string_view command, std::string_view bytes, std::chrono::milliseconds patience = 20s) {
        outcome_of_call came;
        try {
            came.answer = std::string(client_.call(command, moebius::message(bytes), patience).text());
        } catch (const moebius::error& failure) {
            came.transport = failure.code();
            return came;
        }
        read_refusal(came);
        return came;
    }
    // The first item of a stream of answers, which is left then. An answer without bytes: it ended without one.
    outcome_of_call send_for_first(std::string_view command, std::string_view bytes,
                                   std::chrono::milliseconds patience = 20s) {
        outcome_of_call came;
        try {
            client_.stream(command, moebius::message(bytes), patience, [&came](moebius::message item) {
                came.answer = std::string(item.text());
                return false;
            });
        } catch (const moebius::error& failure) {
            came.transport = failure.code();
        }
        if (!came.answer.empty()) read_refusal(came);
        return came;
    }
    // The bytes of a call of this client's session; acting ones are numbered.
    template <class Call>
    std::string encode(const Call& call) {
        wire::request_head head;
        head.session = session;
        if (Call::acts) {
            head.sequence = ++last_sequence;
            head.answered_below = head.sequence;
        }
        return wire::encode_request(head, call);
    }
    template <class Call>
    outcome_of_call ask(const Call& call, std::chrono::milliseconds patience = 20s) {
        return send(Call::command, encode(call), patience);
    }
    template <class Call>
    outcome_of_call ask_for_first(const Call& call) {
        return send_for_first(Call::command, encode(call));
    }
    // The reply; throws what the broker said.
    template <class Call>
    typename Call::reply get(const Call& call) {
        const outcome_of_call came = ask(call);
        if (came.transport != moebius::errc::none) throw std::runtime_error("the transport refuses");
        return wire::decode_reply<typename Call::reply>(came.answer);
    }
    outcome_of_call begin(std::chrono::milliseconds timeout = 30s) {
        wire::open_session_call call;
        call.client = "raw";
        call.timeout = timeout;
        const outcome_of_call came = send(call.command, wire::encode_request(wire::request_head{}, call));
        if (came.done()) session = wire::decode_reply<wire::opened_session>(came.answer).session;
        return came;
    }

    core::session_id session = 0;
    std::uint64_t last_sequence = 0;

private:
    static void read_refusal(outcome_of_call& came) {
        wire::decoder from(came.answer);
        try {
            wire::check_failure(from);
        } catch (const error& failure) {
            came.refusal = failure.code();
        }
    }
    static moebius::blocking_client_options options_of(std::optional<moebius::client_security> keys) {
        moebius::blocking_client_options options;
        options.security = std::move(keys);
        return options;
    }
    moebius::blocking_client client_;
};

// So many times the memory is taken with them.
inline constexpr std::size_t sanitizers =
#if defined(__SANITIZE_ADDRESS__)
    4;
#else
    1;
#endif

// In kB; what /proc says of a process.
inline std::size_t memory_of(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    return 0;
}

}  // namespace tstreams::served
