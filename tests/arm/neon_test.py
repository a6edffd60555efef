#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plain loops of the CPU codec must become NEON on 64-bit Arm, where no hand-written vectors exist.

    tests/arm/neon_test.py LIBRARY     e.g. build/arm/libff_codec.a

Counts instructions on vector registers in the functions that hold the row loops (predict, learn, tokens). The two
loops that stay scalar are known: the context's table look-up, and the lanes.
"""
from __future__ import annotations

import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
VECTOR = re.compile(r"\bv\d+\.(16b|8h|4s|2d)\b")
HOT = [f"cpu::generic::{loop}<unsigned {level}>" for loop in ("tokenize_group", "decode_typed") for level in ("short", "int")]
SHARE_MIN = 0.05  # of a function's instructions; 0.09 to 0.13 with g++ 12, 0 when nothing is vectorised


def main() -> int:
    listing = subprocess.run(["aarch64-linux-gnu-objdump", "-dC", "--no-show-raw-insn", sys.argv[1]],
                             capture_output=True, text=True, check=True).stdout
    all_of, vector_of, name = dict.fromkeys(HOT, 0), dict.fromkeys(HOT, 0), None
    for line in listing.splitlines():
        if head := FUNCTION.match(line):
            name = next((hot for hot in HOT if hot + "(" in head[1]), None)
        elif name and "\t" in line:
            all_of[name] += 1
            vector_of[name] += bool(VECTOR.search(line))
    for hot in HOT:
        print(f"{hot}: {vector_of[hot]} of {all_of[hot]} instructions use NEON registers")
    return 0 if all(vector_of[hot] > SHARE_MIN * all_of[hot] for hot in HOT) else 1


if __name__ == "__main__":
    sys.exit(main())
