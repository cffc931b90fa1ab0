// Rows with a number, whose commits have a note of the number: whatever happens, the notes have to be those of the
// rows.
#pragma once

#include "engines/local/test_support.hpp"

#include <tstreams/ports/key_value.hpp>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace tstreams::local {

inline std::string page_of(int number, int pages) {
    return "page " + std::to_string(number % pages + 10);  // at most 90, all of one length
}

inline ports::batch noted_row(int number, int pages, std::string value) {
    const auto later = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) +
                       std::chrono::hours(1);
    ports::batch change = running_engine::batch(std::to_string(number), std::move(value));
    change.note.emplace(ports::note{"notes", page_of(number, pages), std::to_string(number) + ' ', later});
    return change;
}

// What each page has when these rows, committed in rising order, are there.
inline std::map<std::string, std::string> notes_of(const std::set<int>& numbers, int pages) {
    std::map<std::string, std::string> wanted;
    for (const int number : numbers) wanted[page_of(number, pages)] += std::to_string(number) + ' ';
    return wanted;
}

inline std::map<std::string, std::string> notes_in(running_engine& target) {
    ports::scan_range all{.shard = "notes", .from = "", .to = "", .limit = 65'536};
    std::map<std::string, std::string> found;
    for (const ports::row& row : target.loop().run(target.rows().scan(std::move(all))))
        found[row.key.substr(0, page_of(0, 1).size())] += row.value;
    return found;
}

}  // namespace tstreams::local
