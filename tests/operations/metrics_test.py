"""The metrics of a real tstreamsd: each one that docs/operations.md names is there, none else is, and those that tell
of work move when there is some. Health and readiness; what the HTTP side does with bad input."""
import re
import socket
import subprocess
import time
import unittest
from pathlib import Path

from observing import DAEMON, TOOL, ServedTest, parse_metrics, wait_for

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def total(samples, prefix):
    return sum(value for name, value in samples.items() if name.startswith(prefix))


class Metrics(ServedTest):
    def test_docs_and_server_name_the_same(self):
        daemon = self.start()
        subprocess.run([TOOL, "--at", daemon.at, "stream", "show", "nothing"], capture_output=True, timeout=60)
        types = parse_metrics(daemon.get("/metrics")[1])[1]
        named = re.findall(r"(?m)^\| `((?:tstreams|moebius|process)_[a-z_]+)(?:\{[a-z,]+\})?` \|", GUIDE.read_text())
        self.assertEqual(sorted(named), sorted(types))

    def test_work_moves_them(self):
        daemon = self.start()
        before = daemon.metrics()
        daemon.tool("stream", "create", "orders", "--partitions", "2")
        daemon.tool("produce", "orders", "--batch", "2", text="".join(f"item {n}\n" for n in range(10)))
        self.assertEqual(daemon.tool("consume", "orders", "--name", "billing").count("\n"), 10)
        refused = subprocess.run([TOOL, "--at", daemon.at, "stream", "create", "orders"], capture_output=True,
                                 timeout=60)
        self.assertEqual(refused.returncode, 1)
        now = wait_for("what was refused last", lambda: (lambda read: read if total(
            read, 'tstreams_refusals_total{code="stream_exists"}') == 1 else None)(daemon.metrics()))
        for name, more in {"tstreams_transactions_opened_total": 5, "tstreams_items_in_total": 10,
                           "tstreams_bytes_in_total": 60, "tstreams_transactions_out_total": 5,
                           "tstreams_items_out_total": 10, "tstreams_bytes_out_total": 60,
                           'tstreams_transactions_ended_total{end="checkpointed"}': 5}.items():
            self.assertEqual(now[name] - before[name], more, name)
        for name in ("tstreams_commit_seconds_count", "tstreams_commit_seconds_sum", "tstreams_engine_commits_total",
                     "tstreams_engine_group_commits_count", "tstreams_engine_sync_seconds_count",
                     "tstreams_engine_sync_seconds_sum", "tstreams_engine_bytes_written_total",
                     "moebius_messages_received_total", "moebius_messages_sent_total", "moebius_bytes_received_total",
                     "moebius_bytes_sent_total", "moebius_clients_arrived_total", "moebius_clients_departed_total",
                     "moebius_turns_total"):
            self.assertGreater(now[name], before[name], name)
        for name in ("process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                     "process_cpu_seconds_total"):
            self.assertGreater(now[name], 0, name)
        self.assertLess(now["process_resident_memory_bytes"], 1 << 30)
        self.assertEqual(now['tstreams_commit_seconds_bucket{le="+Inf"}'], now["tstreams_commit_seconds_count"])

    def test_sessions_over_tcp_without_keys_are_counted(self):
        daemon = self.start("--listen", "tcp://127.0.0.1:0")
        tcp = daemon.said(r"endpoint=\"?(tcp://127\.0\.0\.1:\d+)")
        name = "tstreams_unprotected_sessions_total"

        def look(at):
            arrived = daemon.metrics()["moebius_clients_arrived_total"]
            subprocess.run([TOOL, "--at", at, "server", "status"], capture_output=True, check=True, timeout=60)
            return wait_for("figures of later", lambda: (lambda read: read if read[
                "moebius_clients_arrived_total"] > arrived and read["moebius_clients"] == 0 else None)(
                    daemon.metrics()))[name]

        self.assertEqual([look(at) for at in (daemon.at, tcp, daemon.at, tcp)], [0, 1, 1, 2])

    def test_an_open_transaction_and_its_client_are_seen(self):
        daemon = self.start()
        daemon.tool("stream", "create", "orders")
        holder = subprocess.Popen([TOOL, "--at", daemon.at, "produce", "orders", "--linger", "5m"],
                                  stdin=subprocess.PIPE)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdin.close)
        holder.stdin.write(b"one\n")
        holder.stdin.flush()
        name = "tstreams_oldest_open_transaction_seconds"
        first = wait_for("an open transaction", lambda: daemon.metrics()[name])
        later = wait_for("its age to grow", lambda: (lambda age: age if age >= first + 1 else None)(
            daemon.metrics()[name]))
        self.assertGreater(later, first)
        samples = daemon.metrics()
        self.assertEqual(samples["tstreams_open_transactions"], 1)
        self.assertEqual(samples["tstreams_sessions"], 1)
        self.assertEqual(total(samples, "moebius_clients "), 0)
        self.assertEqual(samples["moebius_clients"], 1)
        old = wait_for("its series", lambda: [one for one in daemon.metrics().items() if one[0].startswith(
            'tstreams_old_open_transaction_seconds{stream="orders",partition="0",client="')])
        self.assertGreaterEqual(old[0][1], 5)
        self.assertEqual(total(samples, "tstreams_client_open_transactions{"), 1)
        listed = daemon.tool("txn", "list").split("\t")
        self.assertEqual((listed[0], listed[1]), ("orders", "0"))
        clients = [line.split("\t") for line in daemon.tool("server", "clients").splitlines()]
        self.assertEqual(clients[0][4], "1")  # the one with the most open transactions comes first
        self.assertIn(f"pid {holder.pid}", clients[0][0])
        self.assertEqual(len(clients), 2)  # and the one that asks
        status = daemon.tool("server", "status")
        self.assertRegex(status, r"(?m)^open +1 transaction, the oldest for ")
        self.assertRegex(status, r"(?m)^clients +2 sessions, 2 connections$")
        holder.stdin.close()
        holder.wait(30)
        wait_for("the end of it", lambda: daemon.metrics()["tstreams_open_transactions"] == 0)
        self.assertEqual(daemon.metrics()[name], 0)
        self.assertEqual(daemon.tool("txn", "list"), "")


