"""Copies the stream `input` to the stream `copies` exactly once, until it is killed: copier.py ENDPOINT

Each transaction and the position behind it are one step. What is of unknown outcome is asked again; what was lost with
a restart of the server is read again from the stored position.
"""

import sys

import tstreams


def copy(client):
    consumer, producer = client.consumer("input", name="copier"), client.producer("copies")
    group = client.checkpoint_group()
    group.add(consumer)
    group.add(producer)
    while True:
        received = consumer.next(1)
        if received is None:
            continue
        made = producer.begin(received.partition)
        for item in received:
            made.put(item)
        while True:
            try:
                group.checkpoint()
                break
            except tstreams.Error as failure:
                if failure.outcome != tstreams.Outcome.UNKNOWN:
                    raise


def main():
    while True:
        try:
            with tstreams.Client(sys.argv[1], session_timeout=2) as client:  # a killed one is not waited for long
                copy(client)
        except tstreams.Error as failure:
            lost = (tstreams.Code.TRANSACTION_UNKNOWN, tstreams.Code.TRANSACTION_EXPIRED, tstreams.Code.UNAVAILABLE,
                    tstreams.Code.OUTCOME_UNKNOWN, tstreams.Code.SHUTTING_DOWN)
            if failure.code not in lost:
                raise
            print("again:", failure, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
