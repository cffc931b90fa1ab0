"""Checkpoint groups: the exactly-once step."""

from __future__ import annotations

from .connection import Connection
from .consuming import Consumer
from .errors import Code, Error
from .messages import RequestId
from .producing import Checkpoint, Producer, new_request


class CheckpointGroup:
    """Commits the open transactions of its producers and the positions of its consumers in one atomic step. Members
    are decided by the group only. For one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self.last_request: RequestId | None = None  # of the last checkpoint: see Client.commit_state
        self._connection = connection
        self._members: list[Producer | Consumer] = []
        self._next_request: RequestId | None = None
        self._checkpoint: Checkpoint | None = None

    def add(self, member: Producer | Consumer) -> None:
        """Raises INVALID_STATE for a member of a group, one with an unknown outcome, or a consumer without a name;
        FOREIGN_STORE for one of another client."""
        self._check_settled()
        if member._connection is not self._connection:
            raise Error(Code.FOREIGN_STORE, "a member of another client")
        if member.in_group or member._checkpoint is not None or (isinstance(member, Consumer) and not member.name):
            raise Error(Code.INVALID_STATE, f"this member of '{member.stream.name}' cannot join: it is in a group, has "
                                            "a checkpoint of unknown outcome, or is a consumer without a name")
        member.in_group = True
        self._members.append(member)

    def remove(self, member: Producer | Consumer) -> None:
        self._check_settled()
        self._members.remove(member)
        member.in_group = False

    def next_request(self) -> RequestId:
        """The id of the next checkpoint (while one is of unknown outcome: of that one). Written down before, it tells
        after a crash what became of it: Client.commit_state."""
        if self._checkpoint and self._checkpoint.request:
            return self._checkpoint.request
        if self._next_request is None:
            self._next_request = new_request(self._connection)
        return self._next_request

    def checkpoint(self) -> None:
        """All or nothing. After an error with Outcome.UNKNOWN call it again: it asks with the same request id. After
        NOT_APPLIED the transactions are open as before. Raises TRANSACTION_LOST where a block of a member's
        transaction has failed, until cancel()."""
        if self._checkpoint is None:
            self._checkpoint = self._collect()
        self.last_request = self._checkpoint.request
        try:
            if self._checkpoint:
                self._checkpoint.run()
        finally:
            if not self._checkpoint.in_doubt:
                self._checkpoint = None

    def cancel(self) -> None:
        """Cancels the open transactions of all members. The positions stay where the consumers are."""
        self._check_settled()
        for one in self._members:
            if isinstance(one, Producer):
                one.cancel()

    def _collect(self) -> Checkpoint:
        made = Checkpoint(self._connection, self.next_request())
        for one in self._members:
            if isinstance(one, Consumer):
                one._add_to(made)
            elif one._lost:
                raise Error(Code.TRANSACTION_LOST, "a transaction of a member has failed: call cancel()")
            else:
                one._add_to(made, one.open_transactions())
        self._next_request = None
        return made

    def _check_settled(self) -> None:
        if self._checkpoint:
            raise Error(Code.INVALID_STATE, "the last checkpoint has an unknown outcome: call checkpoint() again")
