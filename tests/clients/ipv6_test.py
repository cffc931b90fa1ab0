#!/usr/bin/python3
"""A real tstreamsd on the loopback address of IPv6: the tool (the client in C++) writes, the Python client reads.
Skipped where the machine has no such address.
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

    def test_other_machines_need_keys(self):
        for endpoint in ("tcp://[::]:0", "tcp://[fe80::1]:0"):
            done = subprocess.run([DAEMON, "--store", "memory:", "--listen", endpoint], capture_output=True,
                                  timeout=PATIENCE)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(b"keys", done.stderr)


if __name__ == "__main__":
    unittest.main()
