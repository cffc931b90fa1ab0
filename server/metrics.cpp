#include "server/metrics.hpp"

#include "server/exposition.hpp"

#include <tstreams/error.hpp>

#include <set>
#include <string_view>
#include <tuple>

namespace tstreams::server {

namespace {

constexpr double microseconds = 1e6;  // of a second

void transactions(exposition& to, const core::broker_counters& broker) {
    const core::traffic& traffic = broker.traffic;
    to.counter("tstreams_transactions_opened_total", "Transactions opened.", traffic.opened);
    to.family("tstreams_transactions_ended_total", "Transactions decided, by what became of them.", "counter");
    to.sample("tstreams_transactions_ended_total", {{"end", "checkpointed"}}, traffic.checkpointed);
    to.sample("tstreams_transactions_ended_total", {{"end", "cancelled"}}, traffic.cancelled);
    to.sample("tstreams_transactions_ended_total", {{"end", "lost"}}, traffic.ended);
    to.gauge("tstreams_open_transactions", "Transactions open now.", broker.open_transactions);
    to.counter("tstreams_items_in_total", "Items checkpointed.", traffic.items_in);
    to.counter("tstreams_bytes_in_total", "Bytes of items checkpointed.", traffic.bytes_in);
    to.counter("tstreams_transactions_out_total", "Transactions given to readers.", traffic.transactions_out);
    to.counter("tstreams_items_out_total", "Items of transactions given to readers.", traffic.items_out);
    to.counter("tstreams_bytes_out_total", "Bytes of transactions given to readers.", traffic.bytes_out);
    to.gauge("tstreams_partitions_cached", "Partitions in use, or lately.", broker.partitions_cached);
    to.counter("tstreams_background_failures_total", "Work in the background that failed.", broker.background_failures);
    to.gauge("tstreams_retention_holding", "1 while nothing expires, because the clock has jumped.",
             broker.retention_holding ? 1 : 0);
}

void oldest(exposition& to, const figures& now) {
    const double age = now.oldest.empty() ? 0 : static_cast<double>(now.oldest.front().age.count()) / 1000;
    to.gauge("tstreams_oldest_open_transaction_seconds", "Age of the oldest open transaction; 0: none.", age);
    to.family("tstreams_old_open_transaction_seconds", "Of the five oldest that are open for over 5 s.", "gauge");
    std::set<std::tuple<std::string_view, partition_number, std::string_view>> shown;
    for (const open_transaction_info& one : now.oldest) {
        // Without its id, and not the short ones: each would be a series of its own, and for good.
        if (one.age < std::chrono::seconds(5)) break;
        if (!shown.emplace(one.stream, one.transaction.partition, one.transaction.client).second) continue;
        const std::string partition = std::to_string(one.transaction.partition);
        to.sample("tstreams_old_open_transaction_seconds",
                  {{"stream", one.stream}, {"partition", partition}, {"client", one.transaction.client}},
                  static_cast<double>(one.age.count()) / 1000);
    }
    to.family("tstreams_client_open_transactions", "Of the five clients with the most, added up by name.", "gauge");
    for (std::size_t i = 0; i < now.busiest.size(); ++i) {
        // Two clients may have one name; two samples may not.
        std::uint64_t open = 0;
        bool first = true;
        for (std::size_t j = 0; j < now.busiest.size(); ++j) {
            if (now.busiest[j].name != now.busiest[i].name) continue;
            first = first && j >= i;
            open += now.busiest[j].open_transactions;
        }
        if (first && open != 0) to.sample("tstreams_client_open_transactions", {{"client", now.busiest[i].name}}, open);
    }
}

void engine(exposition& to, const detail::engine_counters& engine) {
    to.counter("tstreams_engine_commits_total", "Commits that the engine has acknowledged.", engine.commits);
    to.histogram("tstreams_engine_group_commits", "Commits that share a record of the log.", engine.group_commits, 1);
    to.histogram("tstreams_engine_sync_seconds", "How long a sync of the log takes.", engine.sync_microseconds,
                 microseconds);
    to.counter("tstreams_engine_bytes_written_total", "Bytes written to the log.", engine.bytes_written);
    to.gauge("tstreams_engine_log_files", "Files of the log.", engine.log_files);
    to.gauge("tstreams_engine_live_bytes", "Bytes of frames that are in use.", engine.live_bytes);
    to.gauge("tstreams_engine_undecided_frames", "Frames of transactions that are open.", engine.undecided_blobs);
}

void calls(exposition& to, const figures& now) {
    to.histogram("tstreams_commit_seconds", "From a checkpoint's arrival until its answer.",
                 now.calls.commit_microseconds, microseconds);
    to.family("tstreams_refusals_total", "Calls answered with an error, by its code.", "counter");
    for (std::size_t code = 0; code < now.calls.refusals.size(); ++code) {
        if (now.calls.refusals[code] == 0) continue;
        const std::string_view known = code == 0 ? "other" : name(static_cast<errc>(code));
        to.sample("tstreams_refusals_total", {{"code", known}}, now.calls.refusals[code]);
    }
    to.counter("tstreams_unprotected_sessions_total", "Sessions opened over TCP without a key: they have all rights.",
               now.calls.unprotected_sessions);
    to.gauge("tstreams_sessions", "Sessions of clients, those that come back included.", now.broker.sessions);
    to.gauge("tstreams_answers_kept", "Answers that clients have not said they have.", now.answers_kept);
}

void transport(exposition& to, const moebius::server_metrics& all) {
    const auto counter = [&to](std::string_view name, std::string_view help, std::uint64_t value) {
        to.counter("moebius_" + std::string(name) + "_total", help, value);
    };
    counter("messages_received", "Messages from clients.", all.received);
    counter("messages_sent", "Messages to clients.", all.sent);
    counter("bytes_received", "Bytes from clients.", all.bytes_in);
    counter("bytes_sent", "Bytes to clients.", all.bytes_out);
    counter("clients_arrived", "Connections that began.", all.clients_arrived);
    counter("clients_departed", "Connections that ended.", all.clients_departed);
    counter("malformed", "Messages that are not of the protocol.", all.malformed);
    counter("unroutable", "Calls that this server does not know.", all.unroutable);
    counter("overloaded", "Requests refused because a limit was reached.", all.overloaded);
    counter("unauthorized", "Messages of clients that are not allowed any more.", all.unauthorized);
    counter("refused_keys", "Handshakes with keys that are not allowed.", all.refused_keys);
    counter("ignored", "Requests ignored by their strategy.", all.ignored);
    counter("replaced", "Requests replaced by their strategy.", all.replaced);
    counter("cancelled", "Handlers that were cancelled.", all.cancelled);
    counter("timed_out", "Handlers that took too long.", all.timed_out);
    counter("handler_errors", "Handlers that threw.", all.handler_errors);
    counter("blocked_sends", "Messages for which there was no room at once.", all.blocked_sends);
    counter("undelivered", "Messages that reached nobody.", all.undelivered);
    to.gauge("moebius_clients", "Connections now.", all.clients);
    to.gauge("moebius_handlers", "Requests being worked on.", all.handlers);
    to.gauge("moebius_queued_requests", "Requests that wait.", all.queued);
    to.gauge("moebius_outbound_bytes", "Bytes that wait for clients to read.", all.outbound_bytes);
    counter("turns", "Rounds of the pump.", all.turns);
    counter("rechecks", "Looks for messages that were not announced.", all.rechecks);
    counter("recheck_hits", "Looks that found some.", all.recheck_hits);
    counter("safety_turns", "Looks by the safety timer.", all.safety_turns);
    counter("safety_hits", "Looks by it that found some; there should be none.", all.safety_hits);
}

}  // namespace

std::string metrics_text(const figures& now) {
    exposition text;
    text.family("tstreams_build_info", "The version; always 1.", "gauge");
    text.sample("tstreams_build_info", {{"version", TSTREAMS_VERSION}}, std::uint64_t{1});
    transactions(text, now.broker);
    oldest(text, now);
    calls(text, now);
    if (now.engine) engine(text, *now.engine);
    transport(text, now.transport);
    return text.take();
}

}  // namespace tstreams::server
