"""The client: one server, its streams, and what reads and writes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from types import TracebackType

from .connection import Connection, Keys
from .consuming import Consumer, Start, StartAt
from .errors import Code, Error
from .groups import CheckpointGroup
from .messages import (CreateStream, DeleteStream, Durability, DurabilityLevel, EventKind, FindCommit, FindStream,
                       FindTransaction, ListStreams, RequestId, StreamInfo, StreamOptions, TransactionState)
from .producing import Producer, new_request
from .watching import Watcher


class Client:
    """A session with a tstreamsd. What it makes works as long as it is open; leaving the block closes it.

    May be used from several threads, but one call is under way at a time: what has to go on beside a consumer that
    waits needs a client of its own.
    """

    def __init__(self, endpoint: str, *, name: str = "", session_timeout: float = 30.0, patience: float = 30.0,
                 keys: Keys | None = None) -> None:
        """`endpoint`: tcp://HOST:PORT or ipc:///PATH. `name`: shown to others. `session_timeout`: seconds of silence
        after which the server cancels what this client has open. `patience`: seconds for a call with all its
        repetitions. Raises UNAVAILABLE when nobody answers there within 5 seconds, TOO_LARGE for a longer
        `session_timeout` than the server allows."""
        shown = name or f"{os.path.basename(sys.argv[0]) or 'python'} (pid {os.getpid()})"
        self._connection = Connection(endpoint, shown, session_timeout, patience, keys)

    def close(self) -> None:
        """Transactions that are open are cancelled."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    @property
    def server(self) -> str:
        """Name and version, for people."""
        return self._connection.server

    # -- streams --------------------------------------------------------------------------------------------

    def create_stream(self, name: str, *, partitions: int = 1, ttl: int = 86_400,
                      durability: Durability = Durability.SYNC, interval_ms: int = 0, description: str = "",
                      max_open: int = 0) -> StreamInfo:
        """`ttl`, `max_open`: seconds. Raises STREAM_EXISTS."""
        options = StreamOptions(name, partitions, ttl, DurabilityLevel(durability, interval_ms), description, max_open)
        return self._connection.call(CreateStream(options, new_request(self._connection)))

    def find_stream(self, name: str) -> StreamInfo | None:
        return self._connection.call(FindStream(name))

    def list_streams(self, prefix: str = "") -> Iterator[StreamInfo]:
        """By name, bytewise; a page at a time."""
        after = ""
        while True:
            page = self._connection.call(ListStreams(prefix, after, 1000))
            yield from page.streams
            if not page.next:
                return
            after = page.next

    def delete_stream(self, name: str) -> None:
        self._connection.call(DeleteStream(name))

    # -- agents ---------------------------------------------------------------------------------------------

    def producer(self, stream: str, *, name: str = "", max_open: float = 0.0) -> Producer:
        """`max_open`: seconds that its transactions may stay open, where that is less than the stream's."""
        return Producer(self._connection, self._stream(stream), name, max_open)

    def consumer(self, stream: str, *, name: str = "", start: StartAt = Start.OLDEST, reset: bool = False,
                 partitions: list[int] | None = None) -> Consumer:
        """A stored position of the name wins over `start`, unless `reset`. Raises OFFSET_NOT_FOUND for Start.STORED
        where there is none."""
        return Consumer(self._connection, self._stream(stream), name, start, reset, partitions)

    def watch(self, stream: str, *, partitions: Iterable[int] = (), kinds: Iterable[EventKind] = (),
              buffer_events: int = 1024) -> Watcher:
        """Without `partitions` all, those included that are added later; without `kinds` all. `buffer_events`: 1 to
        8,192 events wait at the server before some are dropped. Raises OVERLOADED above 64 watchers of a client."""
        return Watcher(self._connection, self._stream(stream), partitions, kinds, buffer_events)

    def checkpoint_group(self) -> CheckpointGroup:
        return CheckpointGroup(self._connection)

    # -- what became of it ----------------------------------------------------------------------------------

    def state(self, stream: str, partition: int, transaction: int) -> TransactionState:
        found = self._connection.call(FindTransaction(self._stream(stream).id, partition, transaction))
        return TransactionState(found.info.state)

    def commit_state(self, request: RequestId) -> TransactionState:
        """What became of a group's checkpoint, finally: NOT_CHECKPOINTED is so for ever, because the request is
        refused from then on. GONE: it is older than an hour."""
        return TransactionState(self._connection.call(FindCommit(request.high, request.low)))

    def _stream(self, name: str) -> StreamInfo:
        found = self.find_stream(name)
        if found is None:
            raise Error(Code.STREAM_NOT_FOUND, f"stream '{name}': no such stream")
        return found
