#!/usr/bin/python3
"""The wire format from another language: the test vectors, and the client of docs/moebius-wire.md at work.

    wire_test.py VECTORS SERVER
"""
import pathlib
import sys

import zmq
from serving import SECONDS_MAX, expect, served

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples/moebius"))
import client  # noqa: E402

FIELDS = ("kind", "flags", "code", "correlation", "credit_messages", "credit_bytes")


def load(file):
    words, frames = {}, []
    for line in file.read_text().splitlines():
        word, _, value = line.partition(" ")
        if word == "frame":
            frames.append(bytes.fromhex(value))
        elif word == "message":
            message = bytes.fromhex(value)
            words["body"] = words.get("body", b"") + len(message).to_bytes(4, "little") + message
        elif word != "#":
            words[word] = value
    return words, frames


def check_vector(name, words, frames):
    kind, flags, code, correlation, messages, size = (int(words.get(field, 0)) for field in FIELDS)
    text = words.get("name", "").encode()
    head = client.HEAD.pack(0xB5, 1, kind, flags, len(text), code, correlation, messages, size) + text
    body = words.get("body", "")
    body = body.encode() if isinstance(body, str) else body
    expect(frames, [head + body] if len(frames) == 1 else [head, body], name)


def check_vectors(folder):
    checked = 0
    for file in sorted(folder.glob("*.txt")):
        words, frames = load(file)
        if "kind" in words:
            check_vector(file.stem, words, frames)
            checked += 1
    if checked < 15:
        raise SystemExit(f"{checked} vectors found")
    return checked


def check_client(server):
    expect(client.call(server, b"reply", b"hello"), b"hello", "a call")
    expect(client.call(server, b"reply"), b"", "a call without a body")
    for size in (8192, 8193, 300_000):
        expect(client.call(server, b"reply", b"x" * size), b"x" * size, f"{size} bytes")
    requests = [client.HEAD.pack(0xB5, 1, 2, 0, 5, 0, 100 + number, 0, 0) + b"reply" + b"%d" % number
                for number in range(50)]
    batch = b"".join(len(one).to_bytes(4, "little") + one for one in requests)
    client.send(server, 7, 0, body=batch)
    expect([client.receive(server, 100 + number)[1] for number in range(50)], [b"%d" % number for number in range(50)],
           "a batch")
    first = client.stream(server, b"count", b"1000", window=4)
    expect([next(first) for _ in range(10)], [b"%d" % number for number in range(1, 11)], "the begin of a stream")
    client.send(server, 5, 7)  # a cancel of what does not exist is not answered
    expect(list(first), [b"%d" % number for number in range(11, 1001)], "the rest of the stream")
    for command, wanted in ((b"buy", (1001, "no apples left")), (b"nonsense", (4, "no rule for this request")),
                            (b"silent", (10, ""))):
        try:
            client.call(server, command)
        except RuntimeError as failure:
            expect(failure.args, wanted, f"the error of {command}")
        else:
            raise SystemExit(f"{command} did not fail")
    client.send(server, 1, 0, "Zoë".encode())
    expect(client.call(server, b"name"), "Zoë".encode(), "the name told by HELLO")


def main():
    checked = check_vectors(pathlib.Path(sys.argv[1]))
    with served(sys.argv[2]) as (endpoint, _):
        server = zmq.Context.instance().socket(zmq.DEALER)
        server.linger = 0
        server.rcvtimeo = SECONDS_MAX * 1000
        server.connect(endpoint)
        check_client(server)
        server.close()
    print(f"{checked} vectors, and the client's calls and streams")


if __name__ == "__main__":
    main()
