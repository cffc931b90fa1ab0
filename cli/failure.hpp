// How the tool ends: exit codes, and failures as one line on standard error that says what to do.
#pragma once

#include <tstreams/error.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace tstreams::cli {

enum class exit_code : int {
    success = 0,
    failure = 1,
    usage = 2,
    not_found = 3,
    refused = 4,  // fenced, or locked by another process
};

[[nodiscard]] exit_code exit_code_of(errc code) noexcept;

// The command line asks for something that cannot be; the text says what to write instead.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// The command line names something that is not there, and that no store would hold.
class not_found_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Nobody reads standard output any more. Not worth a line: the reader ended on purpose.
class output_closed : public std::runtime_error {
public:
    output_closed() : std::runtime_error("standard output is closed") {}
};

// What a command is about, so that an error can show the command to type next.
struct subject {
    std::string program = "tstreams";  // with --at URI when that was typed
    std::string stream;
    std::string consumer;
};

// The failure in one line, followed by the command to type next where there is one.
[[nodiscard]] std::string error_line(const error& failure, const subject& about);

// The failure of looking for an offset that is not there.
[[nodiscard]] error no_offset(const std::string& stream, const std::string& consumer);

// Asks again while the outcome of a checkpoint is unknown: it carries the same request id, so it acts once.
template <class Checkpoint>
void checkpoint_settled(Checkpoint checkpoint) {
    constexpr int attempts_max = 5;
    for (int attempt = 1;; ++attempt) {
        try {
            return checkpoint();
        } catch (const error& failure) {
            if (failure.code() != errc::outcome_unknown || attempt == attempts_max) throw;
        }
    }
}

}  // namespace tstreams::cli
