// tstreams consume
#include "cli/consume.hpp"

#include "cli/duration.hpp"
#include "cli/encoding.hpp"
#include "cli/invocation.hpp"
#include "cli/progress.hpp"
#include "cli/starting_point.hpp"
#include "cli/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>

namespace tstreams::cli {
namespace {

using namespace std::chrono_literals;

// Between two checkpoints at most this much is printed: what a crash makes the next run print again.
constexpr std::uint64_t transactions_per_checkpoint_max = 64;
constexpr std::chrono::milliseconds checkpoint_interval = 200ms;
// How soon a signal or a reader that has gone ends an idle --follow.
constexpr std::chrono::milliseconds idle_wait = 200ms;

consumer open_consumer(client& store, const consume_request& request) {
    consumer_options options;
    options.start = request.from;
    if (request.partition) options.partitions = {*request.partition};
    if (request.name.empty() || request.checkpoint) {
        options.name = request.name;
        options.reset = request.reset;
        return store.make_consumer(request.stream, std::move(options));
    }
    // A look without a trace: a consumer of that name would fence the one that is at work.
    std::vector<offset_info> offsets;
    if (!request.reset) offsets = store.offsets(request.stream, request.name);
    if (request.partition)
        std::erase_if(offsets, [&](const offset_info& one) { return one.partition != *request.partition; });
    if (request.from.what() == start::kind::stored) {
        if (offsets.empty()) throw no_offset(request.stream, request.name);
        options.start = oldest;
    }
    consumer reader = store.make_consumer(request.stream, std::move(options));
    for (const offset_info& one : offsets) reader.set_position(one.partition, one.position);
    return reader;
}

// One run of the command: prints, and keeps what is printed apart from what is only read.
class printing {
public:
    printing(consumer reader, const consume_request& request, output& out)
        : reader_(std::move(reader)), request_(request), out_(out) {
        for (const partition_position& one : reader_.positions()) printed_[one.partition] = one.after;
    }

    consumed run(const interruption& stop, progress& bar) {
        try {
            read_and_print(stop, bar);
        } catch (const error&) {
            settle();  // what was printed before the failure still counts
            throw;
        }
        settle();
        return std::move(totals_);
    }

private:
    using clock = std::chrono::steady_clock;

    void read_and_print(const interruption& stop, progress& bar) {
        while (!stop.requested() && !complete()) {
            std::optional<received_transaction> received = reader_.next(0ms);
            if (!received) {
                settle();
                if (!request_.follow) {
                    totals_.blocked_by = reader_.blocked_by();
                    return;
                }
                if (out_.reader_gone()) throw output_closed();
                received = reader_.next(idle_wait);
                if (!received) continue;
            }
            if (!print(*received)) return;
            if (unsettled_ >= transactions_per_checkpoint_max || clock::now() - settled_at_ >= checkpoint_interval)
                settle();
            bar.items(totals_.items);
        }
    }

    [[nodiscard]] bool complete() const { return request_.items_max && totals_.items >= *request_.items_max; }

    // False when it was cut by items_max.
    bool print(const received_transaction& received) {
        try {
            prefix_ = request_.json ? json_prefix(received) : std::string();
            std::uint64_t index = 0;
            for (const item& one : received) {
                if (complete()) {
                    totals_.cut = received.id();
                    leave_out(received);
                    return false;
                }
                if (request_.json)
                    print_json(one.text(), index);
                else
                    out_.write(one.text());
                out_.write("\n");
                ++index;
                ++totals_.items;
            }
        } catch (const error&) {
            leave_out(received);  // it could not be read to its end
            throw;
        }
        printed_[received.partition()] = received.id();
        ++unsettled_;
        return true;
    }

    void print_json(std::string_view data, std::uint64_t index) {
        out_.write(prefix_);
        out_.write(std::to_string(index));
        out_.write(json_time_);
        if (valid_utf8(data)) {
            out_.write("\"data\":");
            out_.write(nlohmann::json(data).dump());
        } else {
            out_.write("\"data64\":\"");
            out_.write(base64(data));
            out_.write("\"");
        }
        out_.write("}");
    }

    // What all items of a transaction share, around the item's number.
    std::string json_prefix(const received_transaction& received) {
        json_time_ = ",\"time\":\"" + format_timestamp(received.opened_at()) + "\",";
        return "{\"stream\":" + nlohmann::json(request_.stream).dump() +
               ",\"partition\":" + std::to_string(received.partition()) + ",\"transaction\":\"" +
               std::to_string(received.id().value()) + "\",\"item\":";
    }

    void leave_out(const received_transaction& received) {
        reader_.set_position(received.partition(), printed_[received.partition()]);
    }

    // Everything printed goes out; only then is it checkpointed.
    void settle() {
        out_.flush();
        if (unsettled_ != 0 && request_.checkpoint && !request_.name.empty())
            checkpoint_settled([this] { reader_.checkpoint(); });
        unsettled_ = 0;
        settled_at_ = clock::now();
    }

