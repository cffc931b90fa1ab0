#!/usr/bin/python3
"""The Python client against a real tstreamsd: its features, its errors, and what the tool reads and writes beside it.
"""

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

from daemon import PATIENCE, TREE, ServedTest, wait_until

import tstreams
from tstreams import Code, Outcome, Start, TransactionState, connection, frames, messages


def texts(transaction):
    return [item.decode() for item in transaction]


def lengths(consumer, count):
    return [len(item) for _ in range(count) for item in consumer.next(PATIENCE)]


def all_of(consumer):
    found = []
    while (one := consumer.next(0)) is not None:
        found += texts(one)
    return found


class ClientTest(ServedTest):
    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.client.create_stream("s", durability=tstreams.Durability.PROCESS)

    def fails(self, code, outcome=Outcome.NOT_APPLIED):
        case = self

        class Failing:
            def __enter__(self):
                return self

            def __exit__(self, kind, failure, trace):
                case.assertIsInstance(failure, tstreams.Error)
                case.assertEqual((failure.code, failure.outcome), (code, outcome), str(failure))
                self.failure = failure
                return True

        return Failing()


class Streams(ClientTest):
    def test_are_made_found_listed_and_deleted(self):
        made = self.client.create_stream("orders", partitions=4, ttl=3600, durability=tstreams.Durability.INTERVAL,
                                         interval_ms=50, description="of the shöp", max_open=60)
        self.assertEqual((made.name, made.partitions, made.ttl_s, made.max_open_s), ("orders", 4, 3600, 60))
        self.assertEqual((made.durability.level, made.durability.interval_ms), (tstreams.Durability.INTERVAL, 50))
        self.assertEqual(made.description, "of the shöp")
        self.assertEqual(self.client.find_stream("orders"), made)
        self.assertIsNone(self.client.find_stream("nothing"))
        for i in range(20):
            self.client.create_stream(f"many-{i:02}")
        self.assertEqual([one.name for one in self.client.list_streams("many-")], [f"many-{i:02}" for i in range(20)])
        self.client.delete_stream("orders")
        self.assertIsNone(self.client.find_stream("orders"))
        self.assertNotEqual(self.client.create_stream("orders").id, made.id)

    def test_fail_with_their_codes(self):
        with self.fails(Code.STREAM_EXISTS):
            self.client.create_stream("s")
        with self.fails(Code.INVALID_NAME):
            self.client.create_stream("a b")
        with self.fails(Code.STREAM_NOT_FOUND):
            self.client.delete_stream("nothing")
        with self.fails(Code.STREAM_NOT_FOUND):
            self.client.producer("nothing")
        producer = self.client.producer("s")
        with self.fails(Code.PARTITION_NOT_FOUND):
            producer.begin(partition=7)
        left = producer.begin()
        self.client.delete_stream("s")
        with self.fails(Code.STREAM_DELETED):
            left.checkpoint()


