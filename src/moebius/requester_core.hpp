// The inside of a requester: slots for what is in flight, and the socket.
#pragma once

#include "moebius/connection_watch.hpp"
#include "moebius/frames.hpp"
#include "moebius/pump.hpp"
#include "moebius/wire.hpp"
#include "moebius/zmq_socket.hpp"

#include <moebius/detail/list.hpp>
#include <moebius/requester.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moebius::detail {

class callback_call;

constexpr std::string_view stream_text = "the server streams, and one answer was asked for";

class requester_core final : public pumped {
public:
    requester_core(loop& on, const std::string& endpoint, requester_options with);
    ~requester_core();
    requester_core(const requester_core&) = delete;
    requester_core& operator=(const requester_core&) = delete;

    // Puts `one` in flight and sends the request. Throws error(overloaded, too_large, peer_gone); it is not in flight
    // then. A timeout of zero: none.
    void begin(pending& one, header top, std::string_view command, message body, duration timeout);
    // The owner wants no more: frees the slot and tells the server. Harmless for one that is ended.
    void abandon(pending& one) noexcept;
    void expired(pending& one) noexcept;
    void extend(pending& one) noexcept;  // its time begins anew
    void suspend_time(pending& one) noexcept;
    void grant(const pending& one, stream_window more) noexcept;
    void notify(std::string_view command, message body);
    void close() noexcept;  // everything in flight fails, and no callback is left uncalled

    [[nodiscard]] requester_metrics metrics() const noexcept;
    [[nodiscard]] loop& home() const noexcept { return home_; }
    [[nodiscard]] bool connected() const noexcept { return connected_; }

    std::function<void(std::string_view, message)> on_message;
    std::function<void(bool)> on_connection;

private:
    struct slot {
        pending* owner = nullptr;
        std::uint32_t generation = 1;
        std::uint32_t era = 0;
    };

    // How far the last attempt to connect came: why a request has no answer.
    enum class reach : std::uint8_t { nobody, silent, no_handshake, server };

    bool receive_one() noexcept override;
    [[nodiscard]] bool blocked() const noexcept override { return blocked_; }
    bool retry_blocked() noexcept override;
    void found_empty() noexcept override;
    void accept(message head, message tail, bool two_frames);
    void accept_batch(message whole);
    void answered(const header& top, message body);
    void item(pending& of, message body);
    void fail_older_than(std::uint32_t era, errc why = errc::peer_gone,
                         std::string_view text = "the connection was lost") noexcept;
    pending* end(std::size_t at) noexcept;
    void connection_changed(connection_event event);
    void note_reach(std::uint16_t what) noexcept;
    [[nodiscard]] std::string_view nobody_text() const noexcept;
    void widen(int descriptor) const noexcept;
    void refused() noexcept;
    void connect_again() noexcept;
    void hello();
    [[nodiscard]] bool send_now(message& head, message* tail, std::size_t messages) noexcept;
    bool send_queued() noexcept;  // whether any of it got through
    void deliver(outgoing what);
    void control(kind what, std::uint64_t correlation, stream_window more) noexcept;
    [[nodiscard]] std::uint64_t correlation_of(const pending& one) const noexcept {
        return std::uint64_t{slots_[one.slot_].generation} << 32 | one.slot_;
    }
    void end_callbacks() noexcept;

    friend class callback_call;
    struct retry final : timer {
        explicit retry(requester_core& of) noexcept : core(of) {}
        void expired() noexcept override { core.connect_again(); }
        requester_core& core;
    };

    // Sends what was held until the jobs that were ready had run.
    struct flush final : weave::job {
        explicit flush(requester_core& of) noexcept;
        requester_core& core;
        bool posted = false;
    };

    loop& home_;
    const std::string endpoint_;
    requester_options options_;
    zmq_socket socket_;
    pump pump_;
    retry retry_{*this};
    std::optional<connection_watch> watch_;
    std::vector<slot> slots_;
    std::vector<std::uint32_t> free_;
    list<callback_call> callbacks_;
    frame_queue outbound_;
    std::size_t outbound_bytes_ = 0;
    bool blocked_ = false;  // libzmq had no room; else what is in `outbound_` goes soon
    flush flush_{*this};
    std::size_t in_flight_ = 0;
    std::uint32_t era_ = 0;  // of connections
    bool lost_ = false;      // a connection ended; what it had delivered is not yet read
    bool connected_ = false;
    const bool with_keys_;
    reach reach_;
    bool closed_ = false;
    requester_metrics counts_;
};

// What a stream and its next() share.
class stream_state final : public pending {
public:
    stream_state(std::shared_ptr<requester_core> core, std::string_view command, message body, duration silence_max,
                 stream_window window);
    ~stream_state() override;

    [[nodiscard]] bool ready() const noexcept { return !items_.empty() || ended_ || failure_ != errc::none; }
    std::optional<message> take();
    void wait_begins(next_op& one);
    void wait_ends() noexcept;

private:
    void heard(answer_kind what, message body) noexcept override;
    void failed(errc why, std::string_view text) noexcept override;
    void wake() noexcept;

    std::shared_ptr<requester_core> core_;
    std::deque<message> items_;
    next_op* waiting_ = nullptr;
    const stream_window window_;
    stream_window consumed_{0, 0};
    std::string text_;
    errc failure_ = errc::none;
    bool ended_ = false;
};

}  // namespace moebius::detail
