"""Backup and restore as docs/operations.md says: a copy of a stopped store, and one of a frozen server under load,
verify, open, and hold what was acknowledged before."""
import os
import shutil
import signal
import subprocess
import unittest

from observing import DAEMON, TOOL, Daemon, ServedTest, wait_for


class Backup(ServedTest):
    def check(self, copy):
        done = subprocess.run([TOOL, "--at", f"file:{copy}", "verify"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def restored(self, copy):
        """What a server reads in the copy, with the directory that it was taken to."""
        place = f"{self.directory}/restored"
        os.mkdir(place)
        shutil.move(copy, f"{place}/store")
        daemon = Daemon(place)
        self.addCleanup(daemon.end)
        return daemon

    def test_a_copy_of_a_stopped_store(self):
        daemon = self.start()
        daemon.tool("stream", "create", "orders")
        daemon.tool("produce", "orders", text="".join(f"{n}\n" for n in range(5000)))
        daemon.tool("consume", "orders", "--name", "billing", "--max", "1000")
        self.assertEqual(daemon.end(), 0)
        copy = f"{self.directory}/copy"
        subprocess.run(["cp", "-a", f"{self.directory}/store", copy], check=True, timeout=60)
        self.check(copy)
        again = self.restored(copy)
        self.assertEqual(again.tool("consume", "orders").split(), [str(n) for n in range(5000)])
        self.assertEqual(again.tool("consume", "orders", "--name", "billing").split(),
                         [str(n) for n in range(1000, 5000)])

    def test_a_copy_of_a_frozen_server_under_load(self):
        daemon = self.start()
        daemon.tool("stream", "create", "orders")
        writer = subprocess.Popen([TOOL, "--at", daemon.at, "produce", "orders", "--batch", "10", "--linger", "10ms"],
                                  stdin=subprocess.PIPE, text=True)
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)
        self.addCleanup(writer.stdin.close)
        copies = []
        for part in range(3):
            for n in range(2000):
                writer.stdin.write(f"{part * 2000 + n}\n")
            writer.stdin.flush()
            acknowledged = wait_for("some of it", lambda: daemon.metrics()["tstreams_items_in_total"] - part * 2000)
            os.kill(daemon.process.pid, signal.SIGSTOP)
            try:
                copies.append((part * 2000 + acknowledged, f"{self.directory}/copy{part}"))
                subprocess.run(["cp", "-a", f"{self.directory}/store", copies[-1][1]], check=True, timeout=60)
            finally:
                os.kill(daemon.process.pid, signal.SIGCONT)
            wait_for("the rest", lambda: daemon.metrics()["tstreams_items_in_total"] == (part + 1) * 2000)
        for acknowledged, copy in copies:
            self.check(copy)
            read = subprocess.run([TOOL, "--at", f"file:{copy}", "consume", "orders"], capture_output=True, text=True,
                                  timeout=60, check=True).stdout.split()
            self.assertGreaterEqual(len(read), acknowledged)
            self.assertEqual(read, [str(n) for n in range(len(read))])

    def test_a_store_that_is_served_is_not_opened_twice(self):
        daemon = self.start()
        second = subprocess.run([DAEMON, "--store", f"file:{self.directory}/store", "--listen",
                                 f"ipc://{self.directory}/other"], capture_output=True, text=True, timeout=60)
        self.assertEqual(second.returncode, 1)
        self.assertIn(str(daemon.process.pid), second.stderr)


if __name__ == "__main__":
    unittest.main()