class Writing(ClientTest):
    def test_order_is_that_of_opening_and_nothing_is_seen_before(self):
        producer, consumer = self.client.producer("s"), self.client.consumer("s")
        first, second, third = producer.begin(), producer.begin(), producer.begin()
        for name, one in (("third", third), ("second", second), ("first", first)):
            one.put(name)
        third.checkpoint()
        self.assertIsNone(consumer.next(0))
        self.assertEqual(consumer.blocked_by()[0].id, first.id)
        second.cancel()
        second.cancel()
        first.checkpoint()
        self.assertEqual(all_of(consumer), ["first", "third"])
        with self.fails(Code.TRANSACTION_CLOSED):
            first.put("too late")
        with self.fails(Code.TRANSACTION_CLOSED, Outcome.APPLIED):
            first.cancel()
        self.assertEqual(self.client.state("s", 0, first.id), TransactionState.CHECKPOINTED)
        self.assertEqual(self.client.state("s", 0, second.id), TransactionState.NOT_CHECKPOINTED)

    def test_all_open_ones_in_one_step(self):
        self.client.create_stream("wide", partitions=3)
        producer = self.client.producer("wide")
        for _ in range(6):
            producer.begin().put("x")
        self.assertEqual([one.partition for one in producer.open_transactions()], [0, 1, 2, 0, 1, 2])
        producer.checkpoint()
        self.assertEqual(all_of(self.client.consumer("wide")), ["x"] * 6)
        producer.begin().put("y")
        producer.cancel()
        self.assertFalse(producer.open_transactions())
        self.assertEqual(producer.begin(key="eve").partition, tstreams.key_hash(b"eve") % 3)

    def test_a_block_that_leaves_it_undecided_cancels_it(self):
        producer = self.client.producer("s")
        with self.assertRaises(ZeroDivisionError), producer.begin() as failing:
            failing.put("x")
            raise ZeroDivisionError
        with producer.begin() as forgotten:
            forgotten.put("y")
        with producer.begin() as good:
            good.put("z")
            good.checkpoint()
        self.assertEqual(all_of(self.client.consumer("s")), ["z"])

    def test_what_is_no_item_is_a_type_error(self):
        producer = self.client.producer("s")
        with producer.begin() as txn:
            with self.assertRaisesRegex(TypeError, "an item is bytes or str, not int"):
                txn.put(3)
            txn.put(memoryview(b"one"))
            txn.checkpoint()
        with self.assertRaisesRegex(TypeError, "not NoneType"):
            producer.send([b"x", None])
        self.assertEqual(self.tool("consume", "s"), b"one\n")

    def test_an_item_over_the_limit_is_refused_at_once(self):
        most = 16 << 20  # of an item; the server takes requests that are a little larger
        producer = self.client.producer("s")
        producer.send([bytes(most)])
        begun = time.monotonic()
        for size in (most + 1, 17_000_000):
            with self.fails(Code.TOO_LARGE):
                producer.send([bytes(size)])
            with self.fails(Code.TOO_LARGE), producer.begin() as txn:
                txn.put(bytes(size))
                txn.checkpoint()
        with self.fails(Code.TOO_LARGE):
            self.client.watch("s", partitions=range(5_000_000))
        self.assertLess(time.monotonic() - begun, 25, "it was sent again, for the patience of 30 s")
        producer.send(["good"])
        self.assertEqual(lengths(self.client.consumer("s"), 2), [most, 4])

    def test_items_of_all_sizes(self):
        items = [os.urandom(size) for size in (0, 1, 127, 128, 16_000, 16_384, 1 << 20, 3_000_000, 5)]
        producer, consumer = self.client.producer("s"), self.client.consumer("s")
        for count in range(1, len(items) + 1):
            producer.send(items[:count])
            received = consumer.next(PATIENCE)
            self.assertEqual(len(received), count)
            self.assertEqual(received.size, sum(map(len, items[:count])))
            self.assertEqual(list(received), items[:count])
            self.assertEqual(list(received), items[:count], "read again")
        with self.fails(Code.TOO_LARGE):
            producer.send([b"x" * (16 << 20) + b"x"])

    def test_frames_by_the_thousand(self):
        """More than 64 frames have an index, more than 4096 one above it."""
        with mock.patch.object(frames, "TARGET", 64), self.client.producer("s").begin() as large:
            for i in range(4200):
                large.put(f"{i:060}")
            large.checkpoint()
        received = self.client.consumer("s").next(PATIENCE)
        self.assertEqual(max(frame.level for frame in received._stored.frames), 2)
        self.assertEqual(texts(received), [f"{i:060}" for i in range(4200)])

    def test_a_newer_instance_of_a_name_fences_and_goes_on_at_the_source_position(self):
        older = self.client.producer("s", name="importer")
        self.assertIsNone(older.source_position)
        with older.begin() as one:
            one.put("1")
            one.checkpoint(b"line 1")
        self.assertEqual(older.source_position, b"line 1")
        left = older.begin()
        newer = self.connect().producer("s", name="importer")
        self.assertEqual(newer.source_position, b"line 1")
        with self.fails(Code.FENCED):
            left.checkpoint(b"line 2")
        with self.fails(Code.FENCED):
            older.begin()
        newer.begin().put("2")
        newer.checkpoint(b"line 2")
        self.assertEqual(self.client.producer("s", name="importer").source_position, b"line 2")
        self.assertEqual(all_of(self.client.consumer("s")), ["1", "2"])


