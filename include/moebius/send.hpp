// What every send of a server returns: the outcome known now, and a way to wait for room.
#pragma once

#include <moebius/detail/list.hpp>
#include <moebius/detail/wait.hpp>
#include <moebius/error.hpp>
#include <moebius/message.hpp>

#include <coroutine>
#include <cstdint>

namespace moebius {

namespace detail {
class server_core;
struct call;
struct client_state;
enum class kind : std::uint8_t;
}  // namespace detail

// The send is done, or waits in here for room (the client's outbound budget) or credit (of a stream). A coroutine
// awaits it: it suspends only if it must, and throws error(peer_gone) or cancelled. A function looks at status();
// a message that is still in here when this is destroyed is lost, which is counted and told to on_undelivered().
// It stays where it was made, on the loop's thread. Several of one client that wait go out in their order, but one
// that waits for credit does not hold back the others.
class send_op final : detail::wait, detail::list_node {
public:
    ~send_op();

    // none: delivered to libzmq or to the client's outbound queue. would_block: it waits in here. peer_gone: nobody is
    // there, nothing was sent; it is counted and told.
    [[nodiscard]] errc status() const noexcept { return status_; }

    [[nodiscard]] bool await_ready() const noexcept { return status_ != errc::would_block; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(waiting) && hang();
    }
    void await_resume();

private:
    friend class client;
    friend class detail::server_core;
    friend struct detail::client_state;
    template <class T>
    friend class detail::list;

    explicit send_op(errc done) noexcept : status_(done) {}
    send_op(detail::client_state& to, detail::call* of, detail::kind what, message&& body, errc code);
    bool hang();
    void give_up(errc why) noexcept;  // while it is suspended
    void unhook() noexcept override;

    detail::client_state* to_ = nullptr;
    detail::call* of_ = nullptr;
    message body_;  // while it waits
    std::uint32_t generation_ = 0;
    errc code_ = errc::none;
    errc status_ = errc::none;
    detail::kind kind_{};
};

}  // namespace moebius
