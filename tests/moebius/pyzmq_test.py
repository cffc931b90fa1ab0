#!/usr/bin/python3
"""A plain pyzmq DEALER that sends JSON bodies with `command`, with or without an empty probe first.

No line of Moebius on this side: what is checked is that clients written for the JSON format go on working.
"""
import json
import sys

import zmq
from serving import SECONDS_MAX, expect, served


def connect(context, endpoint, probe=False, identity=None):
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.rcvtimeo = SECONDS_MAX * 1000
    dealer.probe_router = probe  # libzmq sends an empty message at each connection
    if identity:
        dealer.identity = identity
    dealer.connect(endpoint)
    return dealer


def send(dealer, command, **more):
    text = json.dumps({"command": command, **more}).encode()
    dealer.send(text)
    return text


def serve_one_client(dealer, what):
    """One to one, at once and later; one to many; one to none; errors."""
    for command in ("reply", "later"):
        text = send(dealer, command, x=[1, "ü"])
        expect(dealer.recv_multipart(), [text], f"{what}: {command}")
    send(dealer, "count")
    expect([dealer.recv_multipart() for _ in range(3)], [[b"1"], [b"2"], [b"3"]], f"{what}: count")
    send(dealer, "silent")
    send(dealer, "nonsense")  # its answer is the next to come: the silent one has none
    heard = json.loads(dealer.recv())
    expect((heard["error"], heard["code"]), ("unroutable", 4), f"{what}: nonsense")
    send(dealer, "buy")
    expect(json.loads(dealer.recv()), {"error": "application", "code": 1001, "text": "no apples left"}, f"{what}: buy")
    for garbage in (b"no json", b"[1]", b'{"command":', b"\xff\xfe"):
        dealer.send(garbage)
        expect(json.loads(dealer.recv())["error"], "malformed", f"{what}: {garbage}")
    text = send(dealer, "reply")
    expect(dealer.recv_multipart(), [text], f"{what}: after garbage")


def main():
    context = zmq.Context()
    with served(sys.argv[1]) as (endpoint, _):
        plain = connect(context, endpoint)
        serve_one_client(plain, "without a probe")
        by_hand = connect(context, endpoint)
        by_hand.send(b"")
        serve_one_client(by_hand, "with a probe by hand")
        probed = connect(context, endpoint, probe=True, identity=b"python-1")
        serve_one_client(probed, "with ZMQ_PROBE_ROUTER")
        send(probed, "identity")
        expect(probed.recv(), b"python-1", "the routing id of its own")

        # A probe alone makes a client known: it hears what is sent to all.
        silent = connect(context, endpoint, probe=True)
        for _ in range(SECONDS_MAX * 100):
            send(plain, "clients")
            if plain.recv() == b"4":
                break
        news = send(plain, "announce", text="news")
        for name, one in (("plain", plain), ("by hand", by_hand), ("probed", probed), ("silent", silent)):
            expect(one.recv(), news, f"a broadcast to {name}")
        for one in (plain, by_hand, probed, silent):
            one.close()
    context.term()
    print("4 clients of the JSON format served")


if __name__ == "__main__":
    main()
