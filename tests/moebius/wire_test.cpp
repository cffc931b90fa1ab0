// The test vectors of docs/moebius-wire.md: encoder and decoder agree with each of them, and a server on a real socket
// takes those of a client and answers with exactly those of a server.
#include "moebius/batch.hpp"
#include "moebius/test_server.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

struct vector_file {
    std::string name;
    std::map<std::string, std::string> words;  // all but the frames
    dealer::frames frames;
    std::vector<std::string> messages;  // of a batch

    [[nodiscard]] std::string body() const {
        std::string all = text("body");
        for (const std::string& one : messages) {
            const auto bytes = static_cast<std::uint32_t>(one.size());
            all.append(reinterpret_cast<const char*>(&bytes), sizeof bytes).append(one);
        }
        return all;
    }
    [[nodiscard]] std::string text(const std::string& word) const {
        const auto found = words.find(word);
        return found == words.end() ? std::string() : found->second;
    }
    [[nodiscard]] std::uint64_t number(const std::string& word) const {
        const std::string found = text(word);
        return found.empty() ? 0 : std::stoull(found);
    }
};

std::string from_hex(std::string text) {
    std::erase_if(text, [](unsigned char one) { return std::isspace(one) != 0; });
    std::string bytes;
    for (std::size_t at = 0; at < text.size(); at += 2)
        bytes += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));
    return bytes;
}

vector_file load(const std::filesystem::path& file) {
    vector_file made;
    made.name = file.stem();
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#')) continue;
        std::istringstream words(line);
        std::string word, value;
        words >> word >> std::ws;
        std::getline(words, value);
        if (word == "frame")
            made.frames.push_back(from_hex(value));
        else if (word == "message")
            made.messages.push_back(from_hex(value));
        else
            made.words[word] = value;
    }
    return made;
}

dealer::frames frames_of(const std::string& name) {
    const vector_file found = load(std::filesystem::path(MOEBIUS_VECTORS) / (name + ".txt"));
    EXPECT_FALSE(found.frames.empty()) << name;
    return found.frames;
}

std::vector<vector_file> load_all() {
    std::vector<vector_file> all;
    for (const auto& entry : std::filesystem::directory_iterator(MOEBIUS_VECTORS))
        if (entry.path().extension() == ".txt") all.push_back(load(entry.path()));
    return all;
}

TEST(vectors, encoder_and_decoder_agree_with_them) {
    const std::vector<vector_file> all = load_all();
    EXPECT_GE(all.size(), 20U);
    for (const vector_file& one : all) {
        SCOPED_TRACE(one.name);
        ASSERT_FALSE(one.frames.empty());
        const std::string& first = one.frames.front();
        const auto found = detail::decode(std::as_bytes(std::span(first)));
        if (!one.text("malformed").empty() || !one.text("json").empty()) {
            EXPECT_FALSE(found.has_value());
            continue;
        }
        detail::header top;
        top.kind = static_cast<kind>(one.number("kind"));
        top.flags = static_cast<std::uint8_t>(one.number("flags"));
        top.code = static_cast<std::uint16_t>(one.number("code"));
        top.correlation = one.number("correlation");
        top.credit_messages = static_cast<std::uint32_t>(one.number("credit_messages"));
        top.credit_bytes = static_cast<std::uint32_t>(one.number("credit_bytes"));
        const bool together = one.frames.size() == 1;
        EXPECT_EQ(dealer::framed(top, one.text("name"), together ? one.body() : ""), first);
        EXPECT_EQ(together ? "" : one.frames[1], together ? "" : one.body());
        EXPECT_EQ(detail::is_batch(std::as_bytes(std::span(first))), !one.messages.empty());
        detail::batch_reader batch(std::string_view(first).substr(detail::header_bytes + one.text("name").size()));
        for (const std::string& message : one.messages) EXPECT_EQ(batch.next(), message);
        EXPECT_TRUE(one.messages.empty() || !batch.broken());

        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(found->kind, top.kind);
        EXPECT_EQ(found->flags, top.flags);
        EXPECT_EQ(found->code, top.code);
        EXPECT_EQ(found->correlation, top.correlation);
        EXPECT_EQ(found->credit_messages, top.credit_messages);
        EXPECT_EQ(found->credit_bytes, top.credit_bytes);
        EXPECT_EQ(first.substr(detail::header_bytes, found->name_bytes), one.text("name"));
    }
}