class Reading(ClientTest):
    def test_starts(self):
        producer = self.client.producer("s")
        ids = [producer.send([text]) for text in "abc"]
        opened = [tstreams.time_of(one) for one in ids]
        self.assertLess(abs(opened[0] - datetime.datetime.now(datetime.timezone.utc)), datetime.timedelta(minutes=5))
        for start, wanted in ((Start.OLDEST, "abc"), (Start.NEWEST, ""), (opened[1], "bc"), ({0: ids[1]}, "c"),
                              ({}, "abc")):
            self.assertEqual("".join(all_of(self.client.consumer("s", start=start))), wanted, start)
        newest = self.client.consumer("s", start=Start.NEWEST)
        producer.send(["d"])
        self.assertEqual(texts(newest.next(PATIENCE)), ["d"])

    def test_a_stored_position_wins(self):
        producer = self.client.producer("s")
        for text in "abcd":
            producer.send([text])
        with self.fails(Code.OFFSET_NOT_FOUND):
            self.client.consumer("s", name="billing", start=Start.STORED)
        first = self.client.consumer("s", name="billing")
        first.next(0)
        second = first.next(0)
        first.checkpoint()
        self.assertEqual(first.next(0).opened_at, tstreams.time_of(first.positions()[0]))  # seen, not stored
        again = self.client.consumer("s", name="billing", start=Start.STORED)
        self.assertEqual(again.positions(), {0: second.id})
        self.assertEqual(all_of(again), ["c", "d"])
        with self.fails(Code.FENCED):
            first.checkpoint()
        again.seek(Start.STORED)
        self.assertEqual(all_of(again), ["c", "d"])
        again.seek(Start.OLDEST)
        self.assertEqual(all_of(again), ["a", "b", "c", "d"])
        anew = self.client.consumer("s", name="billing", reset=True)
        self.assertEqual(all_of(anew), ["a", "b", "c", "d"])
        anew.close()

    def test_waits_for_what_comes(self):
        consumer = self.client.consumer("s")
        begun = time.monotonic()
        self.assertIsNone(consumer.next(0.3))
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)
        other = self.connect()
        timer = threading.Timer(0.3, other.producer("s").send, [["late"]])
        timer.start()
        self.assertEqual(texts(consumer.next(PATIENCE)), ["late"])
        timer.join()

    def test_of_some_partitions(self):
        self.client.create_stream("wide", partitions=4)
        producer = self.client.producer("wide")
        for i in range(40):
            producer.send([str(i)])
        some = self.client.consumer("wide", partitions=[3, 1])
        self.assertEqual(sorted(some.positions()), [1, 3])
        found = all_of(some)
        self.assertEqual(sorted(map(int, found)), [i for i in range(40) if i % 4 in (1, 3)])
        self.assertEqual([one for one in found if int(one) % 4 == 1], [str(i) for i in range(1, 40, 4)])

    def test_an_expired_position_says_where_to_go_on(self):
        self.client.create_stream("short", ttl=1)
        producer = self.client.producer("short")
        producer.send(["old"])
        consumer = self.client.consumer("short", start={0: 1})
        time.sleep(1.2)
        producer.send(["new"])
        with self.assertRaises(tstreams.PositionExpired) as raised:
            consumer.next(PATIENCE)
        self.assertEqual(raised.exception.partition, 0)
        consumer.set_position(0, raised.exception.oldest_live_position)
        self.assertEqual(texts(consumer.next(PATIENCE)), ["new"])


