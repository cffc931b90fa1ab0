#!/usr/bin/env python3
"""Runs flights_job, kills it at random moments, and compares everything it wrote with the data file.

    ./run.py [--bin build/release] [--seed N] [--kills N] [--store DIRECTORY]

Kill moments are random points of the work, so that they spread over feeding and counting on any machine; one
comes at a random time after a restart, when the job may still be opening its store. The counters of the table
are in a file that the job maps; so they are the ones of the moment of the kill.
"""
import argparse
import collections
import itertools
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
import expected

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUN_SECONDS_MAX = 300
FEEDING_KILLS_WITH_OPEN_MIN = 2
EXAMPLES_MAX = 3  # of each kind of difference

Status = collections.namedtuple("Status", "total fed open cancelled counted transactions windows")
STATUS = struct.Struct("<7Q")


def read_status(path):
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    return Status(*STATUS.unpack(data)) if len(data) == STATUS.size else Status(*[0] * 7)


class Moment:
    """When to kill: when the part of the work that `counter` shows is done, or so long after the start."""

    def __init__(self, counter, part):
        self.counter = counter
        self.part = part

    def has_come(self, status, seconds):
        if self.counter == "start":
            return seconds >= self.part
        if not status.total or getattr(status, self.counter) < self.part * status.total:
            return False
        return self.counter != "fed" or status.open > 0

    def __str__(self):
        if self.counter == "start":
            return f"{1000 * self.part:.0f} ms after the start"
        return f"at {100 * self.part:.1f} % {self.counter}"


def plan(chance, kills):
    """About half of the kills by what is fed, one after a start, the others later, by what is counted."""
    feeding = max(FEEDING_KILLS_WITH_OPEN_MIN + 1, kills // 2)
    parts = sorted(chance.uniform(0.03, 0.9) for _ in range(feeding))
    moments = [Moment("fed", part) for part in parts]
    moments.insert(chance.randrange(1, len(moments)), Moment("start", chance.uniform(0.0, 0.3)))
    rest = sorted(chance.uniform(parts[-1], 0.98) for _ in range(max(0, kills - len(moments))))
    return moments + [Moment("counted", part) for part in rest]


class Run:
    def __init__(self, options, store):
        self.options = options
        self.store = store
        self.status_file = store.parent / "status"
        self.runs = 0

    def start(self):
        self.runs += 1
        self.status_file.unlink(missing_ok=True)
        command = [self.options.bin / "examples/flights/flights_job", "--store", f"file:{self.store}",
                   "--data", self.options.data, "--status", self.status_file,
                   "--seed", str(self.options.seed + self.runs)]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)

    def until(self, moment):
        """Starts the job; its status when it was killed at that moment, None when it ended before."""
        process = self.start()
        started = time.monotonic()
        try:
            while process.poll() is None:
                seconds = time.monotonic() - started
                if moment and moment.has_come(read_status(self.status_file), seconds):
                    process.send_signal(signal.SIGKILL)
                    break
                if seconds > RUN_SECONDS_MAX:
                    sys.exit(f"flights_job does not end within {RUN_SECONDS_MAX} s")
                time.sleep(0.001)
            output = process.communicate()[0]
        finally:
            process.kill()
            process.wait()
        if process.returncode == -signal.SIGKILL:
            return read_status(self.status_file)
        if process.returncode != 0:
            sys.exit(f"flights_job failed with exit code {process.returncode}; its message is above")
        print(output, end="")
        return None


def consume(options, store, stream):
    """What the command-line tool reads: the items, a list per partition, and the number of transactions."""
    command = [options.bin / "cli/tstreams", "--at", f"file:{store}", "consume", stream, "--json"]
    items = [[] for _ in range(expected.PARTITIONS)]
    transactions = set()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            item = json.loads(line)
            items[item["partition"]].append(item["data"])
            transactions.add((item["partition"], item["transaction"]))
    if process.returncode != 0:
        sys.exit(f"tstreams consume {stream} failed with exit code {process.returncode}")
    return items, len(transactions)