task<> count(request asked) {
    const int end = std::stoi(std::string(asked.body().text()));
    for (int number = 1; number <= end; ++number) {
        message item(std::to_string(number));
        co_await asked.write(std::move(item));
    }
    co_await asked.finish();
}

class vectors_live : public ::testing::Test {
protected:
    vectors_live() : one({}, {.log = [](std::string_view) {}}) {
        one.routes.on("echo", [](request& asked) { asked.reply(asked.take_body()); });
        one.routes.on("count", count);
        one.routes.on("note", [this](request& asked) { noted += asked.body().text(); });
        one.routes.on("buy", [](request&) { throw error(static_cast<errc>(1001), "no apples left"); });
    }
    void expect(dealer& from, const std::string& name) {
        SCOPED_TRACE(name);
        const auto found = from.receive_all();
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(*found, frames_of(name));
    }
    std::string noted;
    served one;
};

TEST_F(vectors_live, a_server_speaks_them) {
    dealer client(one.serve());
    client.send(frames_of("probe"));
    client.send(frames_of("hello"));
    client.send(frames_of("request_two_frames"));
    expect(client, "reply");
    client.send(frames_of("request"));
    expect(client, "reply_padded");
    client.send(frames_of("batch"));
    for (const char* body : {"hi", "ho"}) EXPECT_EQ(client.receive_answer().body, body);
    client.send(frames_of("one_way"));
    client.send(frames_of("request_stream"));
    expect(client, "item");
    EXPECT_EQ(client.receive_answer().body, "2");
    EXPECT_EQ(client.receive_answer().body, "3");
    expect(client, "end");
    client.request(7, "nonsense");
    expect(client, "failure");
    client.request(8, "buy");
    expect(client, "failure_application");
    const std::string name = one.on_loop([this] {
        std::string found;
        one.node.for_each_client([&found](moebius::client peer) {
            found = peer.name();
            peer.subscribe("noon");
        });
        one.node.publish("noon", message("12"));
        one.node.for_each_client([](moebius::client peer) { peer.close(); });
        return found;
    });
    EXPECT_EQ(name, "billing");
    expect(client, "publish");
    expect(client, "bye_server");
    EXPECT_EQ(one.on_loop([this] { return noted; }), "seen");
}

TEST_F(vectors_live, a_stream_goes_on_with_credit_and_ends_with_cancel) {
    dealer client(one.serve());
    client.request(2, "count", "100", 2);
    expect(client, "item");
    EXPECT_EQ(client.receive_answer().body, "2");
    EXPECT_TRUE(client.silent());
    client.send(frames_of("credit"));
    for (int number = 3; number <= 10; ++number) EXPECT_EQ(client.receive_answer().body, std::to_string(number));
    EXPECT_TRUE(client.silent());
    client.send(frames_of("cancel"));
    EXPECT_EQ(client.receive_answer().code, errc::cancelled);
    client.send(frames_of("bye_client"));
    EXPECT_TRUE(eventually([this] { return one.metrics().clients == 0; }));
}

TEST_F(vectors_live, what_is_malformed_is_answered_with_correlation_0) {
    dealer client(one.serve());
    unsigned count = 0;
    for (const vector_file& bad : load_all()) {
        if (bad.text("malformed").empty()) continue;
        SCOPED_TRACE(bad.name);
        client.request(99, "echo");  // an id that must not be mistaken for the next answer's
        EXPECT_EQ(client.receive_answer().id, 99U);
        client.send(bad.frames);
        const dealer::answer heard = client.receive_answer();
        EXPECT_EQ(heard.what, kind::failure);
        EXPECT_EQ(heard.code, errc::malformed);
        EXPECT_EQ(heard.id, 0U);
        ++count;
    }
    EXPECT_EQ(count, 3U);
    client.send({frames_of("request").front(), "two", "three"});  // too many frames, in the binary format
    EXPECT_EQ(client.receive_answer().code, errc::malformed);
    EXPECT_EQ(one.metrics().malformed, 4U);
}

TEST_F(vectors_live, the_json_format_is_served_on_the_same_socket) {
    dealer client(one.serve());
    client.send(frames_of("json_request"));
    expect(client, "json_request");  // echo gives the whole text back
    client.send(R"({"command":"nonsense"})");
    expect(client, "json_error");
    client.send(frames_of("request"));
    expect(client, "reply_padded");
}

}  // namespace