class Groups(ClientTest):
    def setUp(self):
        super().setUp()
        self.client.create_stream("out", partitions=2)
        self.consumer = self.client.consumer("s", name="copier")
        self.producer = self.client.producer("out")
        self.group = self.client.checkpoint_group()
        self.group.add(self.consumer)
        self.group.add(self.producer)

    def copy(self, text):
        self.client.producer("s").send([text])
        received = self.consumer.next(PATIENCE)
        for _ in range(2):
            self.producer.begin().put(b" ".join(received))
        return received

    def stored(self):
        return self.client.consumer("s", name="copier", start=Start.STORED).positions()[0]

    def test_all_or_nothing(self):
        received = self.copy("a")
        with self.fails(Code.INVALID_STATE):
            self.consumer.checkpoint()
        with self.fails(Code.INVALID_STATE):
            self.producer.send(["x"])
        with self.fails(Code.INVALID_STATE):
            self.producer.open_transactions()[0].checkpoint()
        written_down = self.group.next_request()
        self.group.checkpoint()
        self.assertEqual(self.group.last_request, written_down)
        self.assertEqual(self.client.commit_state(written_down), TransactionState.CHECKPOINTED)
        self.assertEqual(all_of(self.client.consumer("out")), ["a", "a"])
        self.copy("b")
        self.assertEqual(self.stored(), received.id)  # and this instance fences the group's consumer
        with self.fails(Code.FENCED):
            self.group.checkpoint()
        self.group.cancel()
        self.assertEqual(all_of(self.client.consumer("out")), ["a", "a"])

    def test_a_request_that_never_came_is_refused_for_ever(self):
        self.copy("a")
        self.assertEqual(self.client.commit_state(self.group.next_request()), TransactionState.NOT_CHECKPOINTED)
        with self.fails(Code.TRANSACTION_CLOSED):
            self.group.checkpoint()
        self.group.checkpoint()  # with a new one
        self.assertEqual(all_of(self.client.consumer("out")), ["a", "a"])

    def test_a_lost_part_is_not_committed(self):
        self.copy("a")
        with self.assertRaises(ZeroDivisionError), self.producer.begin():
            raise ZeroDivisionError
        with self.fails(Code.TRANSACTION_LOST):
            self.group.checkpoint()
        self.group.cancel()
        self.copy("b")
        self.group.checkpoint()
        self.assertEqual(all_of(self.client.consumer("out")), ["b", "b"])

    def test_members(self):
        other = self.connect()
        with self.fails(Code.FOREIGN_STORE):
            self.group.add(other.producer("s"))
        with self.fails(Code.INVALID_STATE):
            self.group.add(self.client.consumer("s"))
        with self.fails(Code.INVALID_STATE):
            self.client.checkpoint_group().add(self.producer)
        self.group.remove(self.producer)
        self.producer.send(["free"])
        self.assertEqual(all_of(self.client.consumer("out")), ["free"])


