# SPDX-License-Identifier: Apache-2.0
"""The broken wires themselves: each fault does what its name says, and heals."""
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "fault"), str(ROOT / "tools" / "python")]
import net_namespace  # noqa: E402
from tcp_proxy import TcpProxy  # noqa: E402

ECHO = "import socketserver as s; s.TCPServer(('{}', 7000), type('E', (s.StreamRequestHandler,), " \
       "{{'handle': lambda e: [e.wfile.write(b) or e.wfile.flush() for b in e.rfile]}})).serve_forever()"
ASK = "import socket,sys; c=socket.create_connection((sys.argv[1],7000),1); c.sendall(b'x\\n'); c.settimeout(1); assert c.recv(9)==b'x\\n'"


class Proxy(unittest.TestCase):
    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.proxy = TcpProxy(self.server.getsockname()[1], seed=1)
        self.client = socket.create_connection(("127.0.0.1", self.proxy.port), 5)
        self.peer, _ = self.server.accept()
        self.peer.settimeout(0.3)

    def tearDown(self):
        self.proxy.close()
        for end in (self.client, self.peer, self.server):
            end.close()

    def test_what_is_frozen_comes_after_it_heals(self):
        self.proxy.freeze()
        self.client.sendall(b"late")
        with self.assertRaises(TimeoutError):
            self.peer.recv(9)
        self.proxy.heal()
        self.peer.settimeout(5)
        self.assertEqual(self.peer.recv(9), b"late")

    def test_a_cut_ends_connections_and_refuses_new_ones(self):
        self.proxy.cut()
        self.assertEqual(self.client.recv(9), b"")
        with socket.create_connection(("127.0.0.1", self.proxy.port), 5) as again:
            self.assertEqual(again.recv(9), b"")

    def test_a_slow_wire_takes_its_time(self):
        self.proxy.slow(80_000)  # 10 kB/s
        began = time.monotonic()
        threading.Thread(target=self.client.sendall, args=(bytes(4000),)).start()
        self.peer.settimeout(5)
        got = 0
        while got < 4000:
            got += len(self.peer.recv(4000))
        self.assertGreater(time.monotonic() - began, 0.3)

    def test_damage_flips_bits_in_one_direction(self):
        self.proxy.corrupt(100, "target")
        self.client.sendall(bytes(1000))
        got = self.peer.recv(1000)
        while len(got) < 1000:
            got += self.peer.recv(1000)
        self.assertEqual(sum(bin(byte).count("1") for byte in got), self.proxy.bits_flipped)
        self.assertGreater(self.proxy.bits_flipped, 0)
        self.peer.sendall(bytes(1000))
        self.assertEqual(self.client.recv(1000).strip(b"\0"), b"")


@unittest.skipUnless(net_namespace.allowed(), "network namespaces with tc need root, iproute2, veth, cls_bpf and sch_tbf")
class Namespaces(unittest.TestCase):
    def setUp(self):
        self.client, self.server = net_namespace.Namespace(), net_namespace.Namespace()
        self.wire = net_namespace.VethWire(self.client, self.server, "link", 3)
        self.echo = subprocess.Popen(self.server.command([sys.executable, "-c", ECHO.format(self.wire.server_address)]))
        self.wait_until_heard()

    def tearDown(self):
        self.echo.kill()
        self.echo.wait()
        self.client.close()
        self.server.close()

    def hears(self) -> bool:
        ask = self.client.command([sys.executable, "-c", ASK, self.wire.server_address])
        return subprocess.run(ask, check=False, capture_output=True).returncode == 0

    def wait_until_heard(self):
        deadline = time.monotonic() + 10
        while not self.hears():
            self.assertLess(time.monotonic(), deadline, "the wire does not carry")

    def test_a_cut_and_a_silent_wire_carry_nothing_until_they_heal(self):
        for fault in (self.wire.cut, self.wire.freeze):
            fault()
            self.assertFalse(self.hears())
            self.wire.heal()
            self.wait_until_heard()
        self.assertGreater(self.wire.dropped, 0)

    def test_a_lossy_wire_still_carries(self):
        self.wire.slow(1_000_000, loss=0.3)
        self.wait_until_heard()
        self.wire.heal()
        self.wait_until_heard()

    def test_the_other_hosts_loopback_is_reached_and_ours_is_kept(self):
        other = subprocess.Popen(self.server.command([sys.executable, "-c", ECHO.format("127.0.0.1")]))
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    with self.server.connect(7000, 2) as there:
                        there.sendall(b"x\n")
                        self.assertEqual(there.recv(9), b"x\n")
                    break
                except ConnectionRefusedError:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.05)
            with self.assertRaises(ConnectionRefusedError):
                self.client.connect(7000, 2)
        finally:
            other.kill()
            other.wait()


if __name__ == "__main__":
    unittest.main()
