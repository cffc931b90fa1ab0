"""Writing: producers, transactions, and the commit that decides them."""

from __future__ import annotations

import enum
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from . import frames
from .connection import Connection
from .errors import Code, Error, Outcome
from .messages import (AttachProducer, Cancel, Commit, Decision, OffsetUpdate, Open, OpenRequest, RequestId,
                       SourceUpdate, StreamInfo, TransactionRef, Write)


def new_request(connection: Connection, kept: bool = True) -> RequestId:
    """When it was made, by the server's clock, and random bits. `kept`: its answer is known for an hour."""
    made = time.time_ns() // 1000 + connection.ahead_us
    return RequestId(made << 10 | secrets.randbits(9) << 1 | kept, secrets.randbits(64))


def _bytes_of(item: bytes | str) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if not isinstance(item, (bytes, bytearray, memoryview)):
        raise TypeError(f"an item is bytes or str, not {type(item).__name__}")
    return bytes(item)


class Phase(enum.Enum):
    OPEN = "open"
    IN_DOUBT = "of unknown outcome: call checkpoint() again to settle it"
    CHECKPOINTED = "checkpointed already"
    CANCELLED = "cancelled already"


class Checkpoint:
    """One commit: made once, and asked again until its outcome is known. With an unknown outcome what takes part in it
    can do nothing but run() it again; after NOT_APPLIED everything is as it was before."""

    def __init__(self, connection: Connection, request: RequestId | None = None) -> None:
        self._connection = connection
        self.transactions: list[Transaction] = []
        self.offsets: list[OffsetUpdate] = []
        self.sources: list[SourceUpdate] = []
        self.request = request
        self.when_applied: list[Callable[[], None]] = []
        self._call: Commit | None = None

    def __bool__(self) -> bool:
        return bool(self.transactions or self.offsets or self.sources)

    @property
    def in_doubt(self) -> bool:
        return self._call is not None

    def run(self) -> None:
        if self._call is None:
            decisions = [one._decision() for one in self.transactions]
            fresh = self.request is None
            if self.request is None:
                self.request = new_request(self._connection, len(decisions) + len(self.offsets) + len(self.sources) > 1)
            self._call = Commit(self.request, decisions, self.offsets, self.sources, fresh)
        try:
            self._connection.call(self._call)
        except Error as failure:
            self._end(failure.outcome)
            raise
        self._end(Outcome.APPLIED)

    def _end(self, outcome: Outcome) -> None:
        phases = {Outcome.APPLIED: Phase.CHECKPOINTED, Outcome.NOT_APPLIED: Phase.OPEN, Outcome.UNKNOWN: Phase.IN_DOUBT}
        for one in self.transactions:
            one._decided(phases[outcome], self)
        if outcome != Outcome.UNKNOWN:
            self._call = None
        elif self._call:
            self._call.fresh = False  # it may have been done
        if outcome == Outcome.APPLIED:
            for tell in self.when_applied:
                tell()


class Transaction:
    """An open transaction of one partition. Readers wait at it until it is checkpointed or cancelled, or until its
    stream's `max_open` is over. As a context manager it is cancelled at the end of the block where it is undecided;
    in a checkpoint group only where the block fails, and the group's next checkpoint is refused then.

    For one thread at a time."""

    def __init__(self, producer: Producer, ref: TransactionRef, expires: int) -> None:
        self.partition = ref.partition
        self.id = ref.id
        self.expires_us = expires
        self._producer = producer
        self._ref = ref
        self._phase = Phase.OPEN
        self._failure: Error | None = None
        self._checkpoint: Checkpoint | None = None  # of unknown outcome
        self._frame = bytearray()
        self._frames = self._items = self._bytes = 0

    def put(self, item: bytes | str) -> None:
        """Adds an item. Of a large transaction a frame of some 1 MiB is held at a time."""
        self._check_open()
        data = _bytes_of(item)
        packed = frames.packed(data)
        if self._frame and len(self._frame) + len(packed) > frames.TARGET:
            self._flush()
        self._frame += packed
        self._items += 1
        self._bytes += len(data)

    def checkpoint(self, source: bytes | None = None) -> None:
        """On return it is as durable as its stream's level says. `source`: where the producer, which has a name then,
        stands in what it reads from; stored with the transaction. After an error with Outcome.UNKNOWN call it again."""
        self._producer._check_free()
        if self._checkpoint is None:
            self._check_open()
            self._checkpoint = self._producer._new_checkpoint([self], source)
        self._run()

    def _run(self) -> None:
        checkpoint = self._checkpoint
        assert checkpoint
        try:
            checkpoint.run()
        finally:
            if not checkpoint.in_doubt:
                self._checkpoint = None

    def cancel(self) -> None:
        """Nobody sees anything of it. Does nothing the second time; raises TRANSACTION_CLOSED with Outcome.APPLIED for
        one that is checkpointed, and INVALID_STATE while that is unknown."""
        if self._phase == Phase.CANCELLED:
            return
        if self._phase == Phase.CHECKPOINTED:
            raise Error(Code.TRANSACTION_CLOSED, f"{self} is checkpointed already", Outcome.APPLIED)
        if self._phase == Phase.IN_DOUBT:
            raise Error(Code.INVALID_STATE, f"{self} is {self._phase.value}")
        self._producer._connection.call(Cancel([self._ref]))
        self._decided(Phase.CANCELLED, None)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._phase == Phase.OPEN and (kind or not self._producer.in_group):
            self._producer._lost = self._producer.in_group
            self.cancel()

    def __str__(self) -> str:
        return f"transaction {self.id} of stream '{self._producer.stream.name}' partition {self.partition}"

    def _check_open(self) -> None:
        if self._failure:
            raise self._failure
        if self._phase != Phase.OPEN:
            raise Error(Code.INVALID_STATE if self._phase == Phase.IN_DOUBT else Code.TRANSACTION_CLOSED,
                        f"{self} is {self._phase.value}")

    def _flush(self) -> None:
        data = bytes(self._frame)
        try:
            self._producer._connection.call(Write(self._ref, frames.crc32c(data), data))
        except Error as failure:
            self._failure = failure  # a frame is missing: it can only be cancelled
            raise
        self._frames += 1
        self._frame.clear()

    def _decision(self) -> Decision:
        self._check_open()
        if self._frame and (self._frames or len(self._frame) > frames.INLINE_MAX):
            self._flush()
        return Decision(self._ref, OpenRequest(), self._items, self._bytes, self._frames, bytes(self._frame))

    def _decided(self, phase: Phase, checkpoint: Checkpoint | None) -> None:
        self._phase = phase
        if phase in (Phase.CHECKPOINTED, Phase.CANCELLED):
            self._frame.clear()
            self._producer._open.pop((self.partition, self.id), None)