class Unknown(ClientTest):
    """A server that stands still does what it was asked when it goes on: the client hears that nobody knows."""

    def setUp(self):
        super().setUp()
        self.hasty = self.connect(patience=0.5)

    def stand_still(self):
        self.daemon.tell(signal.SIGSTOP)
        self.addCleanup(self.daemon.tell, signal.SIGCONT)

    def test_asking_again_does_it_once(self):
        one = self.hasty.producer("s").begin()
        one.put("x")
        self.stand_still()
        with self.fails(Code.OUTCOME_UNKNOWN, Outcome.UNKNOWN):
            one.checkpoint()
        for refused in (one.cancel, lambda: one.put("y")):
            with self.fails(Code.INVALID_STATE):
                refused()
        self.daemon.tell(signal.SIGCONT)
        one.checkpoint()
        self.assertEqual(all_of(self.client.consumer("s")), ["x"])

    def test_a_group_is_frozen_until_it_is_settled(self):
        self.client.create_stream("out")
        self.client.producer("s").send(["a"])
        consumer, producer = self.hasty.consumer("s", name="copier"), self.hasty.producer("out")
        group = self.hasty.checkpoint_group()
        group.add(consumer)
        group.add(producer)
        received = consumer.next(0)
        producer.begin().put(b" ".join(received))
        self.stand_still()
        with self.fails(Code.OUTCOME_UNKNOWN, Outcome.UNKNOWN):
            group.checkpoint()
        for refused in (group.cancel, lambda: group.add(producer), lambda: group.remove(producer)):
            with self.fails(Code.INVALID_STATE):
                refused()
        request = group.next_request()
        self.daemon.tell(signal.SIGCONT)
        group.checkpoint()
        self.assertEqual(group.last_request, request)
        self.assertNotEqual(group.next_request(), request)
        self.assertEqual(all_of(self.client.consumer("out")), ["a"])
        again = self.client.consumer("s", name="copier", start=Start.STORED)
        self.assertEqual(again.positions(), {0: received.id})

    def test_a_read_is_not_applied(self):
        self.stand_still()
        with self.fails(Code.UNAVAILABLE):
            self.hasty.find_stream("s")

    def test_what_was_opened_and_never_heard_of_holds_back_nobody_for_long(self):
        brief = self.connect(patience=0.5, session_timeout=2)
        producer = brief.producer("s")
        self.stand_still()
        with self.fails(Code.OUTCOME_UNKNOWN, Outcome.UNKNOWN):
            producer.begin()
        self.daemon.tell(signal.SIGCONT)
        producer.send(["behind it"])
        self.assertEqual(texts(self.client.consumer("s").next(PATIENCE)), ["behind it"])


class Sessions(ClientTest):
    def test_heartbeats_keep_transactions_open(self):
        brief = self.connect(session_timeout=3)
        producer, consumer = brief.producer("s"), brief.consumer("s")
        idle, waiting = producer.begin(), producer.begin()
        time.sleep(5)
        idle.checkpoint()
        consumer.next(0)
        self.assertIsNone(consumer.next(5))
        waiting.checkpoint()

    def test_a_client_that_dies_holds_back_nobody_for_long(self):
        program = ("import sys, time, tstreams\n"
                   f"client = tstreams.Client({self.daemon.endpoint!r}, session_timeout=1)\n"
                   "client.producer('s').begin().put('x')\n"
                   "print('open', flush=True)\n"
                   "time.sleep(60)\n")
        child = subprocess.Popen([sys.executable, "-B", "-c", program], stdout=subprocess.PIPE, text=True,
                                 env={**os.environ, "PYTHONPATH": str(TREE / "clients/python")})
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertEqual(child.stdout.readline(), "open\n")
        self.client.producer("s").send(["behind it"])
        consumer = self.client.consumer("s")
        self.assertIsNone(consumer.next(0))
        child.kill()
        self.assertEqual(texts(consumer.next(PATIENCE)), ["behind it"])

    def test_closing_cancels_what_is_open(self):
        other = self.connect()
        other.producer("s").begin().put("x")
        other.close()
        other.close()
        with self.fails(Code.SHUTTING_DOWN):
            other.find_stream("s")
        self.client.producer("s").send(["behind it"])
        self.assertEqual(texts(self.client.consumer("s").next(0)), ["behind it"])

    def test_a_restart_is_passed_over_and_open_transactions_are_reported(self):
        producer, consumer = self.client.producer("s"), self.client.consumer("s", name="reader")
        left = producer.begin()
        left.put("lost")
        for number in (signal.SIGKILL, signal.SIGTERM):
            self.daemon.end(number)
            self.daemon.start()
            with self.fails(Code.TRANSACTION_UNKNOWN):
                left.checkpoint()
            left = producer.begin()
        left.cancel()
        producer.send(["kept"])
        self.assertEqual(texts(consumer.next(PATIENCE)), ["kept"])
        consumer.checkpoint()

    def test_transactions_of_one_id_in_different_partitions_are_all_decided(self):
        """After a restart each partition begins at the same id."""
        self.client.create_stream("wide", partitions=8)
        producer = self.client.producer("wide")
        for partition in range(8):
            producer.send(["before"], partition=partition)
        self.daemon.end(signal.SIGKILL)
        self.daemon.start()
        made = [producer.begin(partition) for partition in range(8)]
        self.assertLess(len({one.id for one in made}), 8)
        for one in made:
            one.put("after")
        producer.checkpoint()
        self.assertEqual(sorted(all_of(self.client.consumer("wide"))), ["after"] * 8 + ["before"] * 8)

    def test_a_wait_goes_on_over_a_restart(self):
        consumer = self.client.consumer("s")

        def restart():
            self.daemon.end(signal.SIGKILL)
            self.daemon.start()
            other = self.connect()
            other.producer("s").send(["after it"])

        timer = threading.Timer(0.3, restart)
        timer.start()
        self.assertEqual(texts(consumer.next(PATIENCE)), ["after it"])
        timer.join()

    def test_nobody_serves_there(self):
        self.daemon.end()
        with self.fails(Code.UNAVAILABLE):
            tstreams.Client(self.daemon.endpoint, patience=0.3)


