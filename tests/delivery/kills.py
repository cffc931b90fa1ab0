"""Running a program again and again, killed with SIGKILL on the way, until it has done its work."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time

RUN_SECONDS_MAX = 60   # one run of a program without a kill
PART = 20_000          # input that is added when the program was done before it could be killed


def seed():
    """The seed of this run: of DELIVERY_SEED, or a new one. Printed, so that a run can be repeated."""
    value = int(os.environ.get("DELIVERY_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed: {value} (set DELIVERY_SEED to repeat it)", flush=True)
    return random.Random(value)


def check(holds, text):
    if not holds:
        sys.exit("FAILED: " + text)


def arguments():
    """The folder of the example programs, and the program that prints a stream."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} EXAMPLES-FOLDER DUMP-PROGRAM")
    return sys.argv[1], sys.argv[2]


def work_directory():
    return tempfile.TemporaryDirectory(prefix="delivery-", dir=os.getcwd())


def run(command):
    """Runs a program to its end, which must be a good one, and returns what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=RUN_SECONDS_MAX)
    check(done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def dump(program, store, stream):
    """The items of a stream in order, as (partition, transaction id, text)."""
    lines = (line.split(" ", 2) for line in run([program, store, stream]).splitlines())
    return [(int(partition), int(txn), text) for partition, txn, text in lines]


def killed(command, moment, wanted=None):
    """Starts the program and kills it `moment` seconds later. With `wanted`, it is then stopped now and again for
    up to a second, and killed while stopped as soon as wanted() is true. False: it had ended before."""
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        try:
            child.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            deadline = time.monotonic() + 1
            while wanted and child.returncode is None and time.monotonic() < deadline:
                os.kill(child.pid, signal.SIGSTOP)
                _, status = os.waitpid(child.pid, os.WUNTRACED)
                if not os.WIFSTOPPED(status):
                    child.returncode = os.waitstatus_to_exitcode(status)
                    break
                if wanted():
                    break
                os.kill(child.pid, signal.SIGCONT)
                time.sleep(0.0005)
            if child.returncode is None:
                child.kill()
                child.wait()
        stderr = child.stderr.read().decode()
        check(child.returncode in (0, -signal.SIGKILL), f"{command} ended with {child.returncode}: {stderr}")
        return child.returncode != 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def kill_times(command, kills, chance, wanted=None):
    """Kills the program `kills` times at random moments, every second time when wanted() is true as above, and then
    lets it end. `command(count)` works on the input 1 to count; whenever the program was done before it was killed,
    there is more input and the next kill comes sooner. Returns the last count."""
    count = PART
    done = 0
    latest = 0.4
    for _ in range(kills * 10):
        if done == kills:
            break
        if killed(command(count), chance.uniform(0.01, latest), wanted if done % 2 == 0 else None):
            done += 1
        else:
            count += PART
            latest = max(0.05, latest * 0.8)
    check(done == kills, f"only {done} kills in {kills * 10} runs: the program ends too fast")
    run(command(count))
    return count
