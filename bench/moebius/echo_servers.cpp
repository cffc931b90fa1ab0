#include "echo_servers.hpp"

#include "processes.hpp"

#include <zmq.h>
#include <moebius/moebius.hpp>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {
namespace {

void check(int outcome) {
    if (outcome < 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
}

moebius::task<> echo(moebius::request asked) {
    moebius::message body = asked.take_body();
    co_await asked.reply(std::move(body));
}

template <class Handler>
void serve_moebius(int out, Handler handler) {
    moebius::command_router routes;
    routes.on("reply", std::move(handler));
    moebius::loop loop;
    moebius::server server(loop, routes);
    server.bind("tcp://127.0.0.1:*");
    write_line(out, server.endpoint());
    server.run();
}

}  // namespace

// As fast as libzmq goes without tricks: blocking calls, frames moved from receive to send.
void serve_plain(int out) {
    void* context = zmq_ctx_new();
    void* socket = zmq_socket(context, ZMQ_ROUTER);
    check(zmq_bind(socket, "tcp://127.0.0.1:*"));
    std::array<char, 256> endpoint{};
    std::size_t size = endpoint.size();
    check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint.data(), &size));
    write_line(out, endpoint.data());
    zmq_msg_t frame;
    check(zmq_msg_init(&frame));
    for (;;) {
        check(zmq_msg_recv(&frame, socket, 0));
        check(zmq_msg_send(&frame, socket, zmq_msg_more(&frame) ? ZMQ_SNDMORE : 0));
    }
}

void serve_functions(int out) {
    serve_moebius(out, [](moebius::request& asked) { asked.reply(asked.take_body()); });
}

void serve_coroutines(int out) {
    serve_moebius(out, echo);
}

}  // namespace bench
