"""T-streams from Python: transactional persistent queues, served by a tstreamsd.

    import tstreams

    with tstreams.Client("tcp://127.0.0.1:7420") as client:
        client.producer("orders").send([b"apples 3", b"pears 5"])
"""

from .client import Client
from .connection import Keys
from .consuming import Consumer, Received, Start, time_of
from .errors import Code, Error, Outcome, PositionExpired
from .groups import CheckpointGroup
from .messages import Durability, EventKind, RequestId, StreamInfo, TransactionState
from .producing import Producer, Transaction, key_hash
from .watching import Event, Watcher

__all__ = ["CheckpointGroup", "Client", "Code", "Consumer", "Durability", "Error", "Event", "EventKind", "Keys",
           "Outcome", "PositionExpired", "Producer", "Received", "RequestId", "Start", "StreamInfo", "Transaction",
           "TransactionState", "Watcher", "key_hash", "time_of"]
