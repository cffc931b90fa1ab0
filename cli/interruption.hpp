// SIGINT and SIGTERM as a wish to end: the command finishes what it has begun. A second one ends the process.
#pragma once

namespace tstreams::cli {

// While it lives, the first of the two signals is only noted. One at a time in a process.
class interruption {
public:
    interruption();
    interruption(const interruption&) = delete;
    interruption& operator=(const interruption&) = delete;
    ~interruption();

    [[nodiscard]] bool requested() const noexcept;
    // Readable once requested, for poll().
    [[nodiscard]] int descriptor() const noexcept;
};

}  // namespace tstreams::cli
