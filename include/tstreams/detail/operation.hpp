// The seam between the asynchronous calls, which are templates over Asio's completion tokens, and the library, which
// knows nothing of Asio.
#pragma once

#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace tstreams::detail {

// An asynchronous call under way: its outcome, and who hears of it.
class operation_base {
public:
    virtual ~operation_base() = default;

    // Runs the handler, or hands it to the executor that is bound to it, and destroys the operation.
    virtual void deliver() noexcept = 0;
    // Whether the handler has an executor of its own; otherwise deliver() is called on the client's pool.
    [[nodiscard]] virtual bool bound() const noexcept = 0;

    std::exception_ptr failure;
    operation_base* next = nullptr;  // belongs to the library
};

template <class T>
class operation : public operation_base {
public:
    std::optional<T> value;  // set unless there is a failure
};

template <>
class operation<void> : public operation_base {};

// By which the caller asks an operation under way to end. From any thread.
class cancellation {
public:
    void request() {
        const std::lock_guard lock(mutex_);
        requested_ = true;
        if (on_request_) std::exchange(on_request_, nullptr)();
    }

    // The library's end. `hook` is called at most once, at the request, and not after over(); it must not throw.
    void begin(std::function<void()> hook) {
        const std::lock_guard lock(mutex_);
        if (!requested_) on_request_ = std::move(hook);
    }
    void over() {
        const std::lock_guard lock(mutex_);
        on_request_ = nullptr;
    }
    [[nodiscard]] bool requested() const {
        const std::lock_guard lock(mutex_);
        return requested_;
    }

private:
    mutable std::mutex mutex_;
    bool requested_ = false;
    std::function<void()> on_request_;
};

}  // namespace tstreams::detail