class Health(ServedTest):
    def write(self, daemon, stream):
        """Enough that starting after a crash, and stopping, take a moment."""
        daemon.tool("stream", "create", stream, "--durability", "process")
        daemon.tool("produce", stream, "--batch", "20", text=("x" * 999_999 + "\n") * 150)

    def phases_until(self, daemon, over):
        """What /readyz says, as often as it can be asked."""
        seen = []
        until = time.monotonic() + 30
        while not over(seen) and time.monotonic() < until:
            try:
                seen.append(daemon.get("/readyz"))
            except OSError:
                break
        return seen

    def test_readiness_at_the_stop(self):
        daemon = self.start()
        self.assertEqual(daemon.get("/readyz"), (200, "ready\n"))
        self.assertEqual(daemon.get("/healthz"), (200, "alive, ready\n"))
        self.write(daemon, "orders")
        daemon.process.terminate()
        seen = self.phases_until(daemon, lambda _: daemon.process.poll() is not None)
        self.assertEqual(daemon.process.wait(30), 0)
        self.assertIn((503, "stopping\n"), seen)
        self.assertTrue(set(seen) <= {(200, "ready\n"), (503, "stopping\n")}, set(seen))

    def test_readiness_at_the_start(self):
        first = self.start()
        self.write(first, "orders")
        first.process.kill()
        first.process.wait()
        second = self.start(wait=False)
        seen = self.phases_until(second, lambda all: all and all[-1][0] == 200)
        self.assertEqual(seen[-1], (200, "ready\n"))
        self.assertIn((503, "starting\n"), seen)
        self.assertEqual(len(second.tool("consume", "orders").splitlines()), 150)

    def test_figures_are_new(self):
        daemon = self.start()
        time.sleep(2.5)  # they come every second
        self.assertLess(daemon.metrics()["tstreams_figures_age_seconds"], 2)
        self.assertEqual(daemon.metrics()["tstreams_ready"], 1)


class BadInput(ServedTest):
    def ask(self, daemon, data):
        host, port = daemon.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(data)
            answer = b""
            try:
                while more := connection.recv(65536):
                    answer += more
            except ConnectionResetError:
                pass
            return answer

    def test_only_what_it_knows(self):
        daemon = self.start()
        self.assertEqual(daemon.get("/")[0], 404)
        self.assertEqual(daemon.get("/metrics/../healthz")[0], 404)
        self.assertEqual(daemon.get("/metrics", "POST")[0], 405)
        self.assertEqual(daemon.get("/metrics", "HEAD"), (200, ""))
        self.assertEqual(daemon.get("/healthz?verbose")[0], 200)
        for garbage in (b"\0" * 100 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 20000 + b"\r\n\r\n",
                        b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000):
            self.assertNotIn(b" 200 ", self.ask(daemon, garbage))
        self.assertEqual(daemon.get("/readyz")[0], 200)

    def test_connections_that_say_nothing_are_ended(self):
        daemon = self.start()
        host, port = daemon.url.removeprefix("http://").split(":")
        before = daemon.metrics()["process_open_fds"]
        idle = [socket.create_connection((host, int(port))) for _ in range(200)]
        begun = time.monotonic()
        wait_for("room again", lambda: self.answers(daemon))
        self.assertLess(time.monotonic() - begun, 15)
        self.assertLess(daemon.metrics()["process_open_fds"], before + 40)
        for one in idle:
            one.close()

    def answers(self, daemon):
        try:
            return daemon.get("/healthz")[0] == 200
        except OSError:
            return False

    def test_addresses(self):
        for address, what in (("0.0.0.0:0", "beyond-loopback"), ("somewhere:1", "write PORT"), ("127.0.0.1:x", "write"),
                              ("127.0.0.1:99999", "write")):
            done = subprocess.run([DAEMON, "--store", f"file:{self.directory}/store", "--listen",
                                   f"ipc://{self.directory}/socket", "--metrics", address], capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 2, address)
            self.assertIn(what, done.stderr)
        beyond = self.start("--metrics-beyond-loopback")
        self.assertRegex(beyond.log.read_text(), "warning unprotected endpoint=http://.*reads the metrics")


if __name__ == "__main__":
    unittest.main()
