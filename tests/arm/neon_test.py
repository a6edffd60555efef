#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plain loops of the CPU codec must become NEON on 64-bit Arm, where no hand-written vectors exist.

    tests/arm/neon_test.py LIBRARY     e.g. build/arm/libff_codec.a

Counts instructions on vector registers in each loop over a row. What stays scalar is known and not asked here: the
context's table look-up, and the lanes.
"""
from __future__ import annotations

import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
VECTOR = re.compile(r"\bv\d+\.(16b|8h|4s|2d)\b")
LEVELS = ("unsigned short", "unsigned int")
HOT = ["vertical_row", "vertical_masked", "horizontal_row", "horizontal_masked", "mean_of_4", "move_row", "ratios_of", "add_rows",
       *(f"settle_row<{level}>" for level in LEVELS),
       *(f"learn_plane<{masked}, {distance}, {level}>" for masked in ("false", "true") for distance in ("false", "true") for level in LEVELS),
       *(f"contexts_with<{split}, {raw}, {level}>" for split in ("false", "true") for raw in ("false", "true") for level in LEVELS),
       *(f"tokenize_with<{raw}, {level}>" for raw in ("false", "true") for level in LEVELS)]
VECTORS_MIN = 5  # in each; 6 to 94 with g++ 12, 0 when nothing is vectorised; the rest is ends of rows


def main() -> int:
    listing = subprocess.run(["aarch64-linux-gnu-objdump", "-dC", "--no-show-raw-insn", sys.argv[1]],
                             capture_output=True, text=True, check=True).stdout
    all_of, vector_of, name = dict.fromkeys(HOT, 0), dict.fromkeys(HOT, 0), None
    for line in listing.splitlines():
        if head := FUNCTION.match(line):
            name = next((hot for hot in HOT if f"cpu::generic::{hot}(" in head[1]), None)
        elif name and "\t" in line:
            all_of[name] += 1
            vector_of[name] += bool(VECTOR.search(line))
    for hot in HOT:
        print(f"{hot}: {vector_of[hot]} of {all_of[hot]} instructions use NEON registers")
    return 0 if all(vector_of[hot] >= VECTORS_MIN for hot in HOT) else 1


if __name__ == "__main__":
    sys.exit(main())
