// Work that blocks or computes for long, on the loop's pool of threads, awaited by a coroutine on the loop.
//
//     auto work = [name] { return read_file(name); };              // g++ 12: name it, do not write it inside co_await
//     std::string text = co_await moebius::offload(std::move(work));
#pragma once

#include <moebius/detail/list.hpp>
#include <moebius/detail/wait.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace moebius {

namespace detail {

class thread_pool;

// In the pool's queue; run() is called on one of its threads.
class pool_work : list_node {
public:
    virtual void run() noexcept = 0;

protected:
    virtual ~pool_work() = default;

private:
    friend class thread_pool;
    template <class T>
    friend class list;
};

class offload_wait : protected wait, pool_work {
protected:
    offload_wait() noexcept = default;
    ~offload_wait() = default;
    bool submit();
    void leave() noexcept;

private:
    virtual void work() noexcept = 0;
    void run() noexcept override;
    void interrupt() noexcept override;  // takes it back if it has not begun; what runs runs to its end
    void unhook() noexcept override {}

    thread_pool* pool_ = nullptr;
};

template <class F>
class [[nodiscard]] offload_op final : offload_wait {
    using result = std::invoke_result_t<F&>;

public:
    explicit offload_op(F function) : function_(std::move(function)) {}
    ~offload_op() { leave(); }
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> waiting) {
        return suspend(waiting) && submit();
    }
    result await_resume() {
        throw_if_interrupted();
        if (failure_) std::rethrow_exception(std::move(failure_));
        if constexpr (!std::is_void_v<result>) return std::move(*value_);
    }

private:
    void work() noexcept override {
        try {
            if constexpr (std::is_void_v<result>)
                function_();
            else
                value_.emplace(function_());
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    struct nothing {};
    F function_;
    std::optional<std::conditional_t<std::is_void_v<result>, nothing, result>> value_;
    std::exception_ptr failure_;
};

}  // namespace detail

// co_await offload(function): runs function() on a thread of the pool and gives its result, or throws what it threw.
// The pool has loop_options::offload_threads threads; with offload_queue works waiting it throws error(overloaded)
// and runs nothing. Cancelled while it waits for a thread, it throws; cancelled while it runs, it gives its result,
// because nothing can stop it, and the next suspension point throws. The function is destroyed on the loop's thread; a
// coroutine that is destroyed while its function runs waits for it.
template <class F>
detail::offload_op<F> offload(F function) {
    return detail::offload_op<F>(std::move(function));
}

}  // namespace moebius
