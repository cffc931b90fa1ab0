"""A sink into a server outside: whatever is killed, stopped or lost, each input is there once, and the position is that
of the last one. The same rounds for each server."""

import collections
import os
import re
import shutil
import signal
import subprocess
import time

import kills

PART = 10_000     # items, in transactions of 100, that are added when there is no work left
ROUNDS_MAX = 200  # with and without a kill
ENDED = "the sink belongs to a newer instance"


class Rounds:
    def __init__(self, program, dump, server, work, chance):
        self.program = program
        self.dump = dump
        self.server = server
        self.store = os.path.join(work, "store")
        self.log = os.path.join(work, "log")
        self.chance = chance
        self.count = PART
        self.latest = 0.06  # seconds of work before a kill
        self.counts = collections.Counter()

    def command(self, store=None, address=None):
        return ["setpriv", "--pdeathsig", "KILL", self.program, "file:" + (store or self.store),
                address or self.server.address(), str(self.count)]

    def start(self, address=None):
        with open(self.log, "wb") as log:
            return subprocess.Popen(self.command(address=address), stderr=log)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def end(self, child, kill):
        """Ends the sink, which must have met no error."""
        if kill:
            child.kill()
        try:
            child.wait(kills.RUN_SECONDS_MAX)
        finally:
            child.kill()
            child.wait()
        kills.check(child.returncode in (0, -signal.SIGKILL), f"the sink ended with {child.returncode}: {self.said()}")
        for text in re.findall(r" is (?:not )?stored$|went back", self.said(), re.MULTILINE):
            self.counts[text.strip()] += 1

    def kill_round(self, what):
        """Kills the sink at its start; or at work the sink, the server, or both. False: it had ended before."""
        before = self.server.positions()
        child = self.start() if what == "start" else self.stop_at_work()
        try:
            child.send_signal(signal.SIGCONT)
            time.sleep(self.chance.uniform(0, self.latest))
            running = child.poll() is None
            if running and what in ("server", "both"):
                seen = self.server.positions()
                self.server.kill()
                if what == "both":
                    child.kill()
                time.sleep(self.chance.uniform(0, 0.2))
                self.server.start()
                not_behind(self.server.positions(), seen)
                time.sleep(self.chance.uniform(0, 0.4))
        finally:
            self.end(child, kill=True)
        not_behind(self.server.positions(), before)
        if not running:
            self.latest = max(0.01, self.latest * 0.8)
        return running

    def kill(self, **rounds):
        """That many rounds of each kind, in a random order."""
        plan = [what for what, number in rounds.items() for _ in range(number)]
        self.chance.shuffle(plan)
        for _ in range(ROUNDS_MAX):
            if not plan:
                return
            if self.kill_round(plan[-1]):
                self.counts["killed " + plan.pop()] += 1
            else:
                self.count += PART
        kills.check(False, f"{len(plan)} rounds were left after {ROUNDS_MAX}")

    def lose_answers(self, proxy):
        """Work through a proxy that loses requests and answers."""
        planned = len(proxy.faults)
        for _ in range(10):
            if not proxy.faults:
                break
            self.count += PART
            self.end(self.start(self.server.address(proxy.directory)), kill=False)
        kills.check(not proxy.faults, "the proxy has not spoilt what it should")
        kills.check(self.counts["is stored"] > 0 and self.counts["is not stored"] > 0,
                    f"of {planned} requests that failed some must have happened and some not: {self.counts}")
        self.compare()

    def stop_when(self, child, holds, pause=0.02):
        """Stops the sink as soon as holds(), asked about every `pause` seconds of its work. False: it has ended."""
        deadline = time.monotonic() + kills.RUN_SECONDS_MAX
        while child.poll() is None and time.monotonic() < deadline:
            child.send_signal(signal.SIGSTOP)
            if holds():
                return True
            child.send_signal(signal.SIGCONT)
            time.sleep(self.chance.uniform(0, pause))
        return False

    def stop_at_work(self, wanted=lambda: True):
        """A sink that is stopped in the middle of its work, all of its input fed, and when wanted() is true."""
        for _ in range(10):
            before = self.server.positions()
            child = self.start()
            if self.stop_when(child, lambda seen=before: self.server.positions() != seen and wanted()):
                return child
            self.end(child, kill=False)
            self.count += PART
        return kills.check(False, "the sink ends before it can be stopped")

    def outlive(self, wanted=lambda: True):
        """Stops a sink, lets a newer one do the work, and wakes the older one up: it must change nothing, and end. A
        store is open in one process at a time, so the newer one has a copy of it, as a standby machine would have."""
        self.count += PART
        older = self.stop_at_work(wanted)
        try:
            copy = self.store + ".copy"
            stopped_at = self.server.positions()
            shutil.copytree(self.store, copy)
            kills.run(self.command(store=copy))
            positions, results = self.server.positions(), self.server.results()
            kills.check(positions != stopped_at, "the older sink had nothing left to do")
            older.send_signal(signal.SIGCONT)
            older.wait(kills.RUN_SECONDS_MAX)
        finally:
            older.kill()
            older.wait()
        kills.check(older.returncode == 1 and ENDED in self.said(),
                    f"the older sink ended with {older.returncode}: {self.said()}")
        kills.check(self.server.positions() == positions and self.server.results() == results,
                    "the older sink has changed something")
        shutil.rmtree(copy)
        self.counts["outlived"] += 1
        self.compare()

    def lose_writes(self, rounds):
        """Kills a server that acknowledges before it has written: results and position go back together."""
        self.server.be_lossy()
        for _ in range(rounds):
            self.count += 3 * PART
            child = self.stop_at_work()
            try:
                self.server.before_loss()
                for _ in range(3):  # some are acknowledged, and not only under way
                    seen = self.server.positions()
                    child.send_signal(signal.SIGCONT)
                    self.stop_when(child, lambda before=seen: self.server.positions() != before, pause=0.002)
                self.server.kill()
                self.server.start()
                child.send_signal(signal.SIGCONT)
            finally:
                self.end(child, kill=False)
            self.counts["killed lossy server"] += 1
        kills.check(self.counts["went back"] > 0, "the server has lost nothing")
        self.compare()

    def compare(self):
        """Lets the work end, and compares the results with the input, and the position with its end."""
        kills.run(self.command())
        results = sorted(int(value) for value in self.server.results())
        expected = list(range(1, self.count + 1))
        kills.check(results == expected, f"there are {len(results)} results, {len(set(results))} of them different; "
                                         f"the input has {self.count}")
        stream = kills.dump(self.dump, self.store, "numbers")
        kills.check(sorted(int(text) for _, _, text in stream) == expected, "the stream is not the input")
        last = {partition: txn for partition, txn, _ in stream}
        positions = self.server.positions()
        kills.check(positions == last, f"positions {positions} are not the ends of the partitions {last}")


def not_behind(later, earlier):
    kills.check(all(later.get(partition, 0) >= after for partition, after in earlier.items()),
                f"the server has lost what it acknowledged: {earlier}, then {later}")
