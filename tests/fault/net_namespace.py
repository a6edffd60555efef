# SPDX-License-Identifier: Apache-2.0
"""Hosts of their own on one machine: network namespaces, joined by wires that tc and ip can break.

A namespace lives as long as its holder, a process that reads from us: nothing is left behind, however the tests end. Needs
CAP_SYS_ADMIN and CAP_NET_ADMIN, of root or of a user in a user namespace (`unshare --map-root-user`), iproute2 and the
kernel's veth, sch_ingress, cls_bpf and sch_tbf. Packets are dropped by a filter of four instructions rather than by netem,
which not every kernel has.
"""
from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools" / "python")]

from path_runner import Place  # noqa: E402

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Moves this thread, and no other."""
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace(Place):
    def __init__(self) -> None:
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdin.write(b"\n")
        self.holder.stdin.flush()
        if not self.holder.stdout.readline():  # cat answers once the namespace is made
            raise PermissionError("no network namespace can be made here")
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.run("ip", "link", "set", "lo", "up")

    def command(self, arguments: list[str]) -> list[str]:
        return ["nsenter", f"--net={self.path}", "--", *arguments]

    def run(self, *arguments: str, check: bool = True) -> str:
        return subprocess.run(self.command(list(arguments)), check=check, stdout=subprocess.PIPE,
                              stderr=None if check else subprocess.DEVNULL, text=True).stdout

    def connect(self, port: int, timeout_s: float) -> socket.socket:
        """A socket stays in the namespace in which it was made."""
        with open("/proc/thread-self/ns/net", "rb") as here, open(self.path, "rb") as there:
            enter(there.fileno())
            try:
                connection = socket.socket()
            finally:
                enter(here.fileno())
        try:
            connection.settimeout(timeout_s)
            connection.connect(("127.0.0.1", port))
        except OSError:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait()


class VethWire:
    """A pair of Ethernet devices, one end in each namespace. Faults hold for both directions until healed."""

    def __init__(self, client: Namespace, server: Namespace, name: str, subnet: int):
        self.name, self.ends, self.dropped = f"w-{name}", (client, server), 0  # "link" is a word of ip's
        self.server_address = f"10.77.{subnet}.1"
        client.run("ip", "link", "add", self.name, "type", "veth", "peer", "name", self.name, "netns", str(server.holder.pid))
        for end, address in ((client, f"10.77.{subnet}.2"), (server, self.server_address)):
            end.run("ip", "address", "add", f"{address}/30", "dev", self.name)
            end.run("ip", "link", "set", self.name, "up")

    def cut(self) -> None:
        """The cable is pulled: both ends lose the carrier."""
        self.ends[1].run("ip", "link", "set", self.name, "down")

    def freeze(self) -> None:
        """Every packet is lost and nobody is told: connections are left half open. Lost where it arrives: a sender
        whose own device drops a packet is told."""
        self._drop("1,6 0 0 2")

    def slow(self, bits_per_s: int, loss: float = 0.02) -> None:
        """So many bits a second each way, and a share of the packets is lost."""
        for end in self.ends:
            end.run("tc", "qdisc", "add", "dev", self.name, "root", "tbf", "rate", f"{bits_per_s}bit", "burst", "32kb",
                    "latency", "400ms")
        # A = random; lost when A <= loss of 2^32, else left to what comes next.
        self._drop(f"4,32 0 0 {0x100000000 - 0x1000 + 56},37 0 1 {int(loss * 2**32)},6 0 0 {0xffffffff},6 0 0 2")

    def _drop(self, bytecode: str) -> None:
        for end in self.ends:
            end.run("tc", "qdisc", "add", "dev", self.name, "clsact")
            end.run("tc", "filter", "add", "dev", self.name, "ingress", "bpf", "direct-action", "bytecode", bytecode)

    def heal(self) -> None:
        for end in self.ends:
            state = end.run("tc", "-s", "qdisc", "show", "dev", self.name)
            self.dropped += sum(int(count) for count in re.findall(r"qdisc clsact.*\n.*dropped (\d+)", state))
            for place in ("clsact", "root"):
                end.run("tc", "qdisc", "del", "dev", self.name, place, check=False)
            end.run("ip", "link", "set", self.name, "up")

    def close(self) -> None:
        """Takes it away at once; else it goes with its namespaces, for which the kernel takes its time."""
        self.ends[0].run("ip", "link", "delete", self.name)


def allowed() -> bool:
    """Whether all of it works here, tried out."""
    ends: list[Namespace] = []
    try:
        ends += [Namespace(), Namespace()]
        wire = VethWire(*ends, "probe", 0)
        wire.slow(1_000_000)
        wire.heal()
        return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        for end in ends:
            end.close()


def allowed_to_a_user() -> bool:
    """The same in a user namespace, for those who are not root."""
    try:
        return os.geteuid() != 0 and subprocess.run([*AS_ROOT, sys.executable, __file__], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


AS_ROOT = ["unshare", "--user", "--map-root-user", "--"]

if __name__ == "__main__":
    sys.exit(0 if allowed() else 1)
