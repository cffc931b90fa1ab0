#!/usr/bin/python3
"""A real tstreamsd on the loopback address of IPv6: the tool (the client in C++) writes, the Python client reads.
Where the machine has no such address, the daemon has to say so.
"""

import re
import socket
import subprocess
import unittest

from daemon import DAEMON, PATIENCE, ServedTest

import tstreams


def machine_has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@unittest.skipUnless(machine_has_ipv6(), "this machine has no [::1]")
class Ipv6Test(ServedTest):
    OPTIONS = ("--listen", "tcp://[::1]:0")

    def test_both_clients_reach_it(self):
        found = re.search(r'listening endpoint="?(tcp://\[::1\]:\d+)', self.daemon.output())
        self.assertTrue(found, self.daemon.output())
        at = found[1]
        self.tool("stream", "create", "orders", at=at)
        self.tool("produce", "orders", at=at, stdin=b"one\ntwo\n")
        with tstreams.Client(at) as client:
            consumer = client.consumer("orders", start=tstreams.Start.OLDEST)
            items = []
            while (transaction := consumer.next(0)) is not None:
                items += [bytes(item) for item in transaction]
        self.assertEqual(items, [b"one", b"two"])


class RefusedTest(unittest.TestCase):
    def expect_refused(self, endpoint, status, because):
        done = subprocess.run([DAEMON, "--store", "memory:", "--listen", endpoint], capture_output=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(because, done.stderr)

    def test_other_machines_need_keys(self):
        for endpoint in ("tcp://[::]:0", "tcp://[fe80::1]:0"):
            self.expect_refused(endpoint, 2, b"keys")

    @unittest.skipIf(machine_has_ipv6(), "this machine has [::1], and the other test binds to it")
    def test_an_address_that_is_not_there(self):
        self.expect_refused("tcp://[::1]:0", 1, b"[::1]")


if __name__ == "__main__":
    unittest.main()
