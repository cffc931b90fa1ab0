// A request in flight, as the requester's core sees it.
#pragma once

#include <moebius/detail/wait.hpp>
#include <moebius/error.hpp>
#include <moebius/message.hpp>

#include <cstdint>
#include <string_view>

namespace moebius::detail {

class requester_core;
class stream_state;

enum class answer_kind : std::uint8_t { reply, item, end };

// Its owner keeps it until it is ended: by an answer that is the last, a failure, or the owner itself.
class pending : timer {
protected:
    pending() noexcept = default;
    ~pending() override = default;

private:
    friend class requester_core;
    // Of a stream: `item` may come again. After everything else the request is ended.
    virtual void heard(answer_kind what, message body) noexcept = 0;
    // The request is ended.
    virtual void failed(errc why, std::string_view text) noexcept = 0;
    void expired() noexcept final;

    requester_core* core_ = nullptr;  // while it is in flight
    std::uint32_t slot_ = 0;
    bool streams_ = false;  // items are welcome
    std::chrono::steady_clock::duration timeout_{};
};

}  // namespace moebius::detail
