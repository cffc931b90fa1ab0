// Rows for people on a terminal (a heading, aligned columns) and for programs in a pipe (no heading, tabs).
#pragma once

#include "cli/output.hpp"

#include <string>
#include <vector>

namespace tstreams::cli {

class table {
public:
    // Keeps at most 1,000 rows, to align them; `out` must outlive it.
    table(output& out, std::vector<std::string> heading);

    // As many cells as the heading has. Cells are made printable: they cannot break the row.
    void row(std::vector<std::string> cells);
    // Prints what is kept. A table without rows prints nothing.
    void finish();

private:
    void print(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths);

    output& out_;
    std::vector<std::string> heading_;
    std::vector<std::vector<std::string>> rows_;
    bool heading_printed_ = false;
};

}  // namespace tstreams::cli
