// Standard input, item by item.
#pragma once

#include "cli/interruption.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tstreams::cli {

class input {
public:
    using clock = std::chrono::steady_clock;

    enum class answer {
        item,
        timed_out,    // nothing complete before the deadline
        interrupted,  // a signal came while waiting; items that had arrived were given out before
        end,
    };

    // Does not own the descriptor. No item is larger than `item_bytes_max`; memory is bounded by that.
    input(int descriptor, std::size_t item_bytes_max, const interruption& stop);

    // The next line without its newline; valid until the next call. A last line without a newline counts, an
    // empty one in the middle too. Without a deadline it waits for ever. Throws error too_large, which names
    // the line; std::system_error.
    answer line(std::optional<clock::time_point> deadline, std::string_view& item);
    // Everything up to the end as one item. Throws error too_large, std::system_error.
    answer everything(std::string_view& item);

    [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
    // The size of a regular file, else empty.
    [[nodiscard]] std::optional<std::uint64_t> bytes_in_all() const noexcept;
    // How much of an unfinished line has arrived.
    [[nodiscard]] std::size_t unfinished_bytes() const noexcept { return buffer_.size() - begin_; }

private:
    answer more(std::optional<clock::time_point> deadline);

    int descriptor_;
    std::size_t item_bytes_max_;
    const interruption& stop_;
    std::string buffer_;
    std::size_t begin_ = 0;    // of the first byte not given out yet
    std::size_t scanned_ = 0;  // no newline between begin_ and here
    bool ended_ = false;
    std::uint64_t lines_ = 0;
    std::uint64_t bytes_read_ = 0;
};

}  // namespace tstreams::cli
