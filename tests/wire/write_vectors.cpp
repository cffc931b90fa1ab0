// Writes the test vectors of docs/wire-format.md into a directory: write_vectors DIRECTORY
#include "tests/wire/vectors.hpp"

#include <cstdio>
#include <fstream>

int main(int count, char** arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: %s DIRECTORY\n", arguments[0]);
        return 2;
    }
    for (const auto& [name, vector] : tstreams::wire::test::make_vectors()) {
        std::ofstream out(std::string(arguments[1]) + "/" + name + ".txt", std::ios::binary);
        out << tstreams::wire::test::to_text(vector);
        if (!out.flush()) {
            std::fprintf(stderr, "%s cannot be written\n", name.c_str());
            return 1;
        }
    }
    return 0;
}
