// Rules: which handler serves which request, and what happens when the client's last one still runs.
#pragma once

#include <moebius/error.hpp>
#include <moebius/request.hpp>
#include <moebius/task.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace moebius {

// What happens to a request while a handler of the same client runs. The rule of the *new* request decides. Handlers
// started as `concurrent` do not count as running.
enum class strategy : std::uint8_t {
    queue,       // it waits for its turn, in order; over the limit the client gets error(overloaded)
    ignore,      // it is dropped; a binary client that waits for an answer gets error(ignored)
    replace,     // the running handler is cancelled, what waits is dropped, and this one runs when that has ended
    concurrent,  // it runs beside the others
};

using function_handler = std::function<void(request&)>;    // runs to completion at once
using coroutine_handler = std::function<task<>(request)>;  // may suspend

template <class F>
concept function_like = requires(F f, request& asked) {
    { f(asked) } -> std::same_as<void>;
};
template <class F>
concept coroutine_like = requires(F f, request asked) {
    { f(std::move(asked)) } -> std::same_as<task<>>;
};

// One of the two handlers is set.
struct route {
    std::string name;
    strategy when_busy = strategy::queue;
    function_handler call;
    coroutine_handler start;
    // Of a coroutine, from its start: then it is cancelled and the client gets error(timed_out).
    std::optional<duration> time_limit;
};

// The answer of a router: a rule, or why there is none.
struct routing {
    routing(const route& rule) noexcept : to(&rule) {}  // NOLINT: a rule is a routing
    routing(errc why) noexcept : refusal(why) {}        // NOLINT
    const route* to = nullptr;
    errc refusal = errc::none;
};

// A base for rules of one's own. It is called for every request on the loop's thread; it must not suspend, and the
// rules it returns stay as they are while the server runs. What it throws is a message error
// (server::on_message_error).
class router {
public:
    virtual ~router() = default;
    // `command` is the name in the header of a binary request, and empty for any other body.
    virtual routing match(std::string_view command, const request& asked) = 0;
};

// By name: the `command` of a JSON object, or the command of a binary request. A JSON text is checked as a whole;
// of several members `command` the last one counts.
class command_router final : public router {
public:
    command_router();
    ~command_router() override;
    command_router(const command_router&) = delete;
    command_router& operator=(const command_router&) = delete;

    // Throws error(invalid_state) for a name that has a rule. Before the server runs.
    template <class F>
        requires function_like<F> || coroutine_like<F>
    command_router& on(std::string command, F handler, strategy when_busy = strategy::queue,
                       std::optional<duration> time_limit = {}) {
        add(make_route(std::move(command), std::move(handler), when_busy, time_limit));
        return *this;
    }

    // For every well-formed request without a rule. One of the two; throws error(invalid_state) for a second.
    template <class F>
        requires function_like<F> || coroutine_like<F>
    command_router& otherwise(F handler, strategy when_busy = strategy::queue,
                              std::optional<duration> time_limit = {}) {
        set_fallback(make_route("otherwise", std::move(handler), when_busy, time_limit));
        return *this;
    }
    // Another router for what has no rule here; it outlives this one.
    command_router& otherwise(router& next);

    routing match(std::string_view command, const request& asked) override;

private:
    template <class F>
    static route make_route(std::string name, F handler, strategy when_busy, std::optional<duration> time_limit) {
        route made{std::move(name), when_busy, {}, {}, time_limit};
        if constexpr (coroutine_like<F>)
            made.start = std::move(handler);
        else
            made.call = std::move(handler);
        return made;
    }
    void add(route rule);
    void set_fallback(route rule);
    [[nodiscard]] routing find(std::string_view command, const request& asked);
    [[nodiscard]] const route* named(std::string_view command) noexcept;

    struct name_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
    };
    std::unordered_map<std::string, route, name_hash, std::equal_to<>> rules_;
    const route* last_ = nullptr;
    std::optional<route> fallback_;
    router* next_ = nullptr;
    std::string unescaped_;  // a command that is written with escapes
};

}  // namespace moebius
