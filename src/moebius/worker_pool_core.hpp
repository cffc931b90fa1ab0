// The inside of a worker pool: a ROUTER to which the workers' DEALERs connect, the processes, and the requests that
// wait or are in flight.
//
// Between front and worker a message is [worker] [envelope] and the frames of the binary format; the correlation id is
// the job's number. HELLO says that the worker is ready, and then from time to time that its loop runs; BYE tells it to
// end. An END answers a request of kind one_way, too: else nobody would know that its place is free.
#pragma once

#include "moebius/connection_watch.hpp"
#include "moebius/frames.hpp"
#include "moebius/pump.hpp"
#include "moebius/worker_process.hpp"
#include "moebius/zmq_socket.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <moebius/detail/list.hpp>
#include <moebius/detail/wait.hpp>
#include <moebius/worker_pool.hpp>

#include <coroutine>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moebius::detail {

class worker_pool_core;
class worker_slot;

// What a worker says to a request.
struct worker_answer {
    detail::kind what{};
    errc code = errc::none;
    message body;
};

// A request on its way through the pool, in the frame of the front's handler.
class worker_job final : list_node {
public:
    // `top` without a correlation id. Nothing is sent before submit().
    worker_job(std::shared_ptr<worker_pool_core> core, header top, std::string_view name, message body);
    ~worker_job();

    class next_op final : wait {
    public:
        explicit next_op(worker_job& of) noexcept : of_(of) {}
        ~next_op() { unhook(); }
        [[nodiscard]] bool await_ready() const noexcept { return !of_.answers_.empty(); }
        template <class Promise>
        bool await_suspend(std::coroutine_handle<Promise> waiting) {
            if (!suspend(waiting)) return false;
            of_.waiting_ = this;
            return true;
        }
        worker_answer await_resume();

    private:
        friend class worker_job;
        void unhook() noexcept override { of_.waiting_ = nullptr; }
        worker_job& of_;
    };
    // The next item, or the last answer, which may be a failure. Throws cancelled.
    [[nodiscard]] next_op next() noexcept { return next_op(*this); }
    void consumed(std::size_t bytes) noexcept;  // an item: the worker may send another

private:
    friend class worker_pool_core;
    template <class T>
    friend class list;
    void heard(worker_answer answer) noexcept;

    std::shared_ptr<worker_pool_core> core_;
    outgoing what_;
    std::size_t bytes_;
    std::uint64_t number_;
    worker_slot* at_ = nullptr;
    std::deque<worker_answer> answers_;
    next_op* waiting_ = nullptr;
    std::uint32_t consumed_messages_ = 0;
    std::uint32_t consumed_bytes_ = 0;
};

// The place of a worker, and the process that is in it now.
class worker_slot final : public timer {
public:
    worker_slot(worker_pool_core& of, unsigned number);
    ~worker_slot() override;

private:
    friend class worker_pool_core;
    enum class state : std::uint8_t { empty, starting, ready, ending };
    struct entry {
        std::uint64_t job = 0;
        worker_job* owner = nullptr;  // null: nobody waits any more
    };
    void expired() noexcept override;

    worker_pool_core& core_;
    const unsigned number_;
    std::string id_;
    std::optional<worker_process> process_;
    boost::asio::posix::stream_descriptor exit_;
    state now_ = state::empty;
    int origin_ = -1;  // the descriptor of its connection
    bool exited_ = false;
    std::vector<entry> in_flight_;
    steady_time heard_;
    steady_time ready_since_;
    std::chrono::milliseconds back_off_{0};
};

class worker_pool_core final : public pumped, public std::enable_shared_from_this<worker_pool_core> {
public:
    worker_pool_core(loop& on, worker_pool_options with);
    ~worker_pool_core();
    worker_pool_core(const worker_pool_core&) = delete;
    worker_pool_core& operator=(const worker_pool_core&) = delete;

    void start();
    void close() noexcept;
    // overloaded, stopping: nothing was done.
    [[nodiscard]] errc submit(worker_job& one);
    [[nodiscard]] std::uint64_t next_number() noexcept { return ++last_number_; }
    [[nodiscard]] worker_pool_metrics metrics() const noexcept;
    [[nodiscard]] std::vector<worker_status> workers() const;

    // worker_job
    void leave(worker_job& one) noexcept;
    void grant(const worker_job& one, std::uint32_t messages, std::uint32_t bytes) noexcept;

    // worker_slot
    [[nodiscard]] loop& home() const noexcept { return home_; }
    void slot_timer(worker_slot& one) noexcept;

private:
    class clock_timer final : public timer {
    public:
        explicit clock_timer(worker_pool_core& of) noexcept : core_(of) {}

    private:
        void expired() noexcept override { core_.tick(); }
        worker_pool_core& core_;
    };
    using state = worker_slot::state;

    // pumped
    bool receive_one() noexcept override;
    void found_empty() noexcept override;

    void accept(worker_slot& from, message head, message tail, bool two_frames);
    void is_ready(worker_slot& one, int origin);
    void answered(worker_slot& from, const header& top, message body);
    void dispatch() noexcept;
    [[nodiscard]] worker_slot* least_loaded() noexcept;
    bool send(const worker_slot& to, outgoing& what) noexcept;  // false: its connection is gone, nothing was sent
    void control(const worker_slot& to, header top) noexcept;
    void forget(worker_job& queued) noexcept;

    void launch(worker_slot& one);
    void try_launch(worker_slot& one) noexcept;
    void watch_exit(worker_slot& one);
    void has_exited(worker_slot& one) noexcept;
    void connection_lost(int origin) noexcept;
    void end(worker_slot& one) noexcept;  // it is to die
    void bury(worker_slot& one) noexcept;
    void restart_later(worker_slot& one) noexcept;
    void tick() noexcept;
    void end_processes() noexcept;
    [[nodiscard]] std::chrono::milliseconds heartbeat() const noexcept;

    loop& home_;
    const worker_pool_options options_;
    private_directory directory_;
    owned_descriptor lifeline_, lifeline_end_;  // the second is what the front holds and nobody else
    zmq_socket socket_;
    pump pump_;
    std::optional<connection_watch> watch_;
    std::vector<std::unique_ptr<worker_slot>> slots_;
    list<worker_job> queue_;
    std::size_t queued_ = 0;
    std::size_t queued_bytes_ = 0;
    std::uint64_t last_number_ = 0;
    std::uint64_t generations_ = 0;
    clock_timer ticker_{*this};
    worker_pool_metrics counts_;
    bool closed_ = false;
};

}  // namespace moebius::detail
