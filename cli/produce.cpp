// tstreams produce
#include "cli/produce.hpp"

#include "cli/duration.hpp"
#include "cli/encoding.hpp"
#include "cli/invocation.hpp"
#include "cli/progress.hpp"

#include <unistd.h>
#include <cstdio>
#include <memory>
#include <system_error>

namespace tstreams::cli {
namespace {

// The transaction in work and what has been checkpointed so far.
class batch {
public:
    batch(producer& target, const produce_request& request) : target_(target), request_(request) {}

    // The moment at which what is in work has to be checkpointed.
    [[nodiscard]] std::optional<input::clock::time_point> deadline() const { return deadline_; }
    [[nodiscard]] const produced& totals() const noexcept { return totals_; }

    void add(std::string_view item) {
        if (!deadline_) {
            work_ = request_.partition ? target_.begin(*request_.partition) : target_.begin();
            deadline_ = input::clock::now() + request_.linger;
        }
        work_.put(item);
        if (++items_ == request_.batch) checkpoint();
    }

    void checkpoint() {
        if (!deadline_) return;
        checkpoint_settled([this] { work_.checkpoint(); });
        totals_.items += items_;
        ++totals_.transactions;
        deadline_.reset();
        items_ = 0;
    }

    // Cancels what is in work, unless it may be stored; returns what a message has to say about what stays.
    std::string give_up(outcome result) {
        std::string text = "; " + summary(totals_) + " before that";
        if (result == outcome::unknown)
            text += "; whether the next " + counted(items_, "item") + " are stored is not known";
        if (!deadline_ || result != outcome::not_applied) return text;
        try {
            work_.cancel();
        } catch (const error&) {
            // The first failure is the one to tell; the store cancels what is open when its client goes.
        }
        return text;
    }

private:
    producer& target_;
    const produce_request& request_;
    transaction work_;
    std::optional<input::clock::time_point> deadline_;  // set while a transaction is open
    std::uint64_t items_ = 0;
    produced totals_;
};

// False when a signal ended it.
bool feed(batch& work, const produce_request& request, input& in, progress& bar) {
    const auto in_all = in.bytes_in_all();
    std::string_view item;
    for (;;) {
        switch (request.one_item ? in.everything(item) : in.line(work.deadline(), item)) {
            case input::answer::item:
                work.add(item);
                if (in_all)
                    bar.bytes(in.bytes_read(), *in_all);
                else
                    bar.items(work.totals().items);
                if (!request.one_item) break;
                work.checkpoint();
                return true;
            case input::answer::timed_out:
                work.checkpoint();
                break;
            case input::answer::interrupted:
                work.checkpoint();
                return false;
            case input::answer::end:
                work.checkpoint();
                return true;
        }
    }
}

exit_code run_produce(const produce_request& request, const surroundings& here) {
    here.about.stream = request.stream;
    client store = here.place.open();
    const interruption stop;
    input in(STDIN_FILENO, client_options{}.item_bytes_max, stop);
    if (::isatty(STDIN_FILENO) == 1 && error_is_terminal())
        std::fprintf(stderr, "tstreams: reading from the terminal, %s; end with Ctrl-D\n",
                     request.one_item ? "all of it one item" : "an item per line");
    const produced totals = produce(store, request, in);
    std::fprintf(stderr, "%s\n", summary(totals).c_str());
    if (totals.unfinished_bytes != 0)
        std::fprintf(stderr, "tstreams: interrupted: %llu bytes of an unfinished item are left out\n",
                     static_cast<unsigned long long>(totals.unfinished_bytes));
    return totals.interrupted && request.one_item ? exit_code::failure : exit_code::success;
}

}  // namespace

std::string summary(const produced& totals) {
    return "checkpointed " + counted(totals.items, "item") + " in " + counted(totals.transactions, "transaction");
}

produced produce(client& store, const produce_request& request, input& in) {
    producer_options options;
    if (request.partition) options.partitions = {*request.partition};
    producer target = store.make_producer(request.stream, std::move(options));
    const std::chrono::seconds max_open = target.stream().max_open;
    if (request.linger >= max_open)
        throw usage_error("--linger " + format_duration(request.linger) +
                          ": must be shorter than a transaction of the stream may stay open (" +
                          format_duration(max_open) + ")");
    progress bar("producing", ::isatty(STDIN_FILENO) != 1, std::chrono::milliseconds(500));
    batch work(target, request);
    bool ended = false;
    try {
        ended = feed(work, request, in, bar);
    } catch (const error& failure) {
        throw error(failure.code(), failure.what() + work.give_up(failure.outcome()), failure.outcome());
    } catch (const std::system_error& failure) {
        throw std::runtime_error(failure.what() + work.give_up(outcome::not_applied));
    }
    produced totals = work.totals();
    totals.interrupted = !ended;
    if (!ended) totals.unfinished_bytes = in.unfinished_bytes();
    return totals;
}

void add_produce_command(CLI::App& app, invocation& call) {
    const auto request = std::make_shared<produce_request>();
    const auto linger = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("produce", "Write items from standard input to a stream, a line each");
    command->add_option("NAME", request->stream, "The stream")->required();
    command->add_option("--batch", request->batch, "Items per transaction; default 1000")
        ->type_name("N")
        ->check(check_positive);
    command
        ->add_option("--linger", *linger,
                     "A batch is checkpointed this long after its first item at the latest; default 200ms")
        ->type_name("TIME");
    command->add_option("--partition", request->partition, "Write to this one; default: round robin")
        ->type_name("P")
        ->check(check_number);
    command->add_flag("--bytes", request->one_item, "All of standard input is one item, newlines and all");
    command->footer(
        "Each transaction is stored as a whole or not at all. An interrupt (Ctrl-C) ends it:\n"
        "the lines read so far are checkpointed.\n\n"
        "Examples:\n"
        "  printf 'one\\ntwo\\n' | tstreams produce orders\n"
        "  tail -f access.log | tstreams produce log --batch 100 --linger 1s\n"
        "  tstreams produce pictures --bytes < picture.png");
    command->callback([request, linger, &call] {
        if (!linger->empty()) request->linger = parse_duration(*linger, "--linger");
        call.action = [request](const surroundings& here) { return run_produce(*request, here); };
    });
}

}  // namespace tstreams::cli
