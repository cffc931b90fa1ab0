"""The calls that the Python client does not use, for tests of the format."""

from __future__ import annotations

from tstreams.codec import I64, U8, U32, U64, Structure
from tstreams.messages import (HIGHEST_ID, Call, Nothing, PartitionPosition, ReadReply, StoredTransaction, StreamInfo,
                               TransactionInfo)


class StreamChanges(Structure):
    ttl_s: I64 | None = None
    description: str | None = None
    partitions: U32 | None = None


class RetentionInfo(Structure):
    holding: bool
    clock: I64
    believed: I64
    jump_s: I64
    since: I64
    ends: I64 | None
    reason: str


class Followed(Structure):
    partition: U32
    previous: U64
    broken: bool
    read: ReadReply


class OpenTransactionInfo(Structure):
    stream: str
    transaction: TransactionInfo
    age_ms: I64


class ServerStatus(Structure):
    server: str
    store: str
    endpoints: list[str]
    now: I64
    started_at: I64
    connections: U64
    sessions: U64
    open_transactions: U64
    oldest_open_ms: I64
    checkpointed: U64
    items_in: U64
    bytes_in: U64
    items_out: U64
    bytes_out: U64
    refusals: U64
    background_failures: U64
    retention_holding: bool
    memory_bytes: U64


class ServerClient(Structure):
    name: str
    user: str
    connected: bool
    silent_ms: I64
    open_transactions: U64
    answers_kept: U64


class UpdateStream(Call[StreamInfo], command="update_stream", reply=StreamInfo, acts=True):
    name: str
    changes: StreamChanges


class CancelWait(Call[Nothing], command="cancel_wait"):
    wait: U64


class Follow(Call[Followed], command="follow", reply=Followed):
    """Opens a stream of replies; each is an ITEM of Moebius."""

    stream: U64
    positions: list[PartitionPosition]
    transactions_max: U32
    bytes_max: U64


class Last(Call["StoredTransaction | None"], command="last", reply=StoredTransaction | None):
    stream: U64
    partition: U32


class Scan(Call["list[TransactionInfo]"], command="scan", reply=list[TransactionInfo], wrapped=True):
    stream: U64
    partition: U32
    from_id: U64 = 0
    to_id: U64 = HIGHEST_ID
    open: bool = True
    checkpointed: bool = True
    limit: U32 = 1000


class Retention(Call[RetentionInfo], command="retention", reply=RetentionInfo):
    pass


class AcceptClock(Call[RetentionInfo], command="accept_clock", reply=RetentionInfo, acts=True):
    pass


class Abort(Call[Nothing], command="abort", acts=True):
    stream: U64
    partition: U32
    id: U64


class SetOffset(Call[Nothing], command="set_offset", acts=True):
    stream: U64
    consumer: str
    positions: list[PartitionPosition]
    take_over: bool = False


class DeleteOffset(Call[Nothing], command="delete_offset", acts=True):
    stream: U64
    consumer: str
    take_over: bool = False


class ListOpen(Call["list[OpenTransactionInfo]"], command="list_open", reply=list[OpenTransactionInfo]):
    limit: U32


class GetServerStatus(Call[ServerStatus], command="server_status", reply=ServerStatus):
    pass


class ListServerClients(Call["list[ServerClient]"], command="server_clients", reply=list[ServerClient]):
    limit: U32
