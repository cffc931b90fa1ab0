// A progress bar on standard error, for long work: on a terminal only, nothing at all in a pipe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tstreams::cli {

class progress {
public:
    // `title` says what is going on ("checking"). The line appears after `delay`, so that short work stays
    // quiet.
    progress(std::string title, bool wanted, std::chrono::milliseconds delay);
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress();  // removes the line

    // Cheap to call often: draws at most ten times a second.
    void bytes(std::uint64_t done, std::uint64_t all);
    void items(std::uint64_t done);
    // Removes the line, so that other text can be written.
    void clear() noexcept;

private:
    using clock = std::chrono::steady_clock;
    [[nodiscard]] bool due();
    void draw(const std::string& text);

    std::string title_;
    bool active_;
    bool drawn_ = false;
    clock::time_point next_;
};

// Whether standard error is a terminal.
[[nodiscard]] bool error_is_terminal() noexcept;

}  // namespace tstreams::cli
