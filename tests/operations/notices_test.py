"""What a tstreamsd tells the service manager that has started it: a socket of the test's own listens for it."""
import os
import signal
import socket
import unittest

from observing import ServedTest, wait_for


class Notices(ServedTest):
    def listen(self, address):
        place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(place.close)
        place.bind(address)
        place.settimeout(20)
        return place

    def test_ready_and_stopping(self):
        path = f"{self.directory}/notify"
        heard = self.listen(path)
        daemon = self.start(environment={"NOTIFY_SOCKET": path})
        self.assertEqual(heard.recv(4096), b"READY=1")
        self.assertEqual(daemon.get("/readyz")[0], 200)
        daemon.process.terminate()
        self.assertEqual(heard.recv(4096), b"STOPPING=1")  # nobody has asked for a watchdog
        self.assertEqual(daemon.end(), 0)

    def test_a_second_signal_while_the_store_is_being_closed(self):
        path = f"{self.directory}/notify"
        heard = self.listen(path)
        for _ in range(20):
            daemon = self.start(environment={"NOTIFY_SOCKET": path})
            self.assertEqual(heard.recv(4096), b"READY=1")
            daemon.process.terminate()
            self.assertEqual(heard.recv(4096), b"STOPPING=1")
            self.assertEqual(daemon.end(), 0)  # which sends the second one

    def test_the_watchdog_hears_of_it_every_second(self):
        name = f"tstreams-test-{os.getpid()}"
        heard = self.listen("\0" + name)  # an abstract one
        daemon = self.start(environment={"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "60000000"})
        said = [heard.recv(4096) for _ in range(4)]
        self.assertEqual(sorted(said), [b"READY=1"] + 3 * [b"WATCHDOG=1"])
        daemon.process.send_signal(signal.SIGSTOP)  # one that stands still says nothing
        self.addCleanup(daemon.process.send_signal, signal.SIGCONT)
        heard.settimeout(3)
        with self.assertRaises(socket.timeout):
            while True:
                heard.recv(4096)

    def test_nobody_listens(self):
        daemon = self.start(environment={"NOTIFY_SOCKET": f"{self.directory}/nothing"})
        wait_for("ready", lambda: daemon.said("(ready)\n"))
        self.assertEqual(daemon.end(), 0)


if __name__ == "__main__":
    unittest.main()
