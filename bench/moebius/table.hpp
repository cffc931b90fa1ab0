// Medians, and the lines of a result: what was measured, and against which limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

inline double median(std::vector<double> values) {
    if (values.empty()) throw std::logic_error("median of nothing");
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

class table {
public:
    void value(const std::string& name, double measured, const std::string& unit) {
        line(name, measured, unit);
        std::puts("");
    }
    void at_least(const std::string& name, double measured, const std::string& unit, double limit) {
        line(name, measured, unit);
        judge(">=", limit, measured >= limit);
    }
    void at_most(const std::string& name, double measured, const std::string& unit, double limit) {
        line(name, measured, unit);
        judge("<=", limit, measured <= limit);
    }
    [[nodiscard]] bool all_met() const noexcept { return met_; }

private:
    static void line(const std::string& name, double measured, const std::string& unit) {
        std::printf("%-58s %12.*f %-6s", name.c_str(), measured < 1000 ? 2 : 0, measured, unit.c_str());
    }
    void judge(const char* relation, double limit, bool met) {
        std::printf(" %s %-8g %s\n", relation, limit, met ? "pass" : "FAIL");
        met_ = met_ && met;
    }

    bool met_ = true;
};

// The numbers behind the names of a command line: --rounds 7. A name that is not asked for is an error, at the end.
class arguments {
public:
    arguments(int count, char** words) : words_(words + 1, words + count) {}

    [[nodiscard]] bool flag(const std::string& name) {
        const auto at = std::find(words_.begin(), words_.end(), name);
        if (at == words_.end()) return false;
        words_.erase(at);
        return true;
    }
    [[nodiscard]] double number(const std::string& name, double otherwise) {
        const auto at = std::find(words_.begin(), words_.end(), name);
        if (at == words_.end()) return otherwise;
        if (at + 1 == words_.end()) throw std::invalid_argument(name + " needs a number");
        const double found = parse(at[1]);
        words_.erase(at, at + 2);
        return found;
    }
    // A number without a name.
    [[nodiscard]] std::optional<double> plain_number() {
        if (words_.empty() || words_.front().rfind("--", 0) == 0) return {};
        const double found = parse(words_.front());
        words_.erase(words_.begin());
        return found;
    }
    void end() const {
        if (!words_.empty()) throw std::invalid_argument("not understood: " + words_.front());
    }

private:
    static double parse(const std::string& word) {
        std::size_t used = 0;
        const double found = std::stod(word, &used);
        if (used != word.size() || found < 0) throw std::invalid_argument("no number: " + word);
        return found;
    }

    std::vector<std::string> words_;
};

// The frame of main: wrong usage ends with 2, a failure, or a missed limit when --check is given, with 1.
template <class Run>
int run_program(int count, char** words, const char* usage, Run&& run) {
    arguments given(count, words);
    if (given.flag("--help")) return std::puts(usage), 0;
    const bool check = given.flag("--check");
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    table results;
    try {
        run(given, results);
    } catch (const std::invalid_argument& wrong) {
        std::fprintf(stderr, "%s\n%s\n", wrong.what(), usage);
        return 2;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return check && !results.all_met() ? 1 : 0;
}

}  // namespace bench