class Format(ClientTest):
    def ask(self, body, command="tstreams.find_stream"):
        call = mock.Mock(command=command, acts=False)
        with self.client._connection._lock:
            return self.client._connection._ask(call, body, time.monotonic() + PATIENCE)

    def test_another_major_version_is_refused(self):
        for major in (0, 2, 255):
            body = bytes([major]) + messages.encode_request(messages.FindStream("s"))[1:]
            with self.fails(Code.UNSUPPORTED) as refused:
                messages.decode_reply(self.ask(body), messages.FindStream)
            self.assertIn(f"version {major}", str(refused.failure))

    def test_what_is_no_call_is_refused(self):
        with self.fails(Code.UNSUPPORTED):
            self.ask(b"", "tstreams.nonsense")
        with self.fails(Code.MALFORMED_MESSAGE):
            messages.decode_reply(self.ask(b"\x01\x00"), messages.FindStream)

    def test_an_acting_call_is_done_once_however_often_it_is_asked(self):
        link = self.client._connection
        stream = self.client.find_stream("s")
        link._sequence += 1
        call = messages.Open(stream.id, 0, "", 0, 0)
        body = messages.encode_request(call, link._session, link._sequence, link._sequence)
        found = [messages.decode_reply(self.ask(body, call.command), messages.Open) for _ in range(3)]
        self.assertEqual(found, found[:1] * 3)
        link.call(messages.Cancel([found[0].transaction]))
        with self.fails(Code.INVALID_ARGUMENT):  # its answer is forgotten
            messages.decode_reply(self.ask(body, call.command), messages.Open)

    def test_a_call_that_is_broken_off_is_cancelled(self):
        with mock.patch.object(connection.Connection, "_heartbeat", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt):
            self.client.consumer("s")
        self.assertIsNotNone(self.client.find_stream("s"))


