#include "aggregator.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace flights {

namespace {

constexpr int transactions_per_commit = 8;

}  // namespace

aggregator::aggregator(tstreams::client& client, status& progress)
    : progress_(progress),
      input_(client.make_consumer(input_stream, {.name = "aggregator"})),
      results_(client.make_producer(results_stream, {.name = "aggregator"})),
      state_(client.make_producer(state_stream, {.name = "aggregator"})),
      group_(client.make_checkpoint_group()) {
    group_.add(input_);
    group_.add(results_);
    group_.add(state_);
    for (tstreams::partition_number i = 0; i < partitions; ++i) load(client, i);
}

// A state is one item "id transactions flights windows window ended" and one item "airport flights delay
// delay_max miles" for each airport of the open window.
void aggregator::load(tstreams::client& client, tstreams::partition_number partition) {
    lane& loaded = lanes_[partition];
    if (const auto last = client.last(state_stream, partition)) {
        bool first = true;
        for (const tstreams::item& item : *last) {
            const auto fields = split(item.text(), ' ');
            const auto number = [&](std::size_t place) { return to_number(fields.at(place)); };
            if (std::exchange(first, false)) {
                loaded.after = tstreams::transaction_id(static_cast<std::uint64_t>(number(0)));
                loaded.transactions = number(1);
                loaded.flights = number(2);
                loaded.windows = number(3);
                loaded.window = static_cast<std::uint32_t>(number(4));
                loaded.ended = number(5) != 0;
            } else {
                loaded.open[std::string(fields.at(0))] = {number(1), number(2), number(3), number(4)};
            }
        }
    }
    if (loaded.after != input_.position(partition)) {
        throw std::runtime_error("partition " + std::to_string(partition) +
                                 ": the state and the position, committed in one step, do not belong together");
    }
    progress_.transactions_counted += static_cast<std::uint64_t>(loaded.transactions);
    progress_.flights_counted += static_cast<std::uint64_t>(loaded.flights);
    progress_.windows_written += static_cast<std::uint64_t>(loaded.windows);
}

void aggregator::run(const std::stop_token& stop) {
    using namespace std::chrono_literals;
    const auto ended = [](const lane& each) { return each.ended; };
    while (!stop.stop_requested() && !std::all_of(lanes_.begin(), lanes_.end(), ended)) {
        auto received = input_.next(100ms);
        if (!received) continue;
        for (int taken = 0; received; received = input_.next(0ms)) {
            take(*received);
            if (++taken == transactions_per_commit) break;
        }
        commit();
    }
}

void aggregator::take(const tstreams::received_transaction& received) {
    const auto partition = received.partition();
    lane& taken = lanes_.at(partition);
    for (const tstreams::item& item : received) {
        if (item.text() == end_of_input) {
            close_window(partition);
            put_result(partition, "total," + std::to_string(taken.flights));
            taken.ended = true;
        } else {
            count(partition, item.as<flight>());
        }
    }
    taken.after = received.id();
    ++taken.transactions;
    taken.touched = true;
}

void aggregator::count(tstreams::partition_number partition, const flight& one) {
    lane& counted = lanes_[partition];
    const std::uint32_t window = one.minute - one.minute % window_minutes;
    if (window != counted.window) {
        close_window(partition);
        counted.window = window;
    }
    const auto [place, fresh] = counted.open.try_emplace(one.origin);
    sums& airport = place->second;
    airport.delay_max = fresh ? one.delay : std::max<std::int64_t>(airport.delay_max, one.delay);
    airport.delay += one.delay;
    airport.miles += one.miles;
    ++airport.flights;
    ++counted.flights;
}

// A result is "window,airport,flights,delay,delay_max,miles".
void aggregator::close_window(tstreams::partition_number partition) {
    lane& closed = lanes_[partition];
    for (const auto& [airport, of] : closed.open) {
        put_result(partition, format_minute(closed.window) + ',' + airport + ',' + std::to_string(of.flights) + ',' +
                                  std::to_string(of.delay) + ',' + std::to_string(of.delay_max) + ',' +
                                  std::to_string(of.miles));
        ++closed.windows;
    }
    closed.open.clear();
}

void aggregator::put_result(tstreams::partition_number partition, const std::string& line) {
    auto& results = lanes_[partition].results;
    if (!results.is_open()) results = results_.begin(partition);
    results.put(line);
}

void aggregator::commit() {
    std::vector<tstreams::transaction> states;
    for (tstreams::partition_number i = 0; i < partitions; ++i) {
        if (lanes_[i].touched) states.push_back(write_state(i));
    }
    group_.checkpoint();
    status sum;
    for (lane& each : lanes_) {
        each.touched = false;
        sum.transactions_counted += static_cast<std::uint64_t>(each.transactions);
        sum.flights_counted += static_cast<std::uint64_t>(each.flights);
        sum.windows_written += static_cast<std::uint64_t>(each.windows);
    }
    progress_.transactions_counted = sum.transactions_counted.load();
    progress_.flights_counted = sum.flights_counted.load();
    progress_.windows_written = sum.windows_written.load();
}

tstreams::transaction aggregator::write_state(tstreams::partition_number partition) {
    const lane& written = lanes_[partition];
    auto txn = state_.begin(partition);
    txn.put(std::to_string(written.after.value()) + ' ' + std::to_string(written.transactions) + ' ' +
            std::to_string(written.flights) + ' ' + std::to_string(written.windows) + ' ' +
            std::to_string(written.window) + (written.ended ? " 1" : " 0"));
    for (const auto& [airport, of] : written.open) {
        txn.put(airport + ' ' + std::to_string(of.flights) + ' ' + std::to_string(of.delay) + ' ' +
                std::to_string(of.delay_max) + ' ' + std::to_string(of.miles));
    }
    return txn;
}

}  // namespace flights
