// The test vectors are what this build writes, and it reads them as what they say. After a change of the protocol:
// write_vectors tests/wire/vectors
#include "tests/wire/vectors.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace tstreams::wire::test {
namespace {

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(vectors, are_what_is_written) {
    std::set<std::string> made;
    for (const auto& [name, vector] : make_vectors()) {
        EXPECT_EQ(read_file(std::filesystem::path(TSTREAMS_VECTORS) / (name + ".txt")), to_text(vector)) << name;
        made.insert(name + ".txt");
    }
    made.insert("README.md");
    EXPECT_GE(made.size(), 80U);
    for (const auto& entry : std::filesystem::directory_iterator(TSTREAMS_VECTORS))
        EXPECT_TRUE(made.contains(entry.path().filename())) << entry.path();
}

TEST(vectors, are_read_as_what_they_say) {
    for (const auto& [name, vector] : make_vectors()) {
        SCOPED_TRACE(name);
        const vector_file found = load_vector((std::filesystem::path(TSTREAMS_VECTORS) / (name + ".txt")).string());
        const vector_file read = decode_vector(found);
        EXPECT_EQ(read.head, found.head);
        EXPECT_EQ(read.fields, found.fields);
        EXPECT_EQ(read.bytes, found.bytes);
    }
}

TEST(vectors, have_no_byte_too_many) {
    for (const auto& [name, vector] : make_vectors()) {
        if (vector.kind == "error" || vector.fields == "[]") continue;
        vector_file cut = vector;
        cut.bytes.pop_back();
        EXPECT_THROW(std::ignore = decode_vector(cut), error) << name;
    }
}

}  // namespace
}  // namespace tstreams::wire::test