class LostAnswers(ClientTest):
    """The first attempt is done and its answer lost, and the session with it; the next one is refused."""

    def delete_with_a_lost_answer(self, then):
        asked = connection.Connection._exchange
        count = 0

        def exchange(self, command, body, deadline):
            nonlocal count
            if command == messages.DeleteStream.command:
                count += 1
                answer = asked(self, command, body, deadline)
                if count > 1:
                    return answer
                asked(self, messages.CloseSession.command, messages.encode_request(messages.CloseSession(),
                                                                                   self._session), deadline)
                return connection._Message(connection._ERROR, code=connection._PEER_GONE)
            return then if then and command == messages.OpenSession.command else asked(self, command, body, deadline)

        with mock.patch.object(connection.Connection, "_exchange", exchange):
            self.client.delete_stream("s")

    def test_a_call_is_in_doubt_when_the_next_session_does_not_come(self):
        with self.fails(Code.OUTCOME_UNKNOWN, Outcome.UNKNOWN):
            self.delete_with_a_lost_answer(connection._Message(connection._ERROR, code=connection._UNAUTHORIZED))

    def test_a_call_is_in_doubt_when_the_next_session_refuses_it(self):
        with self.fails(Code.STREAM_NOT_FOUND, Outcome.UNKNOWN):
            self.delete_with_a_lost_answer(None)


class Others(ClientTest):
    """What the tool, a client in C++, writes and reads beside this one, and without a server behind it."""

    def test_what_one_writes_the_other_reads(self):
        self.tool("produce", "s", "--batch", "2", stdin=b"a\nb\nc\n")
        self.client.producer("s").send(["d", "e"])
        consumer = self.client.consumer("s", name="both")
        self.assertEqual([texts(consumer.next(0)) for _ in range(2)], [["a", "b"], ["c"]])
        consumer.checkpoint()
        self.assertEqual(self.tool("consume", "s", "--name", "both"), b"d\ne\n")
        self.assertEqual(self.client.consumer("s", name="both").next(0), None)

    def test_large_items(self):
        item = os.urandom(5_000_000)
        self.tool("produce", "s", "--bytes", stdin=item)
        self.assertEqual(b"".join(self.client.consumer("s").next(PATIENCE)), item)
        lines = [f"{i:07}".encode() * 20_000 for i in range(70)]
        self.client.create_stream("large")
        with mock.patch.object(frames, "TARGET", 100_000), self.client.producer("large").begin() as large:
            for one in lines:
                large.put(one)
            large.checkpoint()
        self.assertEqual(self.tool("consume", "large").splitlines(), lines)
        self.daemon.end()
        self.assertEqual(self.tool("consume", "large", at=self.daemon.store).splitlines(), lines)

    def test_groups_are_there_for_an_embedded_client(self):
        self.client.create_stream("out")
        consumer, producer = self.client.consumer("s", name="copier"), self.client.producer("out")
        group = self.client.checkpoint_group()
        group.add(consumer)
        group.add(producer)
        self.tool("produce", "s", stdin=b"a\nb\n")
        received = consumer.next(0)
        with producer.begin() as made:
            for one in received:
                made.put(one)
            group.checkpoint()
        self.tool("produce", "s", stdin=b"c\n")
        self.client.close()
        self.daemon.end()
        self.assertEqual(self.tool("consume", "out", at=self.daemon.store), b"a\nb\n")
        self.assertEqual(self.tool("consume", "s", "--name", "copier", at=self.daemon.store), b"c\n")

    def test_the_sample_of_the_readme(self):
        readme = (TREE / "clients/python/README.md").read_text()
        sample, *_ = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
        self.assertIn("tcp://127.0.0.1:7420", sample)
        for run in (1, 2):  # the second one finds its streams, and sends again
            exec(sample.replace("tcp://127.0.0.1:7420", self.daemon.endpoint), {})
            self.assertEqual(self.tool("consume", "small"), b"pears 5\napples 3\n" * run)

    def test_keys_are_routed_alike(self):
        self.assertEqual(tstreams.key_hash(b""), 0xCBF29CE484222325)
        self.assertEqual(tstreams.key_hash(b"foobar"), 0x85944171F73967E8)


