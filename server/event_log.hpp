// What the daemon says: one line per event on standard error, for people or for programs.
//
//     2026-01-31T12:00:00.123Z info listening endpoint=tcp://127.0.0.1:7420
//     {"time":"2026-01-31T12:00:00.123Z","level":"info","event":"listening","endpoint":"tcp://127.0.0.1:7420"}
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace tstreams::server {

enum class log_level { info, warning, error };
enum class log_format { text, json };

class event_log {
public:
    using field = std::pair<std::string_view, std::string>;

    explicit event_log(log_format format) noexcept : format_(format) {}
    // A line is written at once and as a whole; one that cannot be written is lost. From any thread.
    void say(log_level level, std::string_view event, std::initializer_list<field> fields = {}) const noexcept;

private:
    log_format format_;
};

}  // namespace tstreams::server
