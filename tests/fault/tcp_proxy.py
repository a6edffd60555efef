# SPDX-License-Identifier: Apache-2.0
"""A TCP connection that can be cut, frozen or damaged: the bad network of hosts where tc is not allowed."""
from __future__ import annotations

import random
import select
import socket
import threading
import time

CHUNK = 256 * 1024


class TcpProxy:
    """Listens on a free loopback port and passes on to `target`. Faults hold for all connections until healed."""

    def __init__(self, target: int, seed: int):
        self.target, self.random = target, random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.lock = threading.Lock()
        self.is_cut = self.is_frozen = self.closed = False
        self.bytes_per_s = 0.0         # each way of each connection; 0: as fast as it goes
        self.flip_every = 0            # bytes between two flipped bits towards `flip_towards`; 0: none
        self.flip_towards = "target"
        self.bits_flipped = 0
        threading.Thread(target=self._accept, daemon=True).start()

    # ------------------------------------------------------------ faults

    def cut(self) -> None:
        """All connections end, new ones are refused at once."""
        self.is_cut = True
        with self.lock:
            for pair in list(self.pairs):
                self._close(pair)

    def freeze(self) -> None:
        """Connections stay, nothing comes through: a switch that died."""
        self.is_frozen = True

    def slow(self, bits_per_s: int) -> None:
        self.bytes_per_s = bits_per_s / 8

    def corrupt(self, every_bytes: int, towards: str) -> None:
        """About one flipped bit in `every_bytes` of what goes towards "target" or "client"."""
        self.flip_towards, self.flip_every = towards, every_bytes

    def heal(self) -> None:
        self.is_cut = self.is_frozen = False
        self.flip_every = self.bytes_per_s = 0

    # ------------------------------------------------------------ passing on

    def _accept(self) -> None:
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(None)
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            for source, sink, towards in ((client, server, "target"), (server, client, "client")):
                threading.Thread(target=self._pass, args=(pair, source, sink, towards), daemon=True).start()

    def _pass(self, pair: tuple, source: socket.socket, sink: socket.socket, towards: str) -> None:
        try:
            while True:
                ready, _, _ = select.select([source], [], [], 0.1)
                if self.is_frozen or not ready:
                    if source.fileno() < 0:
                        return
                    if self.is_frozen:
                        threading.Event().wait(0.05)
                    continue
                pace = self.bytes_per_s
                part = source.recv(int(pace / 20) if pace else CHUNK)
                if not part:
                    return
                if pace:
                    time.sleep(len(part) / pace)
                sink.sendall(self._damaged(part) if self.flip_every and towards == self.flip_towards else part)
        except (OSError, ValueError):
            return
        finally:
            with self.lock:
                self._close(pair)

    def _damaged(self, part: bytes) -> bytes:
        count = len(part) // self.flip_every + (self.random.randrange(self.flip_every) < len(part) % self.flip_every)
        if count == 0:
            return part
        damaged = bytearray(part)
        for _ in range(count):
            damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
        self.bits_flipped += count
        return bytes(damaged)

    def _close(self, pair: tuple) -> None:
        if pair not in self.pairs:
            return
        self.pairs.discard(pair)
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def close(self) -> None:
        self.closed = True
        self.listener.close()
        self.cut()
