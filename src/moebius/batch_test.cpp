// Batches: many messages in one frame, in both directions, and what is wrong in them. Real sockets.
#include "moebius/batch.hpp"
#include "moebius/frames.hpp"
#include "moebius/test_server.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <numeric>

namespace {

using namespace moebius;
using namespace moebius::test;
using detail::kind;

std::string batch_of(const std::vector<std::string>& messages) {
    std::size_t bytes = detail::header_bytes;
    for (const std::string& one : messages) bytes += sizeof(std::uint32_t) + one.size();
    std::string made(bytes, '\0');
    detail::batch_writer to(reinterpret_cast<std::byte*>(made.data()));
    for (const std::string& one : messages) to.add(std::as_bytes(std::span(one)));
    return made;
}

std::vector<std::string> messages_of(std::string_view frame) {
    if (!detail::is_batch(std::as_bytes(std::span(frame)))) return {std::string(frame)};
    detail::batch_reader from(frame.substr(detail::header_bytes));
    std::vector<std::string> found;
    while (const auto one = from.next()) found.emplace_back(*one);
    EXPECT_FALSE(from.broken());
    return found;
}

std::string asked(std::uint64_t id, std::string_view body, std::uint8_t flags = 0) {
    detail::header top;
    top.kind = kind::request;
    top.flags = flags;
    top.correlation = id;
    return dealer::framed(top, "echo", body);
}

std::uint64_t id_of(const std::string& answer) {
    const auto top = detail::decode(std::as_bytes(std::span(answer)));
    EXPECT_TRUE(top && top->kind == kind::reply);
    return top ? top->correlation : 0;
}

struct echoing {
    echoing() : one({}, {.log = [](std::string_view) {}}) {
        one.routes.on("echo", [](request& in) { in.reply(in.take_body()); });
        one.routes.on("note", [this](request&) { ++noted; });
        endpoint = one.serve();
    }
    std::atomic<unsigned> noted = 0;
    served one;
    std::string endpoint;
};

TEST(batches, are_read_as_they_were_written) {
    const std::vector<std::string> messages{"a", "", std::string(5000, 'x'), "last"};
    EXPECT_EQ(messages_of(batch_of(messages)), messages);
    EXPECT_TRUE(messages_of(batch_of({})).empty());
}

TEST(batches, end_where_they_are_broken) {
    const std::string whole = batch_of({"first", "second"}).substr(detail::header_bytes);
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        const std::unique_ptr<char[]> exact(new char[bytes]);  // a sanitizer sees what is read beyond it
        std::copy_n(whole.data(), bytes, exact.get());
        detail::batch_reader from({exact.get(), bytes});
        unsigned count = 0;
        while (from.next()) ++count;
        EXPECT_EQ(count, bytes >= 9 ? 1U : 0U) << bytes;
        EXPECT_EQ(from.broken(), bytes != 0 && bytes != 9) << bytes;
    }
    detail::batch_reader huge("\xFF\xFF\xFF\xFF....");
    EXPECT_FALSE(huge.next());
    EXPECT_TRUE(huge.broken());
}

TEST(batches, are_bounded) {
    const std::string many = batch_of(std::vector<std::string>(detail::batch_messages_max + 1, "x"));
    detail::batch_reader from(std::string_view(many).substr(detail::header_bytes));
    std::size_t count = 0;
    while (from.next()) ++count;
    EXPECT_EQ(count, detail::batch_messages_max);
    EXPECT_TRUE(from.broken());
}

TEST(batches, are_made_of_what_is_small_and_in_order) {
    detail::frame_queue queue;
    std::size_t pushed = 0;
    const auto push = [&](std::string_view text) { pushed += queue.push(message(text), nullptr); };
    for (const char* one : {"a", "b", "c"}) push(one);
    push(std::string(detail::batched_bytes_max + 1, 'L'));
    push("d");
    message tail(std::string_view("tail"));
    pushed += queue.push(message(std::string_view("head")), &tail);
    for (const char* one : {"e", "f"}) push(one);
    EXPECT_EQ(queue.messages(), 8U);
    std::vector<std::string> seen;
    std::size_t popped = 0;
    while (!queue.empty()) {
        queue.gather();
        EXPECT_FALSE(queue.tail() && queue.messages_of_head() != 1);
        for (const std::string& one : messages_of(queue.head().text())) seen.push_back(one.substr(0, 4));
        popped += queue.pop();
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "c", "LLLL", "d", "head", "e", "f"}));
    EXPECT_EQ(popped, pushed);
}

TEST(batches, of_more_than_fits_are_several) {
    detail::frame_queue queue;
    for (int i = 0; i < 100; ++i) queue.push(message(std::string(4000, 'x')), nullptr);
    std::size_t frames = 0, messages = 0;
    for (; !queue.empty(); ++frames) {
        queue.gather();
        EXPECT_LE(queue.head().size(), detail::batch_bytes_max);
        messages += queue.messages_of_head();
        queue.pop();
    }
    EXPECT_EQ(messages, 100U);
    EXPECT_EQ(frames, 7U);  // 16 in each
}