    consumer reader_;
    const consume_request& request_;
    output& out_;
    consumed totals_;
    std::string prefix_;
    std::string json_time_;
    std::map<partition_number, transaction_id> printed_;  // last one printed whole, per partition
    std::uint64_t unsettled_ = 0;                         // transactions printed since the last checkpoint
    clock::time_point settled_at_ = clock::now();
};

exit_code run_consume(const consume_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    here.about.consumer = request.name;
    client store = here.place.open();
    const interruption stop;
    const consumed result = consume(store, request, here.out, stop);
    for (const std::string& note : notes(result, request, here.about))
        std::fprintf(stderr, "tstreams: %s\n", note.c_str());
    return exit_code::success;
}

struct consume_line {
    consume_request request;
    std::string from;
    std::string after_id;
    bool no_checkpoint = false;
};

void check(consume_line& line) {
    consume_request& request = line.request;
    if (!line.from.empty() && !line.after_id.empty()) throw usage_error("--from and --after exclude each other");
    if (!line.from.empty()) request.from = parse_start(line.from, "--from");
    if (!line.after_id.empty()) request.from = after(parse_id(line.after_id, "--after"));
    request.checkpoint = !line.no_checkpoint;
    if (request.from.what() == start::kind::stored && (request.name.empty() || request.reset))
        throw usage_error("--from stored needs --name, and no --reset: an offset is stored under a name");
    if (request.reset && request.name.empty()) throw usage_error("--reset needs --name");
}

}  // namespace

consumed consume(client& store, const consume_request& request, output& out, const interruption& stop) {
    // In a pipe the terminal may belong to what reads it, a pager for instance.
    progress bar("consuming", out.regular_file(), 500ms);
    return printing(open_consumer(store, request), request, out).run(stop, bar);
}

std::vector<std::string> notes(const consumed& result, const consume_request& request, const subject& about) {
    std::vector<std::string> lines;
    for (const blocker& one : result.blocked_by) {
        const std::string id = std::to_string(one.id.value());
        const std::string partition = std::to_string(one.partition);
        lines.push_back("partition " + partition + " ends before transaction " + id + ", which " +
                        printable(one.client) + " has held open for " + format_duration(one.age) +
                        "; wait for it with --follow, or cancel it with: " + about.program + " txn abort " +
                        shell_word(request.stream) + " " + partition + " " + id);
    }
    if (result.cut && request.checkpoint && !request.name.empty())
        lines.push_back("transaction " + std::to_string(result.cut->value()) +
                        " is printed in part, so it is not checkpointed: the next run begins with it");
    return lines;
}

void add_consume_command(CLI::App& app, invocation& call) {
    const auto line = std::make_shared<consume_line>();
    CLI::App* command = app.add_subcommand("consume", "Print the items of a stream, a line each, byte for byte");
    command->add_option("NAME", line->request.stream, "The stream")->required();
    command
        ->add_option("--name", line->request.name,
                     "A consumer's name: goes on where the last run of that name ended, and checkpoints")
        ->type_name("CONSUMER");
    command
        ->add_option("--from", line->from,
                     "Where to begin, for a name that has no offset yet: oldest (default), newest, stored (there must "
                     "be an offset), a time like 2026-01-31T12:00:00Z, or a transaction id")
        ->type_name("WHERE");
    command->add_option("--after", line->after_id, "Begin behind this transaction")->type_name("ID");
    command->add_flag("--reset", line->request.reset, "Begin at --from or --after even where there is an offset");
    command->add_option("--partition", line->request.partition, "Only this one; default: all")
        ->type_name("P")
        ->check(check_number);
    command->add_option("--max", line->request.items_max, "End after this many items")
        ->type_name("N")
        ->check(check_positive);
    command->add_flag("--follow", line->request.follow, "Wait for more at the end, until interrupted (Ctrl-C)");
    command->add_flag("--no-checkpoint", line->no_checkpoint, "Leave the offset of the name as it is");
    command->add_flag("--json", line->request.json,
                      "One object per item: stream, partition, transaction, item, time, data (or data64)");
    command->footer(
        "A transaction is checkpointed only when all of it is printed and flushed.\n"
        "A newer run of the same name takes over. The older one hears of it at its next checkpoint: it ends with exit\n"
        "status 4 then, after printing what it has read until there. An idle one waits for that.\n\n"
        "Examples:\n"
        "  tstreams consume orders\n"
        "  tstreams consume orders --name billing --follow\n"
        "  tstreams consume orders --from 2026-01-31T12:00:00Z --max 10 --json");
    command->callback([line, &call] {
        check(*line);
        call.action = [line](const surroundings& here) { return run_consume(line->request, here); };
    });
}

}  // namespace tstreams::cli
