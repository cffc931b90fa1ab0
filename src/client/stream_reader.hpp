// Reads ahead in several partitions of one stream; consumers and subscribers take from it.
#pragma once

#include "client/client_state.hpp"
#include "client/received_state.hpp"
#include "core/service.hpp"

#include <tstreams/consumer.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

namespace tstreams::detail {

struct reading_options {
    on_open policy = on_open::wait;
    std::chrono::milliseconds open_wait{0};
    std::uint32_t transactions_max = 256;  // read ahead, all partitions together
    std::size_t bytes_max = std::size_t{4} << 20;
};

// How much more may be read now.
struct reading_room {
    std::size_t transactions = 0;
    std::size_t bytes = 0;
};

// Checks the options' ranges; throws invalid_argument.
void check(const reading_options& options);

// Attaching: where a reader of this name begins.
struct attachment {
    std::string consumer;
    tstreams::start start;
    bool reset = false;
    std::vector<partition_number> partitions;
};
weave::task<std::vector<core::attached_partition>> attach(client_state& client, stream_info stream, attachment wanted);
// What a start says for one partition; only for kinds that need no stored offset.
[[nodiscard]] core::start_point start_point_of(const tstreams::start& from, partition_number partition);

// Used by one call at a time: a coroutine on the executor, or a thread while none runs.
class stream_reader {
public:
    stream_reader(std::shared_ptr<client_state> client, stream_info stream, reading_options options);
    ~stream_reader();
    stream_reader(const stream_reader&) = delete;
    stream_reader& operator=(const stream_reader&) = delete;

    struct slot {
        partition_number partition = 0;
        transaction_id fetched;  // read ahead up to here
        std::deque<std::shared_ptr<const received_state>> buffer;
        std::exception_ptr failure;  // of reading, behind what is in the buffer
        bool active = true;          // inactive ones are not read
        // With on_open::skip: the open transaction at which it stands, and since when.
        transaction_id blocker;
        ports::steady_time blocked_since{};
    };

    void add(partition_number partition, transaction_id position);
    [[nodiscard]] std::vector<slot>& slots() noexcept { return slots_; }
    [[nodiscard]] slot* find(partition_number partition) noexcept;
    void move_to(slot& one, transaction_id position);

    // The next one of any partition in turn, or of one; empty where none is buffered. Throws a slot's failure.
    std::shared_ptr<const received_state> take(slot* only);

    // Reads until something is there to take; false when nothing came up to the deadline. `wait` names the wait for
    // client_state::stop_wait.
    // With `cancel` it gives up, and returns false, as soon as that is asked for and the wait is stopped.
    weave::task<bool> fill(ports::steady_time deadline, slot* only, std::uint64_t wait, reading_room room,
                           const cancellation* cancel = nullptr);
    [[nodiscard]] reading_room room() const noexcept;

    // What holds back partitions that have nothing buffered.
    weave::task<std::vector<blocker>> blocked_by();

private:
    std::shared_ptr<const received_state> take_from(slot& one);
    [[nodiscard]] bool available(const slot* only) const;
    // What to wait for: with a wait of its own before passing, either that something comes to stand behind an open
    // transaction, or that the one it stands before is decided.
    [[nodiscard]] std::vector<core::wait_position> wanted_positions(const slot* only) const;
    weave::task<void> read_into(slot* one, std::uint32_t transactions_max, std::size_t bytes_max);
    void accept(slot& one, core::read_reply reply);
    void push(slot& one, core::stored_transaction stored, bool skipped);
    [[nodiscard]] ports::steady_time passes_at(const slot& one) const { return one.blocked_since + options_.open_wait; }
    [[nodiscard]] bool stands(const slot& one) const { return one.blocker != transaction_id(); }
    weave::task<void> read_some(std::vector<partition_number> readable, reading_room room);
    weave::task<void> pause(std::chrono::milliseconds time);
    [[nodiscard]] bool passes() const noexcept { return options_.policy == on_open::skip; }

    const std::shared_ptr<client_state> client_;
    const stream_info stream_;
    const reading_options options_;
    std::vector<slot> slots_;  // by partition
    std::size_t turn_ = 0;
    std::size_t buffered_ = 0;        // transactions
    std::size_t buffered_bytes_ = 0;  // of their inline items; charged to the budget
};

}  // namespace tstreams::detail