TEST(a_server, serves_each_message_of_a_batch) {
    echoing it;
    dealer client(it.endpoint);
    std::vector<std::string> messages;
    for (std::uint64_t id = 1; id <= 50; ++id) messages.push_back(asked(id, std::to_string(id)));
    messages.emplace_back();  // a probe
    messages.emplace_back(R"({"command":"note"})");
    messages.push_back(batch_of({asked(999, "a batch in a batch")}));
    messages.push_back(asked(51, "behind"));
    client.send(batch_of(messages));
    for (std::uint64_t id = 1; id <= 51; ++id) {
        const dealer::answer got = client.receive_answer();
        EXPECT_EQ(got.id, id) << "alone and in order: it has not said that it takes batches";
        EXPECT_EQ(got.body, id == 51 ? "behind" : std::to_string(id));
    }
    EXPECT_TRUE(client.silent());
    EXPECT_EQ(it.noted, 1U);
    EXPECT_EQ(it.one.metrics().malformed, 1U);
}

TEST(a_server, answers_in_batches_who_takes_them) {
    echoing it;
    dealer client(it.endpoint);
    constexpr std::uint64_t count = 500;
    std::vector<std::string> messages;
    for (std::uint64_t id = 1; id <= count; ++id) {
        messages.push_back(asked(id, "x", detail::flag_batches));
        if (messages.size() == detail::batch_messages_max || id == count)
            client.send(batch_of(std::exchange(messages, {})));
    }
    std::vector<std::uint64_t> ids;
    std::size_t frames = 0;
    while (ids.size() < count) {
        const std::string frame = client.receive();
        ++frames;
        for (const std::string& one : messages_of(frame)) ids.push_back(id_of(one));
    }
    std::vector<std::uint64_t> wanted(count);
    std::iota(wanted.begin(), wanted.end(), 1U);
    EXPECT_EQ(ids, wanted);
    EXPECT_LT(frames, count / 10);
    EXPECT_EQ(it.one.metrics().sent, count) << "messages are counted, not frames";
    EXPECT_EQ(it.one.metrics().received, count);
    // Who asks one at a time gets each answer by itself.
    client.send(asked(1, "alone", detail::flag_batches));
    EXPECT_EQ(client.receive_answer().body, "alone");
}

// Others have their turn behind each batch, and timers within one.
TEST(a_server, lets_others_have_their_turn) {
    std::atomic<bool> begun = false, go_on = false;
    served other;
    std::atomic<unsigned> handled = 0, at_mark = 0, at_timer = 0;
    other.routes.on("echo", [&](request& in) {
        begun = true;
        while (!go_on) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(1ms);  // longer than a turn
        ++handled;
        in.reply(in.take_body());
    });
    other.routes.on("mark", [&](request& in) {
        at_mark = handled.load();
        in.reply(in.take_body());
    });
    other.node.every(1ms, [&] {
        if (handled > 0 && at_timer == 0) at_timer = handled.load();
    });
    const std::string endpoint = other.serve();
    dealer many(endpoint), few(endpoint);
    few.request(1, "mark");
    EXPECT_EQ(few.receive_answer().id, 1U);  // both are connected
    for (std::uint64_t batch = 0; batch < 4; ++batch) {
        std::vector<std::string> messages;
        for (std::uint64_t i = 0; i < detail::batch_messages_max; ++i) messages.push_back(asked(i + 1, "x"));
        many.send(batch_of(messages));
    }
    ASSERT_TRUE(eventually([&] { return begun.load(); }));
    few.request(2, "mark");
    std::this_thread::sleep_for(100ms);  // until it surely waits at the server
    go_on = true;
    EXPECT_EQ(few.receive_answer().id, 2U);
    EXPECT_LT(at_mark, 4 * detail::batch_messages_max) << "behind all batches of the other one";
    EXPECT_LT(at_timer, detail::batch_messages_max) << "the timer waited for the end of a batch";
    other.stop();
}

TEST(a_server, that_turns_a_client_away_tells_it_for_each_message) {
    server_options options;
    options.limits.clients = 1;
    served one(options);
    one.routes.on("echo", [](request& in) { in.reply(in.take_body()); });
    const std::string endpoint = one.serve();
    dealer first(endpoint), second(endpoint);
    first.send(asked(1, "x"));
    EXPECT_EQ(first.receive_answer().id, 1U);
    second.send(batch_of({asked(7, "x"), batch_of({asked(9, "x")}), asked(8, "x")}));
    for (const std::uint64_t id : {7U, 8U}) {
        const dealer::answer got = second.receive_answer();
        EXPECT_EQ(got.id, id);
        EXPECT_EQ(got.code, errc::overloaded);
    }
}

TEST(a_server, goes_on_behind_a_broken_batch) {
    echoing it;
    dealer client(it.endpoint);
    std::string broken = batch_of({asked(1, "whole"), asked(2, "cut off")});
    broken.resize(broken.size() - 3);
    client.send(broken);
    EXPECT_EQ(client.receive_answer().id, 1U);
    client.send(batch_of({}));
    client.send(dealer::frames{batch_of({asked(3, "in two frames")}), "tail"});
    EXPECT_EQ(client.receive_answer().code, errc::malformed);
    client.send(asked(4, "next"));
    EXPECT_EQ(client.receive_answer().id, 4U);
    EXPECT_EQ(it.one.metrics().malformed, 2U);
}

