#!/usr/bin/env python3
"""Echo servers in Python, to compare with: pyzmq_servers.py port|asyncio

port     a server as Moebius is, on one thread: clients, JSON texts routed by their command, function and generator
         handlers. pyzmq, blocking poll.
asyncio  the same routing on asyncio, the handler being a coroutine.

Binds to a free port of loopback, prints its endpoint, and serves until it is killed.
"""
import asyncio
import json
import sys
import types

import zmq
import zmq.asyncio


class Client:
    def __init__(self, socket, identity, forget):
        self.socket = socket
        self.identity = identity
        self.forget = forget

    def send(self, body):
        try:
            self.socket.send_multipart([self.identity, body], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.forget(self.identity)  # it is gone, or does not read


class Server:
    """One message per wake-up; a generator has one step per turn."""

    def __init__(self, socket, routes):
        self.socket = socket
        self.routes = routes
        self.clients = {}
        self.generators = {}

    def serve(self):
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        while True:
            if poller.poll(5 if self.generators else None):
                self.accept(*self.socket.recv_multipart())
            for identity, generator in list(self.generators.items()):
                if next(generator, self) is self:
                    self.generators.pop(identity, None)

    def forget(self, identity):
        self.clients.pop(identity, None)
        self.generators.pop(identity, None)

    def accept(self, identity, body):
        client = self.clients.get(identity)
        if client is None:
            client = self.clients[identity] = Client(self.socket, identity, self.forget)
        if not body:
            return
        try:
            handler = self.routes[json.loads(body)["command"]]
        except (ValueError, KeyError, TypeError):
            client.send(b'{"error": "Command not found"}')
            return
        started = handler(client, body)
        if isinstance(started, types.GeneratorType):
            self.generators[identity] = started


def serve_port():
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    print(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}", flush=True)
    Server(socket, {"reply": lambda client, body: client.send(body)}).serve()


async def echo(socket, identity, body):
    await socket.send_multipart([identity, body])


async def serve_asyncio():
    socket = zmq.asyncio.Context().socket(zmq.ROUTER)
    print(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}", flush=True)
    routes = {"reply": echo}
    while True:
        identity, body = await socket.recv_multipart()
        await routes[json.loads(body)["command"]](socket, identity, body)


if __name__ == "__main__":
    if sys.argv[1:] == ["port"]:
        serve_port()
    elif sys.argv[1:] == ["asyncio"]:
        asyncio.run(serve_asyncio())
    else:
        sys.exit(__doc__)
