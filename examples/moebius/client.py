"""A client of the binary format, written from docs/moebius-wire.md: calls, and streams with credit."""
import itertools, struct, zmq

HEAD = struct.Struct("<BBBBHHQII")  # magic, version, kind, flags, name's length, error, id, credit in items and bytes
ids = itertools.count(1)

def send(socket, kind, id, name=b"", body=b"", flags=0, items=0, size=0):
    socket.send(HEAD.pack(0xB5, 1, kind, flags, len(name), 0, id, items, size) + name + body)

def receive(socket, id):
    while True:
        head, *rest = socket.recv_multipart()
        _, _, kind, _, skip, code, of, _, _ = HEAD.unpack_from(head)
        body = rest[0] if rest else head[24 + skip:]
        if of == id and kind == 19: raise RuntimeError(code, body.decode())
        if of == id: return kind, body  # others are late answers, or answer nothing

def call(socket, command, body=b""):
    send(socket, 2, id := next(ids), command, body)
    return receive(socket, id)[1]

def stream(socket, command, body=b"", window=16):
    send(socket, 2, id := next(ids), command, body, 1, window, 1 << 20)
    while (answer := receive(socket, id))[0] == 17:
        yield answer[1]
        send(socket, 4, id, items=1, size=len(answer[1]))  # it is read: one more
