// Messages that other minor versions have written, earlier ones and the next one, are read by this build as what they
// say. A field that one side does not know stands behind the others. The folder can be named: TSTREAMS_RECORDED.
#include "tests/wire/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>

namespace tstreams::wire::test {
namespace {

using nlohmann::json;

// Structures may have become longer at their end since.
bool begins_with(const json& now, const json& then) {
    if (!then.is_array() || !now.is_array()) return now == then;
    if (now.size() < then.size()) return false;
    for (std::size_t i = 0; i < then.size(); ++i)
        if (!begins_with(now[i], then[i])) return false;
    return true;
}

TEST(recorded, messages_of_other_minor_versions_are_read) {
    const char* const named = std::getenv("TSTREAMS_RECORDED");
    int checked = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(named ? named : TSTREAMS_RELEASED)) {
        if (entry.path().extension() != ".txt") continue;
        SCOPED_TRACE(entry.path());
        const vector_file recorded = load_vector(entry.path().string());
        const vector_file read = decode_vector(recorded);
        EXPECT_EQ(read.head, recorded.head);
        EXPECT_TRUE(begins_with(json::parse(read.fields), json::parse(recorded.fields))) << read.fields;
        ++checked;
    }
    EXPECT_GE(checked, 80);
}

}  // namespace
}  // namespace tstreams::wire::test
