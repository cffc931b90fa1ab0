// The seam between the asynchronous calls, which are templates over Asio's completion tokens, and the library, which
// knows nothing of Asio.
#pragma once

#include <exception>
#include <optional>

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

}  // namespace tstreams::detail
