// tstreams txn watch
#include "cli/invocation.hpp"

#include "cli/interruption.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <poll.h>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace tstreams::cli {
namespace {

// How soon a reader of the output that has gone, or the last event that is wanted, ends an idle watch.
constexpr int idle_wait_ms = 100;

struct watch_request {
    std::string stream;
    std::optional<partition_number> partition;
    std::vector<std::string> kinds;
    std::optional<std::uint64_t> events_max;
    bool json = false;
};

std::string json_line(const transaction_event& event) {
    nlohmann::ordered_json object;
    object["stream"] = event.stream;
    object["event"] = name(event.kind);
    if (event.kind == event_kind::lost) {
        if (event.lost != 0) object["lost"] = event.lost;
        return object.dump();
    }
    object["partition"] = event.partition;
    object["transaction"] = std::to_string(event.id.value());
    object["time"] = format_timestamp(event.id.time());
    if (event.kind == event_kind::checkpointed) {
        object["items"] = event.items;
        object["bytes"] = event.bytes;
    }
    return object.dump();
}

// What has happened comes first, so that lines of all kinds can be told apart.
std::string text_line(const transaction_event& event) {
    std::string line(name(event.kind));
    if (event.kind == event_kind::lost) return line + "\t" + (event.lost == 0 ? "?" : std::to_string(event.lost));
    line += "\t" + std::to_string(event.partition) + "\t" + std::to_string(event.id.value()) + "\t" +
            format_timestamp(event.id.time());
    if (event.kind == event_kind::checkpointed)
        line += "\t" + std::to_string(event.items) + "\t" + std::to_string(event.bytes);
    return line;
}

std::vector<event_kind> kinds_of(const watch_request& request) {
    std::vector<event_kind> kinds;
    for (const std::string& text : request.kinds) {
        for (const event_kind one :
             {event_kind::opened, event_kind::checkpointed, event_kind::cancelled, event_kind::expired})
            if (name(one) == text) kinds.push_back(one);
    }
    return kinds;
}

// The callback prints, on the watcher's thread; a slow reader of the output makes events be lost, and nothing else.
class printing {
public:
    printing(const watch_request& request, output& out) : request_(request), out_(out) {}

    void print(const transaction_event& event) {
        if (over_) return;
        out_.line(request_.json ? json_line(event) : text_line(event));
        out_.flush();
        if (request_.events_max && ++printed_ >= *request_.events_max) over_ = true;
    }
    bool failed(std::exception_ptr failure) {
        {
            const std::lock_guard lock(mutex_);
            failure_ = std::move(failure);
        }
        over_ = true;
        return false;
    }
    [[nodiscard]] bool over() const noexcept { return over_; }
    void rethrow_failure() {
        const std::lock_guard lock(mutex_);
        if (failure_) std::rethrow_exception(failure_);
    }

private:
    const watch_request& request_;
    output& out_;
    std::uint64_t printed_ = 0;
    std::atomic<bool> over_ = false;
    std::mutex mutex_;
    std::exception_ptr failure_;
};

exit_code run_watch(const watch_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    client store = here.place.open();
    const interruption stop;
    printing lines(request, here.out);
    watch_options options;
    if (request.partition) options.partitions = {*request.partition};
    options.kinds = kinds_of(request);
    options.on_error = [&lines](std::exception_ptr failure) { return lines.failed(std::move(failure)); };
    watcher watching = store.watch(request.stream, std::move(options),
                                   [&lines](const transaction_event& event) { lines.print(event); });
    while (!stop.requested() && !lines.over()) {
        if (here.out.reader_gone()) throw output_closed();
        pollfd wake{stop.descriptor(), POLLIN, 0};
        std::ignore = ::poll(&wake, 1, idle_wait_ms);
    }
    watching.stop();
    lines.rethrow_failure();
    return exit_code::success;
}

}  // namespace

void add_watch_command(CLI::App& group, invocation& call) {
    const auto request = std::make_shared<watch_request>();
    CLI::App* command = group.add_subcommand(
        "watch", "Print what happens to the transactions of a stream from now on, a line each, until interrupted");
    command->add_option("STREAM", request->stream)->required();
    command->add_option("PARTITION", request->partition, "Only in this one; default: all")->check(check_number);
    command
        ->add_option("--kind", request->kinds,
                     "Only these: opened, checkpointed, cancelled, expired; can be given several times")
        ->type_name("KIND")
        ->expected(1)
        ->take_all()
        ->check(CLI::IsMember({"opened", "checkpointed", "cancelled", "expired"}));
    command->add_option("--max", request->events_max, "End after this many events")
        ->type_name("N")
        ->check(check_positive);
    command->add_flag("--json", request->json, "One JSON object a line");
    command->footer(
        "Nothing is stored and nothing waits for the reader: what it is too slow for is told as lost.\n\n"
        "Examples:\n"
        "  tstreams txn watch orders --at tcp://127.0.0.1:7420\n"
        "  tstreams txn watch orders --kind checkpointed --max 1");
    command->callback(
        [request, &call] { call.action = [request](const surroundings& here) { return run_watch(*request, here); }; });
}

}  // namespace tstreams::cli
