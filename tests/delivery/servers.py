"""Real servers for the sinks, each in a directory of its own and on a Unix socket only, and a proxy in front of them
that loses answers. All are ended by their pid; if this process is killed, the kernel ends the servers (pdeathsig)."""

import contextlib
import glob
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import kills

START_SECONDS_MAX = 40  # PostgreSQL reads its log after a kill, and syncs its directory
STOP_SECONDS_MAX = 40


class Server:
    """A program that is started, killed with all of its processes, and started again on the same files."""

    death_signal = "KILL"

    def __init__(self):
        # Not in the directory of the test: the path of a socket is short, and another user has to get there.
        self.directory = tempfile.mkdtemp(prefix="delivery-")
        self.options = []
        self.child = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.child:
                self.child.send_signal(signal.SIGINT)
                self.child.wait(STOP_SECONDS_MAX)
        finally:
            self.kill()
            shutil.rmtree(self.directory)

    def start(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self.child is None or self.child.poll() is not None:
                with open(os.path.join(self.directory, "log"), "ab") as log:
                    self.child = subprocess.Popen(["setpriv", "--pdeathsig", self.death_signal, *self.command()],
                                                  stdout=log, stderr=log)
            if self.ready():
                return
            if time.monotonic() > deadline:
                with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as log:
                    kills.check(False, "the server does not start: " + log.read()[-2000:])
            time.sleep(0.05)

    def kill(self):
        """SIGKILL for the server and the processes that it has started; stopped before, so that it starts no more."""
        if self.child is None:
            return
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGSTOP)
            for pid in children(self.child.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.child.kill()
        self.child.wait()
        self.child = None

    def restart(self, *options):
        self.child.send_signal(signal.SIGINT)
        self.child.wait(STOP_SECONDS_MAX)
        self.options = options
        self.start()


def children(parent):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as stat:
            text = stat.read()
            if int(text[text.rindex(")") + 1:].split()[1]) == parent:
                found.append(int(text.split()[0]))
    return found


class PostgreSQL(Server):
    death_signal = "QUIT"  # ends the children too
    mark = b"commit\0"     # in what a client sends to commit
    socket_name = ".s.PGSQL.5432"

    def __init__(self):
        super().__init__()
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        kills.check(programs, "PostgreSQL is not installed")
        self.programs = os.path.dirname(programs[-1])
        self.user = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.directory, "postgres", "postgres")
            self.user = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        self.data = os.path.join(self.directory, "data")
        kills.run(["setpriv", *self.user, os.path.join(self.programs, "initdb"), "-D", self.data, "-U", "postgres",
                   "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"])

    def command(self):
        return [*self.user, os.path.join(self.programs, "postgres"), "-D", self.data, "-k", self.directory,
                "-c", "listen_addresses=", "-c", "fsync=on", "-c", "shared_buffers=16MB", "-c", "max_connections=20",
                "-c", "recovery_init_sync_method=syncfs",  # and not 1,000 files one after another
                *self.options]

    def address(self, directory=None):
        # The time limit is shorter than the sink's own, which the test would have to wait for.
        return (f"host={directory or self.directory} user=postgres dbname=postgres "
                "options='-c idle_in_transaction_session_timeout=2s'")

    def query(self, sql):
        return [line.split("|") for line in self.psql(sql).stdout.splitlines()]

    def psql(self, sql):
        done = subprocess.run([os.path.join(self.programs, "psql"), self.address(), "-XAtc", sql],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        kills.check(done.returncode == 0 or sql == "select 1" or "does not exist" in done.stderr, done.stderr)
        return done

    def ready(self):
        return self.psql("select 1").returncode == 0

    def positions(self):
        return {int(partition): int(after) for partition, after in self.query("select partition, after from positions")
                if after != "0"}

    def results(self):
        return [value for value, in self.query("select value from results")]

    def in_transaction(self):
        return self.query("select 1 from pg_stat_activity where state like 'idle in transaction%'") != []

    def be_lossy(self):
        """From now on a kill loses what was acknowledged."""
        self.restart("-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s",
                     "-c", "wal_writer_flush_after=100MB", "-c", "wal_buffers=8MB")

    def before_loss(self):
        """Called in the middle of the work that is to be lost."""


class Redis(Server):
    mark = b"'stored'"  # in the script that stores
    socket_name = "redis"

    def command(self):
        return ["redis-server", "--port", "0", "--unixsocket", os.path.join(self.directory, self.socket_name),
                "--dir", self.directory, "--save", "", "--appendonly", "yes", "--appendfsync", "always", *self.options]

    def address(self, directory=None):
        return os.path.join(directory or self.directory, self.socket_name)

    def cli(self, *words):
        done = subprocess.run(["redis-cli", "-e", "-s", self.address(), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30)
        kills.check(done.returncode == 0 or words == ("ping",), done.stdout + done.stderr)
        return done.stdout.splitlines()

    def ready(self):
        return self.cli("ping") == ["PONG"]

    def key(self, kind):
        """The one key of this kind; there is one stream."""
        found = self.cli("keys", kind + ":*")
        kills.check(len(found) <= 1, f"keys {found}")
        return found[0] if found else kind

    def positions(self):
        words = self.cli("hgetall", self.key("sink"))
        return {int(field): int(value) for field, value in zip(words[::2], words[1::2]) if field != "owner"}

    def results(self):
        return self.cli("lrange", self.key("results"), "0", "-1")

    def be_lossy(self):
        """From now on a kill loses what was acknowledged after the last before_loss()."""
        self.options = ["--appendonly", "no"]
        self.cli("config", "set", "appendonly", "no")
        self.cli("save")

    def before_loss(self):
        self.cli("save")


class Proxy:
    """Hands on what a server and its clients say, and spoils requests that have the server's mark. A request is
    `lost`, or its answer is (`unanswered`), or the client loses its connection and the request arrives `late`."""

    def __init__(self, server, faults, chance):
        self.server = server
        self.directory = tempfile.mkdtemp(prefix="delivery-")
        self.faults = list(faults)
        self.chance = chance
        self.chance.shuffle(self.faults)
        self.lock = threading.Lock()
        self.threads = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.directory, server.socket_name))
        self.listener.listen()

    def __enter__(self):
        self.threads.append(threading.Thread(target=self.accept))
        self.threads[0].start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        for thread in self.threads:
            thread.join()
        self.listener.close()
        shutil.rmtree(self.directory)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(client,)))
            self.threads[-1].start()

    def fault(self, request):
        with self.lock:
            if self.server.mark not in request or not self.faults or self.chance.random() > 0.2:
                return None
            return self.faults.pop()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(ConnectionError):
            server.settimeout(kills.RUN_SECONDS_MAX)
            server.connect(os.path.join(self.server.directory, self.server.socket_name))
            while True:
                readable, _, _ = select.select([client, server], [], [], kills.RUN_SECONDS_MAX)
                if server in readable:
                    answer = server.recv(1 << 16)
                    if not answer:
                        return
                    client.sendall(answer)
                if client in readable:
                    request = client.recv(1 << 16)
                    fault = self.fault(request)
                    if not request or fault == "lost":
                        return
                    if fault == "late":
                        client.close()
                        time.sleep(self.chance.uniform(0, 0.4))
                    server.sendall(request)
                    if fault:
                        server.recv(1 << 16)  # it has been done
                        return
                if not readable:
                    return
