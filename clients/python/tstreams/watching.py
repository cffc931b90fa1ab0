"""Watching: what happens to the transactions of a stream, as it happens, without their items."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from .connection import Connection
from .errors import Code, Error
from .messages import EventKind, StreamInfo, Watch

_TOLD = (EventKind.OPENED, EventKind.CHECKPOINTED, EventKind.CANCELLED, EventKind.EXPIRED)


@dataclass(frozen=True)
class Event:
    kind: EventKind
    partition: int = 0  # not of LOST, which is about all that are watched
    id: int = 0
    items: int = 0      # of a checkpointed one
    size: int = 0       # bytes of its items
    lost: int = 0       # of LOST: so many events are missing here; 0: nobody knows how many


class Watcher:
    """Events of a stream from the moment at which it was made. Within a partition they come in the order in which
    things happened. They are hints: what is not taken in time is dropped at the server, the oldest first, and LOST
    stands in its place, as for a lost connection and a restart of the server. For one thread at a time."""

    def __init__(self, connection: Connection, stream: StreamInfo, partitions: Iterable[int],
                 kinds: Iterable[EventKind], buffer_events: int) -> None:
        wanted = set(kinds) or set(_TOLD)
        self.stream = stream
        self._connection = connection
        self._call = Watch(stream.id, sorted(set(partitions)), sum(1 << one for one in wanted & set(_TOLD)),
                           buffer_events)
        self._events: deque[Event] = deque()  # of one batch
        self._closed = False
        self._feed = connection.open_feed(self._call)

    def next(self, timeout: float = 0.0) -> Event | None:
        """The next event; None where there is none within `timeout` seconds. A lost connection is made again, for the
        client's `patience`. Raises STREAM_DELETED, UNAUTHORIZED, UNAVAILABLE, ...; called again, it watches anew."""
        if self._closed:
            raise Error(Code.INVALID_STATE, f"the watcher of '{self.stream.name}' is closed")
        deadline = time.monotonic() + timeout
        while not self._events:
            if self._feed.over:
                self._feed = self._connection.open_feed(self._call)
                self._events.append(Event(EventKind.LOST))
                break
            batch = self._connection.take(self._feed, self._call, max(0.0, deadline - time.monotonic()))
            if batch is None:
                if self._feed.over:
                    continue
                return None
            if batch.lost:
                self._events.append(Event(EventKind.LOST, lost=batch.lost))
            self._events += [Event(EventKind(one.kind), one.partition, one.id, one.items, one.size)
                             for one in batch.events]
        return self._events.popleft()

    def close(self) -> None:
        """The server tells nothing more. Nothing happens the second time."""
        self._closed = True
        self._connection.close_feed(self._feed)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
