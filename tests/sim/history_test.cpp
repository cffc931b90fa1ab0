// The checker, examined by histories made by hand: a good one, and each with one thing wrong.
#include "sim/history.hpp"

#include <gtest/gtest.h>

namespace tstreams::sim {
namespace {

const partition_key input{1, 0};
const partition_key output{2, 0};

transaction_id id(std::uint64_t value) {
    return transaction_id(value);
}

// Two inputs, written apart; a copier that has copied the first; a reader of each partition.
class checker : public testing::Test {
protected:
    checker() {
        seen.copier = "copier";
        seen.inputs.push_back(input);
        seen.opens.push_back({input, id(10), 1, 2});
        seen.opens.push_back({input, id(20), 3, 4});
        seen.opens.push_back({output, id(15), 20, 21});
        write(input, id(10), "a", 5);
        write(input, id(20), "b", 7);
        attach(input, "copier", 1, 0, 10);
        checkpoint copied;
        copied.transactions.push_back({output, id(15), "copy of a", {{input, id(10)}}});
        copied.offsets.push_back({input, "copier", 1, id(10)});
        copied.asked = 22;
        copied.answered = 23;
        copied.done = true;
        seen.checkpoints.push_back(copied);
        seen.readings.push_back({input, id(0), {{id(10), "a"}, {id(20), "b"}}, {}});
        seen.readings.push_back({output, id(0), {{id(15), "copy of a"}}, {}});
        seen.end.readable[input] = {{id(10), "a"}, {id(20), "b"}};
        seen.end.readable[output] = {{id(15), "copy of a"}};
        seen.end.offsets[{input, "copier"}] = id(10);
    }

    void write(partition_key where, transaction_id which, const std::string& payload, moment asked) {
        checkpoint one;
        one.transactions.push_back({where, which, payload, {}});
        one.asked = asked;
        one.answered = asked + 1;
        one.done = true;
        seen.checkpoints.push_back(one);
    }
    void attach(partition_key where, const std::string& name, std::uint64_t instance, std::uint64_t position,
                moment asked) {
        seen.consumers.push_back({where, name, instance, position, asked, asked + 1});
    }
    checkpoint& group() { return seen.checkpoints.at(2); }
    // Some sentence of the verdict has this in it.
    void expect_found(const std::string& words) {
        std::string all;
        for (const std::string& one : check(seen)) all += one + "\n";
        EXPECT_NE(all.find(words), std::string::npos) << "found only:\n" << all;
    }
    void expect_good() {
        for (const std::string& one : check(seen)) ADD_FAILURE() << one;
    }

