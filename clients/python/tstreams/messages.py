"""The structures and calls of the protocol, field by field in the order of docs/wire-format.md.

Times are microseconds since 1970, other spans as the page says; positions and transaction ids are plain numbers.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import field
from typing import Any, ClassVar, Generic, TypeVar

from .codec import I64, U8, U16, U32, U64, Reader, Structure, codec, get_fields, put_fields
from .errors import Code, Error, Outcome, PositionExpired

MAJOR = 1
MINOR = 0
HIGHEST_ID = 2**64 - 1

R = TypeVar("R")


class Durability(enum.IntEnum):
    PROCESS = 1
    INTERVAL = 2
    SYNC = 3


class TransactionState(enum.IntEnum):
    OPEN = 1
    CHECKPOINTED = 2
    NOT_CHECKPOINTED = 3  # cancelled, expired, or never opened: final
    GONE = 4              # older than what is remembered


class EventKind(enum.IntEnum):
    OPENED = 1
    CHECKPOINTED = 2
    CANCELLED = 3  # by its producer
    EXPIRED = 4    # ended without its producer's doing
    LOST = 5       # events are missing here; the server does not send it


class StartKind(enum.IntEnum):
    OLDEST = 0
    NEWEST = 1
    AFTER = 2


# -- structures ---------------------------------------------------------------------------------------------


class DurabilityLevel(Structure):
    level: U8
    interval_ms: I64  # only with INTERVAL


class RequestId(Structure):
    high: U64 = 0
    low: U64 = 0


class StreamOptions(Structure):
    name: str
    partitions: U32
    ttl_s: I64
    durability: DurabilityLevel
    description: str
    max_open_s: I64


class StreamInfo(Structure):
    id: U64  # a name that is deleted and made again is a new stream with another id
    name: str
    partitions: U32
    ttl_s: I64
    durability: DurabilityLevel
    description: str
    max_open_s: I64
    created_at: I64


class StreamPage(Structure):
    streams: list[StreamInfo]
    next: str


class TransactionInfo(Structure):
    partition: U32
    id: U64
    state: U8
    items: U64
    size: U64
    expires: I64
    client: str


class Blocker(Structure):
    partition: U32
    id: U64
    age_ms: I64
    client: str


class PartitionPosition(Structure):
    partition: U32
    after: U64


class OffsetInfo(Structure):
    consumer: str
    partition: U32
    position: U64
    updated_at: I64
    live: bool


class BlobRef(Structure):
    place: bytes
    length: U32
    crc32c: U32


class FrameRef(Structure):
    blob: BlobRef
    level: U8


class TransactionRef(Structure):
    stream: U64 = 0
    partition: U32 = 0
    id: U64 = 0
    epoch: U64 = 0


class OpenRequest(Structure):
    stream: U64 = 0
    partition: U32 = 0
    producer: str = ""
    producer_instance: U64 = 0
    max_open_ms: I64 = 0


class OpenReply(Structure):
    transaction: TransactionRef
    expires: I64


class Decision(Structure):
    transaction: TransactionRef  # with an id of 0: `open` first
    open: OpenRequest
    items: U64
    size: U64
    frames: U32
    inline_items: bytes


class OffsetUpdate(Structure):
    stream: U64
    partition: U32
    consumer: str
    instance: U64
    position: U64
    expected: U64 | None = None


class SourceUpdate(Structure):
    stream: U64
    producer: str
    instance: U64
    position: bytes


class CommitReply(Structure):
    transactions: list[U64]


class StoredTransaction(Structure):
    id: U64
    items: U64
    size: U64
    expires: I64
    inline_items: bytes
    frames: list[FrameRef]


class ReadReply(Structure):
    transactions: list[StoredTransaction]
    skipped: list[U64]
    blocked: Blocker | None
    end: bool


class StartPoint(Structure):
    kind: U8
    after: U64 = 0


class WaitPosition(Structure):
    partition: U32
    after: U64
    skip_open: bool = False
    held_by: U64 = 0


class AttachedPartition(Structure):
    partition: U32
    instance: U64
    position: U64


class AttachedProducer(Structure):
    instance: U64
    source_position: bytes | None


class FoundTransaction(Structure):
    info: TransactionInfo
    stored: StoredTransaction | None


class TransactionEvent(Structure):
    partition: U32
    kind: U8
    id: U64
    items: U64
    size: U64


class EventBatch(Structure):
    lost: U64
    events: list[TransactionEvent]


class OpenedSession(Structure):
    session: U64
    minor: U8
    now: I64
    request_bytes_max: U64
    server: str


class Nothing(Structure):
    pass


class Failure(Structure):
    code: U16
    outcome: U8
    text: str
    partition: U32
    oldest_live_position: U64

    def error(self) -> Error:
        if self.code == Code.POSITION_EXPIRED:
            return PositionExpired(self.text, self.partition, self.oldest_live_position)
        known = self.outcome in (Outcome.APPLIED, Outcome.NOT_APPLIED)
        return Error(self.code, self.text, Outcome(self.outcome) if known else Outcome.UNKNOWN)


# -- calls --------------------------------------------------------------------------------------------------


class Call(Structure, Generic[R]):
    """A request, whose answer is an R. One that `acts` has a sequence number, and is done once. One that is `wrapped`
    is a structure with its length in front; of the others the fields stand alone."""

    command: ClassVar[str]
    reply: ClassVar[Any]
    acts: ClassVar[bool]
    wrapped: ClassVar[bool]

    def __init_subclass__(cls, command: str = "", reply: Any = Nothing, acts: bool = False,
                          wrapped: bool = False) -> None:
        super().__init_subclass__()
        cls.command, cls.reply, cls.acts, cls.wrapped = "tstreams." + command, reply, acts, wrapped


class OpenSession(Call[OpenedSession], command="open_session", reply=OpenedSession):
    client: str
    timeout_ms: I64


class Heartbeat(Call[Nothing], command="heartbeat"):
    pass


class CloseSession(Call[Nothing], command="close_session"):
    pass


class CreateStream(Call[StreamInfo], command="create_stream", reply=StreamInfo, acts=True, wrapped=True):
    options: StreamOptions
    request: RequestId


class FindStream(Call["StreamInfo | None"], command="find_stream", reply=StreamInfo | None):
    name: str


class ListStreams(Call[StreamPage], command="list_streams", reply=StreamPage):
    prefix: str
    after: str
    limit: U32


class DeleteStream(Call[Nothing], command="delete_stream", acts=True):
    name: str


class Open(Call[OpenReply], command="open", reply=OpenReply, acts=True, wrapped=True):
    stream: U64
    partition: U32
    producer: str
    producer_instance: U64
    max_open_ms: I64


class Write(Call[Nothing], command="write", acts=True):
    transaction: TransactionRef
    crc32c: U32
    data: bytes


class Commit(Call[CommitReply], command="commit", reply=CommitReply, acts=True, wrapped=True):
    request: RequestId
    transactions: list[Decision] = field(default_factory=list)
    offsets: list[OffsetUpdate] = field(default_factory=list)
    sources: list[SourceUpdate] = field(default_factory=list)
    fresh: bool = False
    first_session: U64 = 0  # not needed where ids say that their answers are kept
    first_sequence: U64 = 0


class Cancel(Call[Nothing], command="cancel", acts=True):
    transactions: list[TransactionRef]


class AttachProducer(Call[AttachedProducer], command="attach_producer", reply=AttachedProducer, acts=True,
                     wrapped=True):
    stream: U64
    producer: str


class Read(Call[ReadReply], command="read", reply=ReadReply, wrapped=True):
    stream: U64
    partition: U32
    after: U64
    up_to: U64 = HIGHEST_ID
    transactions_max: U32 = 256
    bytes_max: U64 = 1 << 20
    skip_open: bool = False


class ReadFrame(Call[bytes], command="read_frame", reply=bytes):
    frame: BlobRef


class WaitReadable(Call["list[int]"], command="wait_readable", reply=list[U32]):
    wait: U64
    stream: U64
    positions: list[WaitPosition]
    patience_ms: I64


class Watch(Call[EventBatch], command="watch", reply=EventBatch, wrapped=True):
    """Opens a stream of replies; each is an ITEM of Moebius."""

    stream: U64
    partitions: list[U32]
    kinds: U8
    buffer_events: U32


class Resolve(Call[int], command="resolve", reply=U64):
    stream: U64
    partition: U32
    start: StartPoint


class FindTransaction(Call[FoundTransaction], command="find_transaction", reply=FoundTransaction):
    stream: U64
    partition: U32
    id: U64


class FindCommit(Call[int], command="find_commit", reply=U8, wrapped=True):
    high: U64
    low: U64


class AttachConsumer(Call["list[AttachedPartition]"], command="attach_consumer", reply=list[AttachedPartition],
                     acts=True, wrapped=True):
    stream: U64
    consumer: str
    partitions: list[U32]
    starts: list[StartPoint]
    reset: bool = False
    must_exist: bool = False


class DetachConsumer(Call[Nothing], command="detach_consumer", acts=True):
    stream: U64
    consumer: str


class ListOffsets(Call["list[OffsetInfo]"], command="list_offsets", reply=list[OffsetInfo]):
    stream: U64
    consumer: str


# -- envelope -----------------------------------------------------------------------------------------------

_HEAD = struct.Struct("<BBQQQ")  # major, minor, session, sequence, answered_below


def encode_request(call: Call[Any], session: int = 0, sequence: int = 0, answered_below: int = 0) -> bytes:
    body = bytearray(_HEAD.pack(MAJOR, MINOR, session, sequence, answered_below))
    if call.wrapped:
        codec(type(call)).put(body, call)
    else:
        put_fields(body, call)
    return bytes(body)


def decode_request(body: bytes, kind: type[Call[Any]]) -> tuple[tuple[int, int, int, int, int], Call[Any]]:
    """The head and the call. A client does not need it; it is there for tests of the format."""
    source = Reader(body, _HEAD.size)
    call = codec(kind).get(source) if kind.wrapped else get_fields(source, kind)
    return _HEAD.unpack_from(body), call


def decode_reply(body: bytes, kind: type[Call[R]]) -> R:
    """Raises the Error that the answer holds, or one for bytes that are no answer."""
    source = Reader(body)
    status = source.data[source.skip(1)]
    if status == 1:
        failure: Failure = codec(Failure).get(source)
        raise failure.error()
    if status != 0:
        raise Error(Code.MALFORMED_MESSAGE, "an answer that is none", Outcome.UNKNOWN)
    reply: R = codec(kind.reply).get(source)
    return reply