class Limited(ServedTest):
    OPTIONS = ("--session-timeout", "60")

    def test_a_session_timeout_over_the_limit_is_too_large(self):
        self.connect(session_timeout=60)
        with self.assertRaises(tstreams.Error) as raised:
            self.connect(session_timeout=60.001)
        self.assertEqual((raised.exception.code, raised.exception.outcome), (Code.TOO_LARGE, Outcome.NOT_APPLIED))

    def test_partitions_over_the_limit_are_too_large(self):
        client = self.connect()
        client.create_stream("wide", partitions=1024)
        with self.assertRaises(tstreams.Error) as raised:
            client.create_stream("wider", partitions=1025)
        self.assertEqual((raised.exception.code, raised.exception.outcome), (Code.TOO_LARGE, Outcome.NOT_APPLIED))


class Silence(ServedTest):
    SILENCE = 8  # not what Moebius takes unless told, 2 s and 6 s: with either of them it would be cut after 14 s
    OPTIONS = ("--silence", str(SILENCE))
    STOPPED = """
import os, signal, sys
import tstreams
client = tstreams.Client(sys.argv[1], name="stopped")
session = client._connection._session
os.kill(os.getpid(), signal.SIGSTOP)
assert client.find_stream("nothing") is None
print(client._connection._session == session)
"""

    def connected(self):
        clients = map(json.loads, self.tool("server", "clients", "--json").splitlines())
        return [one["connected"] for one in clients if one["client"] == "stopped"]

    def test_a_connection_is_asked_and_cut_and_its_session_goes_on(self):
        begun = time.monotonic()
        stopped = subprocess.Popen([sys.executable, "-B", "-c", self.STOPPED, self.endpoint], stdout=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(TREE / "clients/python")})
        self.addCleanup(stopped.stdout.close)
        self.addCleanup(stopped.wait)
        self.addCleanup(stopped.kill)
        os.waitpid(stopped.pid, os.WUNTRACED)
        self.assertEqual(self.connected(), [True])
        wait_until(lambda: self.connected() == [False], "the connection is cut")
        self.assertGreater(time.monotonic() - begun, 2 * self.SILENCE - 0.5)
        stopped.send_signal(signal.SIGCONT)
        self.assertEqual(stopped.communicate(timeout=PATIENCE)[0], b"True\n", "the same session")


class Secured(ServedTest):
    OPTIONS = ("--key-file", "{}/server.key", "--clients-file", "{}/clients")

    def new_key(self, name):
        """The public key, and the secret one from the file."""
        public = self.tool("key", "new", f"{self.directory}/{name}.key").decode().strip()
        with open(f"{self.directory}/{name}.key") as file:
            return public, dict(line.split() for line in file if " " in line)["secret-key"]

    def before_serving(self):
        self.server, _ = self.new_key("server")
        public, secret = self.new_key("reader")
        self.keys = tstreams.Keys(public, secret, self.server)
        self.tool("key", "allow", "reader", "--key", public, "--rights", "create,read", "--streams", "open-*",
                  "--clients-file", f"{self.directory}/clients")

    def test_who_may_come_and_do_what(self):
        client = self.connect(keys=self.keys)
        client.create_stream("open-1")
        self.assertIsNone(client.consumer("open-1").next(0))
        for refused in (lambda: client.create_stream("closed"), lambda: client.producer("open-1").send(["x"])):
            with self.assertRaises(tstreams.Error) as raised:
                refused()
            self.assertEqual((raised.exception.code, raised.exception.outcome),
                             (Code.UNAUTHORIZED, Outcome.NOT_APPLIED))
        public, secret = self.new_key("stranger")
        for keys in (None, tstreams.Keys(public, secret, self.server)):
            with self.assertRaises(tstreams.Error) as raised:
                tstreams.Client(self.daemon.endpoint, patience=0.5, keys=keys)
            self.assertIn(raised.exception.code, (Code.UNAVAILABLE, Code.UNAUTHORIZED))


if __name__ == "__main__":
    unittest.main()
