#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Leaves, leaf hashes and Merkle roots of docs/formats/ledger.md, written from that page alone with hashlib.

    merkle_reference.py --check FILE    compares the vectors in FILE with what this script computes
    merkle_reference.py --write FILE    writes them

A vector is a line "leaf NAME BYTES HASH" or "root COUNT HASH"; root COUNT is over the leaves 0 ... COUNT-1 of many_leaves().
"""
from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

STORED = (2, 3)


def leaf(stream: int, window: int, complete: bool, reported: bool, frames: list[tuple[int, int, int]], digest: bytes) -> bytes:
    """`frames`: state, stage, CRC-32C of each frame of the window."""
    head = struct.pack("<BIQBB", 1, stream, window, complete | reported << 1, len(frames))
    states, stages = bytes(f[0] for f in frames), bytes(f[1] for f in frames)
    crcs = b"".join(struct.pack("<I", f[2]) for f in frames if f[0] in STORED)
    return head + states + stages + bytes([len(digest)]) + digest + crcs


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def root(hashes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there: split at the largest power of two below n."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while 2 * split < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def many_leaves() -> list[bytes]:
    frames = [(2, 0, 0x01020304), (3, 0, 0xFFFFFFFF), (5, 0, 0), (7, 1, 0), (6, 8, 0)]
    return [leaf(w % 3, w, w % 2 == 0, w % 5 != 0, frames[: 1 + w % 5], bytes([w % 256]) * 32 if w % 4 else b"")
            for w in range(70)]


def vectors() -> str:
    lines = []
    named = {"stored": leaf(0, 0, True, True, [(2, 0, 0xDEADBEEF)] * 2, bytes(range(32))),
             "silent": leaf(7, 2**40, False, False, [(7, 6, 0)] * 64, b""),
             "beyond": leaf(2**32 - 1, 1, False, True, [], b"")}
    for name, data in named.items():
        lines.append(f"leaf {name} {data.hex()} {leaf_hash(data).hex()}")
    hashes = [leaf_hash(data) for data in many_leaves()]
    lines += [f"root {count} {root(hashes[:count]).hex()}" for count in (0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 64, 70)]
    return "\n".join(lines) + "\n"


def main() -> int:
    action, path = sys.argv[1], Path(sys.argv[2])
    if action == "--write":
        path.write_text(vectors())
        return 0
    if path.read_text() == vectors():
        return 0
    print(f"{path}: not the vectors that hashlib gives")
    return 1


if __name__ == "__main__":
    sys.exit(main())
