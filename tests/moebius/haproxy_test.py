#!/usr/bin/python3
"""The HAProxy configuration of the guide, with two servers behind it: clients are spread, and outlive a server.

    haproxy_test.py SERVER CONFIGURATION      only the addresses of the configuration are replaced
"""
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq
from serving import SECONDS_MAX, expect, served

HAPROXY = "/usr/sbin/haproxy"
CLIENTS = 8


def configure(template, listener, endpoints):
    text = template.read_text()
    expect(len(re.findall(r"^    bind ", text, re.MULTILINE)), 1, "lines with bind")
    text = re.sub(r"^    bind \S+", f"    bind fd@{listener.fileno()}", text, flags=re.MULTILINE)
    for name, endpoint in endpoints.items():
        text, count = re.subn(rf"^    server {name} \S+", f"    server {name} {endpoint.removeprefix('tcp://')}", text,
                              flags=re.MULTILINE)
        expect(count, 1, f"lines for server {name}")
    return text


def ask(client, patience=SECONDS_MAX):
    """Asks until an answer comes: what was in flight when a connection was lost has none."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        client.send(b'{"command":"where"}')
        if client.poll(1000):
            return client.recv().decode()
    raise SystemExit("no answer through HAProxy")


def check(context, port, one, other):
    (first, process), (second, _) = one, other
    clients = []
    for _ in range(CLIENTS):
        client = context.socket(zmq.DEALER)
        client.linger = 0
        client.connect(f"tcp://127.0.0.1:{port}")
        clients.append(client)
    try:
        seen = [ask(client) for client in clients]
        expect(set(seen), {first, second}, "the servers that were reached")
        expect([ask(client) for client in clients], seen, "a client stays with its server")
        process.kill()
        process.wait()
        for client in clients:
            end = time.monotonic() + SECONDS_MAX
            while ask(client) != second:  # a late answer of the first may come before
                if time.monotonic() > end:
                    raise SystemExit("a client did not reach the other server")
    finally:
        for client in clients:
            client.close()


def main():
    server, template = sys.argv[1], Path(sys.argv[2])
    subprocess.run([HAPROXY, "-c", "-q", "-f", template], check=True)
    context = zmq.Context()
    with tempfile.TemporaryDirectory(prefix="moebius-haproxy-") as folder, served(server) as one, \
            served(server) as other, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        file = Path(folder) / "haproxy.cfg"
        file.write_text(configure(template, listener, {"one": one[0], "two": other[0]}))
        proxy = subprocess.Popen([HAPROXY, "-q", "-db", "-f", file], pass_fds=[listener.fileno()])
        try:
            check(context, listener.getsockname()[1], one, other)
        finally:
            proxy.kill()
            proxy.wait()
    context.term()
    print(f"{CLIENTS} clients spread over two servers, and served after one was killed")


if __name__ == "__main__":
    main()
