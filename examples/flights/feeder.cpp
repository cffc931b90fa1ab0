#include "feeder.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace flights {

namespace {

constexpr std::size_t open_max = 4;  // transactions in a partition
constexpr std::size_t piece_flights_min = 40;
constexpr std::size_t piece_flights_max = 160;
constexpr std::size_t fill_flights_max = 60;  // put in one step
constexpr std::size_t cancel_one_in = 40;     // steps

}  // namespace

feeder::feeder(tstreams::client& client, const std::vector<flight>& source, std::uint64_t seed, status& progress)
    : source_(source),
      random_(seed),
      progress_(progress),
      producer_(client.make_producer(input_stream, {.name = "feeder"})) {
    for (std::uint32_t i = 0; i < source.size(); ++i) lanes_[partition_of(source[i].origin)].flights.push_back(i);
    load_position();
}

std::size_t feeder::random(std::size_t from, std::size_t to) {
    return std::uniform_int_distribution<std::size_t>(from, to)(random_);
}

// The position as text: one number per partition. The lane `changed` is taken to have sent `sent`.
std::string feeder::position_with(const lane& changed, std::size_t sent) const {
    std::string text;
    for (const lane& each : lanes_) {
        if (!text.empty()) text += ' ';
        text += std::to_string(&each == &changed ? sent : each.sent);
    }
    return text;
}

void feeder::load_position() {
    const auto stored = producer_.source_position();
    if (!stored) return;
    const auto numbers = split(*stored, ' ');
    if (numbers.size() != lanes_.size()) throw std::runtime_error("not a source position of this program: " + *stored);
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const auto sent = static_cast<std::size_t>(to_number(numbers[i]));
        if (sent > lanes_[i].size()) throw std::runtime_error("the source position is behind the end of the data");
        lanes_[i].sent = lanes_[i].opened = sent;
        progress_.flights_fed += std::min(sent, lanes_[i].flights.size());
    }
}

void feeder::run(const std::stop_token& stop) {
    const auto finished = [](const lane& each) { return each.sent == each.size(); };
    while (!stop.stop_requested() && !std::all_of(lanes_.begin(), lanes_.end(), finished)) {
        const auto partition = static_cast<tstreams::partition_number>(random(0, partitions - 1));
        if (!finished(lanes_[partition])) step(lanes_[partition], partition);
    }
}

// One thing of those that can be done in this partition: cancel, open, fill, or checkpoint.
void feeder::step(lane& chosen, tstreams::partition_number partition) {
    if (!chosen.open.empty() && random(1, cancel_one_in) == 1) {
        cancel_from(chosen, random(0, chosen.open.size() - 1));
        return;
    }
    if (chosen.opened < chosen.size() && chosen.open.size() < random(1, open_max)) {
        open(chosen, partition);
        return;
    }
    if (chosen.open.empty()) return;
    piece& any = chosen.open[random(0, chosen.open.size() - 1)];
    if (any.next < any.end) {
        fill(chosen, any);
    } else if (chosen.open.front().next == chosen.open.front().end) {
        checkpoint_first(chosen);
    }
}

void feeder::open(lane& chosen, tstreams::partition_number partition) {
    const std::size_t begin = chosen.opened;
    const std::size_t end = std::min(begin + random(piece_flights_min, piece_flights_max), chosen.size());
    chosen.open.push_back({producer_.begin(partition), begin, end, begin});
    chosen.opened = end;
    ++progress_.transactions_open;
}

void feeder::fill(lane& chosen, piece& chosen_piece) {
    const std::size_t until = std::min(chosen_piece.next + random(1, fill_flights_max), chosen_piece.end);
    for (; chosen_piece.next < until; ++chosen_piece.next) {
        if (chosen_piece.next < chosen.flights.size()) {
            chosen_piece.txn.put(source_[chosen.flights[chosen_piece.next]]);
        } else {
            chosen_piece.txn.put(end_of_input);
        }
    }
}

void feeder::checkpoint_first(lane& chosen) {
    piece& first = chosen.open.front();
    first.txn.checkpoint(position_with(chosen, first.end));
    const std::size_t marks = first.end == chosen.size() ? 1 : 0;
    progress_.flights_fed += first.end - first.begin - marks;
    --progress_.transactions_open;
    chosen.sent = first.end;
    chosen.open.pop_front();
}

// The last one first: whatever is left is then a run of transactions without a hole.
void feeder::cancel_from(lane& chosen, std::size_t place) {
    while (chosen.open.size() > place) {
        chosen.open.back().txn.cancel();
        chosen.opened = chosen.open.back().begin;
        chosen.open.pop_back();
        --progress_.transactions_open;
        ++progress_.transactions_cancelled;
    }
}

}  // namespace flights