TEST(a_server, does_not_look_behind_the_message_with_which_its_client_leaves) {
    echoing it;
    dealer client(it.endpoint);
    detail::header bye;
    bye.kind = kind::bye;
    client.send(batch_of({asked(1, "before"), dealer::framed(bye, {}, {}), asked(2, "behind")}));
    EXPECT_EQ(client.receive_answer().id, 1U);
    EXPECT_TRUE(client.silent());
    client.send(asked(3, "again"));
    EXPECT_EQ(client.receive_answer().id, 3U);
}

// What a requester sends, as another server sees it: a bare ROUTER that echoes in batches of its own.
class bare_server {
public:
    bare_server() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
        zmq_bind(socket_, "tcp://127.0.0.1:*");
        std::array<char, 256> where{};
        std::size_t bytes = where.size();
        zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, where.data(), &bytes);
        endpoint = where.data();
        thread_ = std::thread([this] { serve(); });
    }
    ~bare_server() {
        over_ = true;
        thread_.join();
        const int linger = 0;
        zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }

    std::string endpoint;
    std::atomic<std::size_t> frames = 0, messages = 0, takes_batches = 0;

private:
    void serve() {
        const int timeout = 20;
        zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
        std::vector<char> memory(1 << 20);
        std::string id;
        while (!over_) {
            const int bytes = zmq_recv(socket_, memory.data(), memory.size(), 0);
            if (bytes < 0) continue;
            int more = 0;
            std::size_t size = sizeof more;
            zmq_getsockopt(socket_, ZMQ_RCVMORE, &more, &size);
            const std::string frame(memory.data(), static_cast<std::size_t>(bytes));
            if (more)
                id = frame;
            else
                answer(id, frame);
        }
    }
    void answer(const std::string& id, const std::string& frame) {
        ++frames;
        std::vector<std::string> answers;
        for (const std::string& one : messages_of(frame)) {
            const auto top = detail::decode(std::as_bytes(std::span(one)));
            if (!top || top->kind != kind::request) continue;
            ++messages;
            if ((top->flags & detail::flag_batches) != 0) ++takes_batches;
            detail::header back;
            back.kind = kind::reply;
            back.correlation = top->correlation;
            answers.push_back(dealer::framed(back, {}, one.substr(detail::header_bytes + top->name_bytes)));
        }
        const std::string all = batch_of(answers);
        zmq_send(socket_, id.data(), id.size(), ZMQ_SNDMORE);
        zmq_send(socket_, all.data(), all.size(), 0);
    }

    void* context_;
    void* socket_;
    std::atomic<bool> over_ = false;
    std::thread thread_;
};

constexpr std::size_t calls = 1000;

std::string text_of(std::size_t number) {
    return std::to_string(number) + std::string(number % 7 * 100, '.');
}

task<> ask_all(requester& whom, std::size_t& right) {
    const auto ended = std::make_shared<std::size_t>(0);
    for (std::size_t i = 0; i < calls; ++i)
        whom.call("echo", message(text_of(i)), patience, [i, ended, &right](weave::outcome_of<message> got) {
            ++*ended;
            if (!got.failure() && got.get().text() == text_of(i)) ++right;
        });
    std::function<bool()> done = [ended] { return *ended == calls; };
    const bool all = co_await eventually_here(std::move(done));
    EXPECT_TRUE(all);
}

TEST(a_requester, sends_and_takes_batches) {
    bare_server server;
    loop home;
    requester client(home, server.endpoint);
    std::size_t right = 0;
    home.run(ask_all(client, right));
    EXPECT_EQ(right, calls);
    EXPECT_EQ(server.messages, calls);
    EXPECT_EQ(server.takes_batches, calls);
    EXPECT_LT(server.frames, calls / 10);
    EXPECT_EQ(client.metrics().sent, calls);
    EXPECT_EQ(client.metrics().received, calls);
    EXPECT_EQ(client.metrics().malformed, 0U);
}

task<> leave_behind(loop& home, const std::string& endpoint) {
    auto client = std::make_unique<requester>(home, endpoint);
    message first(std::string_view("x"));
    co_await client->call("echo", std::move(first), patience);  // it is connected
    unsigned failed = 0;
    for (int i = 0; i < 10; ++i)
        client->call("echo", message(std::string_view("x")), patience,
                     [&failed](const weave::outcome_of<message>& got) { failed += got.failure() ? 1 : 0; });
    for (std::size_t i = 0; i < 100; ++i) client->notify("note", {});
    client.reset();
    EXPECT_EQ(failed, 10U);
}

TEST(a_requester, that_goes_leaves_nothing_unsent) {
    echoing it;
    loop home;
    home.run(leave_behind(home, it.endpoint));
    EXPECT_TRUE(eventually([&] { return it.noted == 100; })) << it.noted;
}

}  // namespace
