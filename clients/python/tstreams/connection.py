"""Asking a server: Moebius' binary format over ZeroMQ, the session, and repetition until there is an answer.

A connection that is lost is made again by libzmq; what had no answer is asked again over the new one with the same
sequence number, so that it is done once. A server that was restarted does not know the session; it gets a new one.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import zmq
from zmq.utils.monitor import recv_monitor_message

from .errors import Code, Error, Outcome
from .messages import Call, CloseSession, Commit, Heartbeat, Open, OpenSession, decode_reply, encode_request

R = TypeVar("R")

# Of Moebius: magic, version, kind, flags, name's length, error, correlation id, credit in items and bytes.
_HEADER = struct.Struct("<BBBBHHQII")
_MAGIC, _VERSION = 0xB5, 1
_REQUEST, _CREDIT, _CANCEL, _BYE, _REPLY, _ITEM, _END, _ERROR = 2, 4, 5, 6, 16, 17, 18, 19
_STREAM = 1  # a flag of REQUEST
_LOST = 0  # not a kind of Moebius: the connection is gone

# Errors of Moebius.
_PEER_GONE, _OVERLOADED, _UNROUTABLE, _MALFORMED, _TIMED_OUT = 1, 3, 4, 5, 6
_UNANSWERED, _STOPPING, _TOO_LARGE, _UNAUTHORIZED = 10, 12, 14, 18
_WORTH_REPEATING = frozenset((_PEER_GONE, _OVERLOADED, _TIMED_OUT, _UNANSWERED, _STOPPING))
_NOT_DONE = frozenset((_OVERLOADED, _UNROUTABLE, _MALFORMED, _STOPPING, _TOO_LARGE, _UNAUTHORIZED))
_MEANINGS = {_OVERLOADED: (Code.OVERLOADED, "the server is overloaded"),
             _UNROUTABLE: (Code.UNSUPPORTED, "the server does not know this call"),
             _TOO_LARGE: (Code.TOO_LARGE, "larger than the server takes"),
             _UNAUTHORIZED: (Code.UNAUTHORIZED, "the server does not accept this client's key")}

_FIRST_PATIENCE = 5.0
_PAUSE_FIRST, _PAUSE_MOST = 0.02, 1.0
_FEED_ITEMS = 8  # on their way or not taken; the rest waits at the server
_FEED_BYTES = 1 << 20


class Keys(NamedTuple):
    """For servers that want keys: Z85 texts of 40 characters."""

    public: str
    secret: str
    server: str

    @classmethod
    def read(cls, path: str, server: str) -> Keys:
        """The pair of a file that `tstreams key new` has written, and the server's public key. Raises OSError,
        ValueError for what is no such file, and PermissionError for one that others can read."""
        with open(path, encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PermissionError(f"{path}: open to other users (chmod go-rwx)")
            words = file.read(1024).split()
        if len(words) != 4 or words[0] != "public-key" or words[2] != "secret-key":
            raise ValueError(f"{path}: not a file of keys")
        return cls(words[1], words[3], server)


class _Message(NamedTuple):
    kind: int
    correlation: int = 0
    code: int = 0
    body: bytes = b""


class Feed:
    """A stream of replies: those that have come and were not taken."""

    def __init__(self, number: int, session: int) -> None:
        self.number = number
        self.session = session
        self.came: deque[_Message] = deque()  # _FEED_ITEMS, and what ends it
        self.cut = False   # nothing more comes than what has come
        self.over = False  # and that was taken


# Refusals that a server gives before it looks whether it knows the request.
_SAYS_NOTHING_OF_EARLIER = (Code.UNAUTHORIZED, Code.OVERLOADED, Code.TOO_LARGE, Code.STREAM_DELETED,
                            Code.STREAM_NOT_FOUND, Code.OFFSET_NOT_FOUND, Code.SHUTTING_DOWN, Code.UNAVAILABLE,
                            Code.STORAGE_FAILED, Code.CORRUPT)


class Connection:
    """One session with one server. Calls may come from any thread; one is under way at a time, and the others wait.

    While a call waits it sends the session's heartbeats itself; in between one background thread does.
    """

    def __init__(self, endpoint: str, name: str, session_timeout: float, patience: float, keys: Keys | None) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.server = ""
        self.ahead_us = 0  # how far the server's time of day is ahead of ours
        self._opening = OpenSession(name, round(session_timeout * 1000))
        self._session = 0
        self._sequence = 0
        self._request_bytes_max = 0  # of the server; 0 while there was no session
        self._perhaps_done = False  # the call that is under way: an attempt was not answered
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._period = session_timeout / 3
        self._next_beat = 0.0
        self._connected = False
        self._feeds: dict[int, Feed] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndtimeo = 1000
        self._socket.set(zmq.HEARTBEAT_IVL, 2000)
        self._socket.set(zmq.HEARTBEAT_TIMEOUT, 6000)
        if endpoint.startswith("tcp://["):
            self._socket.ipv6 = True
        if keys:
            self._socket.curve_publickey, self._socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
            self._socket.curve_serverkey = keys.server.encode()
        self._events = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._beats = threading.Thread(target=self._beat, name="tstreams heartbeats", daemon=True)
        try:
            self._socket.connect(endpoint)
            self._begin_session(time.monotonic() + min(_FIRST_PATIENCE, patience))
        except BaseException:
            self._end()
            raise
        self._beats.start()

    def call(self, call: Call[R], patience: float | None = None) -> R:
        """Asks until there is an answer, for `patience` seconds. Raises the Error that the server gives, and TOO_LARGE
        at once for more than it takes; afterwards UNAVAILABLE (not applied), or OUTCOME_UNKNOWN for a call that acts
        and may have been done."""
        with self._lock:
            self._check_open()
            deadline = time.monotonic() + (self.patience if patience is None else patience)
            self._perhaps_done = moved = False
            while True:
                try:
                    if not self._session:
                        self._begin_session(deadline)
                        moved = self._perhaps_done
                    self._sequence += call.acts
                    body = encode_request(call, self._session, self._sequence if call.acts else 0,
                                          self._sequence if call.acts else self._sequence + 1)
                    return decode_reply(self._ask(call, body, deadline), type(call))
                except Error as failure:
                    if failure.outcome == Outcome.UNKNOWN and isinstance(call, Open):
                        self._session = 0  # what was opened and never heard of ends with its session
                    over = failure.code == Code.SESSION_ENDED
                    if over and time.monotonic() < deadline:
                        self._session = 0
                        if isinstance(call, Commit):
                            call.fresh = False
                        continue
                    # An earlier attempt may have been done: a refusal in another session says nothing of it.
                    unsure = call.acts and self._perhaps_done and (
                        over or not self._session or moved and failure.code in _SAYS_NOTHING_OF_EARLIER)
                    if unsure and failure.outcome == Outcome.NOT_APPLIED:
                        code = failure.code if self._session else Code.OUTCOME_UNKNOWN
                        raise Error(code, str(failure), Outcome.UNKNOWN) from failure
                    raise

    def open_feed(self, call: Call[R]) -> Feed:
        """Asks for a stream of replies until its first item has come, which is not given. Raises as call() does."""
        with self._lock:
            self._check_open()
            deadline = time.monotonic() + self.patience
            pause = _PAUSE_FIRST
            while True:
                if not self._session:
                    self._begin_session(deadline)
                feed = self._begin_feed(call)
                begun = False
                try:
                    begun = self._take(feed, call, deadline) is not None
                    if begun:
                        return feed
                finally:
                    if not begun:
                        self.close_feed(feed)
                if time.monotonic() + pause >= deadline:
                    raise self._failure(call, _Message(_ERROR, code=_TIMED_OUT), False)
                time.sleep(pause)
                pause = min(2 * pause, _PAUSE_MOST)

    def take(self, feed: Feed, call: Call[R], timeout: float) -> R | None:
        """The next reply of the feed that `call` has opened; None where none comes within `timeout` seconds, or the
        feed is `over` and may be opened again. Raises the Error with which the server has ended it."""
        with self._lock:
            self._check_open()
            return self._take(feed, call, time.monotonic() + timeout)

    def close_feed(self, feed: Feed) -> None:
        """The server is told, where it can be. Nothing happens the second time."""
        with self._lock:
            feed.over = True
            if self._feeds.pop(feed.number, None) and not feed.cut and not self._closing.is_set():
                with contextlib.suppress(zmq.Again):
                    self._send(_CANCEL, feed.number)

    def close(self) -> None:
        """Ends the session: what is open in it is cancelled. Nothing happens the second time."""
        with self._lock:
            if self._closing.is_set():
                return
            if self._session and self._connected:
                try:
                    call = CloseSession()
                    self._ask(call, encode_request(call, self._session), time.monotonic() + _PAUSE_MOST)
                except Error:
                    pass  # it ends by itself
            self._closing.set()
        self._beats.join()
        self._end()

    def _end(self) -> None:
        self._closing.set()
        self._socket.disable_monitor()
        self._events.close(0)
        self._socket.close()
        self._context.term()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise Error(Code.SHUTTING_DOWN, "the client is closed")

    def _begin_session(self, deadline: float) -> None:
        body = encode_request(self._opening)
        opened = decode_reply(self._ask(self._opening, body, deadline), OpenSession)
        self._session, self._sequence = opened.session, 0
        self._request_bytes_max = opened.request_bytes_max
        self.server = opened.server
        self.ahead_us = opened.now - time.time_ns() // 1000

    # -- asking ---------------------------------------------------------------------------------------------

    def _check_size(self, call: Call[R], body: bytes) -> None:
        """The server ends the connection over a larger one, and it would be sent again and again."""
        if 0 < self._request_bytes_max < len(body):
            raise Error(Code.TOO_LARGE, f"{call.command}: a request of {len(body)} bytes: {self.endpoint} takes "
                        f"{self._request_bytes_max}")

    def _ask(self, call: Call[R], body: bytes, deadline: float) -> bytes:
        self._check_size(call, body)
        pause = _PAUSE_FIRST
        while True:
            answer = self._exchange(call.command, body, deadline)
            if answer.kind == _REPLY:
                return answer.body
            if answer.code not in _WORTH_REPEATING or time.monotonic() + pause >= deadline:
                raise self._failure(call, answer, self._perhaps_done)
            if call.acts:
                self._perhaps_done = self._perhaps_done or answer.code not in _NOT_DONE
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE_MOST)

    def _failure(self, call: Call[R], answer: _Message, perhaps_done: bool) -> Error:
        where = f"{call.command} at {self.endpoint}: "
        unknown = call.acts and (perhaps_done or answer.code not in _NOT_DONE)
        outcome = Outcome.UNKNOWN if unknown else Outcome.NOT_APPLIED
        if answer.code in _MEANINGS:
            code, text = _MEANINGS[answer.code]
            return Error(code, where + text, outcome)
        if answer.code not in _WORTH_REPEATING:
            return Error(Code.MALFORMED_MESSAGE, where + "that is no tstreamsd: " + answer.body.decode(), outcome)
        if unknown:
            return Error(Code.OUTCOME_UNKNOWN, where + "no answer in time; it may have been done", outcome)
        return Error(Code.UNAVAILABLE, where + "no answer in time; does tstreamsd run there, and does it want keys?")

    def _exchange(self, command: str, body: bytes, deadline: float) -> _Message:
        """One attempt: what answers it, or an error of Moebius that says why nothing does."""
        for _ in self._incoming(0):
            pass  # late answers, and losses that are older than this question
        number = next(self._numbers)
        try:
            self._send(_REQUEST, number, command, body)
            while (left := deadline - time.monotonic()) > 0:
                self._heartbeat()
                for message in self._incoming(min(left, self._period)):
                    if message.kind == _LOST:
                        return _Message(_ERROR, code=_PEER_GONE)
                    if message.correlation == number:
                        return message
        except zmq.Again:
            pass  # too much waits for a connection
        except BaseException:
            self._send(_CANCEL, number)
            raise
        return _Message(_ERROR, code=_TIMED_OUT)

    def _send(self, kind: int, number: int, command: str = "", body: bytes = b"", items: int = 0,
              size: int = 0) -> None:
        """`items`, `size`: of a stream of replies, how many and how many bytes may come."""
        name = command.encode()
        flags = _STREAM if kind == _REQUEST and items else 0
        head = _HEADER.pack(_MAGIC, _VERSION, kind, flags, len(name), 0, number, items, size)
        self._socket.send(head + name + body)

    def _incoming(self, timeout: float) -> Iterator[_Message]:
        """What comes within `timeout` seconds, without waiting for more than the first; at last the loss of the
        connection, which is seen when all that came before it has been read."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._events, zmq.POLLIN)
        poller.poll(math.ceil(timeout * 1000))
        lost = False
        while self._events.poll(0):
            self._connected = recv_monitor_message(self._events)["event"] != zmq.EVENT_DISCONNECTED
            lost = lost or not self._connected
        if lost:
            self._cut_feeds()
        while self._socket.poll(0):
            head, *rest = self._socket.recv_multipart()
            if len(head) < _HEADER.size:
                continue  # of whatever is no tstreamsd
            _, _, kind, _, skip, code, number, _, _ = _HEADER.unpack_from(head)
            if kind == _BYE:
                lost = True
                self._cut_feeds()
            if kind in (_REPLY, _ITEM, _END, _ERROR):
                message = _Message(kind, number, code, rest[0] if rest else head[_HEADER.size + skip:])
                if not self._keep(message):
                    yield message
        if lost:
            yield _Message(_LOST)

    # -- streams of replies ---------------------------------------------------------------------------------

    def _begin_feed(self, call: Call[R]) -> Feed:
        for _ in self._incoming(0):
            pass  # losses that are older than this question
        body = encode_request(call, self._session, 0, self._sequence + 1)
        self._check_size(call, body)
        feed = Feed(next(self._numbers), self._session)
        self._feeds[feed.number] = feed
        try:
            self._send(_REQUEST, feed.number, call.command, body, _FEED_ITEMS, _FEED_BYTES)
        except zmq.Again:
            feed.cut = True  # too much waits for a connection
        return feed

    def _take(self, feed: Feed, call: Call[R], deadline: float) -> R | None:
        message = self._next_of(feed, deadline)
        if message is None:
            return None
        if message.kind == _ITEM:
            try:
                reply = decode_reply(message.body, type(call))
                with contextlib.suppress(zmq.Again):
                    self._send(_CREDIT, feed.number, items=1, size=len(message.body))
                return reply
            except Error as failure:
                self.close_feed(feed)
                if failure.code != Code.SESSION_ENDED:
                    raise
                if self._session == feed.session:
                    self._session = 0
                return None
        self.close_feed(feed)
        if message.kind == _ERROR and message.code not in _WORTH_REPEATING:
            raise self._failure(call, message, False)
        return None

    def _next_of(self, feed: Feed, deadline: float) -> _Message | None:
        """None: nothing in time. What came before a connection was lost is given before the loss."""
        while True:
            for _ in self._incoming(0):
                pass
            if feed.came:
                return feed.came.popleft()
            if feed.cut:
                return _Message(_ERROR, code=_PEER_GONE)
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            with contextlib.suppress(zmq.Again):
                self._heartbeat()
            for _ in self._incoming(min(left, self._period)):
                pass

    def _keep(self, message: _Message) -> bool:
        """Whether it is of a feed."""
        feed = self._feeds.get(message.correlation)
        if feed is None:
            return False
        feed.came.append(message)
        feed.cut = feed.cut or message.kind != _ITEM
        return True

    def _cut_feeds(self) -> None:
        """Their connection is gone. What came over it may still have to be read."""
        for feed in self._feeds.values():
            feed.cut = True

    # -- heartbeats -----------------------------------------------------------------------------------------

    def _heartbeat(self) -> None:
        """Where one is due. Nobody waits for its answer: a session that is over shows itself at the next call."""
        if self._session and self._connected and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self._period
            call = Heartbeat()
            self._send(_REQUEST, next(self._numbers), call.command,
                       encode_request(call, self._session, 0, self._sequence + 1))

    def _beat(self) -> None:
        while not self._closing.wait(self._period / 2):
            if self._lock.acquire(blocking=False):  # else a call is under way, and does it
                try:
                    for _ in self._incoming(0):
                        pass
                    self._heartbeat()
                except zmq.Again:
                    pass
                finally:
                    self._lock.release()
