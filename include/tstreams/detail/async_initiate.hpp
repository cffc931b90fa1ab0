// From a completion token to an operation of the library: how the functions of <tstreams/async.hpp> begin and end.
#pragma once

#include <tstreams/detail/async_start.hpp>
#include <tstreams/detail/operation.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace tstreams::detail {

// Stands in for the executor of a handler that has none.
struct no_executor {};

template <class T>
struct completion_signature {
    using type = void(std::exception_ptr, T);
};
template <>
struct completion_signature<void> {
    using type = void(std::exception_ptr);
};

// Calls the handler with what became of the operation.
template <class T, class Handler>
struct completion {
    Handler handler;
    std::exception_ptr failure;
    std::optional<T> value;
    bool cancellable = false;
    void operator()() {
        // Whoever emits afterwards finds nobody. Here, because only here the caller's executor guards the slot.
        if (cancellable) boost::asio::get_associated_cancellation_slot(handler).clear();
        std::move(handler)(failure, failure ? T() : std::move(*value));
    }
};
template <class Handler>
struct completion<void, Handler> {
    Handler handler;
    std::exception_ptr failure;
    void operator()() { std::move(handler)(failure); }
};

template <class T, class Handler>
class handled_operation final : public operation<T> {
public:
    explicit handled_operation(Handler handler, bool cancellable = false)
        : handler_(std::move(handler)), work_(guard()), cancellable_(cancellable) {}

    [[nodiscard]] bool bound() const noexcept override { return has_executor; }

    void deliver() noexcept override {
        const std::unique_ptr<handled_operation> self(this);
        completion<T, Handler> call = take();
        if constexpr (has_executor) {
            const auto executor = boost::asio::get_associated_executor(call.handler);
            boost::asio::post(executor, std::move(call));
        } else {
            call();
        }
    }

private:
    using associated = boost::asio::associated_executor_t<Handler, no_executor>;
    static constexpr bool has_executor = !std::is_same_v<associated, no_executor>;

    auto guard() const {
        // An executor with this operation outstanding does not run out of work.
        if constexpr (has_executor) {
            return boost::asio::make_work_guard(boost::asio::get_associated_executor(handler_));
        } else {
            return no_executor{};
        }
    }
    completion<T, Handler> take() {
        if constexpr (std::is_void_v<T>) {
            return {std::move(handler_), this->failure};
        } else {
            return {std::move(handler_), this->failure, std::move(this->value), cancellable_};
        }
    }

    Handler handler_;
    std::conditional_t<has_executor,
                       decltype(boost::asio::make_work_guard(
                           std::declval<boost::asio::associated_executor_t<Handler>>())),
                       no_executor>
        work_;
    const bool cancellable_;
};

// `begin` starts the operation and is given who hears of its end.
template <class T, class Token, class Begin>
auto initiate(std::remove_reference_t<Token>& token, Begin begin) {
    return boost::asio::async_initiate<Token, typename completion_signature<T>::type>(
        [begin = std::move(begin)](auto&& handler) mutable {
            using handler_type = std::decay_t<decltype(handler)>;
            heard_by<T> heard =
                std::make_unique<handled_operation<T, handler_type>>(std::forward<decltype(handler)>(handler));
            std::move(begin)(std::move(heard));
        },
        token);
}

// The same for an operation that the handler's cancellation slot can end: `begin` is also given the means.
template <class T, class Token, class Begin>
auto initiate_cancellable(std::remove_reference_t<Token>& token, Begin begin) {
    return boost::asio::async_initiate<Token, typename completion_signature<T>::type>(
        [begin = std::move(begin)](auto&& handler) mutable {
            using handler_type = std::decay_t<decltype(handler)>;
            auto slot = boost::asio::get_associated_cancellation_slot(handler);
            std::shared_ptr<cancellation> cancel;
            if (slot.is_connected()) {
                cancel = std::make_shared<cancellation>();
                slot.assign([cancel](boost::asio::cancellation_type type) {
                    if (type != boost::asio::cancellation_type::none) cancel->request();
                });
            }
            heard_by<T> heard = std::make_unique<handled_operation<T, handler_type>>(
                std::forward<decltype(handler)>(handler), cancel != nullptr);
            std::move(begin)(std::move(heard), std::move(cancel));
        },
        token);
}

}  // namespace tstreams::detail