def compare(name, want, found):
    """Prints one line of the result table; true when both are the same, item for item and in order."""
    wanted = collections.Counter((number, item) for number, some in enumerate(want) for item in some)
    got = collections.Counter((number, item) for number, some in enumerate(found) for item in some)
    missing = sum((wanted - got).values())
    surplus = got - wanted
    duplicates = sum(count for key, count in surplus.items() if key in wanted)
    extra = sum(surplus.values()) - duplicates
    order = "yes" if want == found else "no"
    print(f"{name:<18} {sum(wanted.values()):>9} {sum(got.values()):>9} {missing:>9} {extra:>9} "
          f"{duplicates:>11} {order:>10}")
    for what, some in (("missing", wanted - got), ("too many", surplus)):
        for (number, item), count in itertools.islice(some.items(), EXAMPLES_MAX):
            print(f"  {what}: {item!r} of partition {number}, {count} times")
    return want == found


def check(options, store, final):
    flights = expected.read_flights(options.data)
    fed, fed_transactions = consume(options, store, "flights")
    results, _ = consume(options, store, "flights.windows")
    print(f"\n{'stream':<18} {'expected':>9} {'found':>9} {'missing':>9} {'extra':>9} {'duplicates':>11} "
          f"{'same order':>10}")
    same = compare("flights", expected.input_items(flights), fed)
    same = compare("flights.windows", expected.result_items(flights), results) and same
    print(f"(with a closing item in each of the {expected.PARTITIONS} partitions)")
    print(f"\ninput transactions in the stream: {fed_transactions}, "
          f"counted by the aggregator: {final.transactions}")
    return same and fed_transactions == final.transactions and final.counted == len(flights)


def kill_and_restart(run, moments):
    """Prints a line per kill; returns how many there were, and how many while feeding, with open ones."""
    print(f"{'kill':>4}  {'moment':<26} {'phase':<9} {'open':>4} {'fed':>8} {'counted':>8} "
          f"{'input txns':>10} {'windows':>8}")
    kills = feeding_with_open = 0
    for moment in moments:
        status = run.until(moment)
        if status is None:
            print(f"      {moment}: the job had ended before")
            continue
        kills += 1
        if not status.total:
            phase = "opening"
        elif status.fed < status.total:
            phase = "feeding"
            feeding_with_open += status.open > 0
        else:
            phase = "counting"
        print(f"{kills:>4}  {str(moment):<26} {phase:<9} {status.open:>4} {status.fed:>8} "
              f"{status.counted:>8} {status.transactions:>10} {status.windows:>8}", flush=True)
    return kills, feeding_with_open


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release", help="the build directory")
    parser.add_argument("--data", type=Path, default=HERE / "data/flights.bin")
    parser.add_argument("--store", type=Path, help="a directory to keep; default: a temporary one")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kills", type=int, default=7)
    options = parser.parse_args()
    if options.kills < 5:
        parser.error("--kills must be at least 5")
    if not (options.bin / "examples/flights/flights_job").exists():
        parser.error(f"nothing is built in {options.bin}; run ./quickstart, or give another --bin")
    if options.store and options.store.exists() and any(options.store.iterdir()):
        parser.error(f"{options.store} is not empty; give a directory that is empty or not there yet")

    folder = options.store or Path(tempfile.mkdtemp(prefix="flights-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        sys.exit(0 if whole_run(options, folder) else 1)
    finally:
        if not options.store:
            shutil.rmtree(folder)


def whole_run(options, folder):
    started = time.monotonic()
    print(f"seed {options.seed}; again with: {os.path.relpath(__file__)} --seed {options.seed}\n")
    run = Run(options, folder / "store")
    moments = plan(random.Random(options.seed), options.kills)
    kills, feeding_with_open = kill_and_restart(run, moments)
    if run.until(None) is not None:
        sys.exit("flights_job was killed by somebody else")
    good = check(options, folder / "store", read_status(run.status_file))
    if kills < 5 or feeding_with_open < FEEDING_KILLS_WITH_OPEN_MIN:
        print("too few kills, or too few of them while feeding with transactions open: try another --seed")
        good = False
    print(f"{kills} kills, {feeding_with_open} of them while feeding with transactions open, "
          f"{time.monotonic() - started:.0f} s: {'exactly once' if good else 'NOT exactly once'}")
    return good


if __name__ == "__main__":
    main()
