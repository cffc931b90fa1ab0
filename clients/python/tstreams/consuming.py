"""Reading: consumers, and the transactions that they give."""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from . import frames
from .connection import Connection
from .errors import Code, Error, PositionExpired
from .messages import (AttachConsumer, BlobRef, Blocker, DetachConsumer, FindTransaction, ListOffsets, OffsetUpdate,
                       Read, ReadFrame, Resolve, StartKind, StartPoint, StoredTransaction, StreamInfo,
                       TransactionState, WaitPosition, WaitReadable)
from .producing import Checkpoint

_SLICE = 20.0  # of one question whether there is something to read
_SLACK = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Start(enum.Enum):
    OLDEST = "the oldest transaction that there is"
    NEWEST = "what becomes readable from now on"
    STORED = "the stored position, which must be there"


# Or a moment (which has to say its time zone): what was opened then or later. Or positions: the last transaction that
# is done, per partition; partitions without one start at the oldest.
StartAt = Start | datetime | Mapping[int, int]


def time_of(transaction: int) -> datetime:
    """When it was opened, by the server's clock."""
    return _EPOCH + timedelta(microseconds=transaction >> 10)


def start_point(start: StartAt, partition: int) -> StartPoint:
    if isinstance(start, datetime):
        return StartPoint(StartKind.AFTER, max(0, ((start - _EPOCH) // timedelta(microseconds=1) << 10) - 1))
    if isinstance(start, Mapping):
        return StartPoint(StartKind.AFTER, start[partition]) if partition in start else StartPoint(StartKind.OLDEST)
    return StartPoint(StartKind.NEWEST if start is Start.NEWEST else StartKind.OLDEST)


class Received:
    """A checkpointed transaction. (stream id, partition, id) is unique and ordered for ever."""

    def __init__(self, connection: Connection, stream: StreamInfo, partition: int, stored: StoredTransaction) -> None:
        self.stream = stream
        self.partition = partition
        self.id = stored.id
        self.size = stored.size  # bytes of its items
        self._connection = connection
        self._stored = stored

    def __len__(self) -> int:
        """How many items it has."""
        return self._stored.items

    def __bool__(self) -> bool:
        return True  # also one without items

    def __iter__(self) -> Iterator[bytes]:
        """The items, from the first one, a frame at a time. Raises PositionExpired where retention was faster."""
        yield from frames.unpack(self._stored.inline_items)
        left = self._stored.frames[::-1]
        while left:
            frame = left.pop()
            data = self._read(frame.blob)
            if frame.level == 0:
                yield from frames.unpack(data)
            else:
                left += frames.unpack_references(data)[::-1]

    @property
    def opened_at(self) -> datetime:
        return time_of(self.id)

    def _read(self, blob: BlobRef) -> bytes:
        try:
            return self._connection.call(ReadFrame(blob))
        except Error as failure:
            if failure.code != Code.CORRUPT:
                raise
            found = self._connection.call(FindTransaction(self.stream.id, self.partition, self.id))
            if found.info.state != TransactionState.GONE:
                raise
            raise PositionExpired(f"transaction {self.id} was removed while it was read", self.partition,
                                  self.id) from failure


@dataclass
class _Slot:
    instance: int
    position: int  # of the last transaction that next() gave
    fetched: int   # of the last one in the buffer
    buffer: deque[Received] = field(default_factory=deque)


class Consumer:
    """Reads a stream's partitions, each in the order in which its transactions were opened. With a name it can store
    its positions, and an older instance of that name is fenced. For one thread at a time."""

    def __init__(self, connection: Connection, stream: StreamInfo, name: str, start: StartAt, reset: bool,
                 partitions: list[int] | None) -> None:
        if start is Start.STORED and (reset or not name):
            raise Error(Code.INVALID_ARGUMENT, "a start at the stored position needs a name, and is no reset")
        self.stream = stream
        self.name = name
        self.in_group = False
        self._connection = connection
        self._checkpoint: Checkpoint | None = None
        self._turn = 0
        self._waits = 0
        wanted = sorted(set(partitions)) if partitions else list(range(stream.partitions))
        attached = connection.call(AttachConsumer(stream.id, name, wanted, [start_point(start, one) for one in wanted],
                                                  reset, start is Start.STORED))
        self._slots = {one.partition: _Slot(one.instance, one.position, one.position) for one in attached}

    def next(self, timeout: float = 0.0) -> Received | None:
        """The next transaction of any partition; None where there is none within `timeout` seconds. Raises
        PositionExpired where retention was faster than this consumer."""
        deadline = time.monotonic() + timeout
        while True:
            if (ready := self._take()) is not None:
                return ready
            if not self._fill(deadline) and time.monotonic() >= deadline:
                return None

    def positions(self) -> dict[int, int]:
        """Per partition the id of the last transaction that next() gave."""
        return {partition: one.position for partition, one in self._slots.items()}

    def set_position(self, partition: int, after: int) -> None:
        """next() goes on behind `after`. Stored by the next checkpoint."""
        slot = self._slots[partition]
        slot.position = slot.fetched = after
        slot.buffer.clear()

    def seek(self, start: StartAt) -> None:
        """The same for all partitions."""
        stored = {}
        if start is Start.STORED:
            stored = {one.partition: one.position
                      for one in self._connection.call(ListOffsets(self.stream.id, self.name))}
        for partition in self._slots:
            if start is Start.STORED:
                self.set_position(partition, stored[partition])
            else:
                self.set_position(partition, self._connection.call(
                    Resolve(self.stream.id, partition, start_point(start, partition))))

    def checkpoint(self) -> None:
        """Stores the positions: the next instance of this name goes on there. After an error with Outcome.UNKNOWN call
        it again."""
        if self.in_group:
            raise Error(Code.INVALID_STATE, f"the consumer of '{self.stream.name}' is in a group, which decides")
        if self._checkpoint is None:
            self._checkpoint = Checkpoint(self._connection)
            self._add_to(self._checkpoint)
        try:
            self._checkpoint.run()
        finally:
            if not self._checkpoint.in_doubt:
                self._checkpoint = None

    def blocked_by(self) -> list[Blocker]:
        """The open transactions at which this consumer waits."""
        found = []
        for partition, slot in self._slots.items():
            reply = self._connection.call(Read(self.stream.id, partition, slot.fetched, transactions_max=1))
            if not slot.buffer and not reply.transactions and reply.blocked and reply.blocked.id > slot.fetched:
                found.append(reply.blocked)
        return found

    def close(self) -> None:
        """Others see that no instance of this name is at work any more."""
        if self.name:
            self._connection.call(DetachConsumer(self.stream.id, self.name))

    def _take(self) -> Received | None:
        slots = list(self._slots.values())
        for _ in slots:
            self._turn += 1
            slot = slots[self._turn % len(slots)]
            if slot.buffer:
                ready = slot.buffer.popleft()
                slot.position = ready.id
                return ready
        return None

    def _fill(self, deadline: float) -> bool:
        """Waits for something to read, for a slice of time at most, and reads it."""
        self._waits += 1
        patience = max(0.0, min(deadline - time.monotonic(), _SLICE))
        positions = [WaitPosition(partition, slot.fetched) for partition, slot in self._slots.items()]
        call = WaitReadable(self._waits, self.stream.id, positions, round(patience * 1000))
        readable = self._connection.call(call, patience + max(_SLACK, self._connection.patience))
        some = False
        for partition in readable:
            slot = self._slots[partition]
            for stored in self._connection.call(Read(self.stream.id, partition, slot.fetched)).transactions:
                slot.buffer.append(Received(self._connection, self.stream, partition, stored))
                slot.fetched = stored.id
                some = True
        if readable and not some:
            time.sleep(0.002)  # what is being decided at this moment is not there yet
        return some

    def _add_to(self, checkpoint: Checkpoint) -> None:
        if not self.name:
            raise Error(Code.INVALID_STATE, f"a consumer of '{self.stream.name}' without a name stores no positions")
        for partition, slot in self._slots.items():
            checkpoint.offsets.append(OffsetUpdate(self.stream.id, partition, self.name, slot.instance, slot.position))
