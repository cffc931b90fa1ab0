"""Failures. Expected answers (nothing to read in time, no such stream) are values."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """What became of the write that failed. Calls that write nothing say NOT_APPLIED."""

    APPLIED = 0      # it happened
    NOT_APPLIED = 1  # it did not happen and never will
    UNKNOWN = 2      # it may have happened, or may still: call checkpoint() of the same object again


class Code(enum.IntEnum):
    """The numbers of include/tstreams/errors.def; they are never reused."""

    INVALID_ARGUMENT = 1
    INVALID_STATE = 2
    INVALID_NAME = 3
    TOO_LARGE = 4
    WOULD_DEADLOCK = 5
    MALFORMED_MESSAGE = 6
    UNAUTHORIZED = 7
    STREAM_NOT_FOUND = 10
    STREAM_EXISTS = 11
    STREAM_DELETED = 12
    PARTITION_NOT_FOUND = 13
    OFFSET_NOT_FOUND = 14
    CONSUMER_LIVE = 15
    TRANSACTION_CLOSED = 20
    TRANSACTION_EXPIRED = 21
    TRANSACTION_UNKNOWN = 22
    TRANSACTION_LOST = 23
    TRANSACTION_OPEN = 24
    POSITION_EXPIRED = 25
    FENCED = 26
    FOREIGN_STORE = 27
    OVERLOADED = 40
    UNAVAILABLE = 41
    OUTCOME_UNKNOWN = 42
    NOT_OWNER = 43
    SHUTTING_DOWN = 44
    TIMED_OUT = 45
    CANCELLED = 46
    SESSION_ENDED = 47
    LOCKED = 60
    NOT_A_STORE = 61
    FORMAT_NEWER = 62
    CORRUPT = 63
    STORAGE_FAILED = 64
    NO_SPACE = 65
    READ_ONLY = 66
    STORE_NOT_FOUND = 67
    UNSUPPORTED = 68


_RETRYABLE = frozenset((
    Code.CONSUMER_LIVE, Code.TRANSACTION_OPEN, Code.OVERLOADED, Code.UNAVAILABLE, Code.OUTCOME_UNKNOWN,
    Code.NOT_OWNER, Code.SHUTTING_DOWN, Code.TIMED_OUT, Code.CANCELLED, Code.SESSION_ENDED, Code.LOCKED,
    Code.NO_SPACE,
))


class Error(Exception):
    """Every failure of this package. `code` is a Code, or the plain number of one that a later server knows; `outcome`
    says whether the write happened; the text names the thing and says what to do."""

    def __init__(self, code: int, text: str, outcome: Outcome = Outcome.NOT_APPLIED) -> None:
        super().__init__(text)
        self.code = Code(code) if code in Code._value2member_map_ else code
        self.outcome = outcome

    def __repr__(self) -> str:
        code = self.code.name if isinstance(self.code, Code) else self.code
        return f"{type(self).__name__}({code}, {str(self)!r}, {self.outcome.name})"

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anybody changing anything."""
        return self.code in _RETRYABLE


class PositionExpired(Error):
    """Retention has removed transactions behind the position, in one partition. `oldest_live_position` is where to go
    on in it (Consumer.set_position); the other partitions may have lost nothing."""

    def __init__(self, text: str, partition: int, oldest_live_position: int) -> None:
        super().__init__(Code.POSITION_EXPIRED, text)
        self.partition = partition
        self.oldest_live_position = oldest_live_position
