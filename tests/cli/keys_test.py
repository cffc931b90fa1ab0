"""`tstreams key`: what it changes and prints, and how it ends where a file, a client or a key is not there."""

import os

from tool import ToolTest


class Keys(ToolTest):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.dir, "clients")
        self.env["TSTREAMSD_CLIENTS_FILE"] = self.file

    def new_key(self, name):
        return self.run_tool("key", "new", os.path.join(self.dir, name)).stdout.decode().strip()

    def content(self):
        with open(self.file) as file:
            return file.read()

    def test_a_file_that_is_not_there_is_not_found(self):
        for command in ("key list", "key revoke billing", "key show " + os.path.join(self.dir, "billing.key"),
                        "key show " + os.path.join(self.dir, "no", "billing.key"),
                        "key list --clients-file " + os.path.join(self.dir, "no", "clients")):
            self.assertIn("No such file or directory", self.error(*command.split(), expect=3))
        self.error("key", "allow", "billing", "--rights", "read", "--streams", "*", expect=3)
        self.assertFalse(os.path.exists(self.file))
        key, elsewhere = self.new_key("one.key"), os.path.join(self.dir, "no", "clients")
        said = self.error("key", "allow", "billing", "--key", key, "--clients-file", elsewhere, expect=2)
        self.assertIn(f"{elsewhere}: No such file or directory", said)

    def test_a_client_and_a_key_that_are_not_there_are_not_found(self):
        key = self.new_key("one.key")
        other = self.new_key("two.key")
        self.run_tool("key", "allow", "billing", "--key", key, "--rights", "read", "--streams", "orders-*")
        before = self.content()
        for whom in ("nobody", other):
            said = self.error("key", "revoke", whom, expect=3)
            self.assertIn(f"no key and no client is '{whom}'", said)
        said = self.error("key", "allow", "audit", "--rights", "read", "--streams", "*", expect=3)
        self.assertIn("client 'audit' has no key yet: add --key", said)
        self.assertEqual(self.content(), before)
        self.assertTrue(self.run_tool("key", "revoke", "billing").stdout.startswith(b"revoked 1 key;"))
        self.error("key", "revoke", "billing", expect=3)
        self.assertEqual(self.lines("key", "list"), [])

    def test_what_cannot_be_is_a_usage_error(self):
        key = self.new_key("one.key")
        self.run_tool("key", "allow", "billing", "--key", key)
        before = self.content()
        for command in ("key allow billing", "key allow b/d --key " + key, "key allow audit --key " + key,
                        "key allow audit --key short", "key allow billing --rights fly --streams *",
                        "key allow billing --rights read", "key revoke", "key show"):
            self.error(*command.split(), expect=2)
        self.assertIn("--key: no public key", self.error("key", "allow", "audit", "--key", "nonsense", expect=2))
        self.assertEqual(self.content(), before)