    history seen;
};

TEST_F(checker, accepts_a_good_history) {
    expect_good();
}

TEST_F(checker, accepts_an_unknown_group_as_a_whole) {
    group().done = false;
    expect_good();
    seen.end.readable[output].clear();
    seen.end.offsets[{input, "copier"}] = id(0);
    seen.readings.pop_back();
    expect_good();
}

TEST_F(checker, accepts_what_was_given_up_and_is_not_there) {
    write(input, id(30), "c", 30);
    seen.checkpoints.back().done = false;
    seen.checkpoints.back().refused = true;
    expect_good();
}

TEST_F(checker, finds_a_lost_transaction) {
    seen.end.readable[input].pop_back();
    seen.readings.front().got.pop_back();
    expect_found("lost: 'b'");
}

TEST_F(checker, finds_a_transaction_that_nobody_checkpointed) {
    seen.end.readable[input].push_back({id(30), "c"});
    expect_found("phantom: 'c' was never checkpointed");
}

TEST_F(checker, finds_a_refused_transaction_that_is_there) {
    seen.checkpoints[1].done = false;
    seen.checkpoints[1].refused = true;
    expect_found("phantom: 'b' was refused");
}

TEST_F(checker, finds_two_answers_to_one_request) {
    seen.checkpoints[1].refused = true;
    expect_found("both done and refused");
}

TEST_F(checker, finds_a_cancelled_transaction_that_is_there) {
    seen.cancellations.push_back({input, id(20)});
    expect_found("was cancelled and is there");
}

TEST_F(checker, finds_a_state_that_was_not_final) {
    seen.findings.push_back({input, id(20), true});
    seen.findings.push_back({input, id(21), false});
    expect_good();
    seen.findings.push_back({input, id(20), false});
    expect_found("20 was said to be not checkpointed and is there");
    seen.findings.push_back({input, id(21), true});
    expect_found("21 was said to be checkpointed and is not there");
}

TEST_F(checker, finds_a_torn_group) {
    group().transactions.push_back({output, id(17), "second half", {}});
    group().done = false;
    expect_found("torn group");
}

TEST_F(checker, finds_a_group_whose_offset_stayed_behind) {
    seen.end.offsets[{input, "copier"}] = id(0);
    expect_found("was moved to 10 and is at 0");
    expect_found("was copied and the copier is not past it");
}

TEST_F(checker, finds_a_group_of_which_only_the_offset_happened) {
    group().done = false;
    seen.end.readable[output].clear();
    seen.readings.pop_back();
    expect_found("where nothing that happened put it");
    expect_found("did not copy it");
}

TEST_F(checker, finds_a_duplicate) {
    seen.end.readable[input].push_back({id(30), "b"});
    expect_found("duplicate: 'b'");
}

TEST_F(checker, finds_an_input_that_was_copied_twice) {
    checkpoint again = group();
    again.transactions.front().id = id(16);
    again.transactions.front().payload = "copy of a, again";
    seen.checkpoints.push_back(again);
    seen.end.readable[output].push_back({id(16), "copy of a, again"});
    expect_found("copied twice");
}

TEST_F(checker, finds_what_appeared_behind_a_reader) {
    seen.readings.front().got.erase(seen.readings.front().got.begin());
    expect_found("which appeared behind it");
}

TEST_F(checker, accepts_what_a_reader_was_told_that_it_skipped) {
    seen.readings.front().got.erase(seen.readings.front().got.begin());
    seen.readings.front().skipped.push_back(id(10));
    expect_good();
}

TEST_F(checker, finds_a_reader_that_went_back) {
    seen.readings.front().got.push_back({id(10), "a"});
    expect_found("a reader got 10 after 20");
}

TEST_F(checker, finds_what_a_reader_got_and_is_not_there) {
    seen.readings.front().got.push_back({id(30), "c"});
    expect_found("which is not there in the end");
}

TEST_F(checker, finds_items_of_another_transaction) {
    seen.readings.front().got.back().payload = "a";
    expect_found("a reader got 'a' for 'b'");
}

TEST_F(checker, finds_ids_that_fall_or_are_given_twice) {
    seen.opens.push_back({input, id(20), 30, 31});
    expect_found("reused");
    seen.opens.back().id = id(10);
    seen.opens.front().id = id(9);
    expect_found("10 was given after the higher 20");
}

TEST_F(checker, finds_an_older_instance_that_went_on) {
    attach(input, "copier", 2, 0, 12);
    expect_found("in spite of instance 2");
    expect_found("was acknowledged after instance 2 had begun");
}

TEST_F(checker, finds_an_instance_that_began_further_back) {
    attach(input, "copier", 2, 10, 30);
    attach(input, "copier", 3, 0, 40);
    expect_found("a newer instance began further back");
}

TEST_F(checker, finds_an_offset_where_no_data_is) {
    checkpoint ahead;
    ahead.offsets.push_back({input, "copier", 1, id(21)});
    ahead.asked = 30;
    ahead.answered = 31;
    ahead.done = true;
    seen.checkpoints.push_back(ahead);
    seen.end.offsets[{input, "copier"}] = id(21);
    expect_found("was moved to 21, which is not there");
}

TEST_F(checker, finds_a_source_position_that_went_back) {
    seen.producers.push_back({output, "feeder", 1, 0, 1, 2});
    group().sources.push_back({output.stream, "feeder", 1, 7});
    seen.end.sources[{output.stream, "feeder"}] = 0;
    expect_found("producer feeder: was moved to 7 and is at 0");
    seen.end.sources[{output.stream, "feeder"}] = 7;
    expect_good();
}

// ---- of an exclusive store

TEST_F(checker, finds_numbers_of_a_source_that_are_missing_twice_there_or_ahead) {
    seen.feeder = "feeder";
    seen.producers.push_back({input, "feeder", 1, 0, 1, 2});
    seen.checkpoints[0].transactions.front().ingested = {1, 2};
    seen.checkpoints[0].sources.push_back({input.stream, "feeder", 1, 2});
    seen.end.sources[{input.stream, "feeder"}] = 2;
    expect_good();
    seen.checkpoints[1].transactions.front().ingested = {2};
    expect_found("number 2 of the source was ingested twice");
    seen.checkpoints[1].transactions.front().ingested = {3};
    expect_found("number 3 was ingested and feeder is not past it");
    seen.checkpoints[0].transactions.front().ingested = {2};
    expect_found("went past number 1 and did not ingest it");
}

TEST_F(checker, finds_an_older_producer_that_went_on_without_a_position) {
    seen.producers.push_back({input, "feeder", 1, 0, 1, 2});
    seen.producers.push_back({input, "feeder", 2, 0, 3, 4});
    seen.checkpoints[0].sources.push_back({input.stream, "feeder", 2, 0});
    expect_good();
    seen.checkpoints[0].sources.front().instance = 1;
    expect_found("instance 1 was acknowledged after instance 2 had begun");
}

class free_name : public checker {
protected:
    free_name() {
        seen.free_names.insert("drifter");
        attach(input, "drifter", 1, 0, 30);
        move(1, 10, 40);
        seen.end.offsets[{input, "drifter"}] = id(10);
    }
    void move(std::uint64_t instance, std::uint64_t to, moment asked) {
        checkpoint one;
        one.offsets.push_back({input, "drifter", instance, id(to)});
        one.asked = asked;
        one.answered = asked + 1;
        one.done = true;
        seen.checkpoints.push_back(one);
    }
};

TEST_F(free_name, may_be_set_back_by_a_tool_and_is_at_what_was_written_last) {
    expect_good();
    seen.interventions.push_back({input, "drifter", id(0), 50, 51});
    expect_found("was read at 10, where nothing that happened had left it");
    seen.interventions.back().answered = 0;  // perhaps
    expect_good();
    seen.end.offsets.erase({input, "drifter"});
    expect_good();
    seen.offset_readings.push_back({input, "drifter", id(20), 60, 61});
    expect_found("was read at 20");
}

TEST_F(free_name, is_fenced_by_instances_and_by_tools) {
    attach(input, "drifter", 2, 10, 50);
    move(2, 20, 60);
    seen.end.offsets[{input, "drifter"}] = id(20);
    expect_good();
    seen.checkpoints.back().offsets.front().instance = 1;
    expect_found("instance 1 was acknowledged after instance 2 had begun");
    seen.checkpoints.back().offsets.front().instance = 2;
    seen.interventions.push_back({input, "drifter", id(10), 55, 56});
    expect_found("instance 2 went on after a tool had taken over");
    seen.interventions.clear();
    attach(input, "drifter", 2, 20, 70);
    expect_found("an instance number was given twice");
}

class brief_stream : public checker {
protected:
    brief_stream() {
        seen.streams[brief.stream] = {.ttl = std::chrono::seconds(2), .brief = true};
        for (const std::uint64_t second : {10U, 11U, 12U}) {
            write(brief, at(second), "brief " + std::to_string(second), 30 + second);
            live.got.push_back({at(second), "brief " + std::to_string(second)});
        }
        live.where = brief;
        live.asked = 60;
        late.where = brief;
        late.jumps.push_back({id(0), at(11), at(13).time()});
        late.got.push_back(live.got.back());
        late.asked = 70;
        late.complete = true;
    }
    static transaction_id at(std::uint64_t second) { return id((second * 1'000'000) << 10); }
    std::vector<std::string> expect(const std::string& words) {
        seen.readings.push_back(live);
        seen.readings.push_back(late);
        words.empty() ? expect_good() : expect_found(words);
        return {};
    }

    const partition_key brief{3, 0};
    reading live;
    reading late;
};

TEST_F(brief_stream, may_lose_what_has_expired) {
    expect("");
}
TEST_F(brief_stream, loses_nothing_too_early) {
    late.jumps.front().latest = at(12).time() + std::chrono::milliseconds(999);
    expect("expired too early");
}
TEST_F(brief_stream, loses_nothing_without_saying_so) {
    late.got.clear();
    expect("which appeared behind it");
}
TEST_F(brief_stream, sends_nobody_back) {
    late.jumps.push_back({at(12), at(11), at(20).time()});
    expect("was sent back");
}
TEST_F(brief_stream, is_not_written_or_read_once_it_is_deleted) {
    stream_life& life = seen.streams[brief.stream];
    life.doomed = life.ended = true;
    life.deleted = 65;
    expect("a reader got something of it after it had been deleted");
    life.deleted = 40;
    expect("was acknowledged by a stream that had been deleted");
    life.ended = false;
    expect("was deleted, and is there");
    life = {.ttl = life.ttl, .brief = true, .ended = true};
    expect("is gone, and nobody deleted it");
}

}  // namespace
}  // namespace tstreams::sim
