#include "served/parties.hpp"

#include "core/frames.hpp"
#include "moebius/wire.hpp"
#include "wire/envelope.hpp"

#include <unistd.h>
#include <zmq.h>
#include <tstreams/tstreams.hpp>

#include <stdexcept>
#include <thread>
#include <vector>

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 30s;

void check(int outcome) {
    if (outcome < 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
}

void* limited(void* socket) {
    constexpr int timeout_ms = 10'000;
    constexpr int linger_ms = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    return socket;
}

void* bound(const std::string& endpoint) {
    void* socket = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    check(zmq_bind(socket, endpoint.c_str()));
    return socket;
}

[[noreturn]] void echo(void* socket) {
    zmq_msg_t frame;
    check(zmq_msg_init(&frame));
    for (;;) {
        check(zmq_msg_recv(&frame, socket, 0));
        check(zmq_msg_send(&frame, socket, zmq_msg_more(&frame) ? ZMQ_SNDMORE : 0));
    }
}

// The first frame is the client's; the rest is what came.
[[noreturn]] void answer_with_notes(void* socket) {
    const std::string note(plain_loop::note_bytes, 'n');
    zmq_msg_t client;
    zmq_msg_t rest;
    check(zmq_msg_init(&client));
    check(zmq_msg_init(&rest));
    for (;;) {
        check(zmq_msg_recv(&client, socket, 0));
        do check(zmq_msg_recv(&rest, socket, 0));
        while (zmq_msg_more(&rest));
        check(zmq_msg_send(&client, socket, ZMQ_SNDMORE));
        check(zmq_send(socket, note.data(), note.size(), 0));
    }
}

std::vector<std::string> command_of(const std::string& directory, std::vector<std::string> extra) {
    std::vector<std::string> words{TSTREAMSD, "--store", "file:" + directory + "/served", "--listen",
                                   "ipc://" + directory + "/socket"};
    for (std::string& one : extra) words.push_back(std::move(one));
    return words;
}

// Its log goes where its lines are read.
process start(const std::vector<std::string>& words) {
    return process([&words](int out) {
        ::dup2(out, STDERR_FILENO);
        ::dup2(out, STDOUT_FILENO);
        std::vector<char*> plain;
        for (const std::string& one : words) plain.push_back(const_cast<char*>(one.c_str()));
        plain.push_back(nullptr);
        ::execv(plain.front(), plain.data());
        throw std::runtime_error("tstreamsd cannot be started: " + words.front());
    });
}

template <class Call>
std::string request_frame(const Call& call) {
    moebius::detail::header top;
    top.kind = moebius::detail::kind::request;
    top.name_bytes = static_cast<std::uint16_t>(Call::command.size());
    top.correlation = 1;
    std::string made(moebius::detail::header_bytes, '\0');
    moebius::detail::encode(top, reinterpret_cast<std::byte*>(made.data()));
    made.append(Call::command);
    return made.append(tstreams::wire::encode_request(tstreams::wire::request_head{}, call));
}

}  // namespace

void board::await_begin() {
    ready.fetch_add(1);
    while (!begun) std::this_thread::sleep_for(1ms);
}

daemon_process::daemon_process(const std::string& directory, std::vector<std::string> extra)
    : endpoint_("ipc://" + directory + "/socket"), process_(start(command_of(directory, std::move(extra)))) {
    std::string said;
    for (std::string line; line.find(" ready") == std::string::npos; said += line + "\n") {
        try {
            line = process_.line();
        } catch (const std::runtime_error&) {
            throw std::runtime_error("tstreamsd did not become ready: " + said);
        }
    }
}

plain_loop::plain_loop(const std::string& directory, answer with)
    : endpoint_("ipc://" + directory + (with == answer::echo ? "/echo" : "/notes")), process_([this, with](int out) {
          void* socket = bound(endpoint_);
          write_line(out, "ready");
          with == answer::echo ? echo(socket) : answer_with_notes(socket);
      }) {
    std::ignore = process_.line();
}

plain_client::plain_client(const std::string& endpoint)
    : context_(zmq_ctx_new()), socket_(limited(zmq_socket(context_, ZMQ_DEALER))) {
    check(zmq_connect(socket_, endpoint.c_str()));
}

plain_client::~plain_client() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
}

void plain_client::send(std::string_view head, std::string_view body) {
    check(zmq_send(socket_, head.data(), head.size(), body.empty() ? 0 : ZMQ_SNDMORE));
    if (!body.empty()) check(zmq_send(socket_, body.data(), body.size(), 0));
}

void plain_client::receive(std::size_t bytes) {
    const int size = zmq_recv(socket_, nullptr, 0, 0);
    check(size);
    if (static_cast<std::size_t>(size) != bytes) throw std::runtime_error("an answer of another size");
}

double rate_of(unsigned clients, double seconds, const std::function<void(unsigned, board&)>& work) {
    const shared<board> with;
    std::vector<process> all;
    for (unsigned i = 0; i < clients; ++i) all.emplace_back([&, i](int) { work(i, *with); });
    const auto limit = clock::now() + patience;
    while (with->ready < clients) {
        if (clock::now() > limit) throw std::runtime_error("the clients are not ready in time");
        std::this_thread::sleep_for(1ms);
    }
    const auto begin = clock::now();
    with->begun = true;
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    with->over = true;
    const std::uint64_t done = with->done;
    const std::chrono::duration<double> took = clock::now() - begin;
    for (process& one : all) one.join();
    return static_cast<double>(done) / took.count();
}

void in_process(const std::function<void()>& work) {
    process([&](int) { work(); }).join();
}

void check_count(const std::string& endpoint, const std::string& stream, std::uint64_t wanted) {
    in_process([&] {
        auto client = tstreams::client::open(endpoint);
        auto consumer = client.make_consumer(stream, {.start = tstreams::oldest});
        std::uint64_t found = 0;
        while (consumer.next(100ms)) ++found;
        if (found != wanted)
            throw std::runtime_error(std::to_string(wanted) + " transactions were acknowledged, and " +
                                     std::to_string(found) + " are there");
    });
}

std::string open_frame() {
    return request_frame(tstreams::wire::open_call{});
}

std::string write_head_frame() {
    return std::string(moebius::detail::header_bytes + tstreams::wire::write_call::command.size(), 'h');
}

std::string write_body_frame(std::size_t items, std::size_t item_bytes) {
    std::string packed;
    const std::string item = noise(item_bytes);
    for (std::size_t i = 0; i < items; ++i) tstreams::core::pack_item(packed, tstreams::as_bytes(item));
    tstreams::wire::write_call call;
    call.data = tstreams::as_bytes(packed);
    return tstreams::wire::encode_request(tstreams::wire::request_head{}, call);
}

std::string commit_frame(std::size_t inline_bytes) {
    tstreams::wire::commit_call call;
    call.request.transactions.emplace_back().inline_items = noise(inline_bytes);
    return request_frame(call);
}

}  // namespace bench
