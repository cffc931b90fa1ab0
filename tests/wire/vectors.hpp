// The test vectors of docs/wire-format.md: every request and every reply with all fields filled, the forms of errors,
// and the messages of the worked example.
#pragma once

#include "wire/envelope.hpp"

#include <map>
#include <string>

namespace tstreams::wire::test {

// A message and what it says.
struct vector_file {
    std::string about;
    std::string call;    // the command
    std::string kind;    // request, reply or error
    std::string head;    // of a request: the fields of the head, JSON
    std::string fields;  // JSON: a structure and a list are arrays, an absent value is null
    std::string bytes;
};

// By name: "open.request".
[[nodiscard]] std::map<std::string, vector_file> make_vectors();

[[nodiscard]] std::string to_text(const vector_file& vector);
// Throws std::runtime_error for a file that is none.
[[nodiscard]] vector_file load_vector(const std::string& path);

// The message as this build reads it, and as it would write it again. Throws error for bytes that are no such message.
[[nodiscard]] vector_file decode_vector(const vector_file& vector);

}  // namespace tstreams::wire::test