class Producer:
    """Writes to one stream. With a name it fences older instances of that name, and carries `source_position`, the
    place in what it reads from, from one instance to the next."""

    def __init__(self, connection: Connection, stream: StreamInfo, name: str, max_open: float) -> None:
        self.stream = stream
        self.name = name
        self.source_position: bytes | None = None  # the stored one
        self.in_group = False
        self._connection = connection
        self._max_open_ms = round(max_open * 1000)
        self._open: dict[tuple[int, int], Transaction] = {}  # an id is of its partition only
        self._next = 0
        self._lost = False
        self._wanted_source: bytes | None = None
        self._checkpoint: Checkpoint | None = None
        self._instance = 0
        if name:
            attached = connection.call(AttachProducer(stream.id, name))
            self._instance, self.source_position = attached.instance, attached.source_position

    def begin(self, partition: int | None = None, key: bytes | str | None = None) -> Transaction:
        """Opens a transaction: in the partition, in that of the key, or in each in turn."""
        chosen = self._choose(partition, key)
        opened = self._connection.call(Open(self.stream.id, chosen, self.name, self._instance, self._max_open_ms))
        made = Transaction(self, opened.transaction, opened.expires)
        self._open[made.partition, made.id] = made
        return made

    def send(self, items: Iterable[bytes | str], partition: int | None = None, key: bytes | str | None = None) -> int:
        """A whole transaction in one step; gives its id. After Outcome.UNKNOWN it cannot be asked again: use begin()
        and checkpoint() where that matters."""
        self._check_free()
        data = list(map(_bytes_of, items))
        frame = b"".join(map(frames.packed, data))
        if len(frame) > frames.INLINE_MAX:
            with self.begin(partition, key) as made:
                for one in data:
                    made.put(one)
                made.checkpoint()
            return made.id
        opening = OpenRequest(self.stream.id, self._choose(partition, key), self.name, self._instance,
                              self._max_open_ms)
        decision = Decision(TransactionRef(), opening, len(data), sum(map(len, data)), 0, frame)
        return self._connection.call(Commit(new_request(self._connection), [decision], fresh=True)).transactions[0]

    def open_transactions(self) -> Sequence[Transaction]:
        return [one for one in self._open.values() if one._phase == Phase.OPEN]

    def checkpoint(self, source: bytes | None = None) -> None:
        """All open transactions, in one atomic step. After an error with Outcome.UNKNOWN call it again."""
        self._check_free()
        if self._checkpoint is None:
            self._checkpoint = self._new_checkpoint(self.open_transactions(), source)
        try:
            if self._checkpoint:
                self._checkpoint.run()
        finally:
            if not self._checkpoint.in_doubt:
                self._checkpoint = None

    def cancel(self) -> None:
        """All open transactions."""
        for one in self.open_transactions():
            one.cancel()
        self._lost = False

    def set_source_position(self, source: bytes) -> None:
        """Stored by the next checkpoint that this producer takes part in."""
        if not self.name:
            raise Error(Code.INVALID_STATE, "a source position needs a producer with a name")
        self._wanted_source = source

    def _choose(self, partition: int | None, key: bytes | str | None) -> int:
        if partition is not None:
            return partition
        if key is not None:
            return key_hash(key.encode() if isinstance(key, str) else key) % self.stream.partitions
        self._next += 1
        return (self._next - 1) % self.stream.partitions

    def _check_free(self) -> None:
        if self.in_group:
            raise Error(Code.INVALID_STATE, f"the producer of '{self.stream.name}' is in a group, which decides")

    def _new_checkpoint(self, transactions: Sequence[Transaction], source: bytes | None) -> Checkpoint:
        if source is not None:
            self.set_source_position(source)
        made = Checkpoint(self._connection)
        self._add_to(made, transactions)
        return made

    def _add_to(self, checkpoint: Checkpoint, transactions: Sequence[Transaction]) -> None:
        checkpoint.transactions += transactions
        if (source := self._wanted_source) is not None:
            checkpoint.sources.append(SourceUpdate(self.stream.id, self.name, self._instance, source))
            checkpoint.when_applied.append(lambda: self._note_source(source))

    def _note_source(self, source: bytes) -> None:
        self.source_position = source
        if self._wanted_source == source:
            self._wanted_source = None


def key_hash(key: bytes) -> int:
    """FNV-1a of 64 bits, as every client has to route keys."""
    found = 0xCBF29CE484222325
    for byte in key:
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found
